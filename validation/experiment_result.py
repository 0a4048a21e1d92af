"""What an experiment found: cases, errors and rankings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from sim import Schedule, Trace, clock_time, makespan

from .compare import Comparison, compare
from .profile import Profile
from .workload import Workload

Key = tuple[int, int]
"""Stages and slices: families with the same share a profile."""


@dataclass(frozen=True)
class Case:
    """One family: what was predicted, what happened in every round, and the two compared.

    simulated: a trace per calibration. How fast a device is varies from second to second, on each
        device independently, and a calibration measures all devices at one moment; what is
        predicted is the mean.
    measured: a trace per round. replay_errors: of the makespan in every round when it is simulated
        with that round's own pass times: what is left when pass times are those of the run and not
        of the calibration. predicted_bytes, measured_bytes: peak per device without static ones.
    """

    schedule: Schedule
    simulated: tuple[Trace, ...]
    measured: tuple[Trace, ...]
    replay_errors: tuple[float, ...]
    predicted_bytes: tuple[int, ...]
    measured_bytes: tuple[int, ...]

    @property
    def middle(self) -> tuple[Trace, Trace]:
        """The simulated and the measured trace of median makespan."""
        simulated, measured = (
            sorted(traces, key=makespan)[len(traces) // 2]
            for traces in (self.simulated, self.measured)
        )
        return simulated, measured

    @property
    def comparison(self) -> Comparison:
        """These two compared."""
        return compare(*self.middle)

    def times(self, clock: str) -> tuple[list[float], list[float]]:
        """Simulated times by calibration and measured ones by round."""
        simulated, measured = (
            [float(clock_time(trace, clock)) for trace in traces]  # type: ignore[arg-type]
            for traces in (self.simulated, self.measured)
        )
        return simulated, measured


@dataclass(frozen=True)
class Experiment:
    """All cases by family, the profiles they were predicted from, where it ran, and why which
    families did not."""

    cases: Mapping[str, Case]
    profiles: Mapping[Key, Profile]
    workload: Workload
    provenance: Mapping[str, Any]
    failed: Mapping[str, str] = field(default_factory=dict)

    def table(self) -> pd.DataFrame:
        """A row per family: both clocks simulated and measured (means), `spread` (standard
        deviation of single rounds over the mean), `uncertainty` (two standard errors of the
        measured mean, over the mean), `error` (simulated / measured - 1), `error_replay` (mean),
        and the worst error of a device's peak."""
        rows = []
        for name, case in self.cases.items():
            row: dict[str, Any] = {"family": name}
            for clock in ("makespan", "longest_stage"):
                simulated, measured = case.times(clock)
                middle = float(np.mean(measured))
                row |= {
                    f"simulated_{clock}": float(np.mean(simulated)),
                    f"measured_{clock}": middle,
                    f"spread_{clock}": _deviation(measured) / middle,
                    f"uncertainty_{clock}": 2 * _standard_error(measured) / middle,
                    f"error_{clock}": float(np.mean(simulated)) / middle - 1,
                }
            row["error_replay"] = float(np.mean(case.replay_errors))
            pairs = zip(case.predicted_bytes, case.measured_bytes, strict=True)
            row["error_peak_bytes"] = max(abs(a / b - 1) if b else float(a) for a, b in pairs)
            rows.append(row)
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, Any]:
        """Median and worst absolute error of either clock, of memory, and the wrong rankings."""
        table = self.table()
        found: dict[str, Any] = {
            "families": len(table),
            "median_uncertainty_makespan": float(table["uncertainty_makespan"].median()),
        }
        for clock in ("makespan", "longest_stage"):
            errors = table[f"error_{clock}"].abs()
            found |= {
                f"median_error_{clock}": float(errors.median()),
                f"worst_error_{clock}": float(errors.max()),
            }
        replays = table["error_replay"].abs()
        found |= {
            "median_error_replay": float(replays.median()),
            "worst_error_replay": float(replays.max()),
        }
        found["worst_error_peak_bytes"] = float(table["error_peak_bytes"].max())
        found["ranked_pairs"], found["misranked"] = ranking(table)
        by_means = ranking(table, "uncertainty_makespan")
        found["ranked_by_means"], found["misranked_by_means"] = by_means
        return found


def ranking(table: pd.DataFrame, spread: str = "spread_makespan") -> tuple[int, list[str]]:
    """How many pairs of families simulation tells apart, and those of them that the measured means
    order the other way.

    spread: the column of `table` that a gap is held against, a share of the measured makespan: what
    single rounds vary by, or "uncertainty_makespan", what their mean is uncertain by. The gap has
    to be above that of both families taken together (root of the sum of squares).
    """
    pairs, wrong = 0, []
    for a, b in combinations(table.to_dict("records"), 2):
        gap = a["simulated_makespan"] - b["simulated_makespan"]
        if abs(gap) > math.hypot(*(row[spread] * row["measured_makespan"] for row in (a, b))):
            pairs += 1
            if gap * (a["measured_makespan"] - b["measured_makespan"]) < 0:
                wrong.append(f"{a['family']} and {b['family']}")
    return pairs, wrong


def _deviation(values: Sequence[float]) -> float:
    """Standard deviation of single values; NaN for one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _standard_error(values: Sequence[float]) -> float:
    """Of their mean."""
    return _deviation(values) / math.sqrt(len(values))
