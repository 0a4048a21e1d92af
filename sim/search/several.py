"""More than one microbatch per period: harder to search than one, and often faster.

Three sources, each of which starts from the best so far: the order that devices fall into when they
use idle time as it comes (`advanced`), a hill climb on the critical cycle (`polished`), and CP-SAT.
"""

from __future__ import annotations

import time
from fractions import Fraction
from itertools import pairwise

import numpy as np

from ..ir import Op, Schedule
from ._advance import advanced
from ._compiled import Ints
from ._polish import polished
from .interval import Pattern, repeating
from .layouts import Turn, inputs, rounds
from .periodic import Answer, Problem, rescaled
from .periods import Search, narrowed


def several(search: Search, most: int) -> None:
    """Look for a block with 2 to `most` microbatches per period that beats the best with one.

    Afterwards the bound of `search` holds for all of these.
    """
    others = {n: Search(search.problem, search.floor, search.deadline) for n in range(2, most + 1)}
    _dispatched(search, most)
    start, span = time.monotonic(), search.left
    for n in others:
        _climbed(search, n, start + span * 0.5 * (n - 1) / (most - 1))
    for n, other in others.items():
        if search.best <= search.floor:
            break
        other.deadline = time.monotonic() + max(search.left, 0) / (most + 1 - n)
        other.workers, other.seed = search.workers, search.seed
        if search.layout.n in (1, n):
            lines = rounds(_fine(search), search.layout)
            other.offer_lines(_copied(lines, n // search.layout.n), n, search.method)
        narrowed(other, Solver(other, n).decide, n, "modulo scheduling with CP-SAT")
        if other.best < search.best:
            search.layout, search.scale, search.best = other.layout, other.scale, other.best
            search.method = other.method
    search.bound = min(search.bound, *(other.bound for other in others.values()), search.best)


class Solver:
    """CP-SAT, with a fair part of the time left for each question."""

    def __init__(self, search: Search, n: int) -> None:
        self.search, self.n = search, n

    def decide(self, problem: Problem, period: int) -> Answer:
        from .constraint_model import solved

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
        )
        return Answer(found.layout, found.proven)


def _dispatched(search: Search, most: int) -> None:
    """Let devices take what is ready when they would idle, for long, and see what repeats."""
    problem = search.problem
    m = max(4 * problem.n_devices, 32) * search.layout.n
    rows, first = _unrolled(_fine(search), search, m)
    assert problem.limit is not None
    arrays = (
        np.array([problem.forward, problem.backward, problem.weight], np.int64),
        np.array([*problem.send, 0], np.int64),
        np.array(problem.placement, np.int64),
        np.array([problem.kept, problem.change], np.int64),
        np.array(problem.limit, np.int64),
    )
    for window in (6, 12, 24):
        for patience, eager in ((30, 0), (60, 0), (90, 0), (0, 1)):
            if search.left <= 0:
                return
            zone = np.array((window, m, 0, patience, eager), np.int64)
            order, makespan, _ = advanced(rows, first, *arrays, zone)
            if makespan < 0:
                continue
            lines = [
                tuple(Op(("F", "B", "W")[k], s, i) for k, s, i in order[a:b].tolist())
                for a, b in pairwise(first)
            ]
            try:
                pattern = repeating(Schedule(problem.placement, tuple(lines), m), largest=most)
            except ValueError:
                continue
            if pattern.n <= most:
                search.offer_lines(_turns(pattern), pattern.n, "dispatching into idle time")


def _unrolled(fine: Problem, search: Search, m: int) -> tuple[Ints, Ints]:
    """(kind, stage, microbatch) of the best layout repeated, and where each device starts."""
    n, counts, rows = search.layout.n, [0], list[tuple[int, int, int]]()
    for turns in rounds(fine, search.layout):
        shifts = [turn.later for turn in turns]
        for period in range(-max(shifts), m // n - min(shifts) + 1):
            for turn in turns:
                i = turn.copy + n * (turn.later + period)
                if 0 <= i < m:
                    rows.append(("FBW".index(turn.kind), turn.stage, i))
        counts.append(len(rows))
    return np.array(rows, np.int64), np.array(counts, np.int64)


def _turns(pattern: Pattern) -> list[list[Turn]]:
    """The rounds of a pattern, as those of a layout; only their order counts."""
    return [
        [
            Turn(i, i, op.microbatch // pattern.n, op.microbatch % pattern.n, 0, op.kind, op.stage)
            for i, (op,) in enumerate(line)
        ]
        for line in pattern.rounds
    ]


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


def _fine(search: Search) -> Problem:
    """The problem in the ticks of the best layout."""
    return rescaled(search.problem, search.scale, 1)


def _climbed(search: Search, n: int, until: float) -> None:
    """Hill climb from the best block, if its period divides one of `n` microbatches."""
    problem = search.problem
    if n % search.layout.n:
        return
    lines = _copied(rounds(_fine(search), search.layout), n // search.layout.n)
    order, later, first, length, edges, slot, units, limit = _arrays(problem, lines, n)
    best, tries, seed = Fraction(0), 200, search.seed
    while time.monotonic() < until and search.best > search.floor:
        start = time.monotonic()
        seed += 1
        target = float(search.floor * n)
        order, later, num, den = polished(
            order,
            later,
            first,
            length,
            edges,
            slot,
            units,
            limit,
            tries,
            (0.0, 0.01, 0.03)[seed % 3],
            seed,
            target,
        )
        if not best or Fraction(num, den) < best:
            best = Fraction(num, den)
            search.offer_lines(
                _lines(problem, order, later, first, n), n, "hill climb on the critical cycle"
            )
        if time.monotonic() - start < 0.3:
            tries *= 2


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
