"""The steady-state time per microbatch of a repeating order, exact.

>>> from sim import FAMILIES, Costs
>>> schedule = FAMILIES["1f1b"](4, 16)
>>> interval(schedule, Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1))
31.5
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...base.numbers import Number, exact, plain
from ...engine.costs import Costs, fits
from ...schedule.ir import Op, Schedule, Step, Value, reads, steps, writes
from .cycle_ratio import Edge, cycle_ratio


@dataclass(frozen=True)
class Pattern:
    """The repeating part of an order: `rounds[device]` are its steps of one period; the next period
    does the same with every microbatch number raised by `n`. Numbers may be negative."""

    schedule: Schedule
    rounds: tuple[tuple[Step, ...], ...]
    n: int


def interval(what: Schedule | Pattern, costs: Costs) -> Number:
    """Time per microbatch in the steady state of an order that repeats forever.

    It is the largest mean over the cycles of the order's event graph (a device's own order, and the
    values passed between devices): what the order would cost per microbatch with endlessly many of
    them. `Costs.uniform` with whole-share times gives it in the same unit.

    Raises ValueError for a schedule whose order does not repeat (GPipe, or too few microbatches).
    """
    pattern = what if isinstance(what, Pattern) else repeating(what)
    fits(costs, pattern.schedule)
    times = [costs.duration(step) for line in pattern.rounds for step in line]
    tick_of = math.lcm(*(exact(time).denominator for time in [*times, *costs.send]))
    found = cycle_ratio(*events(pattern, costs, tick_of))
    if found is None:
        raise ValueError(
            f"{pattern.schedule.name}: the repeating order deadlocks: it is no schedule"
        )
    return plain(found[0] / tick_of / pattern.n)


def repeating(schedule: Schedule, *, largest: int = 64) -> Pattern:
    """The repeating part of a schedule's order, with as few microbatches per period as it has.

    It is the stretch of every device's order that does the same again `n` microbatches later, for
    the smallest `n` (at most `largest`, or the number of devices) that covers half of the order;
    where none does, for the one that covers the most of it.
    """
    lines = [tuple(steps(schedule, device)) for device in range(schedule.n_devices)]
    best: tuple[float, Pattern] | None = None
    most = max(largest, schedule.n_devices, schedule.n_slices)
    for n in range(1, min(schedule.n_microbatches // 2, most) + 1):
        covered, rounds = 1.0, []
        for line in lines:
            share, found = _round(line, n, schedule.n_microbatches)
            if not found or (best and share <= best[0]):
                break
            covered = min(covered, share)
            rounds.append(found)
        if len(rounds) == len(lines):
            best = covered, Pattern(schedule, tuple(rounds), n)
            if covered >= 0.5:
                break
    if best is None:
        raise ValueError(
            f"{schedule.name} with {schedule.n_microbatches} microbatches has no repeating order: "
            "use more microbatches, or a schedule with a steady state"
        )
    return best[1]


def events(pattern: Pattern, costs: Costs, tick_of: int) -> tuple[int, list[Edge]]:
    """The event graph of one period: how many steps there are, and their edges in ticks."""
    schedule, n = pattern.schedule, pattern.n
    nodes: list[tuple[int, Step]] = []
    writer: dict[Value, tuple[int, int]] = {}  # value of microbatch modulo n -> node, microbatch
    edges: list[Edge] = []
    lengths: list[int] = []
    for device, line in enumerate(pattern.rounds):
        first = len(nodes)
        for step in line:
            for op in step:
                for value in writes(schedule, op):
                    writer[value._replace(microbatch=op.microbatch % n)] = (
                        len(nodes),
                        op.microbatch,
                    )
            nodes.append((device, step))
            lengths.append(int(exact(costs.duration(step)) * tick_of))
        for node in range(first, len(nodes)):
            last = node == len(nodes) - 1
            edges.append((node, first if last else node + 1, lengths[node], 1 if last else 0))
    for node, (device, step) in enumerate(nodes):
        for op in step:
            for value in reads(schedule, op):
                source, microbatch = writer[value._replace(microbatch=op.microbatch % n)]
                if source == node:
                    continue
                length = lengths[source]
                if nodes[source][0] != device:
                    boundary = value.stage if value.kind == "activation" else value.stage - 1
                    length += int(exact(costs.send[boundary]) * tick_of)
                edges.append((source, node, length, (microbatch - op.microbatch) // n))
    return len(nodes), edges


def _round(line: tuple[Step, ...], n: int, m: int) -> tuple[float, tuple[Step, ...]]:
    """One period of `line`, from the middle of the longest stretch that repeats n microbatches
    later, and which share of the line that stretch is; an empty period if nothing repeats."""
    where = {step[0]: position for position, step in enumerate(line)}
    best, run, lag_before = (0, 0, 0), 0, 0
    for position, step in enumerate(line):
        twin = where.get(_later(step, n)[0], position)
        lag = twin - position if line[twin] == _later(step, n) else 0
        run = run + 1 if lag and lag == lag_before else (1 if lag else 0)
        lag_before = lag
        if run > best[0]:
            best = run, position, lag
    run, last, lag = best
    if lag <= 0 or run < lag:
        return 0.0, ()
    start = last - run + 1 + (run - lag) // 2
    found = line[start : start + lag]
    ops = [op for step in found for op in step]
    distinct = {(op.kind, op.stage, op.slice, op.microbatch % n) for op in ops}
    everything = [op for step in line for op in step]
    complete = len(distinct) == len(ops) and _passes(ops) * m == n * _passes(everything)
    return ((run + lag) / len(line), found) if complete else (0.0, ())


def _passes(ops: list[Op]) -> int:
    """How many passes of F, B and W these are; a fused backward is two."""
    return sum(2 if op.kind == "BW" else 1 for op in ops)


def _later(step: Step, n: int) -> Step:
    return tuple(Op(op.kind, op.stage, op.microbatch + n, op.slice) for op in step)
