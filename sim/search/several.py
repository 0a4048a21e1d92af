"""More than one microbatch per period: harder to search than one, and often faster.

Three sources, each of which starts from the best so far: the order that devices fall into when they
use idle time as it comes (`advanced`), a hill climb on the critical cycle (`polished`), and CP-SAT.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise

import numpy as np

from ..ir import Op, Schedule
from ._advance import advanced
from ._compiled import Ints
from ._polish import polished
from .interval import Pattern, repeating
from .layouts import Turn, inputs, rounds
from .periodic import Answer, Layout, Problem, rescaled
from .periods import FINE, Decide, Search, narrowed


def several(search: Search, decide: Decide, most: int) -> None:
    """Look for a block with 2 to `most` microbatches per period that beats the best with one.

    `decide` answers for one microbatch per period. Afterwards the bound of `search` holds for all
    of these.
    """
    others = {n: Search(search.problem, search.floor, search.deadline) for n in range(2, most + 1)}
    _dispatched(search, decide, most, time.monotonic() + 0.35 * search.left)
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


def _dispatched(search: Search, decide: Decide, most: int, until: float) -> None:
    """Let devices take what is ready when they would idle, for long, and see what repeats.

    From the best block and from slightly longer ones, by many rules, with times a little off; what
    takes long in all is not looked at closely.
    """
    problem = search.problem
    assert problem.limit is not None
    rng = np.random.default_rng(search.seed)
    m = max(4 * problem.n_devices, 32)
    starts = [_unrolled(_fine(search), search.layout, m)]
    whole = math.ceil(search.best)
    for longer in (1, 2, 3) if whole <= FINE and search.layout.n == 1 else ():
        layout = decide(problem, whole + longer).layout if time.monotonic() < until else None
        if layout is not None:
            starts.append(_unrolled(problem, layout, m))
    times = np.array([problem.forward, problem.backward, problem.weight], np.int64)
    fixed = (
        np.array([*problem.send, 0], np.int64),
        np.array(problem.placement, np.int64),
        np.array([problem.kept, problem.change], np.int64),
        np.array(problem.limit, np.int64),
    )
    rules = [(w, share, eager) for w in (6, 12, 24) for share, eager in _PATIENCE]
    least, turn = 0, 0
    while time.monotonic() < until and search.best > search.floor:
        rows, first = starts[turn % len(starts)]
        rule = turn // len(starts)
        window, share, eager = rules[rule % len(rules)]
        off = 1000 * np.ones_like(times)
        if rule >= len(rules):
            off += rng.integers(-60, 61, times.shape)
        turn += 1
        sends = (fixed[0] * 1000, *fixed[1:])
        zone = np.array((window, m, 0, share, eager), np.int64)
        order, makespan, _ = advanced(rows, first, times * off, *sends, zone)
        if makespan < 0:
            continue
        makespan = advanced(order, first, times, *fixed, np.array((1, 0, m, 0, 0), np.int64))[1]
        least = min(least, makespan) if least else makespan
        if makespan > least * 1.03:
            continue
        lines = [
            tuple(Op(("F", "B", "W")[k], s, i) for k, s, i in order[a:b].tolist())
            for a, b in pairwise(first)
        ]
        with suppress(ValueError):
            pattern = repeating(Schedule(problem.placement, tuple(lines), m), largest=most)
            before = search.best
            if pattern.n <= most:
                search.offer_lines(_turns(pattern), pattern.n, "dispatching into idle time")
            if search.best < before:
                starts.append(_unrolled(_fine(search), search.layout, m))


_PATIENCE = ((30, 0), (60, 0), (90, 0), (0, 1))


def _unrolled(problem: Problem, layout: Layout, m: int) -> tuple[Ints, Ints]:
    """(kind, stage, microbatch) of a layout repeated m times, and where each device starts."""
    n, counts, rows = layout.n, [0], list[tuple[int, int, int]]()
    for turns in rounds(problem, layout):
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
