"""The search under way: starts first, then exact windows or local search, until time is up.

Small schedules go to the solver as a whole; of long ones only warm-up and cool-down are improved,
without most of the steady state between them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..schedule.ir import Schedule
from .orders.improve import Pool, improve
from .orders.lengthen import Shortened, longer, with_middle, without_middle
from .orders.list_scheduling import Found, value
from .orders.problem import UNLIMITED, Letters, Problem
from .orders.windows import window
from .placement import Placement
from .starts import How, starts, unit_block, within

if TYPE_CHECKING:
    from .periodic.smallest_interval import ComputedBlock

TIP = 350
"""How many passes the solver gets at either end of a long schedule."""
RACES = 8
"""How many orders are tried as the steady state of a long schedule."""
EXACT = 700
"""Up to so many passes the solver is asked about the whole schedule at once."""


@dataclass
class Contest:
    """One search under way.

    one_by_one: the order to start from. bound: ticks that no order can take less than. until: the
    moment of the effort to end at. pool: the best orders so far. block: the computed block, once
    there is one. tried: what the starts gave.
    """

    problem: Problem
    one_by_one: Schedule
    bound: int
    until: float
    how: How
    line: ProgressLine
    pool: Pool = field(init=False)
    block: ComputedBlock | None = None
    tried: list[Found] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pool = Pool(self.problem, self.bound, effort=self.how.effort)
        letters = self.problem.letters(self.one_by_one)
        if letters is not None:
            self.pool.add(letters, "one by one")

    def now(self) -> float:
        return self.how.effort.now()

    def everything(self, placement: Placement) -> None:
        """Starts, then exact windows if it is small, then local search, from small to whole."""
        budget = max(self.until - self.now(), 0.0)
        for found in starts(self.problem, placement, seconds=0.4 * budget, how=self.how):
            if found.block is not None:
                self.block = found.block
            if found.letters is not None:
                self.pool.add(found.letters, found.method)
                self.tried.append(
                    Found(found.letters, value(self.problem, found.letters), found.method)
                )
            self.line.tell(self.pool)
            if self.pool.closed:
                return
        n_ops = 3 * self.problem.n_stages * self.problem.n_microbatches
        left, without = self.until - self.now(), self.how.without
        if n_ops <= EXACT:
            self._local(self.now() + 0.25 * left, patience=12)
            if not self.pool.closed and "exact" not in without:
                self._exact(0.6 * (self.until - self.now()))
        else:
            if "twin" not in without:
                self._twin(placement, 0.3 * left)
            if "tips" not in without:
                self._tips(0.25 * left)
            if "ends" not in without:
                self._ends(self.now() + 0.3 * left)
        self._local(self.until, patience=40 if n_ops <= EXACT else 10**9)

    def _local(self, until: float, patience: int) -> None:
        improve(
            self.pool, until=until, workers=self.how.workers, seed=self.how.seed,
            tell=self.line.tell, patience=patience, without=self.how.without,
        )  # fmt: skip

    def _exact(self, seconds: float) -> None:
        """The whole schedule as one window: an optimum with proof, or a bound."""
        if seconds <= 0.1:
            return
        found = window(
            self.problem, self.pool.best.letters, seconds=seconds, workers=self.how.workers,
            seed=self.how.seed, bound=self.bound, effort=self.how.effort,
        )  # fmt: skip
        self.pool.add(found.letters, "solver")
        self.pool.bound = max(self.pool.bound, found.bound)
        self.line.tell(self.pool)

    def _twin(self, placement: Placement, seconds: float) -> None:
        """Improve a schedule of few microbatches as a whole, and lengthen what comes out."""
        size = 2 * self.problem.n_devices + 4
        if 4 * size > 3 * self.problem.n_microbatches:
            return
        until = self.now() + seconds
        twin = Pool(self.problem.with_microbatches(size), effort=self.how.effort)
        for letters in self._short_orders(twin.problem, placement, 0.25 * seconds):
            twin.add(letters, "twin")
        if twin.entries:
            improve(
                twin, until=until, workers=self.how.workers, seed=self.how.seed,
                tell=self._tell_lengthened(), patience=12, without=self.how.without,
            )  # fmt: skip

    def _short_orders(
        self, small: Problem, placement: Placement, seconds: float
    ) -> Iterator[Letters]:
        """Orders of the small problem: a block of the paper's, and the best ones shortened."""
        if placement != "loop" and "unit-blocks" not in self.how.without:
            block = unit_block(small, placement, seconds=seconds, how=self.how)
            if block is not None:
                yield block
        for entry in sorted(self.tried, key=lambda entry: entry.value)[:RACES]:
            keep = small.n_microbatches // 2
            short = without_middle(self.problem, entry.letters, keep)
            if short is not None and short.problem.n_microbatches == small.n_microbatches:
                yield short.letters

    def _tell_lengthened(self) -> Callable[[Pool], None]:
        """Take every new order of a twin, made as long as the problem."""
        done: set[bytes] = set()

        def tell(twin: Pool) -> None:
            q = self.problem
            for entry in twin.entries[:3]:
                if entry.letters.tobytes() in done:
                    continue
                done.add(entry.letters.tobytes())
                letters = longer(twin.problem, entry.letters, q.n_microbatches)
                if letters is not None and within(q, letters):
                    method = _and(entry.method, "lengthened")
                    self.pool.add(letters, method)
                    self.tried.append(Found(letters, value(q, letters), method))
            twin.bound = 10**18 if self.pool.closed else 0
            self.line.tell(self.pool)

        return tell

    def _tips(self, seconds: float) -> None:
        """Give the last and the first passes of the best orders of two origins to the solver."""
        q = self.problem
        best: dict[str, Found] = {}
        for entry in sorted(self.tried, key=lambda entry: entry.value):
            best.setdefault(entry.method, entry)
        chosen = list(best.values())[:2]
        n_ops = 3 * q.n_stages * q.n_microbatches
        for entry in chosen:
            letters, worth = entry.letters, entry.value
            width = max(1, worth * TIP // n_ops)
            for low, high, share in ((worth - width, UNLIMITED, 0.7), (0, width, 0.3)):
                if self.pool.closed:
                    return
                found = window(
                    q, letters, low=low, high=high, seconds=share * seconds / len(chosen),
                    workers=self.how.workers, seed=self.how.seed, bound=self.bound,
                    effort=self.how.effort,
                )  # fmt: skip
                letters = found.letters
            if found.value < worth:
                self.pool.add(letters, _and(entry.method, "windows"))
                self.tried.append(Found(letters, found.value, _and(entry.method, "windows")))
            self.line.tell(self.pool)

    def _ends(self, until: float) -> None:
        """Improve warm-up and cool-down of many orders without most of their steady state.

        All get a little time, the better half of them more, and so on: which steady state allows
        the best ends shows only then.
        """
        q = self.problem
        keep = q.n_devices + q.n_devices // 2 + 3
        races = []
        for entry in sorted(self.tried, key=lambda entry: entry.value):
            short = without_middle(q, entry.letters, keep)
            if short is not None and short.problem.n_microbatches <= 0.8 * q.n_microbatches:
                ends = Pool(
                    short.problem, 0, low=short.low, high=short.high, effort=self.how.effort
                )
                ends.add(short.letters, entry.method)
                races.append((entry, short, ends))
            if len(races) == RACES:
                break
        while races and not self.pool.closed:
            left = until - self.now()
            last = len(races) == 1
            share = left if last else left / (2 * len(races))
            if left < 0.2:
                return
            scores = []
            for position, (entry, short, ends) in enumerate(races):
                improve(
                    ends, until=self.now() + share, workers=self.how.workers,
                    seed=self.how.seed + position, tell=self._tell_ends(entry, short),
                    without=self.how.without,
                )  # fmt: skip
                found = with_middle(short, ends.best.letters)
                scores.append((value(q, found), position))
                if self.pool.closed:
                    return
            if last:
                return
            races = [races[position] for _, position in sorted(scores)[: (len(races) + 1) // 2]]

    def _tell_ends(self, entry: Found, short: Shortened) -> Callable[[Pool], None]:
        def tell(ends: Pool) -> None:
            self.pool.add(with_middle(short, ends.best.letters), _and(entry.method, "ends"))
            ends.bound = 10**18 if self.pool.closed else 0
            self.line.tell(self.pool)

        return tell


class ProgressLine:
    """One line on stderr that is written over while the search goes on."""

    def __init__(self, shown: bool, problem: Problem) -> None:
        self.shown, self.problem = shown, problem
        self.began = time.monotonic()

    def tell(self, pool: Pool) -> None:
        if not self.shown or not pool.entries:
            return
        best, bound = (float(self.problem.in_units(x)) for x in (pool.best.value, pool.bound))
        gap = 100 * (best / bound - 1) if bound else 0.0
        seconds = time.monotonic() - self.began
        text = f"search {seconds:3.0f} s: best {best:g}, bound {bound:g}, gap {gap:.1f} %"
        print(f"\r{text:<78}", end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        if self.shown:
            print(file=sys.stderr)


def _and(method: str, more: str) -> str:
    return method if method.endswith(more) else f"{method} + {more}"
