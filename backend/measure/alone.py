"""Schedules that measure single passes: one microbatch, or weights in groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from sim import Kind, Op, Schedule, Trained

GROUP = 4
"""Microbatches in the grouped weight pass that `group_scale` is measured with."""


def one_microbatch(
    n_stages: int,
    n_slices: int,
    kinds: str,
    trains: Sequence[Trained] = (),
    *,
    vocabulary: int = 0,
    placement: Sequence[int] = (),
) -> Schedule:
    """One microbatch through all stages on one device, or where the vocabulary is cut, on as many
    as it has parts: by `placement`.

    kinds: of its backward: "BW", "B W", "R BW", which recomputes, or "O L BW", which offloads. A
    stage that trains less, by `trains`, has as much of it as it needs.
    """
    names: list[Kind] = [*kinds.split()]  # type: ignore[list-item]
    placement = tuple(placement) if vocabulary else (0,) * n_stages
    n_devices, name = 1 + max(placement), f"alone, {kinds}"
    schedule = Schedule(
        placement, ((),) * n_devices, 1, n_slices, trains=tuple(trains), vocabulary=vocabulary,
        name=name,
    )  # fmt: skip
    passes: list[Op] = []
    for part in range(n_slices):
        for stage in range(n_stages):
            passes.append(Op("F", stage, 0, part))
            if "O" in names and schedule.backward[stage]:
                passes.append(Op("O", stage, 0, part))
    for kind in _of_parts(schedule):
        passes += [Op(kind, *it) for it in product(range(n_devices), (0,), range(n_slices))]
    for part in reversed(range(n_slices)):
        for stage in reversed(range(n_stages)):
            for kind in names:
                if kind != "O" and (found := _needed(kind, schedule.backward[stage])):
                    passes.append(Op(found, stage, 0, part))
    orders: list[list[Op]] = [[] for _ in range(n_devices)]
    for op in passes:
        orders[schedule.device_of(op)].append(op)
    return replace(schedule, orders=tuple(map(tuple, orders)))


def _of_parts(schedule: Schedule) -> tuple[Kind, ...]:
    """The passes of parts of the vocabulary that a schedule needs."""
    if not schedule.vocabulary:
        return ()
    return ("S", "T") if schedule.backward[-1] else ("S",)


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
