"""What searches for seconds, by counted work instead: a busy machine then changes no answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from sim.search import smallest_interval as _smallest_interval
from sim.search.effort import Effort
from sim.search.orders.adaptive import adaptive as _adaptive
from sim.search.orders.list_scheduling import greedy as _greedy
from sim.search.orders.windows import window as _window
from sim.search.periodic.decide_any import solved as _solved

P = ParamSpec("P")
R = TypeVar("R")


def counted(call: Callable[P, R]) -> Callable[P, R]:
    """`call` with an `effort` of its own, whose seconds are so much work."""

    @wraps(call)
    def by_work(*args: P.args, **options: P.kwargs) -> R:
        options.setdefault("effort", Effort(counted=True))
        return call(*args, **options)

    return by_work


adaptive = counted(_adaptive)
greedy = counted(_greedy)
smallest_interval = counted(_smallest_interval)
solved = counted(_solved)
window = counted(_window)
