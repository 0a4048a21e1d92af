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

import sys
from typing import TYPE_CHECKING, Any

from .base.aliases import Aliases
from .base.extras import imported, installed
from .engine.cluster import Cluster, Link, nodes
from .engine.costs import Costs
from .engine.costs_changed import slower
from .engine.costs_json import costs_from_json, costs_to_json
from .engine.errors import Deadlock, OutOfMemory
from .engine.offloaded import offloaded
from .engine.recomputed import recomputed
from .engine.simulate import simulate
from .engine.trace import Trace
from .families import FAMILIES
from .families.family import Family
from .metrics.critical_path import Leg, critical_path
from .metrics.metrics import (
    bubble,
    busy,
    clock_time,
    exposed,
    host_peak_bytes,
    idle_account,
    iteration_times,
    longest_stage,
    makespan,
    peak_activations,
    peak_bytes,
    peak_shares,
)
from .schedule.dependencies import reads, steps, writes
from .schedule.ir import KINDS, Kind, Op, Schedule, Step, Trained, Value, mechanisms
from .schedule.json_form import from_json, to_json
from .schedule.replicas import gradient_sums
from .schedule.text import grid, parse_op
from .schedule.training import forward_only, frozen, frozen_weights
from .schedule.validate import InvalidSchedule, validate

if TYPE_CHECKING:
    from . import search
    from . import testing as testing
    from .explorer import explore as explore
    from .metrics.compare import compare
    from .metrics.hta import write_hta
    from .metrics.perfetto import write_perfetto
    from .schedule.torch_csv import read_torch_csv, write_torch_csv
    from .search.periodic.slot_grid_schedule import slot_grid
    from .show.comparison import comparison
    from .show.plot import gantt, idle, memory_curve
    from .show.svg_chart import chart_svg
    from .show.svg_timeline import gantt_svg

_ON_FIRST_USE = {
    "search": "search:",
    "slot_grid": "search.periodic.slot_grid_schedule:slot_grid",
    "testing": "testing:",
    "planner": "planner:",
    "models": "planner.models:",
    "hardware": "planner.hardware:",
    "plan": "planner:plan",
    "compare": "metrics.compare:compare",
    "chart_svg": "show.svg_chart:chart_svg",
    "explore": "explorer:explore",
    "gantt": "show.plot:gantt",
    "gantt_svg": "show.svg_timeline:gantt_svg",
    "memory_curve": "show.plot:memory_curve",
    "comparison": "show.comparison:comparison",
    "idle": "show.plot:idle",
    "write_hta": "metrics.hta:write_hta",
    "write_perfetto": "metrics.perfetto:write_perfetto",
    "read_torch_csv": "schedule.torch_csv:read_torch_csv",
    "write_torch_csv": "schedule.torch_csv:write_torch_csv",
}
"""Name -> "module:name" in this package; no name after the colon where it is the module itself."""
_NEEDS = {"explore": "anywidget", "testing": "hypothesis"}
"""Names that an extra must be installed for; `import *` leaves them out."""

sys.meta_path.append(
    Aliases({"sim.models": "sim.planner.models", "sim.hardware": "sim.planner.hardware"})
)

__version__ = "0.1.0"

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
    "Trained",
    "Value",
    "bubble",
    "busy",
    "chart_svg",
    "clock_time",
    "compare",
    "comparison",
    "costs_from_json",
    "costs_to_json",
    "critical_path",
    "exposed",
    "forward_only",
    "from_json",
    "frozen",
    "frozen_weights",
    "gantt",
    "gantt_svg",
    "gradient_sums",
    "grid",
    "host_peak_bytes",
    "idle",
    "idle_account",
    "iteration_times",
    "longest_stage",
    "makespan",
    "mechanisms",
    "memory_curve",
    "nodes",
    "offloaded",
    "parse_op",
    "peak_activations",
    "peak_bytes",
    "peak_shares",
    "read_torch_csv",
    "reads",
    "recomputed",
    "search",
    "simulate",
    "slot_grid",
    "slower",
    "steps",
    "to_json",
    "validate",
    "write_hta",
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
    home, _, inside = _ON_FIRST_USE[name].partition(":")
    found = imported(f"{__name__}.{home}", f"sim.{name}")
    return getattr(found, inside) if inside else found
