"""An independent evaluator for tests: the longest path through a schedule, in exact arithmetic."""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction
from itertools import chain
from typing import NamedTuple

from sim.base.numbers import exact
from sim.engine.costs import Costs
from sim.schedule.dependencies import reads, steps, writes
from sim.schedule.ir import Op, Schedule, Step, Value


class Times(NamedTuple):
    """When every pass starts and ends, and the two clocks."""

    start: dict[Op, Fraction]
    end: dict[Op, Fraction]
    makespan: Fraction
    longest_stage: Fraction


def times(schedule: Schedule, costs: Costs) -> Times:
    """In-order play of `schedule`: every step starts as soon as device and inputs allow.

    AssertionError with the waiting steps if the orders wait for each other for ever.
    """
    queues = [
        [(step, *_values(schedule, step)) for step in steps(schedule, d)]
        for d in range(schedule.n_devices)
    ]
    lengths = [[exact(costs.duration(step)) for step, *_ in queue] for queue in queues]
    delays = [exact(delay) for delay in (*costs.send, costs.all_reduce)]
    sums = [exact(time) for time in costs.gradient_sum]
    # Whole ticks are added faster than fractions.
    unit = math.lcm(*(t.denominator for t in chain(delays, sums, *lengths)))
    ticks = [[int(length * unit) for length in row] for row in lengths]
    wires, summed = ([int(time * unit) for time in times] for times in (delays, sums))
    done = [0] * schedule.n_devices
    free = [0] * schedule.n_devices
    copied = [{"O": 0, "L": 0} for _ in range(schedule.n_devices)]
    written: dict[Value, tuple[int, int, int]] = {}
    start: dict[Op, int] = {}
    end: dict[Op, int] = {}
    waits_for: dict[Value, list[int]] = defaultdict(list)
    todo = list(range(schedule.n_devices))
    while todo:
        device = todo.pop()
        while done[device] < len(queues[device]):
            step, needed, made = queues[device][done[device]]
            lacking = [value for value in needed if value not in written]
            if lacking:
                waits_for[lacking[0]].append(device)
                break
            begin = free[device]
            for value in needed:
                at, source, stage = written[value]
                boundary = stage if value.kind == "activation" else stage - 1
                if source != device:
                    to_all = value.kind.startswith("part_of_") or boundary == schedule.n_stages - 1
                    at += wires[-1 if to_all else boundary]
                begin = max(begin, at)
            if step[0].kind in ("O", "L"):  # beside compute: after what it comes after there
                begin = max(begin, copied[device][step[0].kind])
            finish = begin + ticks[device][done[device]]
            for op in step:
                start[op], end[op] = begin, finish
            for value, stage in made.items():
                written[value] = finish, device, stage
                todo += waits_for.pop(value, ())
            if step[0].kind in ("O", "L"):
                copied[device][step[0].kind] = finish
            else:
                free[device] = finish
            done[device] += 1
    waiting = [str(queues[d][n][0][0]) for d, n in enumerate(done) if n < len(queues[d])]
    assert not waiting, f"{schedule.name}: these wait for ever: {waiting}"
    # Who holds a stage that others hold too is through when their gradients have come as well.
    through = [max((end[op] for op in order), default=0) for order in schedule.orders]
    summing = [{op.stage for op in order if op.kind in ("W", "BW")} for order in schedule.orders]
    for giver, order in enumerate(schedule.orders):
        for op in order:
            takes = summed[op.stage]
            for taker in range(schedule.n_devices) if takes and op.kind in ("W", "BW") else ():
                if taker != giver and op.stage in summing[taker]:
                    through[taker] = max(through[taker], end[op] + takes)
    spans = [
        until - min(start[op] for op in order)
        for until, order in zip(through, schedule.orders, strict=True)
        if order
    ]
    makespan = max(*through, *end.values()) - min(start.values())
    exactly = {t: Fraction(t, unit) for t in {*start.values(), *end.values()}}
    return Times(
        {op: exactly[t] for op, t in start.items()},
        {op: exactly[t] for op, t in end.items()},
        Fraction(makespan, unit),
        Fraction(max(spans), unit),
    )


def _values(schedule: Schedule, step: Step) -> tuple[list[Value], dict[Value, int]]:
    """What a step needs from elsewhere, and what it makes, each with the stage that makes it."""
    made = {value: op.stage for op in step for value in writes(schedule, op)}
    return [v for op in step for v in reads(schedule, op) if v not in made], made


def peak(schedule: Schedule) -> tuple[Fraction, ...]:
    """Most live activations of each device, in shares, from order alone."""
    shares = [schedule.pieces(device) for device in range(schedule.n_devices)]
    found = []
    for device, order in enumerate(schedule.orders):
        live = most = 0
        for op in order:
            live += (op.kind == "F") - (op.kind in ("W", "BW"))
            most = max(most, live)
        found.append(Fraction(most, shares[device]))
    return tuple(found)


def problems(schedule: Schedule) -> list[str]:
    """What is wrong with `schedule`: passes missing, doubled, misplaced, or out of order."""
    found = []
    every = [op for order in schedule.orders for op in order]
    if len(set(every)) != len(every):
        found.append("a pass occurs twice")
    kinds_of: dict[tuple[int, int], list[str]] = defaultdict(list)
    for op in every:
        kinds_of[op.stage, op.microbatch].append(op.kind)
    for stage in range(schedule.n_stages):
        for microbatch in range(schedule.n_microbatches):
            kinds = sorted(kinds_of[stage, microbatch])
            if set(kinds) not in ({"F", "B", "W"}, {"F", "BW"}):
                found.append(f"stage {stage} microbatch {microbatch} has {kinds}")
    for device, order in enumerate(schedule.orders):
        if any(schedule.placement[op.stage] != device for op in order):
            found.append(f"device {device} runs a stage of another")
    last = schedule.n_stages - 1
    order = schedule.orders[schedule.placement[last]]
    forwards = [op.microbatch for op in order if op.kind == "F" and op.stage == last]
    if forwards != list(range(schedule.n_microbatches)):
        found.append(f"the last stage forwards {forwards}")
    return found
