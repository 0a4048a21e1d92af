"""A calibration profile: measured costs and links, with their spread and where they come from.

The JSON of a profile is the JSON of `sim.Costs` with more keys, so
`python -m sim simulate v-half --profile profile.json` takes it as it is. Times are in seconds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sim import (
    Cluster,
    Costs,
    Link,
    Schedule,
    Trace,
    costs_from_json,
    costs_to_json,
    simulate,
)
from sim.engine.costs_changed import slower


@dataclass(frozen=True)
class Profile:
    """What a machine does with one model cut in one way.

    costs: seconds and bytes of every pass of **one microbatch**; seconds contain `overhead`.
    latency, bandwidth: of a transfer between two pipeline devices, seconds and bytes per second.
    overhead: seconds a device spends between two passes with nothing to wait for.
    neighbour_slowdown: time of a pass while all other devices are busy over its time alone. The
        costs are those with busy neighbours.
    spread: half the range between the quartiles over the median, by pass ("F@0.0").
    workload: what was measured. provenance: where, with what, when.
    """

    costs: Costs
    latency: float
    bandwidth: float
    overhead: float = 0.0
    neighbour_slowdown: float = 1.0
    spread: Mapping[str, float] = field(default_factory=dict)
    workload: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, schedule: Schedule, costs: Costs | None = None) -> Trace:
        """What a run of `schedule` will be: pass times fall and rise with the number of devices
        that compute, between those of a device alone and those with busy neighbours.

        costs: others than those of the profile, with busy neighbours as well.
        """
        busy = costs or self.costs
        slowdown = self.neighbour_slowdown
        cluster = replace(self.cluster(schedule.n_devices), neighbour_slowdown=slowdown)
        return simulate(schedule, slower(busy, [1 / slowdown] * busy.n_stages), cluster)

    def cluster(self, n_devices: int) -> Cluster:
        """As many devices, joined by private wires as measured. Passes take what the costs say,
        whoever computes at the same time: `predict` knows better."""
        pairs = [(a, b) for a in range(n_devices) for b in range(n_devices) if a != b]
        wire = Link(self.latency, self.bandwidth)
        return Cluster(
            n_devices,
            links={f"{a}->{b}": wire for a, b in pairs},
            routes={(a, b): (f"{a}->{b}",) for a, b in pairs},
        )


_EXTRA = ("latency", "bandwidth", "overhead", "neighbour_slowdown", "spread", "workload")


def profile_to_json(profile: Profile) -> str:
    """One JSON object, which `sim` also reads as costs."""
    found = json.loads(costs_to_json(profile.costs))
    found["provenance"] = dict(profile.provenance)
    for name in _EXTRA:
        value = getattr(profile, name)
        found[name] = dict(value) if isinstance(value, Mapping) else value
    if math.isinf(found["bandwidth"]):
        found["bandwidth"] = None  # strict JSON knows no infinity
    return json.dumps(found, indent=1)


def profile_from_json(text: str) -> Profile:
    """The profile in `text`; ValueError with one sentence if it is none."""
    costs = costs_from_json(text)
    found = json.loads(text)
    if missing := {"latency", "bandwidth"} - set(found):
        raise ValueError(f"no profile: it lacks {min(missing)!r}; make one with calibrate")
    bandwidth = found["bandwidth"]
    return Profile(
        costs,
        found["latency"],
        math.inf if bandwidth is None else bandwidth,
        **{name: found[name] for name in _EXTRA[2:] if name in found},
        provenance=found.get("provenance", {}),
    )
