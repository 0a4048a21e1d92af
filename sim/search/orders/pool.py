"""The best orders of a problem so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .problem import Fence, Order, OrderProblem
from .replay import BROKEN, replayed

POOL, PER_METHOD = 10, 3
"""How many orders are kept, and how many that were made alike."""


class Candidate(NamedTuple):
    """An order, its value in ticks of the problem, and what made it."""

    order: Order
    value: int
    method: str


@dataclass
class Pool:
    """The best different orders of a problem, best first, and what is proven about it.

    bound: ticks that no order can take less than. fence: what no improvement may change.
    """

    problem: OrderProblem
    bound: int = 0
    fence: Fence | None = None
    entries: list[Candidate] = field(default_factory=list)

    @property
    def best(self) -> Candidate:
        return self.entries[0]

    @property
    def closed(self) -> bool:
        """Nothing better can exist."""
        return bool(self.entries) and self.entries[0].value <= self.bound

    def add(self, order: Order, method: str) -> Candidate:
        """Take in an order that can run, unless it is here already."""
        found = Candidate(order, replayed(self.problem, order).value, method)
        same = any(
            entry.value == found.value and np.array_equal(entry.order, order)
            for entry in self.entries
        )
        if found.value < BROKEN and not same:
            kept: list[Candidate] = []
            for entry in sorted([found, *self.entries], key=lambda entry: entry.value):
                if sum(entry.method == other.method for other in kept) < PER_METHOD:
                    kept.append(entry)
            self.entries = kept[:POOL]
        return found
