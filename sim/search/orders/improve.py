"""Improve orders until the time is up: annealing on every worker, and windows of the solver."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from ..compiled import Ints
from ..effort import PASSES_PER_SECOND, Effort
from .anneal import anneal
from .list_scheduling import Found, value
from .problem import UNLIMITED, Letters, Problem
from .windows import Improved, window

HEATS = (0.5, 0.2, 1.0, 0.05, 2.0, 0.3)
"""Hottest temperatures, in longest passes, tried in turn."""
INSIDE, AT_ENDS = (60, 100, 150, 220), (150, 220, 320)
"""How many passes a window holds."""
POOL, PER_METHOD = 10, 3
"""How many orders are kept, and how many that were made alike."""
STEPS = 40_000_000
"""Passes played in one round of annealing: about a second."""


@dataclass
class Pool:
    """The best different orders of a problem, best first, and what is proven about it.

    low, high: positions on each device between which the order stays (see `lengthen`). effort: the
    clock that improvements go by, and where they report their work.
    """

    problem: Problem
    bound: int = 0
    entries: list[Found] = field(default_factory=list)
    low: Ints | None = None
    high: Ints | None = None
    effort: Effort = field(default_factory=Effort)

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
        ranked = sorted([found, *self.entries], key=lambda entry: entry.value)
        kept: list[Found] = []
        for entry in ranked:
            if sum(entry.method == other.method for other in kept) < PER_METHOD:
                kept.append(entry)
        self.entries = kept[:POOL]
        return better


def annealed(
    pool: Pool, letters: Letters, *, moves: int, heat: float, seed: int
) -> tuple[Letters, int]:
    """The best order that annealing finds from `letters` in so many moves, and passes played."""
    q = pool.problem
    slowest = max(int(q.duration.max(initial=0)), 1)
    plan = np.array([moves, heat * 1000 * slowest, 20 * slowest, pool.bound], np.int64)
    state = np.array([(seed * 2654435761 + 88172645463325252) % 2**62 + 1], np.int64)
    whole = np.full(q.n_devices, letters.shape[1], np.int64)
    low, high = (whole if fence is None else fence for fence in (pool.low, pool.high))
    found, _, tried = anneal(
        letters, q.n_microbatches, q.clock == "longest_stage", np.array(q.placement, np.int64),
        q.duration, q.wait_on, q.delay, q.near, q.takes, q.frees, q.limits, low, high, plan, state,
    )  # fmt: skip
    return found, tried * letters.size // 8


def improve(
    pool: Pool,
    *,
    until: float,
    workers: int,
    seed: int,
    tell: Callable[[Pool], None],
    patience: int = 10**9,
    without: Collection[str] = (),
) -> None:
    """Improve `pool` in place until the moment `until` of its effort, or until it is closed.

    Rounds of annealing take turns with windows; what brings nothing gets fewer turns. Gives up
    after `patience` rounds without a better order. without: methods not to use ("annealing",
    "windows").
    """
    q, effort = pool.problem, pool.effort
    n_ops = 3 * q.n_stages * q.n_microbatches
    rng = np.random.default_rng(seed)
    no_windows, no_annealing = "windows" in without, "annealing" in without
    if no_windows and no_annealing:
        return
    idle, turn = 0, 0
    solver = 0.5  # how often windows get their turn
    with ThreadPoolExecutor(workers) as threads:
        while effort.now() < until and not pool.closed and idle < patience:
            before = pool.best.value
            if no_annealing or (not no_windows and rng.random() < solver and turn >= 1):
                left = until - effort.now()
                improved = _by_solver(pool, rng, seconds=min(6.0, left), workers=workers)
                better = improved.value < before
                pool.add(improved.letters, "windows")
                solver = min(0.7, solver * 1.3) if better else max(0.15, solver * 0.8)
            else:
                moves = max(200, min(STEPS, _affordable(until - effort.now())) // n_ops)
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
                work = 0
                for job in jobs:
                    found, played = job.result()
                    pool.add(found, "annealing")
                    work += played
                effort.played(work // workers)
                better = pool.best.value < before
                if better:
                    solver = max(0.15, solver * 0.8)
            turn += 1
            idle = 0 if better else idle + 1
            tell(pool)


def _affordable(seconds: float) -> int:
    """Passes that can be played in so much time."""
    return int(max(0.05, seconds) * PASSES_PER_SECOND)


def _by_solver(pool: Pool, rng: np.random.Generator, *, seconds: float, workers: int) -> Improved:
    """One window of about 150 passes somewhere in a good order, or of 300 at one of its ends."""
    q = pool.problem
    rank = int(rng.integers(len(pool.entries))) if rng.random() < 0.5 else 0
    letters = pool.entries[rank].letters
    span = max(pool.entries[rank].value, 1)
    n_ops = 3 * q.n_stages * q.n_microbatches
    place = rng.random()
    width = max(1, span * int(rng.choice(AT_ENDS if place < 0.5 else INSIDE)) // n_ops)
    if place < 0.3:
        low = span - width
    elif place < 0.5:
        low = 0
    else:
        low = int(rng.uniform(-width / 2, max(1, span - width / 2)))
    fence = None
    if pool.low is not None and pool.high is not None:  # before the fixed middle, or after it
        length = np.full_like(pool.low, letters.shape[1])
        ends = (np.zeros_like(pool.low), pool.low), (pool.high, length)
        fence = ends[low + width // 2 > span // 2]
    return window(
        q, letters, low=low, high=low + width if low + width < span else UNLIMITED,
        seconds=seconds, workers=workers, seed=int(rng.integers(2**31)), bound=pool.bound,
        fence=fence, effort=pool.effort,
    )  # fmt: skip
