"""A computed block as a schedule for any number of microbatches, under the same memory limit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import cycle, islice

import numpy as np

from ...base.numbers import Number, checked_whole
from ...engine.costs import Costs
from ...schedule.clock import Clock
from ...schedule.ir import Schedule
from ..settings.effort import Effort
from .layout import order_of
from .mirror import squeezed_from_behind
from .problem import problem_of
from .smallest_interval import ComputedBlock, layout_of
from .squeeze import Moves, Played, as_they_are, squeezed
from .tables import PassTables, pass_tables, peaks
from .unroll import DeviceOrders, unrolled

TURNS = 4
"""How often at most an order is played from the start and from the end in turn."""
FEW = 32
"""Devices up to which late and eager moves are tried: on more they cost seconds, and never won."""


def block_schedule(
    block: ComputedBlock,
    n_microbatches: int,
    costs: Costs,
    *,
    memory_limit: Number | Sequence[Number] | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
    clock: Clock = "makespan",
    name: str = "computed",
    effort: Effort | None = None,
    time_limit: float = math.inf,
) -> Schedule:
    """The block repeated for all microbatches, with warm-up and cool-down moved into idle time.

    Only the order is kept. Of the plainly repeated order and a few ways to move passes into the
    idle time of warm-up and cool-down the fastest on `clock` is taken: from the start, from the end
    (`mirror`), and in turn as long as that helps. None holds more than the limit; without one, no
    more than the repeated order itself. Time grows linearly with `n_microbatches`, which may be any
    number >= 1. time_limit: seconds of `effort` after which no other way is tried.
    """
    m = checked_whole(n_microbatches, "n_microbatches")
    problem, _ = problem_of(
        block.placement, costs, memory_limit=memory_limit, memory_bytes=memory_bytes
    )
    tables = pass_tables(problem)
    best = unrolled_block(block, costs, m)
    if problem.limit is None:
        tables = tables._replace(limit=peaks(best, tables))
    effort = effort or Effort()
    until = effort.now() + time_limit
    tried = list(_played(best, tables, m, clock, effort, until))
    best = min(tried, key=lambda played: _time(played, clock)).orders if tried else best
    return _in_order(best, problem.n_stages).schedule(problem.placement, m, name)


def unrolled_block(block: ComputedBlock, costs: Costs, n_microbatches: int) -> DeviceOrders:
    """What each device does for so many microbatches in the order of the block's times, which keeps
    the block's limit; nothing moves into the idle time of warm-up and cool-down."""
    problem, tick = problem_of(block.placement, costs)
    layout, scale = layout_of(block, tick)
    return unrolled(order_of(problem, layout, scale), n_microbatches)


def _played(
    orders: DeviceOrders, tables: PassTables, m: int, clock: Clock, effort: Effort, until: float
) -> Iterator[Played]:
    """The order played as it is, then in some ways that do not deadlock, as long as there is time.

    Every way from the start first; then everything from the end and from the start in turn.
    """
    plain = best = squeezed(orders, tables, as_they_are(m))
    effort.played(plain.work)
    if plain.makespan < 0:
        return
    yield plain
    for moves in _ways(len(tables.limit), m):
        if effort.now() > until:
            return
        played = squeezed(orders, tables, moves)
        effort.played(played.work)
        if played.makespan >= 0:
            yield played
            best = min(best, played, key=lambda one: _time(one, clock))
    everything = next(_ways(len(tables.limit), m))
    for start in (plain, best):
        now = start
        for turn, play in enumerate(islice(cycle((squeezed_from_behind, squeezed)), TURNS)):
            if effort.now() > until:
                return
            before, now = now, play(now.orders, tables, everything)
            effort.played(now.work)
            if now.makespan < 0 or (turn and _time(now, clock) >= _time(before, clock)):
                break
            yield now


def _time(played: Played, clock: Clock) -> int:
    return played.makespan if clock == "makespan" else played.longest_stage


def _ways(p: int, m: int) -> Iterator[Moves]:
    """Ways to play: warm-up and cool-down of several lengths, the longest first."""
    window, half = 12 * p + 24, (m + 1) // 2
    for length in sorted({min(p, half), min(2 * p, half), half}, reverse=True):
        for patience, eager in ((0, 0), (50, 0), (0, 1))[: 3 if p <= FEW else 1]:
            yield Moves(window, length, m - length, patience, eager)


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
