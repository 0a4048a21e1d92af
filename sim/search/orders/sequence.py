"""In which sequence microbatches of unequal cost run: plain rules, and a hill climb by swaps.

An order says when the first, second, third microbatch has its turn; a sequence says which one that
is. So the two are levers beside each other, and neither needs to know much of the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import numpy as np

from ..compiled import Ints, below, compiled, overwrite
from ..settings import budget
from ..settings.effort import PASSES_PER_SECOND
from ..settings.run_options import RunOptions
from .anneal import SUM_WEIGHT, Cooling
from .improve import COLDEST
from .problem import Order, OrderProblem, OrderTables
from .replay import BROKEN, first_moments, fits_memory, play_on, replayed, within

MicrobatchOrder = Literal["free", "given", "longest-first"]
"""Whether a search may rearrange the microbatches themselves, or in which sequence they come."""
HEAT = 0.3
"""The first temperature, in longest passes."""
ROUND = 0.4
"""Seconds' worth of work between two looks at the clock."""


class Sequenced(NamedTuple):
    """An order, a problem with the sequence in which it is best, and what that takes in ticks."""

    problem: OrderProblem
    order: Order
    value: int


def by_size(problem: OrderProblem) -> dict[str, tuple[int, ...]]:
    """Sequences by rule: as given, the longest first or last, in the middle or at both ends.

    How long a microbatch is means the time of all its passes.
    """
    work = problem.tables.duration.sum(axis=0)
    longest = np.argsort(-work, kind="stable").tolist()
    ends = [*longest[::2], *longest[1::2][::-1]]
    m = len(longest)
    turned = ends[(m + 1) // 2 :] + ends[: (m + 1) // 2]
    found = {
        "given": range(m), "longest-first": longest, "shortest-first": longest[::-1],
        "longest at the ends": ends, "longest in the middle": turned,
    }  # fmt: skip
    return {rule: tuple(problem.sequence[i] for i in which) for rule, which in found.items()}


def best_sequence(
    problem: OrderProblem, orders: Iterable[Order], *, seconds: float, target: int, run: RunOptions
) -> Sequenced | None:
    """The best of some orders in the best sequence found for it; None if no rule serves any.

    First every order in every sequence by rule, then swaps in the best of them for the rest of the
    time. target: ticks to stop at. What breaks a limit of the memory is left out.
    """
    until = run.effort.now() + seconds
    found: list[Sequenced] = []
    for sequence in [problem.sequence, *by_size(problem).values()]:
        changed = problem.in_sequence(sequence)
        for order in orders:
            run.effort.played(order.size)
            value = replayed(changed, order).value
            if value < BROKEN and within(changed, order):
                found.append(Sequenced(changed, order, value))
    if not found:
        return None
    best = min(found, key=lambda entry: entry.value)
    rng = np.random.default_rng(run.seed)
    while best.value > target and (left := until - run.effort.now()) > 0:
        passes = min(ROUND, max(left, 0.01)) * PASSES_PER_SECOND
        moves = max(20, int(passes) // (best.order.size + budget.PLAYS_PER_MOVE))
        swapped, played = _climbed(best, moves, target, rng)
        run.effort.played(played + budget.PLAYS_PER_MOVE * moves)
        best = min(best, swapped, key=lambda entry: entry.value)
    return best


def _climbed(
    begin: Sequenced, moves: int, target: int, rng: np.random.Generator
) -> tuple[Sequenced, int]:
    """The best after so many swaps, and its work in plays."""
    problem = begin.problem
    slowest = 1000 * max(int(problem.tables.duration.max(initial=0)), 1)
    cooling = Cooling(moves, int(HEAT * slowest), int(COLDEST * slowest), target)
    which, value, work = swaps(begin.order, problem.longest, problem.tables, cooling, rng)
    sequence = [problem.sequence[i] for i in which.tolist()]
    return Sequenced(problem.in_sequence(sequence), begin.order, int(value)), int(work)


@compiled
def swaps(
    order: Order, longest: bool, tables: OrderTables, cooling: Cooling, rng: np.random.Generator
) -> tuple[Ints, Any, Any]:
    """Simulated annealing on the sequence: which microbatch, by its place, comes when; the value in
    ticks, and how many passes were played."""
    n_devices, m = order.shape[0], tables.duration.shape[1]
    duration, takes, frees = tables.duration.copy(), tables.takes.copy(), tables.frees.copy()
    now = OrderTables(
        tables.device_of, tables.stages_of, duration, tables.wait_on, tables.delay, tables.near,
        takes, frees, tables.limits,
    )  # fmt: skip
    end, moments = np.zeros_like(duration), first_moments(order, now, 2)
    which = np.arange(m)
    best = which.copy()
    value, total, work = play_on(order, longest, now, end, end, moments, 0, False, BROKEN)
    cost = value * 1000 + total * SUM_WEIGHT // n_devices
    best_value, best_cost = value, cost
    hot = float(cooling.hot)
    ratio = max(cooling.cold, 1) / max(cooling.hot, 1)
    for tried in range(cooling.moves):
        if best_value <= cooling.target or m < 2:
            break
        heat = hot * ratio ** (tried / cooling.moves)
        a, b = below(rng, m), below(rng, m)
        if below(rng, 2) == 0:
            b = (a + 1) % m
        if a == b:
            continue
        _swap(now, which, a, b)
        fits = True
        for d in range(n_devices):
            fits = fits and fits_memory(order[d], now, d)
        if fits:
            worst = cost - np.int64(heat * np.log(1.0 - rng.random()))
            value, total, n = play_on(
                order, longest, now, end, end, moments, 0, False, worst // 1000
            )
            work += n
            new = value * 1000 + total * SUM_WEIGHT // n_devices if value < BROKEN else BROKEN
            fits = bool(new <= worst)
        if not fits:
            _swap(now, which, a, b)
            continue
        cost = new
        if value < best_value or (value == best_value and new < best_cost):
            best_value, best_cost = value, new
            overwrite(best, which)
    return best, best_value, work


@compiled
def _swap(tables: OrderTables, which: Ints, a: Any, b: Any) -> None:
    """Let the microbatches at two places of the sequence change places."""
    which[a], which[b] = which[b], which[a]
    for code in range(len(tables.duration)):
        row = tables.duration[code]
        row[a], row[b] = row[b], row[a]
        for measure in range(2):
            row = tables.takes[measure, code]
            row[a], row[b] = row[b], row[a]
            row = tables.frees[measure, code]
            row[a], row[b] = row[b], row[a]
