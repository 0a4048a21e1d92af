"""Every torch name with an underscore that we rely on.

Such names change without notice. Where gradients depend on them, a torch outside the tested range,
or one that lacks a name, is refused with one sentence instead of failing somewhere inside, or
worse, giving wrong ones; the local engine with deferred weight gradients does without these.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sim import Op

__all__ = [
    "CPU_ATTENTION",
    "CPU_ATTENTION_BACKWARD",
    "TorchDispatchMode",
    "accumulated_by",
    "checked_torch",
    "cuda_kernel",
    "default_store",
    "fake_group",
    "fake_mode",
    "has_hooks",
    "input_pass",
    "is_compiled",
    "missing_names",
    "outputs_for_input_pass",
    "own_weight",
    "pipeline_runtime",
    "play",
    "prepare_boundaries",
    "quiet_runtime",
    "reshards",
    "stages_with",
    "tree_leaves",
    "trust_shapes",
    "weight_pass",
]

CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
CPU_ATTENTION_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward

OLDEST, NEWEST = (2, 12), (2, 15)
"""The torch versions that were run, each of them; before, a rank of gloo could not send to itself,
which torch's runtime does where two stages of a V meet."""
BOUNDARIES = (2, 13)
"""The oldest torch whose pipeline stages hold what `prepare_boundaries` keeps."""

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
    stages: Sequence[Any],
    orders: Sequence[Sequence[Op]],
    *,
    n_microbatches: int,
    loss: Any,
    mean: bool = True,
) -> Any:
    """torch's pipeline runtime for the stages of this rank, playing `orders` (one row per rank).

    Its names of passes differ from ours: our B (input gradient) is its I, our BW its B. A stage
    that has B and no W (nothing but adapters, or nothing at all, is trained there) does its whole
    backward in B; a stage without any backward gets no gradient sent.
    mean: whether it divides gradients by the number of microbatches after the last pass, whatever
    stood there before.
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
    whole, heard = stages_with(orders, "W", "BW"), stages_with(orders, "B", "BW")
    make: Any = schedules._PipelineScheduleRuntime
    runtime = make(list(stages), n_microbatches, loss_fn=loss, scale_grads=mean)

    def actions(order: Sequence[Op]) -> list[Any]:
        deaf = sorted({op.stage for op in order} - heard, reverse=True)
        never = [Op("BW", stage, i) for stage in deaf for i in range(n_microbatches)]
        return [
            schedules._Action(
                op.stage,
                codes["BW" if op.kind == "B" and op.stage not in whole else op.kind],
                op.microbatch,
            )
            for op in (*order, *never)
        ]

    # torch wants a backward of every stage: those that have none get one, which is then taken out.
    runtime.pipeline_order = {rank: actions(order) for rank, order in enumerate(orders)}
    runtime._prepare_schedule_with_comms(runtime.pipeline_order)
    runtime.pipeline_order_with_comms = {
        rank: [action for action in order if _has_purpose(action, heard)]
        for rank, order in runtime.pipeline_order_with_comms.items()
    }
    return runtime


def stages_with(orders: Sequence[Sequence[Op]], *kinds: str) -> frozenset[int]:
    """The stages that have a pass of any of these kinds."""
    return frozenset(op.stage for order in orders for op in order if op.kind in kinds)


def _has_purpose(action: Any, heard: frozenset[int]) -> bool:
    """Whether an action of torch's runtime is forward, or works on the backward of a stage that has
    one. heard: those stages."""
    name, stage = action.computation_type.name, int(action.stage_index)
    if name in ("SEND_B", "WAIT_SEND_B"):
        return stage - 1 in heard
    backward = ("RECV_B", "FULL_BACKWARD", "REDUCE_GRAD", "WAIT_REDUCE_GRAD")
    return stage in heard or name not in backward


Parts = tuple[Sequence[tuple[Any, ...]], Sequence[dict[str, Any]], Sequence[Any]]
"""Inputs, keywords and targets, each one per microbatch."""


def prepare_boundaries(
    runtime: Any,
    stages: Sequence[Any],
    batch: Parts,
    *,
    keys: Sequence[Hashable],
    known: dict[Hashable, list[Any]],
    training: bool,
) -> None:
    """Buffers for what crosses the boundaries of `stages`, each microbatch with its own shapes.

    keys: what decides the shapes of each microbatch, `(n_microbatches,)`, the same on every rank.
    known: what is known of a key; what is missing is found, and added, by torch's own inference: a
    forward and a backward of one microbatch through all stages.
    """
    for key in dict.fromkeys(keys):
        if key not in known:
            first = list(keys).index(key)
            runtime._has_backward = training
            runtime._stages_forward_initialized = runtime._stages_backward_initialized = False
            for stage in stages:
                stage.has_backward = training
                stage._stage_meta = type(stage._stage_meta)()
            runtime._initialize_stages(*(part[first] for part in batch))
            known[key] = [stage._stage_meta for stage in stages]
    for number, stage in enumerate(stages):
        received, returned = {}, {}
        for microbatch, key in enumerate(keys):
            stage._stage_meta = known[key][number]
            stage._setup_forward_recv_info(1, training)
            received[microbatch] = stage.args_recv_info[0]
            if training:
                returned[microbatch] = stage._create_grad_recv_info(stage.act_send_info)
        stage.args_recv_info, stage.grad_recv_info = received, returned
        stage.grad_send_info, stage.chunks = None, len(keys)
        stage.metadata = [known[key][number] for key in keys]


_FORWARDS = ("FORWARD", "SEND_F", "RECV_F", "WAIT_SEND_F", "UNSHARD", "RESHARD")
"""What a pass over the microbatches without backward does; torch waits for sends since 2.15."""


def play(runtime: Any, stages: Sequence[Any], batch: Parts, *, training: bool) -> list[Tensor]:
    """One pass over the microbatches: the losses, on the rank of the last stage.

    Without training only the forwards are played, in the same order.
    """
    from torch.distributed.pipelining import schedules

    kinds = schedules._ComputationType.__members__
    forwards = {kinds[name] for name in _FORWARDS if name in kinds}
    whole = runtime.pipeline_order_with_comms
    runtime._has_backward = runtime._stages_backward_initialized = training
    runtime._stages_forward_initialized = True
    for stage in stages:
        stage.has_backward = training
        stage.clear_runtime_states()
    losses: list[Tensor] = []
    try:
        if not training:
            runtime.pipeline_order_with_comms = {
                rank: [action for action in order if action.computation_type in forwards]
                for rank, order in whole.items()
            }
        runtime._step_microbatches(*map(list, batch), losses, return_outputs=False)
    finally:
        runtime.pipeline_order_with_comms = whole
        runtime._has_backward = True
    return losses


def trust_shapes(runtime: Any) -> None:
    """Have torch's runtime believe the shapes its stages were given, without asking other ranks."""
    from torch.distributed.pipelining._utils import InferenceMode

    def believe(stages: Sequence[Any], *_: Any) -> None:
        for stage in stages:
            stage._inference_mode = InferenceMode.STATIC

    checked_torch(oldest=BOUNDARIES)
    runtime._warmup_p2p = believe


