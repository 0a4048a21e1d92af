"""What one microbatch needs on a placement: its passes, their times, and what each waits for."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from ..base.numbers import Number, Ticks, common_ticks
from ..engine.costs import Costs
from ..engine.costs_fit import first_alike
from ..schedule.dependencies import reads, writes
from ..schedule.ir import PARTS, Kind, Lever, Op, Schedule, Step, Value
from ..schedule.lanes import lanes
from ..schedule.replicas import gradient_sums


class PassType(NamedTuple):
    """A pass without its microbatch."""

    kind: Kind
    stage: int
    slice: int


Job = tuple[PassType, ...]
"""The types of an atomic step."""
Time = int | float | Fraction
SLACK = 2.0**-40
"""What a bound gives away where times have no common tick, so that rounding cannot lift it."""


Values = Callable[[Schedule, Op], tuple[Value, ...]]


class Link(NamedTuple):
    """A value that passes hand over: the types that may write it (or read it), one of them for each
    microbatch, and what it takes to arrive."""

    choices: list[PassType]
    send: Time


@dataclass(frozen=True)
class Workload:
    """Times in ticks.

    latency: of each pass type, start to end; the least one where fused steps, or the sizes of
        microbatches, make them differ.
    total: time that all steps of one job take together, per device. copying: the same of each copy
        queue, with its device.
    send: of each stage boundary, 0 inside a device on any route, shape `(n_stages - 1,)`.
    all_reduce: of what goes from one part of the vocabulary to another, or to the last stage.
    summing: what the sum of a stage's gradients takes between the devices that hold it, shape
        `(n_stages,)`; 0 where nothing is summed.
    schedule: whose passes they are. examples: of every type, a pass for every lever that is pulled.
    simple: one slice, no fused steps, and all microbatches alike: only then the arguments about
        memory hold.
    """

    ticks: Ticks
    placement: tuple[int, ...]
    stages_of: tuple[tuple[int, ...], ...]
    n_microbatches: int
    n_slices: int
    schedule: Schedule
    examples: dict[PassType, list[Op]]
    latency: dict[PassType, Time]
    total: tuple[dict[Job, Time], ...]
    copying: tuple[tuple[int, dict[Job, Time]], ...]
    send: tuple[Time, ...]
    all_reduce: Time
    summing: tuple[Time, ...]
    simple: bool

    def work(self, device: int) -> Time:
        """Time of all passes of a device."""
        return sum(self.total[device].values())

    def own(self, device: int) -> list[PassType]:
        """The types of the passes of a device."""
        return [own for job in self.total[device] for own in job]

    def time(self, ticks: Time) -> Number:
        """A bound in units of time: rounded up to whole ticks, down where there are none."""
        if not self.ticks.per_unit:
            return float(ticks) * (1 - SLACK)
        return self.ticks.time(math.ceil(ticks))

    def forward(self, stage: int) -> Time:
        return self.latency[PassType("F", stage, 0)]

    def backward(self, stage: int) -> Time:
        """Time of B, or of BW."""
        return self.latency[self.gradient(stage)]

    def weight(self, stage: int) -> Time:
        """Time of W; 0 where it is part of BW."""
        return self.latency.get(PassType("W", stage, 0), 0)

    def gradient(self, stage: int) -> PassType:
        """The pass that makes the input gradient, B or BW."""
        split = PassType("B", stage, 0)
        return split if split in self.latency else PassType("BW", stage, 0)

    def freeing(self, stage: int) -> Time:
        """Time of the pass at whose end the activation is given back."""
        return self.latency.get(PassType("W", stage, 0), self.backward(stage))

    @cached_property
    def life(self) -> tuple[Time, ...]:
        """From the start of F to the end of B (or BW) on each stage, at least."""
        found: list[Time] = []
        for stage in range(len(self.placement))[::-1]:
            beyond = 2 * self.send[stage] + found[-1] if found else 0
            found.append(self.forward(stage) + beyond + self.backward(stage))
        return tuple(found[::-1])

    @cached_property
    def order(self) -> list[PassType]:
        """All types, none before what it reads."""
        turn = {"F": 0, "O": 1, "L": 2, "R": 3, "S": 4, "T": 5, "B": 6, "BW": 6, "W": 7}

        def place(which: PassType) -> tuple[int, int, int]:
            kind, stage, part = which
            return (turn[kind], stage, part) if turn[kind] < 6 else (turn[kind], -stage, -part)

        return sorted(self.latency, key=place)

    @cached_property
    def inputs(self) -> dict[PassType, list[Link]]:
        """What each pass reads, and from which: a chain goes through the shortest, as some
        microbatches may have B and others BW."""
        return self._links(reads, writes)

    @cached_property
    def outputs(self) -> dict[PassType, list[Link]]:
        """What each pass writes for others, and who reads it."""
        return self._links(writes, reads)

    def _links(self, mine: Values, theirs: Values) -> dict[PassType, list[Link]]:
        # Of B and BW one is what a microbatch has; of the parts of the vocabulary it has all.
        others: dict[Value, dict[int, list[PassType]]] = defaultdict(dict)
        for which in self.order:
            for value in self._values(theirs, which, set.union):
                apart = which.stage if which.kind in PARTS else -1
                others[value].setdefault(apart, []).append(which)
        return {
            which: [
                Link(choices, self._send(value, which, choices[0]))
                for value in sorted(self._values(mine, which, set.intersection))
                for choices in others.get(value, {}).values()
            ]
            for which in self.order
        }

    def _homes(self, which: PassType) -> set[int]:
        if which.kind in PARTS:
            return {which.stage}
        return {places[which.stage] for places in (self.placement, *self.schedule.routes)}

    def on(self, which: PassType, device: int) -> bool:
        """Whether a device has passes of that type."""
        return device in self._homes(which)

    def _values(self, of: Values, which: PassType, all_of: Callable[..., set[Value]]) -> set[Value]:
        """What all passes of a type read (or write), or any of them, with microbatches left out."""
        each = [
            {value._replace(microbatch=0) for value in of(self.schedule, op)}
            for op in self.examples[which]
        ]
        return all_of(*each)

    def _send(self, value: Value, one: PassType, other: PassType) -> Time:
        """What a value takes between two passes, at least, on any route."""
        ends = [self._homes(which) for which in (one, other)]
        if one.kind in PARTS or other.kind in PARTS:
            return 0 if ends[0] & ends[1] else self.all_reduce
        boundary = {"activation": value.stage, "gradient": value.stage - 1}.get(value.kind)
        return 0 if boundary is None else self.send[boundary]


Sized = tuple[tuple[Kind, int, int, int], ...]
"""A step as kind, stage, slice of its passes, each with a microbatch that costs as much."""


def _job(step: Sized) -> Job:
    return tuple([PassType(kind, stage, part) for kind, stage, part, _ in step])


def _linked(step: Step) -> list[PassType]:
    """The types in a fused step that a chain of one microbatch may go through without its taking
    time once more: all, if some are of one microbatch; R, which its backward follows."""
    rest = [op for op in step if op.kind != "R"]
    several = len({op.microbatch for op in rest}) < len(rest)
    return [PassType(op.kind, op.stage, op.slice) for op in step if several or op.kind == "R"]


class _Last:
    """The workload that was asked for last, and for what: who asks for a bound asks for both
    clocks, and often under several limits. By identity: equal costs may be of other types."""

    found: tuple[Schedule, Costs, Workload] | None = None


def workload_of(schedule: Schedule, costs: Costs) -> Workload:
    """The passes of `schedule` under `costs`, counted in ticks."""
    last = _Last.found
    if not last or last[0] is not schedule or last[1] is not costs:
        last = _Last.found = schedule, costs, _workload(schedule, costs)
    return last[2]


def _workload(schedule: Schedule, costs: Costs) -> Workload:
    linked = {which for step in schedule.fused for which in _linked(step)}
    placements = (schedule.placement, *schedule.routes)
    alike, levers = first_alike(costs, schedule), schedule.levers
    counts: list[Counter[Sized]] = []
    unlike: dict[tuple[Kind, int, int, Lever | None], Op] = {}
    queues = lanes(schedule)
    for lane in queues:
        counts.append(Counter())
        for _, step in lane.steps:
            step_like = [(op.kind, op.stage, op.slice, alike[op.microbatch]) for op in step]
            counts[-1][tuple(step_like)] += 1
            for op in step:
                unlike.setdefault((op.kind, op.stage, op.slice, levers.get(op[1:])), op)
    examples: dict[PassType, list[Op]] = defaultdict(list)
    for (kind, stage, part, _), op in unlike.items():
        examples[PassType(kind, stage, part)].append(op)
    duration = {
        step: costs.duration(tuple([Op(kind, stage, i, part) for kind, stage, part, i in step]))
        for counter in counts
        for step in counter
    }
    sends = [
        costs.send[b] if all(places[b] != places[b + 1] for places in placements) else 0
        for b in range(schedule.n_stages - 1)
    ]
    summed = {one.op.stage for one in gradient_sums(schedule)}
    sums = [time if s in summed else 0 for s, time in enumerate(costs.gradient_sum)]
    all_reduce = costs.all_reduce if schedule.vocabulary else 0
    times = {*duration.values(), *sends, *sums, all_reduce, 0}
    ticks = common_ticks(times, how_many=2 * schedule.n_ops + 1)
    latency: dict[PassType, Time] = {}
    for sized, time in duration.items():
        for which in _job(sized):
            takes = 0 if which in linked else ticks.count(time)
            latency[which] = min(latency.get(which, takes), takes)
    total: list[dict[Job, Time]] = [defaultdict(int) for _ in counts]
    for jobs, counter in zip(total, counts, strict=True):
        for sized, n in counter.items():
            jobs[_job(sized)] += n * ticks.count(duration[sized])
    kinds = {
        frozenset(which.kind for which in latency if which.stage == s)
        for s in range(schedule.n_stages)
    }
    return Workload(
        ticks,
        schedule.placement,
        schedule.stages_of,
        schedule.n_microbatches,
        schedule.n_slices,
        schedule,
        examples,
        latency,
        total=tuple(map(dict, total[: schedule.n_devices])),
        copying=tuple(
            (lane.device, dict(jobs))
            for lane, jobs in zip(queues, total, strict=True)
            if lane.queue != "compute"
        ),
        send=tuple(ticks.count(send) for send in sends),
        all_reduce=ticks.count(all_reduce),
        summing=tuple(map(ticks.count, sums)),
        simple=schedule.n_slices == 1
        and not schedule.fused
        and not costs.microbatch_scale
        and not schedule.routes
        and kinds <= {frozenset("FBW"), frozenset(("F", "BW"))}
        and bool(latency),
    )
