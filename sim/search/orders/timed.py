"""An order pass by pass, with the times at which it is played."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .problem import Order, OrderProblem
from .replay import replayed

Pass = tuple[int, int]
"""(pass code, microbatch)"""


class Timed(NamedTuple):
    """An order with its times: rows of passes, when each starts and ends, and the clock."""

    problem: OrderProblem
    rows: list[list[Pass]]
    start: dict[Pass, int]
    end: dict[Pass, int]
    value: int


def timed_order(problem: OrderProblem, order: Order) -> Timed:
    """The order with its times."""
    value, end = replayed(problem, order)
    ends, duration = end.tolist(), problem.tables.duration.tolist()
    rows = []
    for codes in order.tolist():
        seen = [0] * len(duration)
        row = []
        for code in codes:
            row.append((code, seen[code]))
            seen[code] += 1
        rows.append(row)
    at_end = {(code, i): ends[code][i] for row in rows for code, i in row}
    start = {item: time - duration[item[0]][item[1]] for item, time in at_end.items()}
    return Timed(problem, rows, start, at_end, value)


def in_turn(items: list[Pass], problem: OrderProblem) -> list[Pass]:
    """Passes that start together (some take no time) put so that none comes before its input."""
    near = problem.tables.near.tolist()
    rest, done, placed, here = list(items), list[Pass](), set[Pass](), set(items)
    while rest:
        for k, (code, i) in enumerate(rest):
            needed = [(other, i) for other in near[code] if other >= 0] + [(code, i - 1)]
            if all(item in placed or item not in here for item in needed):
                placed.add((code, i))
                done.append(rest.pop(k))
                break
        else:
            return done + rest
    return done


def codes_of(rows: list[list[Pass]]) -> Order:
    """Rows of passes as an order."""
    return np.array([[code for code, _ in row] for row in rows], np.int32)
