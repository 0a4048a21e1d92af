"""Evaluate, bound, search: the best order that the memory allows, and how good one could be.

What needs numba or OR-Tools is imported on first use, so that a bound costs no solver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..bounds.lever_bound import bound_with_levers
    from ..bounds.lower_bound import lower_bound, steady_interval
    from .evaluation import Evaluation, evaluate
    from .levers.host import Host
    from .pareto_front.figure import pareto_figure
    from .pareto_front.front import pareto
    from .periodic.block_schedule import block_schedule
    from .periodic.slot_grid_schedule import slot_grid
    from .periodic.smallest_interval import ComputedBlock, smallest_interval
    from .portfolio import search
    from .result import SearchResult

_HOME = {
    "ComputedBlock": "sim.search.periodic.smallest_interval",
    "Evaluation": "sim.search.evaluation",
    "Host": "sim.search.levers.host",
    "SearchResult": "sim.search.result",
    "bound_with_levers": "sim.bounds.lever_bound",
    "block_schedule": "sim.search.periodic.block_schedule",
    "evaluate": "sim.search.evaluation",
    "lower_bound": "sim.bounds.lower_bound",
    "pareto": "sim.search.pareto_front.front",
    "pareto_figure": "sim.search.pareto_front.figure",
    "search": "sim.search.portfolio",
    "slot_grid": "sim.search.periodic.slot_grid_schedule",
    "smallest_interval": "sim.search.periodic.smallest_interval",
    "steady_interval": "sim.bounds.lower_bound",
}

__all__ = [
    "ComputedBlock",
    "Evaluation",
    "Host",
    "SearchResult",
    "block_schedule",
    "bound_with_levers",
    "evaluate",
    "lower_bound",
    "pareto",
    "pareto_figure",
    "search",
    "slot_grid",
    "smallest_interval",
    "steady_interval",
]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sim.search' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found
