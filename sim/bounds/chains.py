"""The chains of passes that one microbatch must go through, and how long they take at least."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from ..base.numbers import Number, Ticks, common_ticks
from ..engine.costs import Costs
from ..schedule.ir import Op, Schedule, steps

Shape = tuple[str, int, int]
"""(kind, stage, slice) of a pass."""
Job = tuple[Shape, ...]
"""The shapes of an atomic step."""
Time = int | float | Fraction
SLACK = 2.0**-40
"""What a bound gives away where times have no common tick, so that rounding cannot lift it."""


class Path(NamedTuple):
    """The longest chains to the start (`head`) and from the end (`tail`) of passes, in ticks.

    first, last: the smallest head and the smallest tail on the device.
    """

    head: dict[Shape, Time]
    tail: dict[Shape, Time]
    first: Time
    last: Time


@dataclass(frozen=True)
class Passes:
    """What one microbatch needs on a placement, in ticks.

    latency: of each shape, start to end; the least one where fused steps make them differ.
    total: time all steps of one job take together, per device.
    send: of each stage boundary, 0 inside a device, shape `(n_stages - 1,)`.
    simple: one slice, no fused steps, and all microbatches alike: only then the arguments about
        memory hold.
    """

    ticks: Ticks
    placement: tuple[int, ...]
    stages_of: tuple[tuple[int, ...], ...]
    n_microbatches: int
    n_slices: int
    latency: dict[Shape, Time]
    total: tuple[dict[Job, Time], ...]
    send: tuple[Time, ...]
    simple: bool

    def work(self, device: int) -> Time:
        """Time of all passes of a device."""
        return sum(self.total[device].values())

    def time(self, ticks: Time) -> Number:
        """A bound in units of time: rounded up to whole ticks, down where there are none."""
        if not self.ticks.per_unit:
            return float(ticks) * (1 - SLACK)
        return self.ticks.time(math.ceil(ticks))

    def forward(self, stage: int) -> Time:
        return self.latency["F", stage, 0]

    def backward(self, stage: int) -> Time:
        """Time of B, or of BW."""
        return self.latency.get(("B", stage, 0), self.latency.get(("BW", stage, 0), 0))

    def weight(self, stage: int) -> Time:
        """Time of W; 0 where it is part of BW."""
        return self.latency.get(("W", stage, 0), 0)

    def freeing(self, stage: int) -> Time:
        """Time of the pass at whose end the activation is given back."""
        return self.latency.get(("W", stage, 0), self.backward(stage))

    @cached_property
    def life(self) -> tuple[Time, ...]:
        """From the start of F to the end of B (or BW) on each stage, at least."""
        found: list[Time] = []
        for stage in range(len(self.placement))[::-1]:
            beyond = 2 * self.send[stage] + found[-1] if found else 0
            found.append(self.forward(stage) + beyond + self.backward(stage))
        return tuple(found[::-1])

    @cached_property
    def everywhere(self) -> Path:
        """Heads from the start of the schedule and tails to its end."""
        return Path(self._heads(None), self._tails(None), 0, 0)

    def absolute(self, device: int) -> Path:
        """Chains from the start of the schedule, and to its end."""
        head, tail = self.everywhere.head, self.everywhere.tail
        mine = [shape for job in self.total[device] for shape in job]
        return Path(
            head,
            tail,
            min((head[shape] for shape in mine), default=0),
            min((tail[shape] for shape in mine), default=0),
        )

    def relative(self, device: int) -> Path:
        """Chains from the first pass of a device, and to its last one."""
        return Path(self._heads(device), self._tails(device), 0, 0)

    def _heads(self, device: int | None) -> dict[Shape, Time]:
        source = None if device is None else ("F", self.stages_of[device][0], 0)
        head: dict[Shape, Time] = {}
        for shape in self._in_order():
            ways = [
                min(head[before] + self.latency[before] for before in known) + delay
                for choices, delay in self._before(shape)
                if (known := [before for before in choices if before in head])
            ]
            if ways:
                head[shape] = max(ways)
            elif source is None or shape == source:
                head[shape] = 0
        return head

    def _tails(self, device: int | None) -> dict[Shape, Time]:
        ends = None if device is None else set(self.stages_of[device])
        tail: dict[Shape, Time] = {}
        for shape in list(self._in_order())[::-1]:
            ways = [
                delay + min(self.latency[after] + tail[after] for after in known)
                for choices, delay in self._after(shape)
                if (known := [after for after in choices if after in tail])
            ]
            if ends is None or shape[1] in ends:
                ways.append(0)
            if ways:
                tail[shape] = max(ways)
        return tail

    def _in_order(self) -> Iterator[Shape]:
        """All shapes, none before what it reads."""
        stages, parts = range(len(self.placement)), range(self.n_slices)
        yield from (("F", s, j) for s in stages for j in parts)
        yield from (shape for s in stages[::-1] for j in parts[::-1] for shape in self._both(s, j))
        yield from (shape for shape in self.latency if shape[0] == "W")

    def _both(self, stage: int, part: int) -> list[Shape]:
        """The backward passes of a stage: B, BW, or both where some microbatches have the one and
        some the other; then a chain goes through whichever is shorter."""
        both: list[Shape] = [("B", stage, part), ("BW", stage, part)]
        return [shape for shape in both if shape in self.latency]

    def _before(self, shape: Shape) -> Iterator[tuple[list[Shape], Time]]:
        """What a pass reads from: one of these shapes each, and what the value takes to arrive."""
        kind, s, j = shape
        if kind == "W":
            yield [("B", s, j)], 0
        elif kind == "F":
            if s > 0:
                yield [("F", s - 1, j)], self.send[s - 1]
            if j > 0:
                yield [("F", s, j - 1)], 0
        else:
            yield [("F", s, j)], 0
            if s + 1 < len(self.placement):
                yield self._both(s + 1, j), self.send[s]
            if j + 1 < self.n_slices:
                yield self._both(s, j + 1), 0

    def _after(self, shape: Shape) -> Iterator[tuple[list[Shape], Time]]:
        """What reads from a pass; the mirror of `_before`."""
        kind, s, j = shape
        if kind == "F":
            yield self._both(s, j), 0
            if s + 1 < len(self.placement):
                yield [("F", s + 1, j)], self.send[s]
            if j + 1 < self.n_slices:
                yield [("F", s, j + 1)], 0
        elif kind in ("B", "BW"):
            if kind == "B":
                yield [("W", s, j)], 0
            if s > 0:
                yield self._both(s - 1, j), self.send[s - 1]
            if j > 0:
                yield self._both(s, j - 1), 0


def passes(schedule: Schedule, costs: Costs) -> Passes:
    """The passes of `schedule` under `costs`, counted in ticks."""
    counts: list[Counter[Job]] = []
    linked: set[Shape] = set()
    for device, order in enumerate(schedule.orders):
        if not schedule.fused:
            single = Counter([(op[0], op[1], op[3]) for op in order])
            counts.append(Counter({((kind, s, j),): n for (kind, s, j), n in single.items()}))
            continue
        counts.append(Counter())
        for step in steps(schedule, device):
            job: Job = tuple((op.kind, op.stage, op.slice) for op in step)
            counts[-1][job] += 1
            if len({op.microbatch for op in step}) < len(step):
                linked.update(job)
    jobs = {job for counter in counts for job in counter}
    duration = {job: costs.duration(tuple(Op(k, s, 0, j) for k, s, j in job)) for job in jobs}  # type: ignore[arg-type]
    sends = [
        costs.send[b] if schedule.placement[b] != schedule.placement[b + 1] else 0
        for b in range(schedule.n_stages - 1)
    ]
    ticks = common_ticks({*duration.values(), *sends, 0}, how_many=2 * schedule.n_ops + 1)
    latency: dict[Shape, Time] = {}
    for job in jobs:
        for shape in job:
            time = 0 if shape in linked else ticks.count(duration[job])
            latency[shape] = min(latency.get(shape, time), time)
    per_stage = Counter((stage, part) for _, stage, part in latency)
    kinds = {
        frozenset(shape[0] for shape in latency if shape[1] == s) for s in range(schedule.n_stages)
    }
    return Passes(
        ticks,
        schedule.placement,
        schedule.stages_of,
        schedule.n_microbatches,
        schedule.n_slices,
        latency,
        total=tuple(
            {job: n * ticks.count(duration[job]) for job, n in counter.items()}
            for counter in counts
        ),
        send=tuple(ticks.count(send) for send in sends),
        simple=schedule.n_slices == 1
        and not schedule.fused
        and kinds <= {frozenset("FBW"), frozenset(("F", "BW"))}
        and bool(per_stage),
    )
