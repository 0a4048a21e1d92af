"""The last part of a search for times that vary: from good orders to one that stays good."""

from __future__ import annotations

import math

import numpy as np

from ..base.numbers import checked
from ..engine.simulate import MOST_JITTER
from ..families import FAMILIES
from .orders.jitter import Draws, drawn, quantile_of, steadied, values
from .orders.pool import Candidate
from .orders.replay import replayed, within
from .phases import Phases
from .placement import Placement
from .result import Steadiness, Steady, Wobble
from .starts import of_families

CHOSEN_BY, CONFIRMED_BY, LOOKED_FOR_BY = 200, 1000, 24
"""How many draws candidates are compared by, results are reported from, moves are tried on."""
CANDIDATES = 3
"""How many orders the search goes on from."""


def checked_wobble(jitter: float, quantile: float) -> Wobble | None:
    """Both numbers, None without jitter; ValueError for what makes no sense."""
    if checked(jitter, "jitter") > MOST_JITTER:
        raise ValueError(f"jitter is {jitter}: it must be at most {MOST_JITTER}")
    if not 0 < checked(quantile, "quantile") < 1:
        raise ValueError(f"quantile is {quantile}: it must lie between 0 and 1, such as 0.9")
    return Wobble(float(jitter), float(quantile)) if jitter else None


def steady_order(
    phases: Phases, placement: Placement, wobble: Wobble, *, until: float
) -> Steadiness:
    """Look for the order with the smallest quantile until then, and make it the best of `phases`.

    Candidates are chosen by draws of their own, and what is reported comes from fresh ones.
    """
    problem, run = phases.problem, phases.run

    def draws(how_many: int, stream: int) -> Draws:
        seed = 3 * run.seed + stream
        return drawn(
            problem, jitter=wobble.jitter, quantile=wobble.quantile, how_many=how_many, seed=seed
        )

    named = [
        Candidate(start.order, 0, _played(start.method))
        for start in of_families(problem, placement)
        if start.order is not None and within(problem, start.order)
    ]
    choosing, looking = draws(CHOSEN_BY, 0), draws(LOOKED_FOR_BY, 1)
    known = sorted(
        [*phases.pool.entries, *named], key=lambda entry: quantile_of(choosing, entry.order)
    )
    best = known[:CANDIDATES]
    for left, entry in zip(range(len(best), 0, -1), list(best), strict=True):
        seconds = (until - run.effort.now()) / left
        order, _ = steadied(looking, entry.order, seconds=seconds, run=run)
        best.append(Candidate(order, 0, f"{entry.method} + jitter"))
    winner = min(best, key=lambda entry: quantile_of(choosing, entry.order))
    calm = min([*known, winner], key=lambda entry: replayed(problem, entry.order).value)
    phases.pool.entries = [winner._replace(value=replayed(problem, winner.order).value)]
    fresh = draws(CONFIRMED_BY, 2)
    return Steadiness(
        wobble,
        CONFIRMED_BY,
        _confirmed(fresh, winner, "found"),
        _confirmed(fresh, calm, "best for the times as they are"),
        tuple(_confirmed(fresh, entry, entry.method) for entry in named),
    )


def _played(family: str) -> str:
    """What is played of a family: a whole backward is B and W here, and B's gradient leaves first.

    >>> _played("zb-h1"), _played("1f1b")
    ('zb-h1', '1f1b, B and W apart')
    """
    return f"{family}, B and W apart" if "BW" in FAMILIES[family].passes.split() else family


def _confirmed(fresh: Draws, entry: Candidate, name: str) -> Steady:
    """The quantile and, from the places around it among the sorted values, how sure it is."""
    problem, found = fresh.problem, np.sort(values(fresh, entry.order))
    n, q = len(found), (fresh.rank + 1) / len(found)
    off = math.ceil(1.96 * math.sqrt(n * q * (1 - q)))
    low, high = max(fresh.rank - off, 0), min(fresh.rank + off, n - 1)
    still = drawn(problem, jitter=0, quantile=0.5, how_many=1, seed=0)
    return Steady(
        name, float(values(still, entry.order)[0]), *map(float, found[[fresh.rank, low, high]])
    )
