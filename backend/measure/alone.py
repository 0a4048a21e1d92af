"""Schedules of one device that measure single passes: one microbatch, or weights in groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sim import Kind, Op, Schedule, Trained

GROUP = 4
"""Microbatches in the grouped weight pass that `group_scale` is measured with."""


def one_microbatch(
    n_stages: int, n_slices: int, kinds: str, trains: Sequence[Trained] = ()
) -> Schedule:
    """One microbatch through all stages on one device.

    kinds: of its backward: "BW", "B W", "R BW", which recomputes, or "O L BW", which offloads. A
    stage that trains less, by `trains`, has as much of it as it needs.
    """
    names: list[Kind] = [*kinds.split()]  # type: ignore[list-item]
    schedule = Schedule(
        (0,) * n_stages, ((),), 1, n_slices, trains=tuple(trains), name=f"alone, {kinds}"
    )
    order: list[Op] = []
    for part in range(n_slices):
        for stage in range(n_stages):
            order.append(Op("F", stage, 0, part))
            if "O" in names and schedule.backward[stage]:
                order.append(Op("O", stage, 0, part))
    for part in reversed(range(n_slices)):
        for stage in reversed(range(n_stages)):
            for kind in names:
                if kind != "O" and (found := _needed(kind, schedule.backward[stage])):
                    order.append(Op(found, stage, 0, part))
    return replace(schedule, orders=(tuple(order),))


def _needed(kind: Kind, backward: str) -> Kind | None:
    """What a stage with that much of a backward has of a pass."""
    if not backward or (backward == "B" and kind == "W"):
        return None
    return "B" if backward == "B" and kind == "BW" else kind


def grouped_weights(n_stages: int, size: int) -> Schedule:
    """`2 * size` microbatches on one device: per stage, W of half of them one by one, and one W
    over the other half, so that both are measured in the same circumstances."""
    each = range(2 * size)
    order = [Op("F", stage, i) for i in each for stage in range(n_stages)]
    order += [Op("B", stage, i) for i in each for stage in reversed(range(n_stages))]
    groups = [tuple(Op("W", stage, i) for i in each[size:]) for stage in range(n_stages)]
    for stage, group in enumerate(groups):
        order += [Op("W", stage, i) for i in each[:size]]
        order += group
    fused = tuple(groups) if size > 1 else ()
    return Schedule((0,) * n_stages, (tuple(order),), 2 * size, fused=fused, name="grouped")
