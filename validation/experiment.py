"""The whole experiment: calibrate, simulate every family, run every family, compare, rank."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from backend import RunResult, run
from sim import FAMILIES, Costs, Schedule, Trace, clock_time, makespan, peak_bytes

from .calibrate import Workload, calibrate, passes_together, placed, with_overhead
from .compare import Comparison, compare
from .profile import Profile
from .provenance import provenance
from .replay import replay

Key = tuple[int, int]
"""Stages and slices: families with the same share a profile."""


@dataclass(frozen=True)
class Case:
    """One family: what was predicted, what happened in every round, and the two compared.

    simulated: a trace per calibration. The speed of a machine varies, on each device by itself, and
        a calibration shows how fast all were at one time; what is predicted is the mean.
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
    """All cases by family, the profiles they were predicted from, and where it ran."""

    cases: Mapping[str, Case]
    profiles: Mapping[Key, Profile]
    workload: Workload
    provenance: Mapping[str, Any]

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
    told, wrong = 0, []
    for a, b in combinations(table.to_dict("records"), 2):
        gap = a["simulated_makespan"] - b["simulated_makespan"]
        if abs(gap) > math.hypot(*(row[spread] * row["measured_makespan"] for row in (a, b))):
            told += 1
            if gap * (a["measured_makespan"] - b["measured_makespan"]) < 0:
                wrong.append(f"{a['family']} and {b['family']}")
    return told, wrong


def _deviation(values: Sequence[float]) -> float:
    """Standard deviation of single values; NaN for one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _standard_error(values: Sequence[float]) -> float:
    """Of their mean."""
    return _deviation(values) / math.sqrt(len(values))


def experiment(
    workload: Workload,
    *,
    n_devices: int = 2,
    n_microbatches: int = 8,
    families: Sequence[str] = tuple(FAMILIES),
    rounds: int = 8,
    partitions: Sequence[Any] | None = None,
    command: str = "",
    tell: Callable[[str], None] = lambda line: None,
) -> Experiment:
    """Runs it. Every family runs `rounds` times and every cut of the model is calibrated twice as
    often, in an order drawn anew each round, so that whatever the machine does meanwhile happens to
    all alike.

    families: names; those that do not take these numbers are left out.
    tell: gets a line of progress now and then.
    """
    schedules = _schedules(families, n_devices, n_microbatches)
    keys = sorted({_key(schedule) for schedule in schedules.values()})
    profiles: dict[Key, Profile] = {}
    for stages, slices in keys:
        tell(f"calibrating {stages} stages, {slices} slices")
        profiles[stages, slices] = calibrate(
            workload, n_devices=n_devices, n_stages=stages, n_slices=slices,
            partitions=partitions, command=command,
        )  # fmt: skip
    costs: dict[Key, list[list[Costs]]] = {key: [] for key in keys}
    traces: dict[str, list[Trace]] = {name: [] for name in schedules}
    counted: dict[str, RunResult] = {}
    lonely: dict[Key, list[Costs]] = {key: [] for key in keys}
    turns: list[tuple[str | Key, int]] = [
        *((name, n_devices) for name in schedules),
        *((key, n) for key in keys for n in (n_devices, n_devices, 1)),
    ]
    for number in range(rounds):
        for turn in np.random.default_rng(number).permutation(len(turns)):
            what, n = turns[turn]
            if isinstance(what, tuple):
                tell(f"round {number + 1} of {rounds}: calibrating {what[0]} stages")
                passes = passes_together(
                    workload, n_devices=n, n_stages=what[0], n_slices=what[1], steps=6, warmup=2,
                    partitions=partitions, grouped=False,
                )  # fmt: skip
                if n < n_devices:
                    lonely[what] += [one.costs() for one in passes]
                else:
                    costs[what].append([one.costs() for one in passes])
                continue
            tell(f"round {number + 1} of {rounds}: running {what}")
            schedule = schedules[what]
            batch, targets = workload.batch(n_microbatches, schedule.n_stages)
            found = run(
                schedule, workload.stages(schedule.n_stages), batch, targets=targets,
                device=workload.device, steps=1, warmup=1, memory=int(not number),
                partitions=partitions,
            )  # fmt: skip
            traces[what].append(found.trace)
            counted.setdefault(what, found)
    profiles = {
        key: _averaged(profile, costs[key], lonely[key]) for key, profile in profiles.items()
    }
    return Experiment(
        {
            name: _case(
                schedule, profiles[_key(schedule)], costs[_key(schedule)], traces[name],
                counted[name],
            )
            for name, schedule in schedules.items()
        },
        profiles,
        workload,
        provenance(workload.device, command=command)
        | {"devices": n_devices, "microbatches": n_microbatches, "rounds": rounds},
    )  # fmt: skip


def _averaged(
    profile: Profile, found: Sequence[Sequence[Costs]], alone: Sequence[Costs]
) -> Profile:
    """The profile with the mean pass times of all calibrations on all devices.

    found: of all devices at the same time. alone: of one, for the slow-down by the others.
    """
    busy = _mean_times([costs for devices in found for costs in devices])
    slowdown = 1.0
    if alone:
        lonely = _mean_times(alone)
        slowdown = sum(busy[name].sum() for name in busy) / sum(lonely[name].sum() for name in busy)
    tables = {name: tuple(map(tuple, mean.tolist())) for name, mean in busy.items()}
    costs = replace(profile.costs, **tables)  # type: ignore[arg-type]
    return replace(
        profile,
        costs=with_overhead(costs, profile.overhead),
        neighbour_slowdown=float(slowdown),
    )


def _mean_times(every: Sequence[Costs]) -> dict[str, Any]:
    """Mean pass times by kind, shape `(n_stages, n_slices)`."""
    names = ("forward", "backward", "weight", "fused_backward")
    return {name: np.mean([getattr(costs, name) for costs in every], axis=0) for name in names}


def _case(
    schedule: Schedule,
    profile: Profile,
    calibrations: Sequence[Sequence[Costs]],
    measured: Sequence[Trace],
    counted: RunResult,
) -> Case:
    simulated = []
    for devices in calibrations:
        costs = with_overhead(placed(devices, schedule.placement), profile.overhead)
        costs = replace(costs, group_scale=profile.costs.group_scale)
        simulated.append(profile.predict(schedule, costs))
    return Case(
        schedule,
        tuple(simulated),
        tuple(measured),
        tuple(float(makespan(replay(one)) / makespan(one)) - 1 for one in measured),
        tuple(int(size) for size in peak_bytes(simulated[0])),
        counted.peak_bytes,
    )


def _schedules(families: Sequence[str], p: int, m: int) -> dict[str, Schedule]:
    found = {}
    for name in families:
        try:
            found[name] = FAMILIES[name](p, m)
        except ValueError:
            continue  # this family does not take these numbers
    if not found:
        raise ValueError(f"none of {', '.join(families)} takes p={p} and m={m}")
    return found


def _key(schedule: Schedule) -> Key:
    return schedule.n_stages, schedule.n_slices
