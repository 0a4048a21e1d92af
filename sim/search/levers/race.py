"""One search over orders and levers: what whole stages do is tried out first, then each unit.

Each **plan** says what every stage does with all of its microbatches. Its orders are found by the
search over orders alone, on a share of the time; the best of all plans are then improved with R, O
and L as passes of their own, by moves that may change the lever of any unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

from ...schedule.ir import Schedule
from ..orders.anneal import Cooling
from ..orders.improve import COLDEST, HEATS
from ..orders.replay import BROKEN, within
from ..phases import Phases
from ..placement import Placement
from ..settings import budget
from ..settings.effort import PASSES_PER_SECOND
from ..settings.run_options import RunOptions
from .anneal import anneal_levers
from .fold import folded, unfolded
from .pool import LeverPool, played
from .problem import KEEP, OFFLOAD, RECOMPUTE, LeverProblem, Pulled

MOST_PLANS = 9
"""How many plans are tried."""
NEEDLESS = frozenset({"unit-blocks", "tips"})
"""Methods that are left out where levers are hidden in tables: they look at the costs alone."""
NEEDLESS_WITH_COPIES = NEEDLESS | {"computed-block"}
"""The same where something is offloaded: a block that repeats has not won there."""
Plan = tuple[int, ...]
"""A mode per stage."""


@dataclass
class LeverRace:
    """One search under way; until: the moment of the run's effort to end at. one_by_one: the order
    to start from. bound: ticks that nothing can take less than."""

    problem: LeverProblem
    one_by_one: Schedule
    bound: int
    until: float
    run: RunOptions
    tell: Callable[[LeverPool], None] = lambda pool: None
    pool: LeverPool = field(init=False)

    def __post_init__(self) -> None:
        self.pool = LeverPool(self.problem, self.bound)

    def try_plans(self, placement: Placement) -> None:
        """All plans for a short time each."""
        chosen = list(plans(self.problem))
        for method, pulled in one_at_a_time(self.problem, self.one_by_one):
            self.pool.add(pulled, method)
        until = self.run.effort.now() + budget.PLANS * self._left()
        for done, plan in enumerate(chosen):
            if self.pool.closed:
                return
            if self._work(plan) < self.pool.best.value:
                left = max(until - self.run.effort.now(), 0.0)
                self._try(plan, placement, left / (len(chosen) - done))
                self.tell(self.pool)

    @property
    def pays(self) -> bool:
        """Whether the best so far pulls any lever."""
        return bool(self.pool.entries) and bool((self.pool.best.pulled.mode != KEEP).any())

    def _left(self) -> float:
        return max(self.until - self.run.effort.now(), 0.0)

    def _work(self, plan: Plan) -> int:
        """Time of the busiest device under a plan, which no order of its passes can beat."""
        again = [
            int(self.problem.tables.again[s]) if mode == RECOMPUTE else 0
            for s, mode in enumerate(plan)
        ]
        q = self.problem.orders
        once = q.tables.duration[:, 0].reshape(-1, 3).sum(axis=1) + np.array(again)
        return int(once[q.tables.stages_of].sum(axis=1).max()) * q.n_microbatches

    def _try(self, plan: Plan, placement: Placement, seconds: float) -> None:
        needless = NEEDLESS_WITH_COPIES if OFFLOAD in plan else NEEDLESS
        for under_way in (2, 3) if OFFLOAD in plan else (2,):
            hidden = folded(self.problem, plan, under_way)
            start = hidden.order(self.one_by_one)
            if start is None or not within(hidden, start):
                return
            phases = Phases(
                hidden, self.one_by_one, self.bound, self.run.effort.now() + seconds,
                replace(self.run, without=frozenset(self.run.without) | needless),
            )  # fmt: skip
            phases.everything(placement)
            method = f"{_name(plan)}: {phases.pool.best.method}"
            values = [
                self.pool.add(pulled, method)
                for entry in phases.pool.entries
                for pulled in unfolded(self.problem, entry.order, plan)
            ]
            if min(values, default=BROKEN) < BROKEN:
                return

    def improve(self) -> None:
        """Rounds of annealing on every worker, from the best so far."""
        rng, turn = np.random.default_rng(self.run.seed), 0
        with ThreadPoolExecutor(self.run.workers) as threads:
            while self._left() > 0 and not self.pool.closed and self.pool.entries:
                passes = min(budget.ANNEALING, max(0.05, self._left())) * PASSES_PER_SECOND
                moves = max(200, int(passes) // self.problem.orders.n_ops)
                jobs = []
                for k in range(self.run.workers):
                    rank = min(int(rng.exponential(0.7)), len(self.pool.entries) - 1)
                    heat = HEATS[(turn * self.run.workers + k) % len(HEATS)]
                    seed = int(rng.integers(2**31))
                    entry = self.pool.entries[rank]
                    jobs.append(
                        (
                            entry.method,
                            threads.submit(self._anneal, entry.pulled, moves, heat, seed),
                        )
                    )
                work = 0
                for method, job in jobs:
                    pulled, passes_played = job.result()
                    work += passes_played
                    self.pool.add(pulled, _improved(method))
                self.run.effort.played(work // self.run.workers + budget.PLAYS_PER_ROUND)
                turn += 1
                self.tell(self.pool)

    def _anneal(self, pulled: Pulled, moves: int, heat: float, seed: int) -> tuple[Pulled, int]:
        q = self.problem.orders
        slowest = 1000 * max(int(q.tables.duration.max(initial=0)), 1)
        cooling = Cooling(moves, int(heat * slowest), int(COLDEST * slowest), self.bound)
        found = anneal_levers(
            pulled.order, pulled.mode, pulled.lead, q.longest, q.tables, self.problem.tables,
            np.array(self.problem.allowed, np.int64), cooling, np.random.default_rng(seed),
        )  # fmt: skip
        work = int(found.passes) + budget.PLAYS_PER_MOVE * moves
        return Pulled(found.order, found.mode, found.lead), work


def plans(problem: LeverProblem) -> Iterator[Plan]:
    """What stages may do, chunk by chunk: with few chunks everything, with many one mode for the
    first ones and another for the rest. A straight pipeline has its early half too, whose
    activations live longest. The plan without levers is not among them."""
    q = problem.orders
    n, v, modes = q.n_stages, q.chunks, problem.allowed
    parts = v if v > 1 else 2
    part_of = [s * parts // n for s in range(n)]
    if len(modes) ** parts <= MOST_PLANS:
        choices = list(product(modes, repeat=parts))
    else:
        cuts = sorted({1, parts // 2, parts} - {0})
        choices = [
            (a,) * cut + (b,) * (parts - cut)
            for cut in cuts
            for a in modes
            for b in modes
            if a != b
        ]
    for choice in list(dict.fromkeys(choices)):
        if any(mode != KEEP for mode in choice):
            yield tuple(choice[part] for part in part_of)


def one_at_a_time(problem: LeverProblem, schedule: Schedule) -> Iterator[tuple[str, Pulled]]:
    """One microbatch after the other with every lever in turn, which needs the least memory."""
    order = problem.orders.order(schedule)
    assert order is not None
    for plan in (*((mode,) * problem.orders.n_stages for mode in problem.allowed), *plans(problem)):
        pulled = problem.kept(order.copy())
        pulled.mode[:] = np.array(plan, np.int8)[:, None]
        yield "one by one", pulled


def fits_at_all(problem: LeverProblem, schedule: Schedule) -> bool:
    """Whether one microbatch after the other can be run within the limits."""
    return any(played(problem, found) < BROKEN for _, found in one_at_a_time(problem, schedule))


def _name(plan: Plan) -> str:
    words = {RECOMPUTE: "recompute", OFFLOAD: "offload"}
    return " and ".join(word for mode, word in words.items() if mode in plan) or "keep"


def _improved(method: str) -> str:
    return method if method.endswith("levers") else f"{method} + levers"
