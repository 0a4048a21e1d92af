"""Several microbatches per period by dispatching: what a long run of a greedy order falls into.

Devices follow an order but take what is ready when they would idle. Played for long, that settles
into a pattern that repeats, often with more than one microbatch per period and less idle time than
any block of one has. The orders to follow are the best block known, slightly longer ones, and all
blocks of the paper's shape.
"""

from __future__ import annotations

import math
from contextlib import suppress
from itertools import pairwise, product
from typing import Literal

import numpy as np

from ...schedule.ir import Kind, Op, Schedule
from ..compiled import Ints
from ..effort import Effort
from ..placement import stages_on
from .bisection import FINE, Decide, Search
from .layout import Broken, Turn, rounds
from .problem import Layout, Problem, rescaled
from .squeeze import advanced
from .steady_state import Pattern, repeating
from .unit_blocks import blocks, repeated_rows, within

_KINDS: tuple[Kind, ...] = ("F", "B", "W")
_WINDOWS = (6, 12, 24, 48)
_PATIENCE = ((0, 0), (15, 0), (30, 0), (45, 0), (60, 0), (90, 0), (0, 1))
"""Percent of its time that a pass may make the awaited one late, and whether any pass may go."""
_WORTH = 1.02
"""Makespans up to so many times the least are looked at closely."""
PASSES_AT_A_GLANCE = 8
"""How many passes of its window a device looks at in the time in which one is played."""
PER_COMPARED_PASS = 60
"""Work of looking for a pattern, in played passes for each pass of the order."""


