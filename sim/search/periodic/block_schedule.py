"""A computed block as a schedule for any number of microbatches, under the same memory limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ...base.numbers import Number, checked_whole
from ...engine.costs import Costs
from ...schedule.clock import Clock
from ...schedule.ir import Schedule
from .layout import order_of
from .problem import problem_of
from .smallest_interval import ComputedBlock, layout_of
from .squeeze import Moves, as_they_are, squeezed
from .tables import pass_tables, peaks
from .unroll import DeviceOrders, unrolled


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
    """The block repeated for all microbatches, with warm-up and cool-down moved into idle time.

    Only the order is kept. Of the plainly repeated order and a few ways to move passes into the
    idle time of warm-up and cool-down the fastest on `clock` is taken. None holds more than the
    limit; without one, no more than the repeated order itself. Time grows linearly with
    `n_microbatches`, which may be any number >= 1.
    """
    m = checked_whole(n_microbatches, "n_microbatches")
    problem, _ = problem_of(
        block.placement, costs, memory_limit=memory_limit, memory_bytes=memory_bytes
    )
    tables = pass_tables(problem)
    best = unrolled_block(block, costs, m)
    if problem.limit is None:
        tables = tables._replace(limit=peaks(best, tables))
    played = [squeezed(best, tables, moves) for moves in _ways(block, m)]
    times = [
        (result.makespan if clock == "makespan" else result.longest_stage, n)
        for n, result in enumerate(played)
        if result.makespan >= 0
    ]
    if times:
        best = played[min(times)[1]].orders
    return _in_order(best, problem.n_stages).schedule(problem.placement, m, name)


def unrolled_block(block: ComputedBlock, costs: Costs, n_microbatches: int) -> DeviceOrders:
    """What each device does for so many microbatches in the order of the block's times, which keeps
    the block's limit; nothing moves into the idle time of warm-up and cool-down."""
    problem, tick = problem_of(block.placement, costs)
    layout, scale = layout_of(block, tick)
    return unrolled(order_of(problem, layout, scale), n_microbatches)


def _ways(block: ComputedBlock, m: int) -> Iterator[Moves]:
    """Ways to play: nothing moves; warm-up and cool-down of several lengths; everything."""
    yield as_they_are(m)
    window, p = 12 * block.n_devices + 24, block.n_devices
    for length in (p, 2 * p, m):
        for patience, eager in ((0, 0), (50, 0), (0, 1)):
            yield Moves(window, min(length, m), max(m - length, 0), patience, eager)


def _in_order(orders: DeviceOrders, n_stages: int) -> DeviceOrders:
    """The same orders with microbatches numbered as they pass the last stage.

    Equal microbatches may be renamed at will; several in one period may come out of it in another
    order than they went in.
    """
    kind, stage, microbatch = orders.passes.T
    at_the_end = microbatch[(kind == 0) & (stage == n_stages - 1)]
    passes = orders.passes.copy()
    passes[:, 2] = np.argsort(at_the_end)[microbatch]
    return orders._replace(passes=passes)
