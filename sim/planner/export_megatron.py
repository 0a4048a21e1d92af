"""A plan in the words of Megatron-LM: its flags, and only values that it accepts.

Its checks are those of `validate_args` (megatron/training/arguments.py), of the schedules
(megatron/core/pipeline_parallel/schedules.py) and of layouts
(megatron/core/transformer/pipeline_parallel_layer_layout.py), as of 2026.
"""

from __future__ import annotations

from .cost_model import Configuration, layout_text, with_predictions
from .estimate import prepare
from .problem import Problem

FLAG_OF_GROUPS = "--microbatch-group-size-per-virtual-pipeline-stage"
_CONTEXT = {"ring": "p2p", "all-to-all": "a2a", "all-gather": "allgather"}
_SHARDING = {2: "optim_grads", 3: "optim_grads_params"}


def megatron(problem: Problem, configuration: Configuration) -> list[str]:
    """Command-line flags for Megatron-LM; ValueError with one sentence if it cannot run this.

    They say how the model is cut and run, not what it is: layers, widths and data are yours. The
    order of passes is the one that was planned: interleaved groups are of the size given here.
    """
    c = configuration
    _check(c)
    flags = [
        f"--tensor-model-parallel-size {c.tensor}",
        f"--pipeline-model-parallel-size {c.pipeline}",
        f"--micro-batch-size {c.microbatch}",
        f"--global-batch-size {c.batch}",
        f"--seq-length {c.sequence}",
    ]
    if c.sequence_parallel:
        flags.append("--sequence-parallel")
    if c.tensor > 1:
        flags += _overlap_flags(c)
    if c.context > 1:
        flags += [
            f"--context-parallel-size {c.context}",
            f"--cp-comm-type {_CONTEXT[c.context_by]}",
        ]
    if c.expert > 1:
        flags.append(f"--expert-model-parallel-size {c.expert}")
    if c.capacity:
        flags += [f"--moe-expert-capacity-factor {c.capacity:g}",
                  "--moe-pad-expert-input-to-capacity"]  # fmt: skip
    if c.expert_tensor:
        flags.append(f"--expert-tensor-parallel-size {c.expert_tensor}")
    if c.precision in ("fp8", "mxfp8"):
        recipe = "mxfp8" if c.precision == "mxfp8" else "tensorwise"
        flags += ["--fp8-format hybrid", f"--fp8-recipe {recipe}"]
    if c.zero >= 1:
        flags.append("--use-distributed-optimizer")
    if c.zero > 1:
        flags += ["--use-megatron-fsdp", f"--data-parallel-sharding-strategy {_SHARDING[c.zero]}",
                  "--no-gradient-accumulation-fusion", "--ckpt-format fsdp_dtensor"]  # fmt: skip
    if c.recompute == "full":
        method = "block" if c.recompute_layers else "uniform"
        flags += ["--recompute-granularity full", f"--recompute-method {method}",
                  f"--recompute-num-layers {c.recompute_layers or 1}"]  # fmt: skip
    elif c.recompute == "selective":
        flags.append("--recompute-granularity selective")
    elif c.recompute == "experts":
        flags.append("--recompute-granularity selective --recompute-modules moe")
    if c.attention == "flash":
        flags.append("--attention-backend flash")
    return flags + (_pipeline_flags(problem, c) if c.pipeline > 1 else [])


def megatron_environment(configuration: Configuration) -> str:
    """The line of shell that has to come before; "" if none has to."""
    if configuration.zero > 1:
        return "unset CUDA_DEVICE_MAX_CONNECTIONS"
    return "export CUDA_DEVICE_MAX_CONNECTIONS=1" if configuration.tensor > 1 else ""


def _check(c: Configuration) -> None:
    for name, known in {
        "precision": ("bf16", "fp8", "mxfp8"),
        "vocabulary": ("ends",),
        "frozen": (0,),
        "lora": (0,),
        "optimizer": ("adam",),
        "program": ("megatron",),
        "recompute": ("none", "selective", "experts", "full"),
        "offloaded": (0,),
    }.items():
        if getattr(c, name) not in known:
            raise ValueError(
                f"{name} {getattr(c, name)} has no flags of Megatron-LM here: plan with "
                f"--{name} {' or '.join(map(str, known))}"
            )
    if c.schedule not in ("1f1b", "interleaved"):
        raise ValueError(
            f"Megatron-LM has no schedule {c.schedule}: plan with 1f1b or interleaved, "
            "or export for torchtitan"
        )
    if c.virtual > 1 and c.n_microbatches < c.pipeline:
        raise ValueError(
            f"Megatron-LM interleaves only with at least as many microbatches as devices of a "
            f"pipeline, and here {c.n_microbatches} meet {c.pipeline}: plan with 1f1b, a larger "
            "batch or a smaller microbatch"
        )


def _overlap_flags(c: Configuration) -> list[str]:
    """What runs beside multiplications: with sequence parallelism more than the default at will,
    never less; without it less, never more."""
    if c.tensor_overlap == "weights":
        return []
    if c.sequence_parallel != (c.tensor_overlap == "all"):
        other = "without" if c.sequence_parallel else "with"
        raise ValueError(
            f"Megatron-LM has tensor overlap {c.tensor_overlap} only {other} sequence parallelism: "
            "plan with --tensor-overlap weights"
        )
    if c.tensor_overlap == "all":
        return ["--tp-comm-overlap"]
    return ["--no-async-tensor-model-parallel-allreduce"]


def _pipeline_flags(problem: Problem, c: Configuration) -> list[str]:
    """Even stages by their number of layers, others by a layout string; and the groups."""
    prepared = prepare(problem, c)
    split = with_predictions(prepared.split, problem.model.mtp_layers)
    counts = {part.layers for part in split.stages}
    flags = []
    if split.predictions:
        flags.append(f"--mtp-num-layers {split.predictions}")
    if len(counts) > 1 or split.predictions:
        flags.append(f"--pipeline-model-parallel-layout '{layout_text(split)}'")
    elif c.virtual > 1:
        flags.append(f"--num-layers-per-virtual-pipeline-stage {counts.pop()}")
    if c.virtual > 1:
        flags.append(f"{FLAG_OF_GROUPS} {prepared.shape.group}")
    return flags
