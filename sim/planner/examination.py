"""One configuration after the other: bounded, refused, or simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import inf
from types import MappingProxyType

from .cost_model import Configuration
from .estimate import (
    bytes_at_least,
    estimate,
    layout,
    peak_bytes,
    prepare,
    seconds_at_least,
)
from .orders import Orders, short
from .problem import Problem
from .reasons import bound_reason
from .rows import refused_row, row_of, told_as
from .store import Row

NO_LIMITS: Mapping[str, float] = MappingProxyType({})


def examine(
    problem: Problem,
    chosen: Sequence[Configuration],
    slowest: Mapping[str, float] = NO_LIMITS,
) -> list[Row]:
    """The rows of some configurations; those that cannot beat `slowest` seconds, of their schedule,
    are not simulated.

    What joblib sends to other processes: pure, but for schedules that a process keeps.
    """
    return [
        _examined_one(problem, c, slowest.get(told_as(c.schedule, c.pipeline), inf)) for c in chosen
    ]


def _examined_one(problem: Problem, c: Configuration, slowest: float) -> Row:
    prepared = prepare(problem, c)
    at_least = seconds_at_least(problem, prepared)
    if at_least > slowest:
        return row_of(c, "bound", bound_reason(at_least, slowest), at_least)
    need = bytes_at_least(problem, prepared)
    if need > problem.capacity:
        return refused_row(problem, c, need, at_least)
    try:
        need = peak_bytes(problem, prepared, _orders()(short(prepared.shape)))
        if need > problem.capacity:
            return refused_row(problem, c, need, at_least)
        found = estimate(problem, prepared, _orders())
    except ValueError as error:
        return row_of(c, "illegal", str(error), at_least)
    if found.memory > problem.capacity:
        return refused_row(problem, c, found.memory, at_least)
    return {
        **row_of(c, "simulated", "", min(at_least, found.seconds)),  # but for rounding it is less
        "seconds": found.seconds,
        "bubble": max(1 - found.busy, 0.0),
        "memory": found.memory,
        "tail_seconds": found.tail,
        "layout": layout(prepared),
    }


@lru_cache(maxsize=1)
def _orders() -> Orders:
    return Orders()
