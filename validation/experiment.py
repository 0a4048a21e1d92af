"""The whole experiment: calibrate, simulate every family, run every family, compare, rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from backend import RunResult, run
from sim import FAMILIES, Costs, Schedule, Trace, longest_stage, makespan, peak_bytes, simulate

from .calibrate import Workload, calibrate
from .compare import Comparison, compare
from .profile import Profile
from .provenance import provenance
from .replay import replay

Key = tuple[int, int]
"""Stages and slices: families with the same share a profile."""


@dataclass(frozen=True)
class Case:
    """One family: what was predicted, what happened in every round, and the two compared.

    comparison: against the round of median makespan. replay_errors: of the makespan in every round
    when it is simulated with that round's own pass times: what is left when pass times are
    those of the run and not of the calibration. memory: bytes per device, predicted and
    measured, without static ones.
    """

    schedule: Schedule
    simulated: Trace
    measured: tuple[Trace, ...]
    comparison: Comparison
    replay_errors: tuple[float, ...]
    predicted_bytes: tuple[int, ...]
    measured_bytes: tuple[int, ...]


@dataclass(frozen=True)
class Experiment:
    """All cases by family, the profiles they were predicted from, and where it ran."""

    cases: Mapping[str, Case]
    profiles: Mapping[Key, Profile]
    workload: Workload
    provenance: Mapping[str, Any]

    def table(self) -> pd.DataFrame:
        """A row per family: both clocks simulated and measured (median), `spread` (half the range
        between the quartiles over the median), errors, `error_replay`, and the worst error of a
        device's peak."""
        rows = []
        for name, case in self.cases.items():
            row: dict[str, Any] = {"family": name}
            for clock, read in (("makespan", makespan), ("longest_stage", longest_stage)):
                times = [float(read(trace)) for trace in case.measured]
                middle = float(np.median(times))
                low, high = np.quantile(times, (0.25, 0.75))
                row |= {
                    f"simulated_{clock}": float(read(case.simulated)),
                    f"measured_{clock}": middle,
                    f"spread_{clock}": float(high - low) / 2 / middle,
                    f"error_{clock}": float(read(case.simulated)) / middle - 1,
                }
            row["error_replay"] = float(np.median(case.replay_errors))
            pairs = zip(case.predicted_bytes, case.measured_bytes, strict=True)
            row["error_peak_bytes"] = max(abs(a / b - 1) if b else float(a) for a, b in pairs)
            rows.append(row)
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, Any]:
        """Median and worst absolute error of either clock, of memory, and the wrong rankings."""
        table = self.table()
        found: dict[str, Any] = {"families": len(table)}
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
        return found


def ranking(table: pd.DataFrame) -> tuple[int, list[str]]:
    """How many pairs of families differ by more than the spread in simulation, and those of them
    that the measurement orders the other way."""
    rows = table.to_dict("records")
    told, wrong = 0, []
    for a, b in combinations(rows, 2):
        gap = a["simulated_makespan"] - b["simulated_makespan"]
        spread = sum(row["spread_makespan"] * row["measured_makespan"] for row in (a, b))
        if abs(gap) > spread:
            told += 1
            if gap * (a["measured_makespan"] - b["measured_makespan"]) < 0:
                wrong.append(f"{a['family']} and {b['family']}")
    return told, wrong


def experiment(
    workload: Workload,
    *,
    n_devices: int = 2,
    n_microbatches: int = 8,
    families: Sequence[str] = tuple(FAMILIES),
    rounds: int = 5,
    partitions: Sequence[Any] | None = None,
    command: str = "",
    tell: Callable[[str], None] = lambda line: None,
) -> Experiment:
    """Runs it. Calibration and all families take turns, `rounds` times, so that a machine that
    changes its mood meanwhile does so for all alike; medians over the rounds are compared.

    families: names; those that do not take these numbers are left out.
    tell: gets a line of progress now and then.
    """
    schedules = _schedules(families, n_devices, n_microbatches)
    keys = sorted({_key(schedule) for schedule in schedules.values()})
    calibrations: dict[Key, list[Profile]] = {key: [] for key in keys}
    traces: dict[str, list[Trace]] = {name: [] for name in schedules}
    counted: dict[str, RunResult] = {}
    for number in range(rounds):
        for stages, slices in keys:
            tell(f"round {number + 1} of {rounds}: calibrating {stages} stages, {slices} slices")
            calibrations[stages, slices].append(
                calibrate(
                    workload, n_devices=n_devices, n_stages=stages, n_slices=slices,
                    steps=3, warmup=1, partitions=partitions, command=command,
                )
            )  # fmt: skip
        for name, schedule in schedules.items():
            tell(f"round {number + 1} of {rounds}: running {name}")
            batch, targets = workload.batch(n_microbatches, schedule.n_stages)
            found = run(
                schedule, workload.stages(schedule.n_stages), batch, targets=targets,
                device=workload.device, steps=1, warmup=1, memory=int(not number),
                partitions=partitions,
            )  # fmt: skip
            traces[name].append(found.trace)
            counted.setdefault(name, found)
    profiles = {key: merged(found) for key, found in calibrations.items()}
    return Experiment(
        {
            name: _case(schedule, profiles[_key(schedule)], traces[name], counted[name])
            for name, schedule in schedules.items()
        },
        profiles,
        workload,
        provenance(workload.device, command=command)
        | {"devices": n_devices, "microbatches": n_microbatches, "rounds": rounds},
    )


def merged(profiles: Sequence[Profile]) -> Profile:
    """The medians of several profiles of one workload."""
    first = profiles[0]

    def table(name: str) -> Any:
        middle = np.median([getattr(profile.costs, name) for profile in profiles], axis=0)
        return tuple(map(tuple, middle.tolist()))

    times = ("forward", "backward", "weight", "fused_backward")
    costs = Costs(
        **{name: table(name) for name in times},
        activation_bytes=first.costs.activation_bytes,
        backward_bytes=first.costs.backward_bytes,
        boundary_bytes=first.costs.boundary_bytes,
        group_scale=float(np.median([profile.costs.group_scale for profile in profiles])),
    )

    def number(read: Callable[[Profile], float]) -> float:
        return float(np.median([read(profile) for profile in profiles]))

    def spread(key: str) -> float:
        return number(lambda p: p.spread[key])

    return Profile(
        costs,
        latency=number(lambda p: p.latency),
        bandwidth=number(lambda p: p.bandwidth),
        overhead=number(lambda p: p.overhead),
        neighbour_slowdown=number(lambda p: p.neighbour_slowdown),
        spread={key: spread(key) for key in first.spread},
        workload=first.workload,
        provenance=first.provenance,
    )


def _case(
    schedule: Schedule, profile: Profile, measured: Sequence[Trace], counted: RunResult
) -> Case:
    simulated = simulate(schedule, profile.costs, profile.cluster(schedule.n_devices))
    middle = sorted(measured, key=makespan)[len(measured) // 2]
    return Case(
        schedule,
        simulated,
        tuple(measured),
        compare(simulated, middle),
        tuple(float(makespan(replay(one)) / makespan(one)) - 1 for one in measured),
        tuple(int(size) for size in peak_bytes(simulated)),
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
