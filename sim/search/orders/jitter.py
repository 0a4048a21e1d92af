"""Orders for times that vary: a quantile of the clock over drawn times instead of the nominal one.

Every pass of every draw has a random factor, lognormal as `simulate(jitter=...)` draws it, and all
orders see the same factors (common random numbers), so that two of them differ by what they are and
not by luck. An order that is best on the draws it was chosen by is a little worse on others: what
is reported comes from fresh ones.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..compiled import Ints, below, compiled, overwrite, ranked
from ..settings import budget
from ..settings.effort import PASSES_PER_SECOND
from ..settings.run_options import RunOptions
from .anneal import SUM_WEIGHT, Cooling, critical_path, deciding, moved_row, random_step, somewhere
from .improve import COLDEST
from .problem import STEPS_PER_LARGEST, Order, OrderProblem, OrderTables
from .replay import BROKEN, first_moments, fits_memory, play_on

HEAT = 0.2
"""The first temperature, in longest passes."""
ROUND = 1.0
"""Seconds' worth of work between two looks at the clock."""


class Draws(NamedTuple):
    """A problem under drawn times.

    tables: of the problem in finer ticks, `fine` of them each. durations: of every run of every
    code in every draw, shape `(n_draws, n_codes, n_microbatches)`. rank: which of the sorted values
    is the quantile.
    """

    problem: OrderProblem
    tables: OrderTables
    fine: int
    durations: Ints
    rank: int


