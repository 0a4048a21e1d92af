"""The best orders with levers so far, played and within the limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..orders.replay import BROKEN
from .play import fits_by_order, offloads, place_levers, play
from .problem import KEEP, LeverProblem, Pulled

KEPT = 6
"""How many are kept."""


class Entry(NamedTuple):
    """An order with levers, its value in ticks, and what made it."""

    pulled: Pulled
    value: int
    method: str


@dataclass
class LeverPool:
    """The best different ones, best first; bound: ticks that nothing can take less than."""

    problem: LeverProblem
    bound: int = 0
    entries: list[Entry] = field(default_factory=list)

    @property
    def best(self) -> Entry:
        return self.entries[0]

    @property
    def closed(self) -> bool:
        """Nothing better can exist."""
        return bool(self.entries) and self.best.value <= self.bound

    def add(self, pulled: Pulled, method: str) -> int:
        """Take in what can run within the limits, unless it is here already; its value."""
        value = played(self.problem, pulled)
        same = any(entry.value == value and _equal(entry.pulled, pulled) for entry in self.entries)
        if value < BROKEN and not same:
            found = sorted([*self.entries, Entry(pulled, value, method)], key=lambda e: e.value)
            self.entries = found[:KEPT]
        return value


def _equal(one: Pulled, other: Pulled) -> bool:
    same_order = np.array_equal(one.order, other.order) and np.array_equal(one.lead, other.lead)
    return same_order and np.array_equal(one.mode, other.mode)


def played(problem: LeverProblem, pulled: Pulled) -> int:
    """The value of an order with levers in ticks; BROKEN if it cannot run or breaks a limit."""
    q, (order, mode, lead) = problem.orders, pulled
    n_devices, length = order.shape
    first_of = np.full((n_devices, length), -1, np.int64)
    next_of = np.full(mode.size, -1, np.int64)
    by_order = np.zeros(n_devices, np.bool_)
    for d in range(n_devices):
        place_levers(order[d], d, mode, lead, first_of, next_of)
        by_order[d] = not offloads(mode, q.tables.stages_of[d])
        if by_order[d] and not fits_by_order(order[d], d, mode, first_of, next_of, problem.tables):
            return BROKEN
    end = np.zeros((6 * q.n_stages, q.n_microbatches), np.int64)
    value, _, _ = play(
        order, mode, first_of, next_of, by_order, q.longest, q.tables, problem.tables, end, end,
        end, False, BROKEN,
    )  # fmt: skip
    return int(value)


def let_go(problem: LeverProblem, pulled: Pulled) -> Pulled:
    """The same without every lever that nothing is worse without."""
    best = played(problem, pulled)
    mode = pulled.mode.copy()
    for s, i in np.argwhere(mode != KEEP).tolist():
        had, mode[s, i] = mode[s, i], KEEP
        value = played(problem, pulled._replace(mode=mode))
        if value > best:
            mode[s, i] = had
        else:
            best = value
    return pulled._replace(mode=mode)
