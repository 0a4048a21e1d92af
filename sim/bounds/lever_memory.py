"""The arguments about the memory of a device where levers are pulled, or may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from ..base.numbers import Number, exact, plain
from ..engine.costs import Costs
from ..schedule.clock import Clock
from ..schedule.ir import Lever, Schedule, Step
from ..schedule.rewrite import rewritten
from .chains import Chains, absolute, relative
from .lever_area import Way, span_with_levers
from .lever_units import Unit, kept, unit_area, ways
from .limited_memory import Item, at_both_ends, late_weights
from .memory import DeviceMemory, memories
from .workload import SLACK, Time, Workload, workload_of

LEVERS: dict[str, Lever] = {"recompute": "R", "offload": "O"}
"""Levers by the names that people use."""
Treated = Mapping[int, Sequence[tuple[Unit, int]]]
"""Of each stage the ways its units are treated, with how many of them at most."""


class Case(NamedTuple):
    """What is known about the passes: those of `work` besides R, O and L; how units are treated,
    and whether exactly so many of them are (`fixed`) or any of them may be."""

    work: Workload
    treated: Treated
    fixed: bool

    @property
    def recomputing(self) -> bool:
        """Whether there are R's, or may be."""
        return any(unit.lever == "R" for each in self.treated.values() for unit, _ in each)


def without_levers(schedule: Schedule) -> Schedule:
    """`schedule` with neither R nor O and L."""

    def instead(step: Step) -> list[Step]:
        return [tuple(op for op in step if op.kind not in ("R", "O", "L"))]

    return rewritten(schedule, instead, stores=())


def with_choice(schedule: Schedule, costs: Costs, levers: Collection[str]) -> Case | None:
    """Every unit of a schedule without levers may be treated in each way that `levers` allow."""
    work = workload_of(schedule, costs)
    if not work.simple:
        return None
    chosen = [LEVERS[name] for name in levers]
    m = schedule.n_microbatches
    return Case(
        work,
        {s: [(unit, m) for unit in ways(work, costs, s, chosen)] for s in range(schedule.n_stages)},
        fixed=False,
    )


def as_pulled(schedule: Schedule, costs: Costs) -> Case | None:
    """The units of a schedule are treated as its passes say."""
    work = workload_of(without_levers(schedule), costs)
    if not work.simple:
        return None
    count = Counter((where[0], lever) for where, lever in schedule.levers.items())
    treated: dict[int, list[tuple[Unit, int]]] = {}
    for s in range(schedule.n_stages):
        pulled = [lever for lever in LEVERS.values() if count[s, lever]]
        number = [count[s, lever] for lever in pulled]
        copies = [schedule.n_microbatches - sum(number), *number]
        treated[s] = list(zip(ways(work, costs, s, pulled), copies, strict=True))
    return Case(work, treated, fixed=True)


def best_of_memory(
    case: Case,
    schedule: Schedule,
    costs: Costs,
    clock: Clock,
    shares: Number | None,
    size: Number | Sequence[Number] | None,
) -> Number:
    """The best of all arguments about memory, in units of time; not rounded to ticks, as R, O and L
    may take parts of one."""
    best: Time = 0
    views = _views(case.work, clock)
    for device in range(schedule.n_devices):
        for memory in memories(schedule, costs, device, shares, size, recomputing=case.recomputing):
            span = device_span(case, device, memory)
            for chains in views[device]:
                best = max(best, memory_bounds(case, device, chains, memory, span))
    return in_units(case.work, best)


def least_interval(
    case: Case,
    schedule: Schedule,
    costs: Costs,
    shares: Number | None,
    size: Number | Sequence[Number] | None,
) -> Number:
    """Time per microbatch that the memory of any device takes at least, over a long time."""
    spans = [
        device_span(case, device, memory)
        for device in range(schedule.n_devices)
        for memory in memories(schedule, costs, device, shares, size, recomputing=case.recomputing)
    ]
    return in_units(case.work, max(spans, default=0))


def in_units(work: Workload, ticks: Time) -> Number:
    """A time in units, a little less where times have no common tick."""
    per_unit = work.ticks.per_unit
    if not per_unit:
        return float(ticks) * (1 - SLACK)
    time = plain(exact(ticks) / per_unit)
    return float(time) if isinstance(time, Fraction) else time


