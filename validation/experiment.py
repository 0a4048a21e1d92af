"""The whole experiment: calibrate, simulate every family, run every family, compare."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from backend import RunResult, run
from sim import FAMILIES, Costs, Kind, Schedule, Trace, makespan, peak_bytes
from sim.base.progress import bar

from .calibrate import calibrate, passes_together, placed, with_overhead
from .experiment_result import Case, Experiment, Key
from .profile import Profile
from .provenance import provenance
from .replay import replay
from .workload import Workload

TIMED: frozenset[Kind] = frozenset(("F", "B", "W", "BW"))
"""Kinds of passes that a calibration measures, all of which the local engine runs."""


def experiment(
    workload: Workload,
    *,
    n_devices: int = 2,
    n_microbatches: int = 8,
    families: Sequence[str] = tuple(FAMILIES),
    rounds: int = 8,
    seconds: float | None = None,
    partitions: Sequence[Any] | None = None,
    command: str = "",
    progress: bool = False,
) -> Experiment:
    """Runs it. Every family runs `rounds` times and every cut of the model is calibrated twice as
    often, in an order drawn anew each round, so that whatever the machine does meanwhile happens to
    all alike.

    families: names; those that do not take these numbers, or have passes that no calibration
        measures (copies, parts of the vocabulary), are left out. seconds: after so many no further
        round begins. A family that fails is in `Experiment.failed`, and not run again.
    progress: a bar on stderr, which moves between two runs and never during one.
    """
    began = time.monotonic()
    schedules = _schedules(families, n_devices, n_microbatches)
    failed: dict[str, str] = {}
    keys = sorted({_key(schedule) for schedule in schedules.values()})
    profiles: dict[Key, Profile] = {}
    costs: dict[Key, list[list[Costs]]] = {key: [] for key in keys}
    traces: dict[str, list[Trace]] = {name: [] for name in schedules}
    counted: dict[str, RunResult] = {}
    alone: dict[Key, list[Costs]] = {key: [] for key in keys}
    turns: list[tuple[str | Key, int]] = [
        *((name, n_devices) for name in schedules),
        *((key, n) for key in keys for n in (n_devices, n_devices, 1)),
    ]
    with bar("calibrating", len(keys) + rounds * len(turns), shown=progress, alone=True) as move:
        for stages, slices in keys:
            profiles[stages, slices] = calibrate(
                workload, n_devices=n_devices, n_stages=stages, n_slices=slices,
                partitions=partitions, command=command, progress=progress,
            )  # fmt: skip
            if move:
                move(len(profiles), "calibrating")
        for number in range(rounds):
            if number and seconds is not None and time.monotonic() - began > seconds:
                rounds = number
                break
            order = np.random.default_rng(number).permutation(len(turns))
            for done, turn in enumerate(order, start=len(keys) + number * len(turns)):
                what, n = turns[turn]
                if move:
                    doing = "calibrating" if isinstance(what, tuple) else what
                    move(done, f"round {number + 1} of {rounds}: {doing}")
                if isinstance(what, tuple):
                    passes = passes_together(
                        workload, n_devices=n, n_stages=what[0], n_slices=what[1], steps=6,
                        warmup=2, partitions=partitions, grouped=False,
                    )  # fmt: skip
                    if n < n_devices:
                        alone[what] += [one.costs() for one in passes]
                    else:
                        costs[what].append([one.costs() for one in passes])
                    continue
                if what in failed:
                    continue
                schedule = schedules[what]
                batch, targets = workload.batch(n_microbatches, schedule.n_stages)
                try:
                    found = run(
                        schedule, workload.stages(schedule.n_stages), batch, targets=targets,
                        device=workload.device, steps=1, warmup=1, memory=int(not number),
                        partitions=partitions,
                    )  # fmt: skip
                except RuntimeError as error:
                    failed[what] = " ".join(str(error).split())
                    continue
                traces[what].append(found.trace)
                counted.setdefault(what, found)
    if not any(name not in failed for name in schedules):
        name, why = next(iter(failed.items()))
        raise RuntimeError(f"no family ran; {name} failed: {why}")
    profiles = {
        key: _averaged(profile, costs[key], alone[key]) for key, profile in profiles.items()
    }
    return Experiment(
        {
            name: _case(
                schedule, profiles[_key(schedule)], costs[_key(schedule)], traces[name],
                counted[name],
            )
            for name, schedule in schedules.items()
            if name not in failed
        },
        profiles,
        workload,
        provenance(workload.device, command=command)
        | {"devices": n_devices, "microbatches": n_microbatches, "rounds": rounds},
        failed,
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
        undisturbed = _mean_times(alone)
        slowdown = _total(busy) / _total(undisturbed)
    tables = {name: tuple(map(tuple, mean.tolist())) for name, mean in busy.items()}
    costs = replace(profile.costs, **tables)  # type: ignore[arg-type]
    return replace(
        profile,
        costs=with_overhead(costs, profile.overhead),
        neighbour_slowdown=float(slowdown),
    )


def _total(times: Mapping[str, Any]) -> float:
    return float(sum(table.sum() for table in times.values()))


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
    found, beyond = {}, ""
    for name in families:
        try:
            schedule = FAMILIES[name](p, m)
        except ValueError:
            continue  # this family does not take these numbers
        kinds = {op.kind for order in schedule.orders for op in order}
        if unmeasured := sorted(kinds - TIMED):
            beyond = f": {name} has passes {unmeasured[0]}, which the calibration does not time"
        else:
            found[name] = schedule
    if not found:
        raise ValueError(f"none of {', '.join(families)} runs with p={p} and m={m}{beyond}")
    return found


def _key(schedule: Schedule) -> Key:
    return schedule.n_stages, schedule.n_slices
