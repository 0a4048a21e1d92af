"""The whole experiment: calibrate, simulate every family, run every family, compare, rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from backend import RunResult, run
from sim import FAMILIES, Costs, Schedule, Trace, clock_time, makespan, peak_bytes, simulate

from .calibrate import Workload, calibrate, passes_together, with_overhead
from .compare import Comparison, compare
from .profile import Profile
from .provenance import provenance
from .replay import replay

Key = tuple[int, int]
"""Stages and slices: families with the same share a profile."""


@dataclass(frozen=True)
class Case:
    """One family: what was predicted, what happened in every round, and the two compared.

    simulated, measured: a trace per round; the prediction of a round is from pass times that were
        measured just before it ran. replay_errors: of the makespan in every round when it is
        simulated with that round's own pass times: what is left when pass times are those of the
        run and not of the calibration. memory: bytes per device, predicted and measured, without
        static ones.
    """

    schedule: Schedule
    simulated: tuple[Trace, ...]
    measured: tuple[Trace, ...]
    replay_errors: tuple[float, ...]
    predicted_bytes: tuple[int, ...]
    measured_bytes: tuple[int, ...]

    @property
    def middle(self) -> tuple[Trace, Trace]:
        """Simulated and measured trace of the round of median makespan."""
        pairs = list(zip(self.simulated, self.measured, strict=True))
        return sorted(pairs, key=lambda pair: makespan(pair[1]))[len(pairs) // 2]

    @property
    def comparison(self) -> Comparison:
        """The two traces of that round compared."""
        return compare(*self.middle)

    def times(self, clock: str) -> tuple[list[float], list[float]]:
        """Simulated and measured times on a clock, by round."""
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
        """A row per family: both clocks simulated and measured (medians over the rounds), `spread`
        (half the range between the quartiles over the median), `error` (median of simulated /
        measured - 1 by round), `error_replay`, and the worst error of a device's peak."""
        rows = []
        for name, case in self.cases.items():
            row: dict[str, Any] = {"family": name}
            for clock in ("makespan", "longest_stage"):
                simulated, measured = map(np.array, case.times(clock))
                middle = float(np.median(measured))
                low, high = np.quantile(measured, (0.25, 0.75))
                row |= {
                    f"simulated_{clock}": float(np.median(simulated)),
                    f"measured_{clock}": middle,
                    f"spread_{clock}": float(high - low) / 2 / middle,
                    f"error_{clock}": float(np.median(simulated / measured)) - 1,
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
        found["ranked_pairs"], found["misranked"] = ranking(
            {name: case.times("makespan") for name, case in self.cases.items()}
        )
        return found


def ranking(times: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> tuple[int, list[str]]:
    """How many pairs of families simulation tells apart, and those of them that the measurement
    orders the other way.

    times: simulated and measured times of every family, by round. Two families are told apart if
    their simulated times differ by more than the measured difference varies: both as ratios within
    a round, and as medians over the rounds, the spread as half the range between the quartiles.
    """
    told, wrong = 0, []
    for (a, (simulated_a, measured_a)), (b, (simulated_b, measured_b)) in combinations(
        times.items(), 2
    ):
        simulated = np.log(np.divide(simulated_a, simulated_b))
        measured = np.log(np.divide(measured_a, measured_b))
        low, high = np.quantile(measured, (0.25, 0.75))
        gap = float(np.median(simulated))
        if abs(gap) > (high - low) / 2:
            told += 1
            if gap * float(np.median(measured)) < 0:
                wrong.append(f"{a} and {b}")
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
    """Runs it, `rounds` times: every family in an order drawn anew, and right before each run the
    pass times it is predicted from, so that a machine that changes its mood does so for both.

    families: names; those that do not take these numbers are left out.
    tell: gets a line of progress now and then.
    """
    schedules = _schedules(families, n_devices, n_microbatches)
    keys = sorted({_key(schedule) for schedule in schedules.values()})
    calibrations: dict[Key, list[Profile]] = {key: [] for key in keys}
    costs: dict[str, list[Costs]] = {name: [] for name in schedules}
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
        for name in np.random.default_rng(number).permutation(list(schedules)).tolist():
            schedule = schedules[name]
            tell(f"round {number + 1} of {rounds}: running {name}")
            costs[name].append(
                passes_together(
                    workload, n_devices=n_devices, n_stages=schedule.n_stages,
                    n_slices=schedule.n_slices, steps=3, warmup=1, partitions=partitions,
                ).costs()
            )  # fmt: skip
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
            name: _case(
                schedule, profiles[_key(schedule)], costs[name], traces[name], counted[name]
            )
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
    schedule: Schedule,
    profile: Profile,
    costs: Sequence[Costs],
    measured: Sequence[Trace],
    counted: RunResult,
) -> Case:
    cluster = profile.cluster(schedule.n_devices)
    simulated = [simulate(schedule, with_overhead(one, profile.overhead), cluster) for one in costs]
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