def memory_bounds(
    case: Case, device: int, chains: Chains, memory: DeviceMemory, span: Time
) -> Time:
    """The best of all arguments about the memory of one device, in ticks; span: its `device_span`.

    Between the ways to its first pass and from its last one a device needs the span for every
    microbatch. W that are put off hold all of their activation, whatever was done about it before;
    so `late_weights` is true as it is. And `few_live` holds with the work and the memory that
    `_at_first_backward` and `_after_last_forward` count.
    """
    work, m = case.work, case.work.n_microbatches
    units = [(s, unit, n) for s in work.stages_of[device] for unit, n in case.treated[s]]
    best = chains.first + m * span + chains.last
    best = max(best, late_weights(work, device, chains, memory))
    if case.fixed:
        together = sum(n * kept(memory, s, unit) for s, unit, n in units)
    else:
        together = sum(
            m * min(kept(memory, s, unit) for unit, _ in case.treated[s])
            for s in work.stages_of[device]
        )
    again = sum(n * unit.again for _, unit, n in units) if case.fixed else 0
    for early in (True, False):
        ends = at_both_ends(
            work, device, chains, memory.limit,
            _at_first_backward(case, device, memory, counted=early),
            _after_last_forward(case, device, memory, counted=not early),
            together,
        )  # fmt: skip
        best = max(best, again + ends)
    return best


def device_span(case: Case, device: int, memory: DeviceMemory) -> Time:
    """Time of a device per microbatch, in the mean."""
    work, m = case.work, case.work.n_microbatches
    own = exact(work.work(device)) / m
    if not case.fixed:
        stages = [
            [
                Way(unit.again, exact(unit.out + unit.back) / 2, unit_area(work, memory, s, unit))
                for unit, _ in case.treated[s]
            ]
            for s in work.stages_of[device]
        ]
        return span_with_levers(own, stages, memory.limit)
    units = [(s, unit, n) for s in work.stages_of[device] for unit, n in case.treated[s]]
    area = sum(n * exact(unit_area(work, memory, s, unit)) for s, unit, n in units) / m
    again = sum(n * exact(unit.again) for _, unit, n in units) / m
    return max(own + again, area / exact(memory.limit) if memory.limit > 0 else 0)


def _at_first_backward(
    case: Case, device: int, memory: DeviceMemory, *, counted: bool
) -> list[Item]:
    """What may have run when the first backward begins, at most.

    All forwards that ran are alive, each with what its treatment leaves of it, or with all of it
    once R has run. All other work comes later. Where it is known which R there are (`fixed`), they
    are part of the work, and those that ran have run. Else the work is counted without any R: one
    that ran adds and takes away the same; one that is still to come, of a forward that ran, adds
    its time to what comes later, if it is `counted`.
    """
    work, items = case.work, list[Item]()
    for s in work.stages_of[device]:
        forward, size = work.forward(s), memory.at_forward[s]
        for unit, n in case.treated[s]:
            owed = unit.again if counted and not case.fixed else 0
            ran = unit.again if case.fixed else 0
            items.append(Item(max(forward - owed, 0), kept(memory, s, unit), n))
            if unit.lever == "R":
                items.append(Item(forward + ran, size, n))
    return items


def _after_last_forward(
    case: Case, device: int, memory: DeviceMemory, *, counted: bool
) -> list[Item]:
    """What may be left of a device's work when its last forward has ended, of what is alive then.

    Of what is not rebuilt yet R is left as well. Where the work is counted without R's, such an R
    adds its time to the work as well as to what is left, if it is `counted`. It must not be so at
    both ends: it may be the same one.
    """
    work, items = case.work, list[Item]()
    for s in work.stages_of[device]:
        back, weight = work.backward(s), work.weight(s)
        size, change = memory.at_forward[s], memory.at_backward[s]
        for unit, n in case.treated[s]:
            again = 0 if counted and not case.fixed else unit.again
            items.append(Item(again + back + weight, kept(memory, s, unit), n))
            if unit.lever is not None:
                items.append(Item(back + weight, size, n))
            items.append(Item(weight, size + change, n))
    return items


def _views(work: Workload, clock: Clock) -> list[list[Chains]]:
    if clock == "makespan":
        return [[chains] for chains in absolute(work)]
    first = relative(work, work.placement[0])
    return [[relative(work, device), first] for device in range(len(work.stages_of))]
