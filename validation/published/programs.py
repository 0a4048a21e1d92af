"""What the programs behind published runs do where a row does not say it, as their sources do."""

from __future__ import annotations

from typing import Any

from .row import Row

WITHOUT = ("BigScience", "SimuMax")
"""Sources whose program waits for all collectives: Megatron-DeepSpeed of early 2022, whose pipeline
engine reduces gradients after the last pass, and whose layers all-reduce before they go on; and
SimuMax, whose measured runs overlap nothing (its notes say so for B200)."""
KEPT_IN_16 = ("NVIDIA dgxc", "Megatron-Bridge")
"""Sources whose recipes set `grad_reduce_in_fp32` to False, so that gradients are kept in the 16
bits in which they are reduced."""
SHARED_GRADIENTS = ("Llama 3 ",)
"""Sources that share gradients out where the table says only the optimizer's state: arXiv
2407.21783, section 3.3.2: FSDP there shards optimizer states and gradients, and weights are not
resharded after a forward."""


IN_PIECES = (
    ("NVIDIA dgxc", ("gpt3", "llama", "nemotron-4-15b")),
    ("NVIDIA dgxc-benchmarking 25.04", ("nemotron-4-340b",)),
    ("Megatron-Bridge", ("llama",)),
)
"""Sources and models whose collectives of tensor parallelism run in pieces beside multiplications,
by Transformer Engine's user buffers. `ub_tp_comm_overlap` is true in
nemo_megatron/gpt3_175b_hydra.yaml and nemotron/nemotron4-15b-synth.yaml of dgxc-benchmarking and
in conf/training/llama/llama3_1_70b.yaml and llama3_1_405b.yaml of NeMo-Framework-Launcher, which it
runs; false in nemotron/nemotron4-340b-synth.yaml and grok1/grok1_314b.yaml; from 25.04 on Nemotron
runs by NeMo's recipes (nemotron4_340b.py: `tp_comm_overlap=True`). Megatron-Bridge sets it for
Llama but not in FP4 (llama3_llm_pretrain.py, llama31_llm_pretrain.py), nor for Qwen3 on H100."""


def program(row: Row) -> str:
    """Whose habits a row's passes follow, a name of `sim.planner.cost_model.PROGRAMS`."""
    if row.text("source").startswith("BigScience"):
        bits = "bf16" if row.text("precision").lower() == "bf16" else "fp16"
        return f"megatron-deepspeed-{bits}"
    return "nanotron" if row.text("source").startswith("Nanotron") else "megatron"


def gradients_kept(row: Row, told: float) -> float:
    """Bytes of a gradient that a device keeps, where the table's are those of other programs."""
    short = row.text("source").startswith(KEPT_IN_16) and row.number("gradient_bytes") == 2
    return 2.0 if short else told


def gradients_reduced(row: Row) -> float:
    """Bytes of a gradient that data parallelism sums, as the mean of both directions. Nanotron's
    benchmarks set `accumulate_grad_in_fp32`: 32 bits there, and where the optimizer's state is
    shared out 16-bit weights back."""
    if program(row) == "nanotron":
        return 3 if shared_out(row) else 4
    return row.number("gradient_bytes") or 2


def shared_out(row: Row) -> int:
    """The stage of ZeRO; where it is not said, what a plan takes by default."""
    told = int(row.number("zero") or 0) if row.text("zero") else 1
    return max(told, 2) if row.text("source").startswith(SHARED_GRADIENTS) else told


def overlaps(row: Row) -> dict[str, Any]:
    """The options of a configuration that say what runs beside the passes: where a note says that
    nothing does, or it is known of the program; otherwise what a plan takes by default."""
    source = row.text("source")
    if "no overlap" in row.text("note").lower() or source.startswith(WITHOUT):
        return {"tensor_overlap": "none", "data_overlap": False}
    name, bits = row.text("model").lower(), row.text("precision").lower()
    for sources, models in IN_PIECES:
        if source.startswith(sources) and name.startswith(models) and "fp4" not in bits:
            return {"tensor_overlap": "all"}
    return {}
