"""Several microbatches per period by dispatching: what a long run of a greedy order falls into.

Devices follow an order but take what is ready when they would idle. Played for long, that settles
into a pattern that repeats, often with more than one microbatch per period and less idle time than
any block of one has. The orders to follow are the best block known, slightly longer ones, and all
blocks of the paper's shape.
"""

from __future__ import annotations

import math
from contextlib import suppress
from itertools import product
from typing import Literal

import numpy as np

from ..compiled import Ints
from ..placement import stages_on
from ..settings.effort import Effort
from . import budget
from .bisection import FINE, Bracket, Decide
from .layout import order_of
from .problem import BlockProblem
from .squeeze import Moves, Played, as_they_are, squeezed
from .steady_state import repeating
from .tables import PassTables, pass_tables, peaks
from .unit_blocks import blocks, rounds_of_block
from .unroll import DeviceOrders, PeriodicOrder, unrolled, unrolled_orders

_PROMISING = 1.02
"""Makespans up to so many times the least are looked at closely."""
_PER_MILLE = 60
"""By how much pass times are off, at most, where they are changed at random."""
_WINDOWS = (6, 12, 24, 48)
_PATIENCE = ((0, 0), (15, 0), (30, 0), (45, 0), (60, 0), (90, 0), (0, 1))
"""`patience` and `eager` of `Moves`."""


def dispatch(bracket: Bracket, decide: Decide, most: int, *, until: float) -> None:
    """Offer patterns with up to `most` microbatches per period until then."""
    player = _Player(bracket.problem, most, bracket.run.effort)
    now = bracket.run.effort.now()
    known = _best_and_longer(bracket, decide, player, until)
    others = _unit_blocks(player, now + budget.UNIT_BLOCKS * (until - now))
    rng = np.random.default_rng(bracket.run.seed)
    ways = [
        Moves(window, player.m, 0, patience, eager)
        for window, (patience, eager) in product(_WINDOWS, _PATIENCE)
    ]
    as_planned = [(start, moves) for moves in ways for start in known]
    turn = 0
    while bracket.run.effort.now() < until and bracket.best > bracket.floor:
        # every other turn as planned, with the true times; in between by chance
        if turn < len(as_planned) and turn % 2:
            start, moves, spread = *as_planned[turn // 2], 0
        else:
            chosen = others if others and turn % 3 else known
            start = chosen[rng.integers(len(chosen))]
            moves = ways[rng.integers(len(ways))]
            spread = _PER_MILLE * int(rng.random() < 0.7)
        turn += 1
        off = rng.integers(-spread, spread + 1, player.tables.duration.shape)
        pattern = player.pattern(start, moves, off)
        if pattern is not None:
            before = bracket.best
            bracket.offer_order(pattern, "dispatching into idle time")
            if bracket.best < before:
                known.append(unrolled(bracket.order, player.m))


class _Player:
    """Plays long orders of one problem, and sees what repeats in them."""

    def __init__(self, problem: BlockProblem, most: int, effort: Effort) -> None:
        self.problem, self.most, self.effort = problem, most, effort
        self.m = max(8 * problem.n_devices, 64)
        self.tables = pass_tables(problem)
        self.least = 0
        self.seen: set[bytes] = set()

    def pattern(self, start: DeviceOrders, moves: Moves, off: Ints) -> PeriodicOrder | None:
        """What repeats when `start` is played with moves, pass times off by so many per mille; None
        if nothing does, or it was seen before, or does not promise much."""
        inexact = self.tables._replace(
            duration=self.tables.duration * (1000 + off), delay=self.tables.delay * 1000
        )
        orders, makespan, *_ = self._played(start, inexact, moves)
        if makespan < 0 or orders.passes.tobytes() in self.seen:
            return None
        self.seen.add(orders.passes.tobytes())
        makespan = self._played(orders, self.tables, as_they_are(self.m)).makespan
        self.least = min(self.least, makespan) if self.least else makespan
        if makespan > self.least * _PROMISING:
            return None
        self.effort.played(budget.PLAYS_PER_COMPARISON * len(orders.passes))
        with suppress(ValueError):
            schedule = orders.schedule(self.problem.placement, self.m, "dispatched")
            found = repeating(schedule, largest=self.most)
            return found if found.n <= self.most else None
        return None

    def _played(self, orders: DeviceOrders, tables: PassTables, moves: Moves) -> Played:
        found = squeezed(orders, tables, moves)
        self.effort.played(found.work)
        return found


def _best_and_longer(
    bracket: Bracket, decide: Decide, player: _Player, until: float
) -> list[DeviceOrders]:
    """The best block, and what else repeats once per slightly longer period, unrolled."""
    known = [unrolled(bracket.order, player.m)]
    whole = math.ceil(bracket.best)
    for longer in (1, 2, 3) if whole <= FINE and bracket.layout.n == 1 else ():
        if bracket.run.effort.now() < until:
            layout = decide(bracket.problem, whole + longer).layout
            if layout is not None:
                known.append(unrolled(order_of(bracket.problem, layout), player.m))
    return known


def _unit_blocks(player: _Player, until: float) -> list[DeviceOrders]:
    """The blocks of the paper's shape that keep the limit, unrolled, as far as there is time."""
    problem, found = player.problem, list[DeviceOrders]()
    p, n_stages = problem.n_devices, problem.n_stages
    placement: Literal["straight", "v"] = "straight" if n_stages == p else "v"
    if problem.placement != stages_on(p, placement):
        return []
    shortest = 3 * n_stages // p
    for interval in range(shortest, shortest + 3):
        for block in blocks(p, placement, interval):
            if player.effort.now() > until:
                return found
            orders = unrolled_orders(rounds_of_block(block, player.tables.device[::3]), 1, player.m)
            player.effort.played(len(orders.passes))
            if (peaks(orders, player.tables) <= player.tables.limit).all():
                found.append(orders)
    return found
