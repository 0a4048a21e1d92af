"""A schedule with other steps: what all transforms of schedules have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from ..base.numbers import checked_type, checked_whole
from ..base.text import plural
from .dependencies import steps
from .ir import Schedule, Step


def rewritten(
    schedule: Schedule, instead: Callable[[Step], Iterable[Step]], **changes: Any
) -> Schedule:
    """`schedule` with the steps `instead(step)` in the place of every step, and with `changes` of
    its other fields. Steps without a pass are left out."""
    rows = [
        [new for step in steps(schedule, device) for new in instead(step) if new]
        for device in range(schedule.n_devices)
    ]
    return replace(
        schedule,
        orders=tuple(tuple(op for step in row for op in step) for row in rows),
        fused=tuple(step for row in rows for step in row if len(step) > 1),
        **changes,
    )


def checked_stages(schedule: Schedule, stages: Sequence[int] | None) -> frozenset[int]:
    """`stages` as a set, all of `schedule` where None; ValueError with one sentence if it has no
    such stage."""
    checked_type(schedule, Schedule, "FAMILIES[name](p, m) makes one")
    if stages is None:
        return frozenset(range(schedule.n_stages))
    for stage in stages:
        if checked_whole(stage, "stage", least=0) >= schedule.n_stages:
            raise ValueError(
                f"{schedule.name} has {plural(schedule.n_stages, 'stage')}, "
                f"0 to {schedule.n_stages - 1}: there is no stage {stage}"
            )
    return frozenset(int(stage) for stage in stages)
