"""Calibrates the simulator from the torch backend, compares the two, holds the papers' numbers.

    profile = validation.calibrate(validation.Workload(), n_devices=2, n_stages=4)
    comparison = validation.compare(simulated, measured)

torch is imported by what runs something, not by `import validation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .compare import Comparison, compare
from .profile import Profile, profile_from_json, profile_to_json
from .replay import costs_of, replay
from .traces import trace_from_json, trace_to_json

if TYPE_CHECKING:
    from .calibrate import calibrate
    from .experiment import experiment
    from .workload import Workload

_HOMES = {"Workload": "workload", "calibrate": "calibrate", "experiment": "experiment"}
__all__ = [
    "Comparison",
    "Profile",
    "Workload",
    "calibrate",
    "compare",
    "costs_of",
    "experiment",
    "profile_from_json",
    "profile_to_json",
    "replay",
    "trace_from_json",
    "trace_to_json",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'validation' has no attribute {name!r}")
    from sim.base.extras import imported

    # A submodule binds its own name here when it is imported; the functions of that name go first.
    for each, home in _HOMES.items():
        globals()[each] = getattr(imported(f"{__name__}.{home}", f"validation.{name}"), each)
    return globals()[name]
