"""Improve orders until the time is up: annealing on every worker, and windows of the solver."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from ._anneal import anneal
from ._compiled import Ints
from .greedy import Found, value
from .problem import Letters, Problem
from .windows import Improved, window

HEATS = (0.5, 0.2, 1.0, 0.05, 2.0, 0.3)
"""Hottest temperatures, in longest passes, tried in turn."""
POOL = 6
STEPS = 40_000_000
"""Passes played in one round of annealing: about a second."""


@dataclass
class Pool:
    """The best different orders of a problem, best first, and what is proven about it.

    low, high: positions on each device between which the order stays (see `middle`).
    """

    problem: Problem
    bound: int = 0
    entries: list[Found] = field(default_factory=list)
    low: Ints | None = None
    high: Ints | None = None

    @property
    def best(self) -> Found:
        return self.entries[0]

    @property
    def closed(self) -> bool:
        """Nothing better can exist."""
        return bool(self.entries) and self.entries[0].value <= self.bound

    def add(self, letters: Letters, method: str) -> bool:
        """Take in an order; True if it is the best so far."""
        found = Found(letters, value(self.problem, letters), method)
        same = [
            entry
            for entry in self.entries
            if entry.value == found.value and np.array_equal(entry.letters, letters)
        ]
        if found.value >= 2**62 or same:
            return False
        better = not self.entries or found.value < self.entries[0].value
        self.entries = sorted([*self.entries, found], key=lambda entry: entry.value)[:POOL]
        return better


def annealed(pool: Pool, letters: Letters, *, moves: int, heat: float, seed: int) -> Letters:
    """The best order that annealing finds from `letters` in so many moves."""
    q = pool.problem
    slowest = max(int(q.duration.max(initial=0)), 1)
    plan = np.array([moves, heat * 1000 * slowest, 20 * slowest, pool.bound], np.int64)
    state = np.array([(seed * 2654435761 + 88172645463325252) % 2**62 + 1], np.int64)
    whole = np.full(q.n_devices, letters.shape[1], np.int64)
    low, high = (whole if fence is None else fence for fence in (pool.low, pool.high))
    found, _, _ = anneal(
        letters, q.n_microbatches, q.clock == "longest_stage", np.array(q.placement, np.int64),
        q.duration, q.wait_on, q.delay, q.near, q.takes, q.frees, q.limits, low, high, plan, state,
    )  # fmt: skip
    return found


def improve(
    pool: Pool,
    *,
    until: float,
    workers: int,
    seed: int,
    tell: Callable[[Pool], None],
    patience: int = 10**9,
) -> None:
    """Improve `pool` in place until the moment `until`, or until it is closed.

    Rounds of annealing take turns with windows; what brings nothing gets fewer turns. Gives up
    after `patience` rounds without a better order.
    """
    q = pool.problem
    n_ops = 3 * q.n_stages * q.n_microbatches
    rng = np.random.default_rng(seed)
    idle, turn = 0, 0
    solver = 0.5  # how often windows get their turn
    with ThreadPoolExecutor(workers) as threads:
        while time.monotonic() < until and not pool.closed and idle < patience:
            before = pool.best.value
            if rng.random() < solver and turn >= 2:
                left = until - time.monotonic()
                improved = _by_solver(pool, rng, seconds=min(5.0, left), workers=workers)
                better = improved.value < before
                pool.add(improved.letters, "windows")
                solver = min(0.7, solver * 1.3) if better else max(0.15, solver * 0.8)
            else:
                moves = max(200, min(STEPS, _affordable(until, n_ops)) // n_ops)
                jobs = []
                for k in range(workers):
                    rank = min(int(rng.exponential(1.0)), len(pool.entries) - 1)
                    heat = HEATS[(turn * workers + k) % len(HEATS)]
                    jobs.append(
                        threads.submit(
                            annealed,
                            pool,
                            pool.entries[rank].letters,
                            moves=moves,
                            heat=heat,
                            seed=int(rng.integers(2**31)),
                        )
                    )
                for job in jobs:
                    pool.add(job.result(), "annealing")
                better = pool.best.value < before
                if better:
                    solver = max(0.15, solver * 0.8)
            turn += 1
            idle = 0 if better else idle + 1
            tell(pool)


def _affordable(until: float, n_ops: int) -> int:
    """Passes that can be played in what is left of the time."""
    return int(max(0.05, until - time.monotonic()) * 25_000_000)


def _by_solver(pool: Pool, rng: np.random.Generator, *, seconds: float, workers: int) -> Improved:
    """One window somewhere in the best order: about 150 passes."""
    q, best = pool.problem, pool.best
    n_ops = 3 * q.n_stages * q.n_microbatches
    span = max(best.value, 1)
    width = max(1, int(span * rng.choice([60, 100, 150, 220]) / n_ops))
    low = int(rng.uniform(-width / 2, max(1, span - width / 2)))
    return window(
        q, best.letters, low=low, high=low + width, seconds=seconds, workers=workers,
        seed=int(rng.integers(2**31)), bound=pool.bound, fence=_side(pool, rng),
    )  # fmt: skip


def _side(pool: Pool, rng: np.random.Generator) -> tuple[Ints, Ints] | None:
    """The positions that a window may touch: those before, or those after the fixed middle."""
    if pool.low is None or pool.high is None:
        return None
    length = np.full_like(pool.low, pool.best.letters.shape[1])
    return (np.zeros_like(pool.low), pool.low) if rng.random() < 0.5 else (pool.high, length)


def from_times(problem: Problem, times: Sequence[tuple[float, int, int]]) -> Letters:
    """The order in which (time, letter, microbatch) come."""
    rows: list[list[int]] = [[] for _ in range(problem.n_devices)]
    for _, letter, _ in sorted(times):
        rows[problem.placement[letter // 3]].append(letter)
    return np.array(rows, np.int32)
