"""The adaptive building-block search: the best of all blocks of one shape under a memory limit.

A V block repeats every 6 unit passes. Its residues on device 0 and its steps from device to device
are enumerated, each is repeated, squeezed, and its warm-up and cool-down are drawn together; the
fastest under the real costs that keeps the limit wins. With F = B = W and no sends its longest
stage idles max(0, 6p-1-3k) chunk passes at a peak of k chunks.

    >>> from sim import Costs
    >>> costs = Costs.of(8, forward=1, backward=1, weight=1)
    >>> from sim.search import evaluate
    >>> evaluate(adaptive(4, 8, costs, memory_limit=3), costs).longest_stage  # 6*8 + 6*4-1-3*6
    53

Source: Qi et al. 2024, arXiv 2405.15362, section on adaptive scheduling. Where we differ: blocks
may be longer than their work, so that limits below the shortest lifespan are met too; straight
placement as well; warm-up and cool-down are found by dispatching with the real times and annealing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from ...base.numbers import Number
from ...engine.costs import Costs
from ...schedule.clock import Clock
from ...schedule.ir import Kind, Op, Schedule
from .. import budget
from ..compiled import Ints
from ..effort import Effort
from ..periodic.problem import Problem, problem_of, work_bound
from ..periodic.squeeze import advanced
from ..periodic.unit_blocks import UnitBlock, blocks, freed, repeated_rows, warmed, within
from ..run_options import RunOptions
from .improve import HEATS, annealed
from .pool import Pool
from .problem import OrderProblem, order_problem

_KINDS: tuple[Kind, ...] = ("F", "B", "W")
SHORT_ROUND = 0.2
"""Seconds of annealing after which the next round gets no more moves."""


def adaptive(
    n_devices: int,
    n_microbatches: int,
    costs: Costs,
    *,
    placement: Literal["v", "straight"] = "v",
    memory_limit: Number | Sequence[Number] | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
    clock: Clock = "longest_stage",
    time_limit: float = 5.0,
    run: RunOptions | None = None,
) -> Schedule:
    """The fastest schedule on `clock` that comes from a unit block and keeps the memory limit.

    memory_limit: shares of a device's whole activation; or memory_bytes, static bytes included.
    time_limit: seconds; the enumeration itself is always finished for the shortest interval.
    Raises ValueError for a limit that not even one microbatch meets.
    """
    stages = _stages(n_devices, placement)
    problem, _ = problem_of(stages, costs, memory_limit=memory_limit, memory_bytes=memory_bytes)
    run = run or RunOptions()
    effort = run.effort
    m, until = n_microbatches, effort.now() + time_limit
    if isinstance(m, bool) or not isinstance(m, int) or m < 1:
        raise ValueError(f"n_microbatches is {m!r}: it must be a whole number >= 1")
    player = _Player(problem, m, clock, effort)
    found: list[tuple[int, int, Ints, Ints]] = []
    shortest = 3 * len(stages) // n_devices
    for interval in range(shortest, 3 * shortest):
        for block in blocks(n_devices, placement, interval):
            for order in player.orders(block):
                for zone in player.zones():
                    value, line = player.played(order, zone)
                    if value >= 0:
                        found.append((value, len(found), line, zone))
            if len(found) > 200:  # keep the best few only
                found = sorted(found, key=lambda entry: entry[:2])[:40]
        if found or effort.now() > until + time_limit:
            break
    if not found:
        rows = player.one_by_one()
        found = [(player.played(rows, zone)[0], 0, rows, zone) for zone in player.zones()][:1]
    found.sort(key=lambda entry: entry[:2])
    best = player.schedule(found[0][2])
    if found[0][0] <= work_bound(problem) * m or not run.use("annealing"):
        return best
    orders = order_problem(
        stages, m, costs, clock=clock, memory_limit=memory_limit, memory_bytes=memory_bytes
    )
    return _improved([player.schedule(line) for _, _, line, _ in found[:12]], orders, until, run)


class _Player:
    """Plays orders of one problem; holds its arrays."""

    def __init__(self, problem: Problem, m: int, clock: Clock, effort: Effort) -> None:
        self.problem, self.m, self.longest = problem, m, int(clock == "longest_stage")
        self.effort = effort
        p, n = problem.n_devices, len(problem.placement)
        self.first = np.cumsum([0, *(3 * m * len(stages) for stages in problem.stages_of)])
        limit = problem.limit or tuple(10**9 for _ in range(p))
        self.units = np.array([problem.kept, problem.change], np.int64)
        self.limit = np.array(limit, np.int64)
        self.arrays = (
            np.array([problem.forward, problem.backward, problem.weight], np.int64),
            np.array([*problem.send, 0], np.int64),
            np.array(problem.placement, np.int64),
            self.units,
            self.limit,
        )
        largest = [max(problem.kept[s] for s in stages) or 1 for stages in problem.stages_of]
        chunks = [min(a // b, 2 * n) for a, b in zip(limit, largest, strict=True)]
        self.chunks = np.array(chunks, np.int64)

    def orders(self, block: UnitBlock) -> Iterator[Ints]:
        """The block repeated where that keeps the limit: as it is, with early W, with more F."""
        self.effort.played(int(self.first[-1]))
        rows = repeated_rows(block.cells, block.interval, self.m, self.arrays[2], self.first)
        if not within(rows, self.first, self.units, self.limit):
            return
        yield rows
        for many in (1, 2, 3, 2 * self.problem.n_devices):
            yield freed(rows, self.first, many)
        if len(self.problem.placement) == 2 * self.problem.n_devices:
            for turns in range(3):
                fuller = warmed(rows, self.first, self.chunks, self.m, turns)
                if within(fuller, self.first, self.units, self.limit):
                    yield fuller

    def zones(self) -> tuple[Ints, ...]:
        """How to play: see `advanced`."""
        p, m = self.problem.n_devices, self.m
        return tuple(
            np.array(zone, np.int64)
            for zone in (
                (1, 0, m, 0, 0),
                (12 * p, 2 * p, max(m - 2 * p, 0), 0, 1),
                (12 * p, 0, max(m - p, 0), 0, 0),
            )
        )

    def played(self, rows: Ints, zone: Ints) -> tuple[int, Ints]:
        """The clock of an order in ticks (-1 if it cannot run), and the order it was played in."""
        line, makespan, longest = advanced(rows, self.first, *self.arrays, zone)
        self.effort.played((2 + int(zone[0]) // budget.LOOKS_PER_PLAY) * len(rows))
        return (longest if self.longest and makespan >= 0 else makespan), line

    def schedule(self, line: Ints) -> Schedule:
        """The rows of an order as a schedule."""
        return Schedule(
            self.problem.placement,
            tuple(
                tuple(Op(_KINDS[kind], s, i) for kind, s, i in line[a:b].tolist())
                for a, b in pairwise(self.first)
            ),
            self.m,
            name="adaptive",
        )

    def one_by_one(self) -> Ints:
        """One microbatch after the other: the order that holds the least memory."""
        rows = [
            (kind, s, i)
            for stages in self.problem.stages_of
            for i in range(self.m)
            for kind, s in [(0, s) for s in stages] + [(k, s) for s in stages[::-1] for k in (1, 2)]
        ]
        return np.array(rows, np.int64)


def _improved(
    starts: list[Schedule], orders: OrderProblem, until: float, run: RunOptions
) -> Schedule:
    """The best that annealing makes of the orders in turn, until the time is up."""
    work = orders.tables.duration.reshape(-1, 3).sum(axis=1)
    busiest = int(work[orders.tables.stages_of].sum(axis=1).max())
    pool = Pool(orders, bound=busiest * orders.n_microbatches)
    for start in starts:
        order = orders.order(start)
        if order is not None:
            pool.add(order, start.name)
    moves, turn, now = 200, 0, run.effort.now
    while not pool.closed and now() < until:
        began = now()
        entry = pool.entries[turn % len(pool.entries)]
        heat = HEATS[turn % len(HEATS)]
        order, passes = annealed(pool, entry.order, moves=moves, heat=heat, seed=run.seed + turn)
        run.effort.played(passes)
        pool.add(order, "")
        turn += 1
        if now() - began < SHORT_ROUND:
            moves *= 2
    return orders.schedule(pool.best.order, "adaptive")


def _stages(p: int, placement: str) -> tuple[int, ...]:
    if isinstance(p, bool) or not isinstance(p, int) or p < 1:
        raise ValueError(f"n_devices is {p!r}: it must be a whole number >= 1")
    if placement == "v":
        return (*range(p), *reversed(range(p)))
    if placement == "straight":
        return tuple(range(p))
    raise ValueError(f"placement is {placement!r}: it must be 'v' or 'straight'")
