"""A plan in the words of the programs that run it: torchtitan's keys and Megatron-LM's flags."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..schedule.torch_csv import to_torch_csv
from .cost_model import Configuration
from .estimate import prepare
from .problem import Problem
from .timeline import schedule_of

_TORCH_NAMES = {"1f1b": "1F1B", "gpipe": "GPipe", "interleaved": "Interleaved1F1B",
                "zb-v": "ZBVZeroBubble"}  # fmt: skip


class Torchtitan(NamedTuple):
    """keys: settings by dotted name. csv: the schedule, to be written where
    `parallelism.pipeline_parallel_schedule_csv` points; "" without a pipeline."""

    keys: dict[str, Any]
    csv: str


def torchtitan(
    problem: Problem, configuration: Configuration, *, csv_path: str = "schedule.csv"
) -> Torchtitan:
    """Settings and schedule file for torchtitan.

    The file holds compute only; torchtitan adds the transfers. Where torch has the schedule its
    name is given too, else the name that makes torchtitan build the same stages: ZBVZeroBubble for
    a V, Interleaved1F1B for a loop.
    """
    c = configuration
    keys: dict[str, Any] = {
        "training.seq_len": c.sequence,
        "training.global_batch_size": c.batch,
        "training.local_batch_size": c.batch // c.data if c.pipeline > 1 else c.microbatch,
        "parallelism.tensor_parallel_degree": c.tensor,
        "parallelism.pipeline_parallel_degree": c.pipeline,
        "activation_checkpoint.mode": c.recompute,
    }
    replicate = 1 if c.zero >= 1 else c.data
    keys["parallelism.data_parallel_replicate_degree"] = replicate
    keys["parallelism.data_parallel_shard_degree"] = c.data // replicate
    if c.zero in (1, 2):
        keys["parallelism.fsdp_reshard_after_forward"] = "never"
    if c.expert > 1:
        keys["parallelism.expert_parallel_degree"] = c.expert
    if c.pipeline == 1:
        return Torchtitan(keys, "")
    schedule = schedule_of(c)
    stages = prepare(problem, c).split
    modules, layer = [], 0
    for part in stages.stages:
        names = ["tok_embeddings"] if part.embedding else []
        names += [f"layers.{layer + i}" for i in range(part.layers)]
        names += ["norm", "output"] if part.head else []
        modules.append(names)
        layer += part.layers
    v_shaped = c.virtual == 2 and schedule.placement[-1] == 0
    fallback = "ZBVZeroBubble" if v_shaped else "Interleaved1F1B" if c.virtual > 1 else "1F1B"
    keys |= {
        "parallelism.pipeline_parallel_microbatch_size": c.microbatch,
        "parallelism.pipeline_parallel_schedule": _TORCH_NAMES.get(c.schedule, fallback),
        "parallelism.pipeline_parallel_schedule_csv": csv_path,
        "parallelism.module_fqns_per_model_part": modules,
    }
    return Torchtitan(keys, to_torch_csv(schedule))


def megatron(problem: Problem, configuration: Configuration) -> list[str]:
    """Command-line flags for Megatron-LM; ValueError if it does not have the schedule."""
    c = configuration
    if c.schedule not in ("1f1b", "interleaved"):
        raise ValueError(
            f"Megatron-LM has no schedule {c.schedule}: plan with 1f1b or interleaved, "
            "or export for torchtitan"
        )
    flags = [
        f"--tensor-model-parallel-size {c.tensor}",
        f"--pipeline-model-parallel-size {c.pipeline}",
        f"--micro-batch-size {c.microbatch}",
        f"--global-batch-size {c.batch}",
        f"--seq-length {c.sequence}",
    ]
    if c.sequence_parallel:
        flags.append("--sequence-parallel")
    if c.expert > 1:
        flags.append(f"--expert-model-parallel-size {c.expert}")
    if c.zero >= 1:
        flags.append("--use-distributed-optimizer")
    if c.zero > 1:
        sharding = {2: "optim_grads", 3: "optim_grads_params"}[c.zero]
        flags += ["--use-megatron-fsdp", f"--data-parallel-sharding-strategy {sharding}",
                  "--no-gradient-accumulation-fusion", "--ckpt-format fsdp_dtensor"]  # fmt: skip
    if c.recompute == "full":
        flags += ["--recompute-granularity full", "--recompute-method uniform",
                  "--recompute-num-layers 1"]  # fmt: skip
    elif c.recompute == "selective":
        flags.append("--recompute-granularity selective")
    if c.attention == "flash":
        flags.append("--attention-backend flash")
    flags += _layout_flags(problem, c) if c.pipeline > 1 else []
    return flags


def _layout_flags(problem: Problem, c: Configuration) -> list[str]:
    """Even stages by their number of layers, others by a layout string."""
    from .cost_model import layout_text

    split = prepare(problem, c).split
    counts = {part.layers for part in split.stages}
    if len(counts) > 1:
        return [f"--pipeline-model-parallel-layout '{layout_text(split)}'"]
    if c.virtual > 1:
        return [f"--num-layers-per-virtual-pipeline-stage {counts.pop()}"]
    return []
