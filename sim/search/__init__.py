"""Evaluate, bound, search: the best order that the memory allows, and how good one could be.

What needs numba or OR-Tools is imported on first use, so that a bound costs no solver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bounds import lower_bound, steady_interval
    from .evaluation import Evaluation, evaluate
    from .modulo import ComputedBlock, smallest_interval
    from .portfolio import SearchResult, search
    from .tradeoff import pareto
    from .tradeoff_page import pareto_figure

_HOME = {
    "ComputedBlock": "modulo",
    "Evaluation": "evaluation",
    "SearchResult": "portfolio",
    "evaluate": "evaluation",
    "lower_bound": "bounds",
    "pareto": "tradeoff",
    "pareto_figure": "tradeoff_page",
    "search": "portfolio",
    "smallest_interval": "modulo",
    "steady_interval": "bounds",
}

__all__ = [
    "ComputedBlock",
    "Evaluation",
    "SearchResult",
    "evaluate",
    "lower_bound",
    "pareto",
    "pareto_figure",
    "search",
    "smallest_interval",
    "steady_interval",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sim.search' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f".{_HOME[name]}", __name__), name)
    return found
