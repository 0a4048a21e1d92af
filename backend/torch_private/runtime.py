"""torch's pipeline runtime, told our order of passes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from sim import Op, Schedule, steps

from .boundaries import ATTRIBUTES, Parts
from .versions import BOUNDARIES, checked_torch, require_attributes


def pipeline_runtime(
    stages: Sequence[Any],
    schedule: Schedule,
    *,
    loss: Any,
    mean: bool = True,
) -> Any:
    """torch's pipeline runtime for the stages of this rank, playing `schedule`.

    A forward fused with a backward is one action of torch's, too: messages go when both have ended.
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
    orders, m = schedule.orders, schedule.n_microbatches
    whole, heard = stages_with(orders, "W", "BW"), stages_with(orders, "B", "BW")
    make: Any = schedules._PipelineScheduleRuntime
    runtime = make(list(stages), m, loss_fn=loss, scale_grads=mean)

    def action(op: Op) -> Any:
        kind = "BW" if op.kind == "B" and op.stage not in whole else op.kind
        return schedules._Action(op.stage, codes[kind], op.microbatch)

    def actions(device: int) -> list[Any]:
        deaf = sorted({*schedule.stages_of[device]} - heard, reverse=True)
        never = [(Op("BW", stage, i),) for stage in deaf for i in range(m)]
        found = []
        for step in (*steps(schedule, device), *never):
            each = [action(op) for op in step]
            if [op.kind for op in step] in (["F", "B"], ["F", "BW"]):
                each = [schedules._Action(-1, kinds.OVERLAP_F_B, None, tuple(each))]
            found += each
        return found

    # torch wants a backward of every stage: those that have none get one, which is then taken out.
    runtime.pipeline_order = {rank: actions(rank) for rank in range(schedule.n_devices)}
    runtime._prepare_schedule_with_comms(runtime.pipeline_order)
    runtime.pipeline_order_with_comms = {
        rank: [action for action in order if _has_purpose(action, heard)]
        for rank, order in runtime.pipeline_order_with_comms.items()
    }
    return runtime


def stages_with(orders: Sequence[Sequence[Op]], *kinds: str) -> frozenset[int]:
    """The stages that have a pass of any of these kinds."""
    return frozenset(op.stage for order in orders for op in order if op.kind in kinds)


def microbatches_with(orders: Sequence[Sequence[Op]], kind: str, stage: int) -> frozenset[int]:
    """The microbatches that have a pass of this kind on a stage."""
    return frozenset(
        op.microbatch for order in orders for op in order if (op.kind, op.stage) == (kind, stage)
    )


def _has_purpose(action: Any, heard: frozenset[int]) -> bool:
    """Whether an action of torch's runtime is forward, or works on the backward of a stage that has
    one. heard: those stages."""
    name, stage = action.computation_type.name, int(action.stage_index)
    if name in ("SEND_B", "WAIT_SEND_B"):
        return stage - 1 in heard
    backward = ("RECV_B", "FULL_BACKWARD", "REDUCE_GRAD", "WAIT_REDUCE_GRAD")
    return stage in heard or name not in backward


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
    require_attributes(runtime, ATTRIBUTES)
    runtime._has_backward = runtime._stages_backward_initialized = training
    runtime._stages_forward_initialized = True
    for stage in stages:
        stage.has_backward = training
        stage.clear_runtime_states()
    losses: list[Tensor] = []
    try:
        if not training:
            runtime.pipeline_order_with_comms = {
                rank: [
                    one
                    for action in order
                    for one in action.sub_actions or (action,)
                    if one.computation_type in forwards
                ]
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
            require_attributes(stage, "_inference_mode")
            stage._inference_mode = InferenceMode.STATIC

    checked_torch(oldest=BOUNDARIES)
    runtime._warmup_p2p = believe


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
