"""What searches for seconds, by counted work instead: a busy machine then changes no answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import ParamSpec, TypeVar

from sim.search import smallest_interval as _smallest_interval
from sim.search.orders.adaptive import adaptive as _adaptive
from sim.search.orders.list_scheduling import list_scheduled as _list_scheduled
from sim.search.orders.windows import window as _window
from sim.search.periodic.decide_any import solver_layout as _solver_layout
from sim.search.settings.effort import Effort
from sim.search.settings.run_options import RunOptions

P = ParamSpec("P")
R = TypeVar("R")


def counted(call: Callable[P, R]) -> Callable[P, R]:
    """`call` with a clock of its own, whose seconds are so much work."""
    in_run = "run" in signature(call).parameters

    @wraps(call)
    def by_work(*args: P.args, **options: P.kwargs) -> R:
        effort = Effort(counted=True)
        if in_run:
            options.setdefault("run", RunOptions(effort))
        else:
            options.setdefault("effort", effort)
        return call(*args, **options)

    return by_work


adaptive = counted(_adaptive)
list_scheduled = counted(_list_scheduled)
smallest_interval = counted(_smallest_interval)
solver_layout = counted(_solver_layout)
window = counted(_window)
