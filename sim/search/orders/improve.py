"""Improve orders until the time is up: annealing on every worker, and windows of the solver."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..settings import budget
from ..settings.effort import PASSES_PER_SECOND
from ..settings.run_options import RunOptions
from .anneal import Cooling, anneal
from .limits import UNLIMITED
from .pool import Pool
from .problem import Fence, Order
from .windows import Improved, window

HEATS = (0.5, 0.2, 1.0, 0.05, 2.0, 0.3)
"""Hottest temperatures, in longest passes, tried in turn."""
COLDEST = 0.02
"""The last temperature, in longest passes."""
INSIDE, AT_ENDS = (60, 100, 150, 220), (150, 220, 320)
"""How many passes a window holds."""
USUAL, LEAST, MOST = 0.5, 0.15, 0.7
"""How often windows get their turn: to begin with, at least and at most."""


def annealed(pool: Pool, order: Order, *, moves: int, heat: float, seed: int) -> tuple[Order, int]:
    """The best order that annealing finds from `order` in so many moves, and its work in plays."""
    problem = pool.problem
    slowest = 1000 * max(int(problem.tables.duration.max(initial=0)), 1)
    cooling = Cooling(moves, int(heat * slowest), int(COLDEST * slowest), pool.bound)
    whole = np.full(problem.n_devices, order.shape[1], np.int64)
    low, high = pool.fence or (whole, whole)
    rng = np.random.default_rng(seed)
    found, passes = anneal(order, problem.longest, problem.tables, low, high, cooling, rng)
    return found, passes + budget.PLAYS_PER_MOVE * moves


def improve(
    pool: Pool,
    *,
    until: float,
    run: RunOptions,
    tell: Callable[[], None] = lambda: None,
    stop: Callable[[], bool] = lambda: False,
    patience: int | None = None,
) -> None:
    """Improve `pool` in place until the moment `until`, or until it is closed or told to `stop`.

    Rounds of annealing take turns with windows; what brings nothing gets fewer turns. Gives up
    after `patience` rounds without a better order. tell: is called after each of them.
    """
    if not run.use("annealing") and not run.use("windows"):
        return
    effort, rng = run.effort, np.random.default_rng(run.seed)
    idle = turn = 0
    share_of_windows = USUAL
    with ThreadPoolExecutor(run.workers) as threads:
        while effort.now() < until and idle != patience and not pool.closed and not stop():
            before, left = pool.best.value, until - effort.now()
            by_window = run.use("windows") and rng.random() < share_of_windows and turn > 0
            if by_window or not run.use("annealing"):
                improved = _by_window(pool, rng, min(budget.WINDOW, left), run)
                pool.add(improved.order, "windows")
            else:
                moves = _moves(pool, left)
                jobs = []
                for k in range(run.workers):
                    rank = min(int(rng.exponential(1.0)), len(pool.entries) - 1)
                    jobs.append(
                        threads.submit(
                            annealed, pool, pool.entries[rank].order, moves=moves,
                            heat=HEATS[(turn * run.workers + k) % len(HEATS)],
                            seed=int(rng.integers(2**31)),
                        )
                    )  # fmt: skip
                results = [job.result() for job in jobs]
                for order, _ in results:
                    pool.add(order, "annealing")
                effort.played(sum(passes for _, passes in results) // run.workers)
            better = pool.best.value < before
            if by_window and better:
                share_of_windows = min(MOST, share_of_windows * 1.3)
            elif by_window or better:
                share_of_windows = max(LEAST, share_of_windows * 0.8)
            effort.played(budget.PLAYS_PER_ROUND)
            turn += 1
            idle = 0 if better else idle + 1
            tell()


def _moves(pool: Pool, seconds: float) -> int:
    """How many moves of annealing make one round: no more than the time that is left allows."""
    passes = min(budget.ANNEALING, max(0.05, seconds)) * PASSES_PER_SECOND
    return max(200, int(passes) // pool.problem.n_ops)


def _by_window(pool: Pool, rng: np.random.Generator, seconds: float, run: RunOptions) -> Improved:
    """One window of about 150 passes somewhere in a good order, or of 300 at one of its ends."""
    problem = pool.problem
    rank = int(rng.integers(len(pool.entries))) if rng.random() < 0.5 else 0
    order, span = pool.entries[rank].order, max(pool.entries[rank].value, 1)
    place = rng.random()
    passes = int(rng.choice(AT_ENDS if place < 0.5 else INSIDE))
    width = max(1, span * passes // problem.n_ops)
    if place < 0.3:
        low = span - width
    elif place < 0.5:
        low = 0
    else:
        low = int(rng.uniform(-width / 2, max(1, span - width / 2)))
    free = None
    if pool.fence is not None:  # before what stays, or after it
        begin, end = np.zeros_like(pool.fence.low), np.full_like(pool.fence.low, order.shape[1])
        early, late = Fence(begin, pool.fence.low), Fence(pool.fence.high, end)
        free = late if low + width // 2 > span // 2 else early
    return window(
        problem, order, low=low, high=low + width if low + width < span else UNLIMITED,
        free=free, seconds=seconds, bound=pool.bound,
        run=RunOptions(run.effort, int(rng.integers(2**31)), run.workers),
    )  # fmt: skip
