"""The schedules a plan chooses from, built once and short: what repeats is left out."""

from __future__ import annotations

from collections import OrderedDict
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..families import FAMILIES
from ..families.interleaved import default_group
from ..schedule.ir import Schedule
from ..schedule.validate import refuse_mechanisms

DEFAULT_SCHEDULES = (
    "1f1b", "interleaved", "zb-h1", "zb-h2", "zb-v", "v-half", "v-min", "v-zb",
)  # fmt: skip
ROUNDS = 4
ENOUGH = 6000
"""A long run is simulated with at least four microbatches per device (three of many devices) and
so many passes in all; the rest repeats."""


class Shape(NamedTuple):
    """What decides the order of passes: a family, devices, stages per device and microbatches, and
    how many of these go in a group (0 where the family has no groups)."""

    family: str
    devices: int
    virtual: int
    microbatches: int
    group: int = 0

    @property
    def period(self) -> int:
        """Microbatches after which the order repeats."""
        return self.group or self.devices


def shape_of(family: str, devices: int, virtual: int, microbatches: int) -> Shape:
    """The shape of a run. Interleaved groups are as large as torch and Megatron-LM make them, so
    that the order planned is the one they run."""
    grouped = "group_size" in FAMILIES[family].options and virtual > 1
    group = default_group(devices, microbatches) if grouped else 0
    return Shape(family, devices, virtual, microbatches, group)


class Counts(NamedTuple):
    """How many activations are alive when most are, on one device: rows of which one is the peak,
    whatever a single one weighs. live: between F and the end of its backward, pending: from the
    end of B to W; shape `(any, n_stages_of_the_device)`."""

    live: NDArray[np.int64]
    pending: NDArray[np.int64]


class Order(NamedTuple):
    """A schedule and what it keeps alive on each device."""

    schedule: Schedule
    counts: tuple[Counts, ...]


def built(shape: Shape) -> Schedule:
    """The order of passes of a shape; ValueError with the family's sentence if there is none."""
    family = FAMILIES[shape.family]
    options = {"v": shape.virtual} if "v" in family.options else {}
    options |= {"group_size": shape.group} if shape.group else {}
    return family(shape.devices, shape.microbatches, **options)


@cache
def virtual_stages(family: str) -> tuple[int, ...]:
    """Stages per device that a family can take: two on a V, any number above one on a loop."""
    if family not in FAMILIES:
        raise ValueError(f"no schedule {family!r}: use one of {', '.join(FAMILIES)}")
    found = FAMILIES[family]
    if "slices" in found.options:
        raise ValueError(
            f"{family} cuts sequences into slices, which the cost model of plans does not: "
            "plan with another schedule, and see sim.planner.slices.costs for slices"
        )
    refuse_mechanisms(found(4, 8), "a plan", "plan with another schedule")
    if found.placement == "V":
        return (2,)
    if found.placement == "wave":
        return (2, 4, 6, 8)
    if "v" in found.options:
        return (2, 3, 4, 5, 6, 8)
    return (1,)


def short(shape: Shape) -> Shape:
    """The same shape with no more microbatches than show what repeats (equal modulo the period)."""
    p, m, period = shape.devices, shape.microbatches, shape.period
    enough = max((ROUNDS if p <= 16 else ROUNDS - 1) * period, ENOUGH // (3 * p * shape.virtual))
    if m < enough + period:
        return shape
    return shape._replace(microbatches=enough + (m - enough) % period)


class Orders:
    """Schedules by shape, at most `most_passes` passes in all; the longest unused go first."""

    def __init__(self, most_passes: int = 600_000) -> None:
        self._kept: OrderedDict[Shape, Order] = OrderedDict()
        self._most, self._passes = most_passes, 0

    def __call__(self, shape: Shape) -> Order:
        """The schedule of a shape; ValueError with the family's sentence if there is none."""
        if shape in self._kept:
            self._kept.move_to_end(shape)
            return self._kept[shape]
        schedule = built(shape)
        found = Order(schedule, live_counts(schedule))
        self._kept[shape] = found
        self._passes += schedule.n_ops
        while self._passes > self._most and len(self._kept) > 1:
            self._passes -= self._kept.popitem(last=False)[1].schedule.n_ops
        return found


def live_counts(schedule: Schedule) -> tuple[Counts, ...]:
    """Per device the counts among which the peak is, for any sizes of activations.

    A rise at B is taken at its start and a fall at its end, so only the state after each F and
    after each B matters; of those, the ones that another one covers are dropped.
    """
    found = []
    for device, order in enumerate(schedule.orders):
        chunk = {stage: i for i, stage in enumerate(schedule.stages_of[device])}
        n = len(chunk)
        now = [0] * (2 * n)
        seen = set()
        for op in order:
            at = chunk[op.stage]
            if op.kind == "F":
                now[at] += 1
                seen.add(tuple(now))
            elif op.kind == "W":
                now[n + at] -= 1
            else:
                now[at] -= 1
                if op.kind == "B":
                    now[n + at] += 1
                    seen.add(tuple(now))
        rows = _uncovered(np.array(sorted(seen, reverse=True), np.int64).reshape(len(seen), 2 * n))
        found.append(Counts(rows[:, :n], rows[:, n:]))
    return tuple(found)


def _uncovered(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows that no other one is at least as large as everywhere."""
    if len(rows) < 2:
        return rows
    kept: list[NDArray[np.int64]] = []
    for row in rows[np.argsort(-rows.sum(axis=1), kind="stable")]:
        if not any((other >= row).all() for other in kept):
            kept.append(row)
    return np.array(kept)
