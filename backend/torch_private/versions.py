"""Which torch: the versions that were run, and the names that have to be there."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

import torch

OLDEST, NEWEST = (2, 12), (2, 15)
"""The torch versions that were run, each of them; before, a rank of gloo could not send to itself,
which torch's runtime does where two stages of a V meet."""
BOUNDARIES = (2, 13)
"""The oldest torch whose pipeline stages hold what `prepare_boundaries` keeps."""

ALWAYS = {
    "torch": "_grouped_mm",
    "torch.cuda": "_compile_kernel",
    "torch.nn.Module": "_compiled_call_impl",
    "torch.ops.aten": "_scaled_dot_product_flash_attention_for_cpu "
    "_scaled_dot_product_flash_attention_for_cpu_backward",
    "torch.Tensor": "_backward_hooks _is_view",
    "torch.utils._python_dispatch": "TorchDispatchMode",
    "torch.utils._pytree": "tree_leaves",
}
"""What every engine needs."""
NAMES = {
    "torch.distributed.pipelining._backward": "stage_backward_input stage_backward_weight",
    "torch.distributed.pipelining.schedules": "_Action _ComputationType _PipelineScheduleRuntime",
}
"""What torch's own split and runtime are reached by, by the module that has it."""
NAMES_OF_BOUNDARIES = {
    "torch.distributed.pipelining.schedules._PipelineScheduleRuntime": "_initialize_stages "
    "_prepare_schedule_with_comms _step_microbatches _warmup_p2p",
    "torch.distributed.pipelining.stage.PipelineStage": "_compute_outputs _create_grad_recv_info "
    "_setup_forward_recv_info _to_tensor get_bwd_send_ops clear_runtime_states "
    "forward_maybe_with_nosync",
    "torch.distributed.pipelining._utils": "InferenceMode",
}
"""What training needs beyond these."""
MAY_LACK = "_compute_input_grads"
"""What is only overridden: without it, the pass in which a trial failed is told less exactly."""


def checked_torch(version: str | None = None, *, oldest: tuple[int, int] = OLDEST) -> str:
    """The version of torch; RuntimeError if its private names may not be, or are not, those we
    know."""
    version = version or torch.__version__
    known = " to ".join(f"{a}.{b}" for a, b in sorted({oldest, NEWEST}))
    if not oldest <= _numbers(version) <= NEWEST:
        raise RuntimeError(
            f"torch is {version}, but this part of pipebubble uses private names of torch {known}: "
            "install one of these, or use the local engine with split 'deferred'"
        )
    if missing := missing_names(NAMES if oldest < BOUNDARIES else NAMES | NAMES_OF_BOUNDARIES):
        raise RuntimeError(
            f"torch {version} has no {missing[0]}, which this part of pipebubble uses: install "
            f"another torch from {known}"
        )
    return version


def missing_names(names: Mapping[str, str]) -> list[str]:
    """Those of `names` (module or class -> what it is to have) that torch lacks."""
    return [
        f"{home}.{name}"
        for home, all_of_it in names.items()
        for name in all_of_it.split()
        if not hasattr(_found(home), name)
    ]


def _found(home: str) -> Any:
    """The module or class called that; None if there is none."""
    module, _, name = home.rpartition(".")
    with suppress(ModuleNotFoundError):
        return import_module(home)
    with suppress(ModuleNotFoundError):
        return getattr(import_module(module), name, None)
    return None


def require(names: Mapping[str, str]) -> None:
    """RuntimeError if this torch lacks one of `names`."""
    _refuse(missing_names(names))


def require_attributes(thing: Any, names: str) -> None:
    """The same for what only an object has, once it is made."""
    kind = type(thing).__name__
    _refuse([f"{kind}.{name}" for name in names.split() if not hasattr(thing, name)])


def _refuse(missing: list[str]) -> None:
    if missing:
        raise RuntimeError(
            f"torch {torch.__version__} has no {missing[0]}, which pipebubble uses: install one "
            f"from 2.10 to {NEWEST[0]}.{NEWEST[1]}"
        )


def _numbers(version: str) -> tuple[int, int]:
    try:
        major, minor = version.split("+")[0].split(".")[:2]
        return int(major), int(minor)
    except ValueError:
        return 0, 0
