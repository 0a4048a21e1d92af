"""Schedules in which some of the backward is not needed: frozen stages, adapters, forward only.

    >>> from sim import FAMILIES
    >>> print(frozen(FAMILIES["1f1b"](3, 2), [0]))
    1f1b: 3 devices, 3 stages, 2 microbatches; stage 0 trains nothing
    device 0 | F0 F1
    device 1 | F0 F1 BW0 BW1
    device 2 | F0 BW0 F1 BW1

Passes that nobody needs are left out, all others keep their order. So the schedule stays valid: it
waits for less than before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .ir import PARTS, Op, Schedule, Step, Trained
from .rewrite import checked_stages, rewritten


def frozen(schedule: Schedule, stages: Sequence[int]) -> Schedule:
    """`schedule` in which `stages` train nothing, as a frozen encoder does.

    They have no W. Before the first stage that trains anything there is no gradient either: such
    stages run F alone. Behind it the gradient passes through: B without W, which BW becomes.
    """
    return _training(schedule, stages, "nothing")


def frozen_weights(schedule: Schedule, stages: Sequence[int]) -> Schedule:
    """`schedule` in which the weights of `stages` are frozen while adapters beside them train.

    They have B without W, which BW becomes: adapters such as LoRA's (Hu et al. 2021,
    arXiv 2106.09685) are so small that their gradient is part of B. A stage that trains nothing
    stays so.
    """
    return _training(schedule, stages, "adapters")


def forward_only(schedule: Schedule) -> Schedule:
    """The forwards of `schedule` alone, in their order: no stage trains anything."""
    return _training(schedule, range(schedule.n_stages), "nothing")


def _training(schedule: Schedule, stages: Sequence[int], what: Trained) -> Schedule:
    chosen = checked_stages(schedule, stages)
    everything: Trained = "weights"
    before = schedule.trains or (everything,) * schedule.n_stages
    trains: tuple[Trained, ...] = tuple(
        what if stage in chosen and now != "nothing" else now for stage, now in enumerate(before)
    )
    backward = replace(schedule, trains=trains).backward

    def instead(step: Step) -> list[Step]:
        return [
            tuple(
                new
                for op in step
                for new in _needed(op, backward[-1 if op.kind in PARTS else op.stage])
            )
        ]

    return rewritten(schedule, instead, trains=trains)


def _needed(op: Op, backward: str) -> tuple[Op, ...]:
    """What is left of a pass on a stage with that much of a backward."""
    if op.kind in ("F", "S") or backward == "B W":
        return (op,)
    if not backward or op.kind == "W":
        return ()
    return (op._replace(kind="B"),) if op.kind == "BW" else (op,)
