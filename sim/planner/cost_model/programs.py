"""What training programs do beside the mathematics: how they launch kernels, send activations and
add gradients up. Each habit is read off a program's source; none of them is a fitted number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Program:
    """One program's habits.

    waits: the host waits for each kernel to end before it launches the next one. blocks: a device
    computes nothing while it sends to the next stage or receives. summed: bytes of memory traffic
    per weight and microbatch with which gradients are added up beside the multiplication that makes
    them; 0 where that multiplication adds them up itself. by_tensor: data parallelism has a message
    for each weight, not for buckets of them. gathers_late: gathers of weights end before the first
    forward begins. attention: the most of a device's rate that its attention kernels reach.
    sends_once: a token is sent once to every other node that holds any of its experts, and inside a
    node once to every device, not once for each expert. hides_experts: tokens are sent while passes
    of other microbatches run. counts_stay: the host does not wait to know how many tokens each
    expert gets. source: where that can be read.
    """

    waits: bool = False
    blocks: bool = False
    summed: float = 0.0
    by_tensor: bool = False
    gathers_late: bool = False
    attention: float = 1.0
    sends_once: bool = False
    hides_experts: bool = False
    counts_stay: bool = False
    source: str = ""


PROGRAMS: Mapping[str, Program] = MappingProxyType({
    "megatron": Program(
        source="Megatron-LM with gradient_accumulation_fusion, its default: multiplications for "
        "weight gradients add to the sum; communication on streams of its own",
    ),
    "megatron-flex": Program(
        sends_once=True,
        source="Megatron-Core with --moe-token-dispatcher-type flex: DeepEP or HybridEP "
        "(deepseek-ai/DeepEP: from the wires between nodes handed on over NVLink)",
    ),
    "megatron-overlap": Program(
        hides_experts=True,
        source="Megatron-Core with --overlap-moe-expert-parallel-comm: forward and backward of two "
        "microbatches side by side",
    ),
    "megatron-graphs": Program(
        sends_once=True, counts_stay=True,
        source="as megatron-flex, with --cuda-graph-scope moe_router moe_preprocess: what counts "
        "and sorts tokens is launched without the host",
    ),
    "megatron-graphs-overlap": Program(
        sends_once=True, counts_stay=True, hides_experts=True,
        source="as megatron-graphs and megatron-overlap",
    ),
    "megatron-deepspeed-fp16": Program(
        waits=True, blocks=True, summed=6,
        source="BigScience's Megatron-DeepSpeed of 2022: CUDA_LAUNCH_BLOCKING=1 (train/tr11-176B-ml"
        "/tr11-176B-ml.slurm); send and recv without async_op (deepspeed/runtime/pipe/p2p.py); "
        "autograd reads two gradients of 16 bits and writes one",
    ),
    "megatron-deepspeed-bf16": Program(
        waits=True, blocks=True, summed=18,
        source="as megatron-deepspeed-fp16; BF16_Optimizer.update_hp_grads casts each gradient to "
        "32 bits (2 + 4 bytes), reads it and the sum and writes the sum (12)",
    ),
    "nanotron": Program(
        blocks=True, summed=10, by_tensor=True, gathers_late=True, attention=0.35,
        source="huggingface/nanotron: FP32GradientAccumulator adds 16-bit gradients (2 bytes) to "
        "32-bit ones, read and written (8); P2P.recv_tensors waits for shapes and for data; "
        "ZeroDistributedOptimizer reduces and gathers weight by weight, and gathers in its step; "
        "FlashAttention-2, which reaches 35 % of H100 (Shah et al. 2024, arXiv 2407.08608)",
    ),
})  # fmt: skip
