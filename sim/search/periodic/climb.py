"""Compiled: a hill climb on periodic orders that exchanges neighbours on the critical cycle.

The period of an order is the length / height of its **critical cycle** (see `cycle_ratio`). Nothing
makes it shorter but a change to that cycle, so neighbours there are exchanged; where the new order
can keep the old period, it is taken.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled import below, compiled, overwrite
from .problem import BlockProblem
from .rounds import Rounds, critical, keeps_limit, settles, swap
from .tables import PassTables, in_copies, pass_tables

SWAPS = 3
"""At most so many pairs are exchanged at once."""


class Climb(NamedTuple):
    """The best order of a climb, its period as a fraction, and how many moves were tried."""

    rounds: Rounds
    ticks: int
    periods: int
    moves: int


def climb_tables(problem: BlockProblem, n: int) -> PassTables:
    """The tables of the nodes of `rounds_of`."""
    return in_copies(pass_tables(problem), n)


@compiled
def climbed(
    given: Rounds,
    tables: PassTables,
    moves: int,
    heat: float,
    target: float,
    rng: np.random.Generator,
) -> Climb:
    """The best order of a random walk of so many moves, or up to a period of `target` ticks.

    Each move exchanges one to three neighbouring pairs, mostly on the critical cycle, and is kept
    if the period does not grow by more than a random amount of about `heat` (a share of it).
    """
    rounds = Rounds(given.order.copy(), given.lag.copy(), given.place.copy(), given.first)
    n = rounds.order.size
    starts, new_starts = np.zeros(n, np.int64), np.zeros(n, np.int64)
    floor = busiest(rounds, tables)
    num, den, cycle = critical(rounds, tables, floor, starts)
    best = Climb(given, num, den, 0)
    if den == 0:
        return best
    on_cycle = np.zeros(n, np.bool_)
    on_cycle[cycle] = True
    swapped = np.empty(SWAPS, np.int64)  # the positions whose pair was exchanged
    changed = np.empty(2 * SWAPS, np.int64)  # the nodes of these pairs
    move = 0
    while move < moves and best.ticks > target * best.periods:
        move += 1
        # exchange pairs, as long as devices keep their limits
        n_swaps, fits, at_cycle = 0, True, False
        for _ in range(1 + below(rng, SWAPS)):
            if cycle.size > 0 and below(rng, 8) > 0:
                node = cycle[below(rng, cycle.size)]
            else:
                node = rounds.order[below(rng, n)]
            d = tables.device[node]
            low, high = rounds.first[d], rounds.first[d + 1]
            if high - low == 1:
                continue
            i = rounds.place[node]
            if below(rng, 4) == 0:  # with the one before
                i = i - 1 if i > low else high - 1
            j = swap(rounds, low, high, i)
            swapped[n_swaps] = i
            changed[2 * n_swaps], changed[2 * n_swaps + 1] = rounds.order[i], rounds.order[j]
            at_cycle = at_cycle or on_cycle[rounds.order[i]] or on_cycle[rounds.order[j]]
            n_swaps += 1
            if not keeps_limit(rounds, tables, d):
                fits = False
                break
        # find its period: at most the old one if starts settle, and that if the cycle is untouched
        allowed = heat * rng.random() if heat > 0.0 and below(rng, 2) == 0 else 0.0
        if fits and allowed == 0.0:
            overwrite(new_starts, starts)
            fits = settles(rounds, tables, changed[: 2 * n_swaps], (num, den), new_starts)
        new_num, new_den, new_cycle = num, den, cycle
        if fits and (at_cycle or allowed > 0.0):
            new_num, new_den, new_cycle = critical(rounds, tables, floor, new_starts)
            fits = new_den > 0 and new_num / new_den <= num / den * (1.0 + allowed)
        # take it back, or keep it
        if not fits:
            for k in range(n_swaps - 1, -1, -1):
                d = tables.device[rounds.order[swapped[k]]]
                swap(rounds, rounds.first[d], rounds.first[d + 1], swapped[k])
            continue
        overwrite(starts, new_starts)
        on_cycle[cycle] = False
        num, den, cycle = new_num, new_den, new_cycle
        on_cycle[cycle] = True
        if num * best.periods < best.ticks * den:
            kept = Rounds(rounds.order.copy(), rounds.lag.copy(), rounds.place.copy(), given.first)
            best = Climb(kept, num, den, 0)
    return Climb(best.rounds, best.ticks, best.periods, move)


@compiled
def busiest(rounds: Rounds, tables: PassTables) -> int:
    """The work of the busiest device, which no period is below; at least 1."""
    most = 1
    for d in range(rounds.first.size - 1):
        most = max(most, tables.duration[rounds.order[rounds.first[d] : rounds.first[d + 1]]].sum())
    return most