def dispatched(search: Search, decide: Decide, most: int, until: float) -> None:
    """Offer patterns with up to `most` microbatches per period until then."""
    player = _Player(search.problem, most, search.effort)
    known = _own(search, decide, player, until)
    now = search.effort.now()
    others = _unit_blocks(player, now + 0.4 * (until - now))
    rng = np.random.default_rng(search.seed)
    rules = list(product(_WINDOWS, _PATIENCE))
    plan = [(start, rule) for rule in rules for start in known]
    turn = 0
    while search.effort.now() < until and search.best > search.floor:
        if turn < len(plan) and turn % 2:
            start, rule, spread = *plan[turn // 2], 0
        else:
            chosen = others if others and turn % 3 else known
            start = chosen[rng.integers(len(chosen))]
            rule, spread = rules[rng.integers(len(rules))], 60 * int(rng.random() < 0.7)
        turn += 1
        pattern = player.pattern(start, rule, rng.integers(-spread, spread + 1, player.times.shape))
        if pattern is None:
            continue
        before = search.best
        with suppress(Broken):  # the devices repeat, but not together
            search.offer_lines(_turns(pattern), pattern.n, "dispatching into idle time")
        if search.best < before:
            known.append(player.unrolled(fine(search), search.layout))


def fine(search: Search) -> Problem:
    """The problem in the ticks of the best layout."""
    return rescaled(search.problem, search.scale, 1)


class _Player:
    """Plays long orders of one problem, and sees what repeats in them."""

    def __init__(self, problem: Problem, most: int, effort: Effort) -> None:
        self.problem, self.most, self.effort = problem, most, effort
        self.m = max(8 * problem.n_devices, 64)
        sizes = [3 * self.m * len(stages) for stages in problem.stages_of]
        self.first = np.cumsum([0, *sizes])
        self.times = np.array([problem.forward, problem.backward, problem.weight], np.int64)
        self.send = np.array([*problem.send, 0], np.int64)
        self.device_of = np.array(problem.placement, np.int64)
        self.units = np.array([problem.kept, problem.change], np.int64)
        self.limit = np.array(problem.limit, np.int64)
        self.least = 0
        self.seen: set[bytes] = set()

    def pattern(self, start: Ints, rule: tuple[int, tuple[int, int]], off: Ints) -> Pattern | None:
        """What repeats when `start` is played by a rule, with pass times off by so many per mille;
        None if nothing does, or it was seen before, or does not promise much."""
        window, (patience, eager) = rule
        order, makespan = self._played(start, (window, self.m, 0, patience, eager), 1000 + off)
        if makespan < 0 or order.tobytes() in self.seen:
            return None
        self.seen.add(order.tobytes())
        makespan = self._played(order, (1, 0, self.m, 0, 0), np.ones_like(off))[1]
        self.least = min(self.least, makespan) if self.least else makespan
        if makespan > self.least * _WORTH:
            return None
        self.effort.played(PER_COMPARED_PASS * len(order))
        lines = tuple(
            tuple(Op(_KINDS[kind], s, i) for kind, s, i in order[a:b].tolist())
            for a, b in pairwise(self.first)
        )
        with suppress(ValueError):
            schedule = Schedule(self.problem.placement, lines, self.m)
            found = repeating(schedule, largest=self.most)
            return found if found.n <= self.most else None
        return None

    def unrolled(self, problem: Problem, layout: Layout) -> Ints:
        """(kind, stage, microbatch) of a layout of `problem`, repeated."""
        n, m = layout.n, self.m
        rows: list[tuple[int, int, int]] = []
        for turns in rounds(problem, layout):
            shifts = [turn.later for turn in turns]
            for period in range(-max(shifts), m // n - min(shifts) + 1):
                for turn in turns:
                    i = turn.copy + n * (turn.later + period)
                    if 0 <= i < m:
                        rows.append(("FBW".index(turn.kind), turn.stage, i))
        return np.array(rows, np.int64)

    def _played(self, rows: Ints, zone: tuple[int, ...], factor: Ints) -> tuple[Ints, int]:
        """The order that `advanced` makes of `rows`, and its makespan; -1 if it cannot run."""
        scale = 1000 if factor.max() > 1 else 1
        order, makespan, _ = advanced(
            rows, self.first, self.times * factor, self.send * scale, self.device_of, self.units,
            self.limit, np.array(zone, np.int64),
        )  # fmt: skip
        self.effort.played((2 + zone[0] // PASSES_AT_A_GLANCE) * len(rows))
        return order, makespan


def _own(search: Search, decide: Decide, player: _Player, until: float) -> list[Ints]:
    """The best block, and what else repeats once per slightly longer period."""
    known = [player.unrolled(fine(search), search.layout)]
    whole = math.ceil(search.best)
    for longer in (1, 2, 3) if whole <= FINE and search.layout.n == 1 else ():
        if search.effort.now() < until:
            layout = decide(search.problem, whole + longer).layout
            if layout is not None:
                known.append(player.unrolled(search.problem, layout))
    return known


def _unit_blocks(player: _Player, until: float) -> list[Ints]:
    """The blocks of the paper's shape that keep the limit, repeated, as far as there is time."""
    problem, found = player.problem, list[Ints]()
    p, n_stages = problem.n_devices, len(problem.placement)
    placement: Literal["straight", "v"] = "straight" if n_stages == p else "v"
    if problem.placement != stages_on(p, placement):
        return []
    shortest = 3 * n_stages // p
    for interval in range(shortest, shortest + 3):
        for block in blocks(p, placement, interval):
            if player.effort.now() > until:
                return found
            cells = block.cells, block.interval
            player.effort.played(int(player.first[-1]))
            rows = repeated_rows(*cells, player.m, player.device_of, player.first)
            if within(rows, player.first, player.units, player.limit):
                found.append(rows)
    return found


def _turns(pattern: Pattern) -> list[list[Turn]]:
    """The rounds of a pattern, as those of a layout; only their order counts."""
    return [
        [
            Turn(i, i, op.microbatch // pattern.n, op.microbatch % pattern.n, 0, op.kind, op.stage)
            for i, (op,) in enumerate(line)
        ]
        for line in pattern.rounds
    ]
