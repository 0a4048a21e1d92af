"""Every torch name with an underscore that we rely on.

Such names change without notice. Where gradients depend on them, a torch outside the tested range
is refused with one sentence instead of failing somewhere inside, or worse, giving wrong ones; the
local engine with deferred weight gradients does without these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sim import Op

__all__ = [
    "CPU_ATTENTION",
    "CPU_ATTENTION_BACKWARD",
    "TorchDispatchMode",
    "checked_torch",
    "cuda_kernel",
    "fake_mode",
    "has_hooks",
    "input_pass",
    "is_compiled",
    "outputs_for_input_pass",
    "own_weight",
    "pipeline_runtime",
    "tree_leaves",
    "weight_pass",
]

CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
CPU_ATTENTION_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward

OLDEST, NEWEST = (2, 10), (2, 13)
"""The torch versions whose private names were read and, the newest of them, run."""


def checked_torch(version: str | None = None) -> str:
    """The version of torch; RuntimeError if its private names may not be those we know."""
    version = version or torch.__version__
    if not OLDEST <= _numbers(version) <= NEWEST:
        raise RuntimeError(
            f"torch is {version}, but this part of pipebubble uses private names of torch 2.10 to "
            "2.13: install one of these, or use the local engine with split 'deferred'"
        )
    return version


def input_pass(
    outputs: Sequence[Tensor],
    gradients: Sequence[Tensor],
    inputs: Sequence[Tensor],
    *,
    parameters: Iterable[nn.Parameter],
) -> list[dict[str, Any]]:
    """torch's own B: adds to `.grad` of `inputs`, and returns what its W (`weight_pass`) needs."""
    from torch.distributed.pipelining._backward import stage_backward_input

    _, groups = stage_backward_input(list(outputs), list(gradients), list(inputs), iter(parameters))
    return groups


def outputs_for_input_pass(outputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """`outputs` as `input_pass` wants them: it detaches them in place, which no view allows."""
    checked_torch()
    return tuple(tensor.clone() if tensor._is_view() else tensor for tensor in outputs)


def weight_pass(parameters: Iterable[nn.Parameter], groups: list[dict[str, Any]]) -> None:
    """torch's own W: adds to `.grad` of `parameters`."""
    from torch.distributed.pipelining._backward import stage_backward_weight

    stage_backward_weight(iter(parameters), groups)


def pipeline_runtime(
    stages: Sequence[Any], orders: Sequence[Sequence[Op]], *, n_microbatches: int, loss: Any
) -> Any:
    """torch's pipeline runtime for the stages of this rank, playing `orders` (one row per rank).

    Its names of passes differ from ours: our B (input gradient) is its I, our BW its B.
    """
    from torch.distributed.pipelining import schedules

    checked_torch()
    kinds = schedules._ComputationType
    codes = {
        "F": kinds.FORWARD,
        "B": kinds.BACKWARD_INPUT,
        "W": kinds.BACKWARD_WEIGHT,
        "BW": kinds.FULL_BACKWARD,
    }
    make: Any = schedules._PipelineScheduleRuntime
    runtime = make(list(stages), n_microbatches, loss_fn=loss)
    runtime.pipeline_order = {
        rank: [schedules._Action(op.stage, codes[op.kind], op.microbatch) for op in order]
        for rank, order in enumerate(orders)
    }
    runtime._prepare_schedule_with_comms(runtime.pipeline_order)
    return runtime


def cuda_kernel(source: str, name: str) -> Any:
    """The kernel `name` of a CUDA source, compiled when it runs; call it with grid, block, args."""
    checked_torch()
    return torch.cuda._compile_kernel(source, name)


def fake_mode() -> Any:
    """A context in which tensors have shapes and no data."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode()


def is_compiled(module: nn.Module) -> bool:
    """Whether `module` is what `torch.compile` made of another."""
    return hasattr(module, "_orig_mod")


def own_weight(module: nn.Module) -> nn.Parameter | None:
    """The parameter `weight` of `module` itself; None where a parametrization computes it."""
    return module._parameters.get("weight")


def has_hooks(parameter: Tensor) -> bool:
    """Whether somebody wants to see or change the gradient of `parameter`."""
    after = getattr(parameter, "_post_accumulate_grad_hooks", None)
    return bool(parameter._backward_hooks) or bool(after)


def _numbers(version: str) -> tuple[int, int]:
    try:
        major, minor = version.split("+")[0].split(".")[:2]
        return int(major), int(minor)
    except ValueError:
        return 0, 0