def drawn(
    problem: OrderProblem, *, jitter: float, quantile: float, how_many: int, seed: int
) -> Draws:
    """So many draws; jitter: standard deviation of the logarithm of a factor, which has median 1.

    quantile: 0 to 1; of n sorted values it is the one at place ceil(quantile n).
    """
    tables = problem.tables
    fine = max(1, STEPS_PER_LARGEST // max(int(tables.duration.max(initial=0)), 1))
    factors = np.random.default_rng(seed).lognormal(0, jitter, (how_many, *tables.duration.shape))
    durations = np.rint(factors * (tables.duration * fine)).astype(np.int64)
    finer = tables._replace(duration=tables.duration * fine, delay=tables.delay * fine)
    rank = max(math.ceil(quantile * how_many - 1e-9), 1) - 1
    return Draws(problem, finer, fine, durations, rank)


def values(draws: Draws, order: Order) -> NDArray[np.float64]:
    """What an order takes in each draw, in units of the costs, shape `(n_draws,)`."""
    found = np.zeros(len(draws.durations), np.int64)
    longest = draws.problem.longest
    _played(order, longest, draws.tables, draws.durations, len(found), BROKEN, found)
    return np.asarray(found / (draws.fine * float(draws.problem.scale)))


def quantile_of(draws: Draws, order: Order) -> float:
    """The quantile of that."""
    return float(np.sort(values(draws, order))[draws.rank])


def steadied(draws: Draws, order: Order, *, seconds: float, run: RunOptions) -> tuple[Order, float]:
    """The order with the smallest quantile found from `order` in so many seconds; the quantile."""
    until = run.effort.now() + seconds
    rng = np.random.default_rng(run.seed)
    slowest = 1000 * max(int(draws.durations.max(initial=0)), 1)
    best, value = order, quantile_of(draws, order)
    per_move = max(1, len(draws.durations) * order.size // 2)
    heat = HEAT
    with ThreadPoolExecutor(run.workers) as threads:
        while (left := until - run.effort.now()) > 0:
            passes = min(ROUND, max(left, 0.01)) * PASSES_PER_SECOND
            moves = max(20, int(passes) // per_move)
            cooling = Cooling(moves, int(heat * slowest), int(COLDEST * slowest), 0)
            jobs = [
                threads.submit(
                    _anneal, best, draws.problem.longest, draws.tables, draws.durations, draws.rank,
                    cooling, np.random.default_rng(rng.integers(2**31)),
                )
                for _ in range(run.workers)
            ]  # fmt: skip
            done = [job.result() for job in jobs]
            passes = sum(int(work) for _, work in done) // run.workers
            run.effort.played(passes + budget.PLAYS_PER_MOVE * moves)
            for order, _ in done:
                if (now := quantile_of(draws, order)) < value:
                    best, value = order, now
            heat *= 0.7
    return best, value


@compiled
def _with(tables: OrderTables, duration: Ints) -> OrderTables:
    return OrderTables(
        tables.device_of, tables.stages_of, duration, tables.wait_on, tables.delay, tables.near,
        tables.takes, tables.frees, tables.limits,
    )  # fmt: skip


@compiled
def _played(
    order: Order, longest: bool, tables: OrderTables, durations: Ints, allowed: Any, worst: Any,
    found: Ints,
) -> tuple[Any, Any]:  # fmt: skip
    """Play every draw; the sum of the last ends, and how many passes were played.

    found: takes the value of each draw. allowed: how many draws may be above `worst` before the
    rest is not played any more: then the sum is BROKEN.
    """
    total, work = np.int64(0), np.int64(0)
    for k in range(len(durations)):
        now = _with(tables, durations[k])
        moments = first_moments(order, now, 2)
        end = np.zeros_like(now.duration)
        value, ends, n = play_on(order, longest, now, end, end, moments, 0, False, worst)
        work += n
        found[k] = value
        if value > worst:
            allowed -= 1
            if allowed < 0:
                return np.int64(BROKEN), work
            ends = worst * order.shape[0]
        total += ends
    return total, work


@compiled
def _anneal(
    start: Order, longest: bool, tables: OrderTables, durations: Ints, rank: Any, cooling: Cooling,
    rng: np.random.Generator,
) -> tuple[Order, Any]:  # fmt: skip
    """The best order found from `start` by the quantile, and how many passes were played.

    Moves are those of `anneal`, along the critical path of one draw after the other.
    """
    n_devices, length = start.shape
    row_step = 3 * tables.stages_of.shape[1]
    n_draws, m = len(durations), length // row_step
    order, best = start.copy(), start.copy()
    found = np.zeros(n_draws, np.int64)
    spots = np.zeros((n_devices * length + 1, 2), np.int64)
    total, work = _played(order, longest, tables, durations, n_draws, BROKEN, found)
    if found.max() >= BROKEN:
        return best, work
    value = ranked(found, rank)
    cost = value * 1000 + total * SUM_WEIGHT // (n_devices * n_draws)
    best_cost = cost
    hot = float(cooling.hot)
    ratio = max(cooling.cold, 1) / max(cooling.hot, 1)
    n_spots: Any = 0
    for tried in range(cooling.moves):
        heat = hot * ratio ** (tried / cooling.moves)
        if n_spots == 0:
            now = _with(tables, durations[below(rng, n_draws)])
            end, place = np.zeros_like(now.duration), np.zeros_like(now.duration)
            moments = first_moments(order, now, 2)
            work += play_on(order, longest, now, end, place, moments, 0, True, BROKEN)[2]
            last = deciding(order, longest, now.duration, end, rng)
            n_spots = critical_path(order, now, end, place, last, spots)
        d, x = somewhere(order, spots, n_spots, rng)
        to = x + random_step(row_step, rng)
        if to < 0 or to >= length or order[d, to] == order[d, x]:
            continue
        saved = order[d].copy()
        times = 1 + below(rng, m) if below(rng, 3) == 0 else 1
        if not moved_row(order[d], saved, x, to, row_step, times, length, length):
            continue
        if not fits_memory(order[d], tables, d):
            overwrite(order[d], saved)
            continue
        worst = cost - np.int64(heat * np.log(1.0 - rng.random()))
        allowed = n_draws - 1 - rank
        total, n = _played(order, longest, tables, durations, allowed, worst // 1000, found)
        work += n
        new = np.int64(BROKEN)
        if total < BROKEN:
            # what is above `worst` was not played to its end, and is above the quantile too
            new = ranked(found, rank) * 1000 + total * SUM_WEIGHT // (n_devices * n_draws)
        if new > worst:
            overwrite(order[d], saved)
            continue
        cost, n_spots = new, 0
        if cost < best_cost:
            best_cost = cost
            overwrite(best, order)
    return best, work
