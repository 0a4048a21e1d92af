"""Counted bytes are the simulated ones, to the byte, whatever a schedule does about memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from local_engine import RUNNABLE
from torch import nn

import backend
import sim
from backend.measure.passes import measured_passes
from backend.stages.transformer import Model, tokens, transformer_stages
from backend.threads.run import run

SMALL: dict[str, Any] = {"width": 8, "heads": 2, "vocabulary": 12, "sequence": 6}
Changes = dict[tuple[int, str], int]


def stages_for(trains: Sequence[str], n_stages: int) -> tuple[list[nn.Module], Model]:
    model = Model((1,) * n_stages, dtype=torch.float64, **SMALL)
    stages = transformer_stages(model)
    for stage, trained in zip(stages, trains, strict=False):
        if trained == "adapters":
            backend.adapted(stage)
    return stages, model


@functools.cache
def costs_for(
    n_stages: int, n_slices: int, trains: tuple[Any, ...], levers: str, vocabulary: int = 0
) -> sim.Costs:
    stages, model = stages_for(trains, n_stages)
    like = sim.FAMILIES["gpipe"](n_stages, 1)
    if n_slices > 1:
        like = sim.FAMILIES["seq1f1b"](n_stages, 1, slices=n_slices)
    if vocabulary:
        name = "vocab-1f1b" if n_stages == 2 else "vocab-v-half"
        like = sim.FAMILIES[name](2, 1, barriers=vocabulary)
    for stage, trained in enumerate(trains):
        transform = {"nothing": sim.frozen, "adapters": sim.frozen_weights}.get(trained)
        like = transform(like, [stage]) if transform else like
    like = sim.recomputed(like) if "R" in levers else like
    passes = measured_passes(
        stages, *tokens(model, 1)[:1], targets=tokens(model, 1)[1], like=like, steps=1, warmup=0
    )
    return passes.costs()


def changes(trace: sim.Trace) -> Changes:
    """What every pass took or gave back, by device (-1 for the host) and pass; of weights in one
    kernel, the last pass gives back what all of them do."""
    last = {
        str(op): str(step[-1]) for step in trace.schedule.fused for op in step if op.kind == "W"
    }
    found: Changes = {}
    rows = trace.memory[["device", "reason", "change"]].itertuples(index=False)
    for device, reason, change in rows:
        key = device, last.get(reason, reason)
        found[key] = found.get(key, 0) + change
    return {key: change for key, change in found.items() if change}


def queues(trace: sim.Trace) -> dict[tuple[int, str], list[sim.Op]]:
    """The passes of every queue of every device, in the order in which they began."""
    found: dict[tuple[int, str], list[sim.Op]] = {}
    rows = trace.ops.sort_values(["start", "position"], kind="stable")
    key = ["device", "kind", "stage", "microbatch", "slice"]
    for device, *op in rows[key].itertuples(index=False):
        queue = op[0] if op[0] in ("O", "L") else "compute"
        found.setdefault((device, queue), []).append(sim.Op(*op))
    return found


def both(schedule: sim.Schedule) -> tuple[sim.Trace, sim.Trace]:
    """The simulation from bytes that were measured on one device, and a run."""
    stages, model = stages_for(schedule.trains, schedule.n_stages)
    levers = "".join(sorted({*schedule.levers.values()} & {"R"}))
    costs = costs_for(
        schedule.n_stages, schedule.n_slices, schedule.trains, levers, schedule.vocabulary
    )
    if schedule.copies:
        costs = replace(costs, offload=((1,),) * schedule.n_stages)
    batch, targets = tokens(model, schedule.n_microbatches)
    measured = run(schedule, stages, batch, targets=targets)
    assert sim.peak_bytes(measured.trace) == measured.peak_bytes
    return sim.simulate(schedule, costs), measured.trace


def partners(schedule: sim.Schedule) -> sim.Schedule:
    p = schedule.n_devices
    return sim.offloaded(schedule, stores=tuple((device + 1) % p for device in range(p)))


TRANSFORMS: list[Callable[[sim.Schedule], sim.Schedule]] = [
    lambda schedule: schedule,
    lambda schedule: sim.recomputed(schedule, place="in waits"),
    lambda schedule: sim.offloaded(sim.recomputed(schedule, [0])),
    lambda schedule: sim.recomputed(sim.frozen(schedule, [0])),
    lambda schedule: sim.frozen_weights(schedule, [0]),
    lambda schedule: sim.offloaded(sim.frozen(schedule, [1])),
    partners,
]


@pytest.mark.parametrize("name", RUNNABLE)
def test_every_pass_takes_and_gives_back_what_the_simulator_says(name: str) -> None:
    turn = [*RUNNABLE].index(name)
    for transform in TRANSFORMS[turn % 5 :: 5]:
        schedule = transform(RUNNABLE[name](2, 4))
        if schedule.copies and schedule.n_slices > 1:
            continue  # what later slices see of an earlier one stays on the device
        guess, real = both(schedule)
        assert queues(real) == queues(guess)
        assert changes(real) == changes(guess)
        if not schedule.copies:
            assert sim.peak_bytes(real) == sim.peak_bytes(guess)
