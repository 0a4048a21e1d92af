"""A computed block as a schedule for any number of microbatches, under the same memory limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from ...base.numbers import Number, exact
from ...engine.costs import Costs
from ...schedule.clock import Clock
from ...schedule.ir import Kind, Op, Schedule
from ..compiled import Ints
from .problem import Problem, problem_of
from .smallest_interval import ComputedBlock
from .squeeze import advanced

_KINDS: tuple[Kind, ...] = ("F", "B", "W")


def block_schedule(
    block: ComputedBlock,
    n_microbatches: int,
    costs: Costs,
    *,
    memory_limit: Number | Sequence[Number] | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
    clock: Clock = "makespan",
    name: str = "computed",
) -> Schedule:
    """The block repeated for all microbatches, with warm-up and cool-down drawn together.

    Only the order is kept. Of the plainly repeated order and a few ways to move passes into the
    idle time of warm-up and cool-down the fastest on `clock` is taken. None holds more than the
    limit; without one, no more than the repeated order itself. Time grows linearly with
    `n_microbatches`, which may be any number >= 1.
    """
    m = n_microbatches
    if isinstance(m, bool) or not isinstance(m, int) or m < 1:
        raise ValueError(f"n_microbatches is {m!r}: it must be a whole number >= 1")
    problem, _ = problem_of(
        block.placement, costs, memory_limit=memory_limit, memory_bytes=memory_bytes
    )
    rows = repeated_order(block, problem, m)
    lines = np.array([row for line in rows for row in line], np.int64)
    first = np.cumsum([0, *map(len, rows)])
    limit = np.array(problem.limit or _peaks(problem, rows), np.int64)
    arrays = (
        np.array([problem.forward, problem.backward, problem.weight], np.int64),
        np.array([*problem.send, 0], np.int64),
        np.array(problem.placement, np.int64),
        np.array([problem.kept, problem.change], np.int64),
        limit,
    )
    best, least = lines, None
    for zone in _zones(block, m):
        order, makespan, longest = advanced(lines, first, *arrays, np.array(zone, np.int64))
        time = makespan if clock == "makespan" else longest
        if makespan >= 0 and (least is None or time < least):
            best, least = order, time
    best = _relabelled(best, len(block.placement) - 1)
    return Schedule(
        block.placement,
        tuple(_ops(best[a:b]) for a, b in pairwise(first)),
        m,
        name=name,
    )


def repeated_order(
    block: ComputedBlock, problem: Problem, m: int
) -> list[list[tuple[int, int, int]]]:
    """(kind, stage, microbatch) of each device in the order of the block's times, trimmed to m.

    Of passes at one instant those without length come first, ties go to the older microbatch: the
    order of `rounds`, which is the one that keeps the limit.
    """
    n, last = block.n_microbatches, len(block.placement) - 1
    rows: list[list[tuple[Number, int, int, int, int, int]]] = [[] for _ in range(block.n_devices)]
    period = exact(block.period)
    for kind, table in enumerate((block.forward, block.backward, block.weight)):
        length = problem.durations(_KINDS[kind])
        for i in range(m):
            for s, start in enumerate(table[i % n]):
                at = exact(start) + period * (i // n)
                place = s if kind == 0 else 3 * (last + 1) - 2 * s + (kind == 2)
                rows[block.placement[s]].append((at, length[s], i, place, kind, s))
    return [[(kind, s, i) for *_, i, _, kind, s in sorted(row)] for row in rows]


def _zones(block: ComputedBlock, m: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Ways to play: nothing moves; warm-up and cool-down of several lengths; everything."""
    yield (1, 0, m, 0, 0)
    window = 12 * block.n_devices + 24
    span = block.n_devices
    for warm, cool in ((span, span), (2 * span, 2 * span), (m, m)):
        for patience, eager in ((0, 0), (50, 0), (0, 1)):
            yield (window, min(warm, m), max(m - cool, 0), patience, eager)


def _peaks(problem: Problem, rows: list[list[tuple[int, int, int]]]) -> list[int]:
    found = []
    for line in rows:
        alive = most = 0
        for kind, s, _ in line:
            kept, change = problem.kept[s], problem.change[s]
            most = max(most, alive + (kept, max(change, 0), 0)[kind])
            alive += (kept, change, -kept - change)[kind]
        found.append(most)
    return found


def _relabelled(lines: Ints, last: int) -> Ints:
    """The same orders with microbatches numbered as they pass the last stage.

    Equal microbatches may be renamed at will; several in one period may come out of it in another
    order than they went in.
    """
    passing = lines[(lines[:, 0] == 0) & (lines[:, 1] == last), 2]
    number = np.empty(len(passing), np.int64)
    number[passing] = np.arange(len(passing))
    found = lines.copy()
    found[:, 2] = number[lines[:, 2]]
    return found


def _ops(rows: Ints) -> tuple[Op, ...]:
    return tuple(Op(_KINDS[kind], s, i) for kind, s, i in rows.tolist())
