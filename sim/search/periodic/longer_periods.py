"""More than one microbatch per period: harder to search than one, and often faster.

Three sources, each of which starts from the best so far: the order that devices fall into when they
use idle time as it comes (`dispatch`), a hill climb on the critical cycle (`climb`), and CP-SAT
where it has a chance.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from . import budget
from .bisection import Bracket, Decide, narrow
from .climb import climb_tables, climbed
from .deciders import by_solver
from .dispatch import dispatch
from .floors import chain_length
from .meetings import meeting_bound
from .problem import BlockProblem
from .rounds import order_of_rounds, rounds_of
from .unroll import PeriodicOrder, of_several_periods

HEATS = (0.0, 0.0, 0.01, 0.03)
"""By how much of the period the turns of a climb may get worse."""


def try_longer_periods(bracket: Bracket, decide: Decide, most: int) -> None:
    """Look for a block with 2 to `most` microbatches per period that beats the best with one.

    `decide` answers for one microbatch per period. Afterwards the bound of `bracket` holds for all
    of these.
    """
    n_passes = len(bracket.problem.passes)
    solvable = [n for n in range(2, most + 1) if n * n_passes <= budget.SOLVABLE]
    if not bracket.run.use("period-solver"):
        solvable = []
    if bracket.run.use("dispatch"):
        dispatch(bracket, decide, most, until=bracket.after(budget.DISPATCH))
    if bracket.run.use("climb"):
        _hill_climbs(bracket, most, until=bracket.after(budget.CLIMB if solvable else 1.0))
    bounds = {n: max(bracket.floor, meeting_bound(bracket.problem, n)) for n in range(2, most + 1)}
    for position, n in enumerate(solvable):
        if bracket.best <= bracket.floor:
            break
        one = bracket.with_deadline(bracket.after(1 / (len(solvable) - position)))
        one.bound = bounds[n]
        if n % bracket.layout.n == 0:
            copies = of_several_periods(bracket.order, n // bracket.layout.n)
            one.offer_order(copies, bracket.method)
        narrow(one, by_solver(one, n), n, "modulo scheduling with CP-SAT")
        bounds[n] = one.bound
        bracket.take(one)
    bracket.bound = min(bracket.bound, *bounds.values(), bracket.best)


def _hill_climbs(bracket: Bracket, most: int, *, until: float) -> None:
    """Hill climbs from the best block, for every number of its periods that fits in `most`."""
    seed = bracket.run.seed
    climbs: dict[int, _HillClimb] = {}
    while bracket.run.effort.now() < until and bracket.best > bracket.floor:
        n_before = bracket.layout.n
        for n in range(n_before, most + 1, n_before):
            if n not in climbs or climbs[n].best > bracket.best:
                copies = of_several_periods(bracket.order, n // n_before)
                climbs[n] = _HillClimb(bracket.problem, copies)
            seed += 1
            order = climbs[n].go_on(bracket, seed)
            if climbs[n].best < bracket.best:
                bracket.offer_order(order, "hill climb on the critical cycle")
                if climbs[n].best < bracket.best:
                    return  # an order of passes at one instant that is not realised
                break  # from the new best, if it has another number of microbatches
            if bracket.run.effort.now() > until:
                break


class _HillClimb:
    """A hill climb under way: where it stands, and the best interval it has met."""

    def __init__(self, problem: BlockProblem, order: PeriodicOrder) -> None:
        self.n, self.moves = order.n, 500
        self.tables = climb_tables(problem, order.n)
        self.rounds = rounds_of(order, problem.n_stages)
        self.best = Fraction(chain_length(problem))

    def go_on(self, bracket: Bracket, seed: int) -> PeriodicOrder:
        """Climb on from the best order, for one turn, and return what is the best then."""
        effort = bracket.run.effort
        start = effort.now()
        found = climbed(
            self.rounds, self.tables, self.moves, HEATS[seed % len(HEATS)],
            float(bracket.floor * self.n), np.random.default_rng(seed),
        )  # fmt: skip
        effort.played(budget.PLAYS_PER_MOVE * found.moves * self.rounds.order.size)
        self.rounds, self.best = found.rounds, Fraction(found.ticks, found.periods * self.n)
        if effort.now() - start < budget.CLIMB_TURN:
            self.moves = min(2 * self.moves, 10**6)
        return order_of_rounds(self.rounds, self.n)
