"""The laboratory for pipeline-parallel schedules: the simulator's front door.

    >>> import sim
    >>> schedule = sim.FAMILIES["1f1b"](4, 8)
    >>> costs = sim.Costs.uniform(schedule, forward=1, backward=1, weight=1, send=0)
    >>> trace = sim.simulate(schedule, costs)
    >>> sim.makespan(trace), sim.peak_activations(schedule)
    (33, (4, 3, 2, 1))

What draws, searches or writes files is imported on first use (`sim.gantt`, `sim.search`, ...).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .cluster import Cluster, Link, nodes
from .costs import Costs, costs_from_json, costs_to_json, slower
from .critical_path import Leg, critical_path
from .engine import simulate
from .extras import imported, installed
from .families import FAMILIES
from .families.family import Family
from .ir import (
    KINDS,
    Kind,
    Op,
    Schedule,
    Step,
    Value,
    from_json,
    grid,
    parse_op,
    reads,
    steps,
    to_json,
    writes,
)
from .metrics import (
    bubble,
    busy,
    clock_time,
    idle_account,
    iteration_times,
    longest_stage,
    makespan,
    peak_activations,
    peak_bytes,
)
from .resources import Deadlock, OutOfMemory
from .trace import Trace
from .validate import InvalidSchedule, validate

if TYPE_CHECKING:
    from . import search
    from . import testing as testing
    from .explorer import explore as explore
    from .perfetto import write_perfetto
    from .plot import comparison, gantt, idle, memory_curve
    from .svg import gantt_svg
    from .svg_chart import chart_svg
    from .torch_csv import read_torch_csv, write_torch_csv

_ON_FIRST_USE = {
    "search": "",
    "testing": "",
    "planner": "",
    "models": "",
    "hardware": "",
    "plan": "planner",
    "chart_svg": "svg_chart",
    "explore": "explorer",
    "gantt": "plot",
    "gantt_svg": "svg",
    "memory_curve": "plot",
    "comparison": "plot",
    "idle": "plot",
    "write_perfetto": "perfetto",
    "read_torch_csv": "torch_csv",
    "write_torch_csv": "torch_csv",
}
"""Name -> module of this package that has it; "" where it is a module itself."""
_NEEDS = {"explore": "anywidget", "testing": "hypothesis"}
"""Names that an extra must be installed for; `import *` leaves them out."""

__all__ = [
    "FAMILIES",
    "KINDS",
    "Cluster",
    "Costs",
    "Deadlock",
    "Family",
    "InvalidSchedule",
    "Kind",
    "Leg",
    "Link",
    "Op",
    "OutOfMemory",
    "Schedule",
    "Step",
    "Trace",
    "Value",
    "bubble",
    "busy",
    "chart_svg",
    "clock_time",
    "comparison",
    "costs_from_json",
    "costs_to_json",
    "critical_path",
    "from_json",
    "gantt",
    "gantt_svg",
    "grid",
    "idle",
    "idle_account",
    "iteration_times",
    "longest_stage",
    "makespan",
    "memory_curve",
    "nodes",
    "parse_op",
    "peak_activations",
    "peak_bytes",
    "read_torch_csv",
    "reads",
    "search",
    "simulate",
    "slower",
    "steps",
    "to_json",
    "validate",
    "write_perfetto",
    "write_torch_csv",
    "writes",
]


def __dir__() -> list[str]:
    left_out = {name for name, package in _NEEDS.items() if not installed(package)}
    return sorted({*globals(), *_ON_FIRST_USE} - left_out)


def __getattr__(name: str) -> Any:
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module 'sim' has no attribute {name!r}")
    home = _ON_FIRST_USE[name]
    found = imported(f"{__name__}.{home or name}", f"sim.{name}")
    return getattr(found, name) if home else found
