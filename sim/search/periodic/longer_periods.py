"""More than one microbatch per period: harder to search than one, and often faster.

Three sources, each of which starts from the best so far: the order that devices fall into when they
use idle time as it comes (`dispatched`), a hill climb on the critical cycle (`polished`), and
CP-SAT where it has a chance.
"""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from itertools import pairwise

import numpy as np

from ..compiled import Ints
from .bisection import Decide, Search, narrowed
from .climb import polished
from .dispatch import dispatched, fine
from .layout import Turn, inputs, rounds
from .problem import Answer, Problem, chain_length


def several(search: Search, decide: Decide, most: int, without: Collection[str] = ()) -> None:
    """Look for a block with 2 to `most` microbatches per period that beats the best with one.

    `decide` answers for one microbatch per period. Afterwards the bound of `search` holds for all
    of these. without: names of methods not to use: dispatch, climb, period-solver.
    """
    sizes = range(2, most + 1)
    solvable = [n for n in sizes if 3 * len(search.problem.placement) * n <= SOLVABLE]
    if "period-solver" in without:
        solvable = []
    now = search.effort.now
    if "dispatch" not in without:
        dispatched(search, decide, most, now() + 0.4 * search.left)
    if "climb" not in without:
        _climbed(search, most, now() + (0.5 if solvable else 1.0) * search.left)
    bounds = dict.fromkeys(sizes, search.floor)
    for position, n in enumerate(solvable):
        if search.best <= search.floor:
            break
        until = now() + max(search.left, 0) / (len(solvable) - position)
        other = Search(
            search.problem, search.floor, until, search.workers, search.seed, search.effort
        )
        if n % search.layout.n == 0:
            lines = rounds(fine(search), search.layout)
            other.offer_lines(_copied(lines, n // search.layout.n), n, search.method)
        narrowed(other, Solver(other, n).decide, n, "modulo scheduling with CP-SAT")
        bounds[n] = other.bound
        if other.best < search.best:
            search.layout, search.scale, search.best = other.layout, other.scale, other.best
            search.method = other.method
    search.bound = min(search.bound, *bounds.values(), search.best)


SOLVABLE = 160
"""Passes in a period up to which CP-SAT is asked."""
PER_MOVED_PASS = 2
"""Work of a move of the hill climb, in played passes for each pass of the period."""


class Solver:
    """CP-SAT, with a fair part of the time left for each question."""

    def __init__(self, search: Search, n: int) -> None:
        self.search, self.n = search, n

    def decide(self, problem: Problem, period: int) -> Answer:
        from .decide_any import solved

        search = self.search
        hint = search.layout if search.layout.n == self.n else None
        found = solved(
            problem,
            period,
            self.n,
            time_limit=max(search.left * 0.4, 0.05),
            workers=search.workers,
            seed=search.seed,
            hint=hint,
            effort=search.effort,
        )
        return Answer(found.layout, found.proven)


def _copied(lines: list[list[Turn]], times: int) -> list[list[Turn]]:
    """Rounds of one period as rounds of `times` periods."""
    n = 1 + max(turn.copy for turn in lines[0])
    found = []
    for turns in lines:
        line = []
        for period in range(times):
            for turn in turns:
                later, part = divmod(turn.later + period, times)
                line.append(turn._replace(later=later, copy=turn.copy + n * part))
        found.append(line)
    return found


def _climbed(search: Search, most: int, until: float) -> None:
    """Hill climbs from the best block, for every number of its periods that fits in `most`."""
    problem, seed = search.problem, search.seed
    walks: dict[int, _Walk] = {}
    while search.effort.now() < until and search.best > search.floor:
        for n in range(search.layout.n, most + 1, search.layout.n):
            if n not in walks or walks[n].best > search.best:
                copies = _copied(rounds(fine(search), search.layout), n // search.layout.n)
                walks[n] = _Walk(problem, copies, n)
            seed += 1
            lines = walks[n].on((0.0, 0.0, 0.01, 0.03)[seed % 4], seed, search)
            if walks[n].best < search.best:
                search.offer_lines(lines, n, "hill climb on the critical cycle")
                if walks[n].best < search.best:
                    return  # an order of passes at one instant that is not realised
                break  # from the new best, if it has another number of microbatches
            if search.effort.now() > until:
                break


class _Walk:
    """A hill climb under way: where it stands, and the best interval it has met."""

    def __init__(self, problem: Problem, lines: list[list[Turn]], n: int) -> None:
        self.problem, self.n, self.tries = problem, n, 500
        self.order, self.later, self.first, *self.fixed = _arrays(problem, lines, n)
        self.best = Fraction(chain_length(problem))

    def on(self, heat: float, seed: int, search: Search) -> list[list[Turn]]:
        """Walk on for a third of a second or so from the best order, and return that."""
        start = search.effort.now()
        length, edges, slot, units, limit = self.fixed
        self.order, self.later, ticks, periods = polished(
            self.order, self.later, self.first, length, edges, slot, units, limit,
            self.tries, heat, seed, float(search.floor * self.n),
        )  # fmt: skip
        search.effort.played(PER_MOVED_PASS * self.tries * self.order.size)
        self.best = Fraction(ticks, periods * self.n)
        if search.effort.now() - start < 0.3:
            self.tries = min(2 * self.tries, 10**6)
        return _lines(self.problem, self.order, self.later, self.first, self.n)


def _arrays(problem: Problem, lines: list[list[Turn]], n: int) -> tuple[Ints, ...]:
    """What `polished` takes; node 3 (copy * stages + stage) + kind."""
    n_stages = len(problem.placement)

    def node(kind: str, stage: int, copy: int) -> int:
        return 3 * (copy * n_stages + stage) + "FBW".index(kind)

    order = [node(turn.kind, turn.stage, turn.copy) for turns in lines for turn in turns]
    later = [0] * len(order)
    for turn, place in zip((turn for turns in lines for turn in turns), order, strict=True):
        later[place] = turn.later
    stages = [s for _ in range(n) for s in range(n_stages)]
    edges = [
        (node(*a, copy), node(*b, copy), problem.durations(a[0])[a[1]] + gap)
        for copy in range(n)
        for a, b, gap in inputs(problem)
    ]
    tables = (
        order,
        later,
        np.cumsum([0, *map(len, lines)]),
        [problem.durations(kind)[s] for s in stages for kind in "FBW"],
        edges,
        [(kind, s) for s in stages for kind in range(3)],
        [problem.kept, problem.change],
        problem.limit,
    )
    return tuple(np.array(table, np.int64) for table in tables)


def _lines(problem: Problem, order: Ints, later: Ints, first: Ints, n: int) -> list[list[Turn]]:
    """The rounds in the arrays of `polished`."""
    n_stages = len(problem.placement)
    return [
        [
            Turn(i, i, int(later[x]), x // 3 // n_stages, 0, "FBW"[x % 3], x // 3 % n_stages)
            for i, x in enumerate(order[a:b].tolist())
        ]
        for a, b in pairwise(first)
    ]