@contextmanager
def fake_group(rank: int, n_ranks: int) -> Iterator[None]:
    """A process group of which only this rank exists: messages go nowhere, and none comes."""
    import torch.distributed as dist
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=n_ranks)
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def quiet_runtime() -> Iterator[None]:
    """Without the lines in which torch's runtime logs its whole schedule when a pass fails."""
    logger = logging.getLogger("torch.distributed.pipelining.schedules")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def default_store() -> Any:
    """The key-value store through which the processes found each other.

    ConnectionError if whoever kept it is gone: asking the store itself would print pages.
    """
    from torch._C._distributed_c10d import PrefixStore, TCPStore
    from torch.distributed import distributed_c10d

    store = inner = distributed_c10d._get_default_store()
    while isinstance(inner, PrefixStore):
        inner = inner.underlying_store
    if isinstance(inner, TCPStore):
        socket.create_connection((inner.host, inner.port), timeout=1.0).close()
    return store


def cuda_kernel(source: str, name: str) -> Any:
    """The kernel `name` of a CUDA source, compiled when it runs; call it with grid, block, args."""
    checked_torch()
    return torch.cuda._compile_kernel(source, name)


def fake_mode() -> Any:
    """A context in which tensors have shapes and no data."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode()


def is_compiled(module: nn.Module) -> bool:
    """Whether `module` is what `torch.compile` made of another, or was compiled in place."""
    return hasattr(module, "_orig_mod") or module._compiled_call_impl is not None


def reshards(stage: FSDPModule) -> bool:
    """Whether weights inside are sharded again when their forward is over, and so are elsewhere
    than in its graph."""
    for module in stage.modules():
        if isinstance(module, FSDPModule):
            state: Any = module._get_fsdp_state()
            groups = getattr(state, "_fsdp_param_groups", None)
            if groups is None:
                groups = [one for one in [state._fsdp_param_group] if one is not None]
            kept = module is stage and getattr(state, "_auto_reshard_after_forward", False)
            if not kept and any(one.post_forward_mesh_info is not None for one in groups):
                return True
    return False


def own_weight(module: nn.Module) -> nn.Parameter | None:
    """The parameter `weight` of `module` itself; None where a parametrization computes it."""
    return module._parameters.get("weight")


def accumulated_by(node: Any) -> Tensor | None:
    """The leaf whose gradient a node of the graph adds up; None for any other node."""
    found = getattr(node, "variable", None)
    return found if isinstance(found, Tensor) else None


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
