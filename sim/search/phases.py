"""The search under way: starts first, then exact windows or local search, until time is up.

Small schedules go to the solver as a whole; of long ones only warm-up and cool-down are improved,
without most of the steady state between them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..schedule.ir import Schedule
from .orders.improve import improve
from .orders.lengthen import Shortened, with_middle, without_middle
from .orders.limits import UNLIMITED
from .orders.pool import Candidate, Pool
from .orders.problem import Order, OrderProblem
from .orders.replay import within
from .orders.sequence import best_sequence, by_size
from .orders.windows import window
from .placement import Placement
from .settings import budget
from .settings.run_options import RunOptions
from .starts import simple_starts, starts

if TYPE_CHECKING:
    from .periodic.smallest_interval import ComputedBlock

TIP = 350
"""How many passes the solver gets at either end of a long schedule."""
RACES = 8
"""How many orders are tried as the steady state of a long schedule."""
EXACT = 700
"""Up to so many passes the solver is asked about the whole schedule at once."""
TO_SEQUENCE = 3
"""Of how many orders the sequence of microbatches is looked for."""
SEQUENCES = 3
"""How often local search and the sequence of microbatches take turns in the end."""
PATIENCE = 12
"""Rounds without a better order after which something else is tried."""


@dataclass
class Phases:
    """One search under way.

    one_by_one: the order to start from. bound: ticks that no order can take less than. until: the
    moment of the run's effort to end at. tell: is called after each step. pool: the best orders so
    far. block: the computed block, once there is one. tried: what the starts gave, and what became
    of it. resequence: whether the sequence of the microbatches may be changed, too. warm_start: an
    earlier order to go on from.
    """

    problem: OrderProblem
    one_by_one: Schedule
    bound: int
    until: float
    run: RunOptions
    tell: Callable[[Pool], None] = lambda pool: None
    pool: Pool = field(init=False)
    block: ComputedBlock | None = None
    tried: list[Candidate] = field(default_factory=list)
    resequence: bool = False
    warm_start: Order | None = None

    def __post_init__(self) -> None:
        self.pool = Pool(self.problem, self.bound)
        order = self.problem.order(self.one_by_one)
        if order is not None:
            self.pool.add(order, "one by one")

    def everything(self, placement: Placement) -> None:
        """Starts, then exact windows if it is small, then local search, from small to whole."""
        if self.warm_start is not None:
            self._add(self.warm_start, "start")
            self.tell(self.pool)
        self._race_of_sequences(placement, budget.FIRST_SEQUENCE * self._left())
        for start in starts(
            self.problem, placement, seconds=budget.STARTS * self._left(), run=self.run
        ):
            self.block = start.block or self.block
            if start.order is not None:
                self._add(start.order, start.method)
            self.tell(self.pool)
            if self.pool.closed:
                return
        small, left = self.problem.n_ops <= EXACT, self._left()
        if small:
            self._local(budget.BEFORE_EXACT * left, patience=PATIENCE)
            self._exact(budget.EXACT * self._left())
        else:
            self._tips(budget.TIPS * left)
            self._ends(budget.ENDS * left)
        for turns in range(SEQUENCES if self.resequence else 0, 0, -1):
            self._local(self._left() / (turns + 1), patience=40 if small else None)
            self._sequence(self._left() / (2 * turns + 1))
        self._local(self._left(), patience=40 if small else None)

    def _left(self) -> float:
        return max(self.until - self._now(), 0.0)

    def _now(self) -> float:
        return self.run.effort.now()

    def _add(self, order: Order, method: str) -> None:
        self.tried.append(self.pool.add(order, method))

    def _best_tried(self) -> list[Candidate]:
        return sorted(self.tried, key=lambda entry: entry.value)

    def _local(self, seconds: float, patience: int | None) -> None:
        improve(
            self.pool, until=self._now() + seconds, run=self.run, patience=patience,
            tell=lambda: self.tell(self.pool),
        )  # fmt: skip

    def _sequence(self, seconds: float) -> None:
        """Rearrange the microbatches under the best orders, and go on with what that gives."""
        if not self.resequence or self.pool.closed or seconds <= 0:
            return
        orders = [entry.order for entry in self.pool.entries[:TO_SEQUENCE]]
        found = best_sequence(
            self.problem, orders, seconds=seconds, target=self.bound, run=self.run
        )
        if found is not None and found.value < self.pool.best.value:
            self._go_on_with(self._in(found.problem))

    def _race_of_sequences(self, placement: Placement, seconds: float) -> None:
        """Find and improve orders in every sequence by rule, the better half longer, and so on."""
        if not self.resequence or self.pool.closed or not self.run.use("annealing"):
            return
        until = self._now() + seconds
        ways = dict.fromkeys([self.problem.sequence, *by_size(self.problem).values()])
        pools = [self._in(self.problem.in_sequence(sequence)) for sequence in ways]
        for pool in pools:
            share = budget.STARTS * seconds / len(pools)
            for start in simple_starts(pool.problem, placement, seconds=share, run=self.run):
                if start.order is not None:
                    pool.add(start.order, start.method)
        pools = [pool for pool in pools if pool.entries]
        while (left := until - self._now()) > 0 and not pools[0].closed:
            share = left if len(pools) == 1 else budget.ENDS_ROUND * left / len(pools)
            for pool in pools:
                improve(pool, until=self._now() + share, run=self.run)
            pools = sorted(pools, key=lambda pool: pool.best.value)[: (len(pools) + 1) // 2]
        if pools[0].best.value < self.pool.best.value:
            self._go_on_with(pools[0])

    def _in(self, problem: OrderProblem) -> Pool:
        """The best orders so far as orders of a problem with another sequence."""
        pool = Pool(problem, self.bound)
        for entry in self.pool.entries:
            if within(problem, entry.order):
                pool.add(entry.order, _and(entry.method, "sequence"))
        return pool

    def _go_on_with(self, pool: Pool) -> None:
        self.problem, self.pool, self.tried = pool.problem, pool, [*pool.entries]
        self.tell(pool)

    def _exact(self, seconds: float) -> None:
        """The whole schedule as one window: an optimum with proof, or a bound."""
        if self.pool.closed or seconds <= budget.SHORTEST or not self.run.use("exact"):
            return
        found = window(
            self.problem, self.pool.best.order, seconds=seconds, bound=self.bound, run=self.run
        )
        self.pool.add(found.order, "solver")
        if self.problem.alike:  # else it speaks of one sequence, kept by all stages
            self.pool.bound = max(self.pool.bound, found.bound)
        self.tell(self.pool)

    def _tips(self, seconds: float) -> None:
        """Give the last and the first passes of the best orders of two origins to the solver."""
        best: dict[str, Candidate] = {}
        for entry in self._best_tried():
            best.setdefault(entry.method, entry)
        chosen = list(best.values())[: 2 if self.run.use("tips") else 0]
        last = budget.LAST_TIP * seconds / max(len(chosen), 1)
        first = (1 - budget.LAST_TIP) * seconds / max(len(chosen), 1)
        for order, value, method in chosen:
            width = max(1, value * TIP // self.problem.n_ops)
            for low, high, share in ((value - width, UNLIMITED, last), (0, width, first)):
                if self.pool.closed:
                    return
                found = window(
                    self.problem, order, low=low, high=high, seconds=share, bound=self.bound,
                    run=self.run,
                )  # fmt: skip
                order = found.order
            if found.value < value:
                self._add(order, _and(method, "windows"))
            self.tell(self.pool)

    def _ends(self, seconds: float) -> None:
        """Improve warm-up and cool-down of many orders without most of their steady state.

        All get a little time, the better half of them more, and so on: which steady state allows
        the best ends shows only then.
        """
        until, m = self._now() + seconds, self.problem.n_microbatches
        keep = self.problem.n_devices + self.problem.n_devices // 2 + 3
        races: list[_Race] = []
        for entry in self._best_tried() if self.run.use("ends") else []:
            short = without_middle(self.problem, entry.order, keep)
            if short is not None and short.problem.n_microbatches <= 0.8 * m:
                races.append(_Race(self, short, entry.method))
            if len(races) == RACES:
                break
        while races and not self.pool.closed:
            left = until - self._now()
            if left < budget.SHORTEST:
                return
            share = left if len(races) == 1 else budget.ENDS_ROUND * left / len(races)
            for position, race in enumerate(races):
                race.go_on(share, seed=self.run.seed + position)
                if self.pool.closed:
                    return
            if len(races) == 1:
                return
            races = sorted(races, key=lambda race: race.value)[: (len(races) + 1) // 2]


class _Race:
    """One order without its middle, whose ends are improved; what it is worth with the middle."""

    def __init__(self, phases: Phases, short: Shortened, method: str) -> None:
        self.phases, self.short, self.method = phases, short, _and(method, "ends")
        self.pool = Pool(short.problem, fence=short.fence)
        self.pool.add(short.order, method)
        self.value = 0

    def go_on(self, seconds: float, *, seed: int) -> None:
        phases = self.phases
        improve(
            self.pool, until=phases.run.effort.now() + seconds, run=replace(phases.run, seed=seed),
            tell=self.hand_in, stop=lambda: phases.pool.closed,
        )  # fmt: skip
        self.hand_in()

    def hand_in(self) -> None:
        order = with_middle(self.short, self.pool.best.order)
        self.value = self.phases.pool.add(order, self.method).value
        self.phases.tell(self.phases.pool)


def _and(method: str, more: str) -> str:
    return method if method.endswith(more) else f"{method} + {more}"
