"""Several placements: every microbatch follows its own, and copies of weights are one weight."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings

import sim
from backend.stages.reference import gradient_error, gradients_of, plain_backward
from backend.stages.transformer import Model, tokens, transformer_stages
from backend.threads.run import run

SMALL: dict[str, Any] = {"width": 8, "heads": 2, "vocabulary": 11, "sequence": 6}
BOTH_WAYS = ["dualpipe", "chimera"]


def errors(schedule: sim.Schedule, **options: Any) -> float:
    """Of a run, against a plain backward: the larger of that of the loss and of the gradients."""
    model = Model((1,) * schedule.n_stages, dtype=torch.float64, **SMALL)
    stages, (batch, targets) = transformer_stages(model), tokens(model, schedule.n_microbatches)
    result = run(schedule, stages, batch, targets=targets, memory=0, **options)
    plain = plain_backward(stages, batch, targets=targets)
    loss = abs(result.loss - plain.loss) / plain.loss
    return max(loss, gradient_error(gradients_of(stages), plain.gradients))


@pytest.mark.parametrize(("p", "m"), [(2, 4), (4, 5)])
@pytest.mark.parametrize("name", BOTH_WAYS)
def test_gradients_of_copies_add_up_to_those_of_a_plain_backward(name: str, p: int, m: int) -> None:
    schedule = sim.FAMILIES[name](p, m)
    assert schedule.routes
    assert errors(schedule, warmup=1) < 1e-12
    assert errors(sim.recomputed(schedule, [0], place="in waits")) < 1e-12


@settings(max_examples=6, deadline=None)
@given(sim.testing.wild_schedules(max_devices=3, max_microbatches=4, directions=2))
def test_any_schedule_of_two_placements_runs(schedule: sim.Schedule) -> None:
    assert errors(schedule) < 1e-12


def test_a_device_holds_weights_for_all_placements_and_passes_run_where_they_belong() -> None:
    schedule = sim.FAMILIES["chimera"](2, 2)
    model = Model((1, 1), **SMALL)
    stages, (batch, targets) = transformer_stages(model), tokens(model, 2)
    result = run(schedule, stages, batch, targets=targets)
    one = run(sim.FAMILIES["1f1b"](2, 2), stages, batch, targets=targets)
    assert result.static_bytes == (sum(one.static_bytes),) * 2
    crossed = result.trace.transfers.query("value == 'activation'")
    assert {*zip(crossed["microbatch"], crossed["source"], strict=True)} == {(0, 0), (1, 1)}
    memory = result.trace.memory
    assert memory.groupby("device")["activations"].max().tolist() == [
        *sim.peak_activations(schedule)
    ]
