"""What is broken where: the spot and the words, once a rule has seen that something is.

A rule goes through all passes of sound schedules, so it only looks; a broken one is read once more
here, for what to say about it.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

from .dependencies import reads, writes
from .ir import KINDS, PARTS, QUEUES, Kind, Op, Schedule


class Violation(NamedTuple):
    """What is broken where; `device`, `position` and `op` are None where none can be named.

    position: index in the order of the device. Where `op` is a pass that is missing: of the pass of
        the same stage, microbatch and slice that lacks it, None if there is none.
    """

    rule: str
    device: int | None = None
    position: int | None = None
    op: Op | None = None


def first_twice(device: int, order: tuple[Op, ...]) -> Violation | None:
    """The first pass of a device that was there before."""
    seen: dict[Op, int] = {}
    for position, op in enumerate(order):
        if op in seen:
            rule = f"{op} is also at position {seen[op]}; each pass runs exactly once"
            return Violation(rule, device, position, op)
        seen[op] = position
    return None


def first_doubled(device: int, order: tuple[Op, ...]) -> Violation | None:
    """The first B or W of a device that also has the BW of the two."""
    seen = {op: position for position, op in enumerate(order)}
    for position, op in enumerate(order):
        if op.kind in ("B", "W") and (fused := op._replace(kind="BW")) in seen:
            rule = (
                f"{op} doubles {fused} at position {seen[fused]}; "
                "a backward is either one BW, or one B and one W"
            )
            return Violation(rule, device, position, op)
    return None


def first_unneeded(schedule: Schedule) -> Violation | None:
    """The first backward pass that trains nothing, nor leads to anything that does."""
    for device, order in enumerate(schedule.orders):
        for position, op in enumerate(order):
            if op.kind in PARTS:
                if op.kind == "S" or schedule.backward[-1]:
                    continue
                rule = f"{op} is not needed: nothing up to the last stage trains"
                return Violation(rule, device, position, op)
            has = schedule.backward[op.stage]
            if op.kind in ("BW", "W") and has == "B":
                fix = "; its backward is a B" if op.kind == "BW" else ""
                rule = f"{op} is not needed: stage {op.stage} trains no weights{fix}"
            elif op.kind != "F" and not has:
                rule = f"{op} is not needed: nothing up to stage {op.stage} trains"
            else:
                continue
            return Violation(rule, device, position, op)
    return None


def first_broken_lever(schedule: Schedule) -> Violation | None:
    """The first O without its L, L without its O, or R of what is offloaded."""
    there = {op for order in schedule.orders for op in order if op.kind in ("R", "O", "L")}
    other: dict[Kind, Kind] = {"O": "L", "L": "O"}
    for device, order in enumerate(schedule.orders):
        for position, op in enumerate(order):
            if op.kind in other and (mate := op._replace(kind=other[op.kind])) not in there:
                rule = f"{_queued(op)} has no {mate}: what is offloaded is loaded back"
                return Violation(rule, device, position, op)
            if op.kind == "R" and op._replace(kind="O") in there:
                rule = f"{op} rebuilds what {op._replace(kind='O')} offloads; leave one of them out"
                return Violation(rule, device, position, op)
    return None


def first_missing(schedule: Schedule) -> Violation | None:
    """The first pass that no device runs, stage by stage."""
    seen = {op: position for order in schedule.orders for position, op in enumerate(order)}
    for stage, device in enumerate(schedule.placement):
        for microbatch in range(schedule.n_microbatches):
            for part in range(schedule.n_slices):
                here = {kind: Op(kind, stage, microbatch, part) for kind in KINDS}
                there = {kind: seen[op] for kind, op in here.items() if op in seen}
                backward = {*schedule.backward[stage].split()}
                if "F" in there and ("BW" in there or backward <= set(there)):
                    continue
                lacks: Kind = "W" if "B" in there else "B" if "W" in there else "BW"
                rule = "a backward is one BW, or one B and one W"
                if backward == {"B"}:
                    lacks, rule = "B", f"stage {stage} trains no weights, its backward is one B"
                if "F" not in there:
                    lacks, rule = "F", "each pass runs exactly once"
                spot = next((there[kind] for kind in _LACKS_IT[lacks] if kind in there), None)
                return Violation(f"{here[lacks]} is missing; {rule}", device, spot, here[lacks])
    kinds: tuple[Kind, ...] = ("S", "T") if schedule.backward[-1] else ("S",)
    counts = schedule.n_devices, schedule.n_microbatches, schedule.n_slices
    for unit in product(*map(range, counts)) if schedule.vocabulary else ():
        for op in (Op(kind, *unit) for kind in kinds):
            if op not in seen:
                rule = f"{op} is missing; every device runs one for every microbatch"
                return Violation(rule, op.stage, None, op)
    return None


_LACKS_IT: dict[Kind, tuple[Kind, ...]] = {
    "F": ("B", "BW", "W"),
    "B": ("W",),
    "W": ("B",),
    "BW": ("F",),
}
"""Which pass of the same stage, microbatch and slice to show where one is missing."""


def too_early(schedule: Schedule, device: int, position: int) -> Violation:
    """The pass at `position` reads what a later pass of the device writes, or none of it."""
    order = schedule.orders[device]
    op = order[position]
    written = {value for earlier in order[:position] for value in writes(schedule, earlier)}
    value = next(
        value
        for value in reads(schedule, op)
        if value not in written and schedule.device_of(value) == device
    )
    writer = next(
        (_queued(other) for other in order if value in writes(schedule, other)),
        f"the missing pass for the {value}",
    )
    rule = f"{_queued(op)} comes before {writer}, whose output it reads"
    return Violation(rule, device, position, op)


def _queued(op: Op) -> str:
    """A pass, and its queue if it does not compute."""
    return f"{op} on the {QUEUES[op.kind]} queue" if op.kind in QUEUES else str(op)
