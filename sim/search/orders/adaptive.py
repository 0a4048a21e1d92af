"""The adaptive building-block search: the best of all blocks of one shape under a memory limit.

A V block repeats every 6 unit passes. Its residues on device 0 and its steps from device to device
are enumerated, each is repeated, squeezed, and its warm-up and cool-down are reordered; the
fastest under the real costs that keeps the limit wins. With F = B = W, no sends and m >= 2p its
longest stage idles max(0, 6p-1-3k) chunk passes at a peak of k chunks, for even k from V-Min's peak
2 floor((p+4)/3) on, and in between at most one more; with less, no block of p > 2 repeats every 6.

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
from dataclasses import replace
from itertools import product
from typing import Literal

import numpy as np

from ...base.interrupts import polled_sigint
from ...base.numbers import Number, checked_whole
from ...engine.costs import Costs
from ...schedule.clock import Clock
from ...schedule.ir import Schedule
from ..periodic.floors import work_bound
from ..periodic.problem import BlockProblem, problem_of
from ..periodic.squeeze import Moves, as_they_are, squeezed
from ..periodic.tables import pass_tables, peaks
from ..periodic.unit_blocks import (
    UnitBlock,
    blocks,
    rounds_of_block,
    with_early_weights,
    with_more_forwards,
)
from ..periodic.unroll import DeviceOrders, unrolled_orders
from ..placement import stages_on
from ..settings.effort import Effort
from ..settings.run_options import RunOptions
from .improve import improve
from .pool import Pool
from .problem import one_by_one, order_problem


@polled_sigint()
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
    m = checked_whole(n_microbatches, "n_microbatches")
    if placement not in ("v", "straight"):
        raise ValueError(f"placement is {placement!r}: it must be 'v' or 'straight'")
    stages = stages_on(checked_whole(n_devices, "n_devices"), placement)
    problem, _ = problem_of(stages, costs, memory_limit=memory_limit, memory_bytes=memory_bytes)
    run = run or RunOptions()
    until = run.effort.now() + time_limit
    player = _Player(problem, m, clock, run.effort)
    found: list[tuple[int, int, DeviceOrders]] = []
    shortest = 3 * len(stages) // n_devices
    for interval in range(shortest, 3 * shortest):
        for block in blocks(n_devices, placement, interval):
            for order, moves in product(player.orders(block), player.ways()):
                value, played = player.played(order, moves)
                if value >= 0:
                    found.append((value, len(found), played))
            if len(found) > 200:  # keep the best few only
                found = sorted(found, key=lambda entry: entry[:2])[:40]
        if found or run.effort.now() > until + time_limit:
            break
    if not found:
        alone = DeviceOrders.of(one_by_one(stages, m).orders)
        found = [(player.played(alone, as_they_are(m))[0], 0, alone)]
    found.sort(key=lambda entry: entry[:2])
    if found[0][0] <= work_bound(problem) * m:
        return found[0][2].schedule(stages, m, "adaptive")
    orders = order_problem(
        stages, m, costs, clock=clock, memory_limit=memory_limit, memory_bytes=memory_bytes
    )
    work = orders.tables.duration[:, 0].reshape(-1, 3).sum(axis=1)[orders.tables.stages_of]
    pool = Pool(orders, bound=int(work.sum(axis=1).max()) * m)
    for _, _, played in found[:12]:
        pool.add(orders.codes(played), "")
    improve(pool, until=until, run=replace(run, without=(*run.without, "windows")))
    return orders.schedule(pool.best.order, "adaptive")


class _Player:
    """Plays orders of one problem. chunks: how many each device has room for."""

    def __init__(self, problem: BlockProblem, m: int, clock: Clock, effort: Effort) -> None:
        self.problem, self.m, self.clock, self.effort = problem, m, clock, effort
        self.tables = pass_tables(problem)
        largest = [max(problem.kept[s] for s in stages) or 1 for stages in problem.stages_of]
        chunks = self.tables.limit // np.array(largest, np.int64)
        self.chunks = np.minimum(chunks, 2 * problem.n_stages)

    def orders(self, block: UnitBlock) -> Iterator[DeviceOrders]:
        """The block repeated where that keeps the limit: as it is, with early W, with more F."""
        rounds = rounds_of_block(block, self.tables.device[::3])
        repeated = unrolled_orders(rounds, 1, self.m)
        self.effort.played(len(repeated.passes))
        if not self.fits(repeated):
            return
        yield repeated
        for many in (1, 2, 3, 2 * self.problem.n_devices):
            yield with_early_weights(repeated, many)
        if self.problem.n_stages == 2 * self.problem.n_devices:
            for turns in range(3):
                fuller = with_more_forwards(repeated, self.chunks, self.m, turns)
                if self.fits(fuller):
                    yield fuller

    def fits(self, orders: DeviceOrders) -> bool:
        return bool((peaks(orders, self.tables) <= self.tables.limit).all())

    def ways(self) -> tuple[Moves, ...]:
        """How to play."""
        p, m = self.problem.n_devices, self.m
        return (
            as_they_are(m),
            Moves(12 * p, 2 * p, max(m - 2 * p, 0), eager=1),
            Moves(12 * p, 0, max(m - p, 0)),
        )

    def played(self, orders: DeviceOrders, moves: Moves) -> tuple[int, DeviceOrders]:
        """The clock of an order in ticks (-1 if it cannot run), and the order it was played in."""
        found = squeezed(orders, self.tables, moves)
        self.effort.played(found.work)
        return found.makespan if self.clock == "makespan" else found.longest_stage, found.orders
