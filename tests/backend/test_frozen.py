"""Stages that train nothing, or adapters alone, or run forwards alone."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from local_engine import RUNNABLE
from torch import nn

import backend
import sim
from backend.stages.frozen import Adapted
from backend.stages.reference import gradient_error, gradients_of, plain_backward
from backend.stages.transformer import Model, tokens, transformer_stages
from backend.threads.run import run

SMALL: dict[str, Any] = {"width": 8, "heads": 2, "vocabulary": 11, "sequence": 6}


def stages_for(schedule: sim.Schedule) -> tuple[list[nn.Module], torch.Tensor, torch.Tensor]:
    """Stages that train what the schedule says, and a row per microbatch."""
    model = Model((1,) * schedule.n_stages, dtype=torch.float64, **SMALL)
    stages = transformer_stages(model)
    for stage, trained in zip(stages, schedule.trains, strict=False):
        if trained == "adapters":
            backend.adapted(stage)
    head = cast(Any, stages[-1]).parts[-1]
    if schedule.vocabulary and isinstance(head.out, Adapted):
        head.out = head.out.layer  # an output layer that is cut has no adapter
    return stages, *tokens(model, schedule.n_microbatches)


def plain_gradients(schedule: sim.Schedule, stages: Any, batch: Any, targets: Any) -> Any:
    """Those of a plain backward in which the stages that train nothing are frozen."""
    frozen = [stages[s] for s, trained in enumerate(schedule.trains) if trained == "nothing"]
    wanted = [p for module in frozen for p in module.parameters() if p.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    found = plain_backward(stages, batch, targets=targets)
    for parameter in wanted:
        parameter.requires_grad_(True)
    return found


def every_kind(schedule: sim.Schedule) -> list[sim.Schedule]:
    last = schedule.n_stages - 1
    return [
        sim.frozen(schedule, [0]),
        sim.frozen(schedule, [last]),
        sim.frozen_weights(schedule, range(last)),
        sim.frozen(sim.frozen_weights(schedule, [last]), [0]),
        sim.forward_only(schedule),
    ]


@pytest.mark.parametrize("name", RUNNABLE)
def test_what_is_left_of_a_backward_gives_its_gradients_and_no_others(name: str) -> None:
    turn = [*RUNNABLE].index(name)  # each kind comes to many families, not all to all
    for schedule in every_kind(sim.FAMILIES[name](2, 3))[turn % 5 :: 5]:
        stages, batch, targets = stages_for(schedule)
        wants = [p.requires_grad for stage in stages for p in stage.parameters()]
        result = run(schedule, stages, batch, targets=targets, memory=0)
        plain = plain_gradients(schedule, stages, batch, targets)
        assert result.loss == pytest.approx(plain.loss, rel=1e-12)
        assert gradient_error(gradients_of(stages), plain.gradients) < 1e-12
        assert wants == [p.requires_grad for stage in stages for p in stage.parameters()]
        for stage, trained in zip(stages, schedule.trains, strict=True):
            if trained == "nothing":
                assert all(p.grad is None for p in stage.parameters())
        crossed = sim.simulate(schedule, sim.Costs.uniform(schedule)).transfers
        key = ["value", "stage", "microbatch", "slice", "source", "destination"]
        assert {*map(tuple, result.trace.transfers[key].to_numpy())} == {
            *map(tuple, crossed[key].to_numpy())
        }


def test_a_stage_without_a_backward_keeps_nothing_and_one_without_w_is_through_after_b() -> None:
    schedule = sim.frozen(sim.FAMILIES["zb-h1"](3, 4), [0, 2])
    stages, batch, targets = stages_for(schedule)
    result = run(schedule, stages, batch, targets=targets)
    assert result.peak_bytes[0] == 0
    memory = result.trace.memory
    for device in (1, 2):
        mine = memory[memory["device"] == device]
        assert mine["live"].iloc[-1] == 0
        assert mine["live"].max() == result.peak_bytes[device] > 0
        assert mine["activations"].max() == sim.peak_activations(schedule)[device]
    assert {op.kind for op in schedule.orders[2]} == {"F", "B"}
    sliced = sim.forward_only(sim.FAMILIES["seq1f1b"](2, 3))
    stages, batch, targets = stages_for(sliced)
    assert run(sliced, stages, batch, targets=targets).peak_bytes == (0, 0)


def test_frozen_weights_keep_less_than_trained_ones() -> None:
    """A linear layer keeps its input for its weight alone."""
    schedule = sim.FAMILIES["1f1b"](2, 2)
    stages, batch, targets = stages_for(schedule)
    whole = run(schedule, stages, batch, targets=targets).peak_bytes[1]
    part = run(sim.frozen(schedule, [1]), stages, batch, targets=targets).peak_bytes[1]
    assert part < 0.7 * whole


@pytest.mark.parametrize("name", ["1f1b", "zb-h1"])
def test_torchs_own_split_runs_what_is_frozen_too(name: str) -> None:
    for schedule in every_kind(sim.FAMILIES[name](2, 3)):
        stages, batch, targets = stages_for(schedule)
        run(schedule, stages, batch, targets=targets, split="native", memory=0)
        plain = plain_gradients(schedule, stages, batch, targets)
        assert gradient_error(gradients_of(stages), plain.gradients) < 1e-12


def test_a_stage_of_adapters_that_wants_all_gradients_is_warned_of() -> None:
    schedule = sim.frozen_weights(sim.FAMILIES["1f1b"](2, 2), [1])
    model = Model((1, 1), dtype=torch.float64, **SMALL)
    stages, (batch, targets) = transformer_stages(model), tokens(model, 2)
    with pytest.warns(UserWarning, match="stage 1 trains adapters alone, but all its parameters"):
        run(schedule, stages, batch, targets=targets, memory=0)
    plain = plain_backward(stages, batch, targets=targets)
    assert gradient_error(gradients_of(stages), plain.gradients) < 1e-12


def test_what_is_frozen_shares_no_weights_with_what_is_trained() -> None:
    schedule = sim.frozen(sim.FAMILIES["1f1b"](2, 2), [0])
    layer = nn.Linear(3, 3)
    with pytest.raises(ValueError, match="stage 0 trains nothing, but shares weight with stage 1"):
        run(schedule, [layer, layer], torch.ones(2, 3), loss_fn=lambda out, _: out.sum())


def test_adapters_of_no_rank_are_refused() -> None:
    with pytest.raises(ValueError, match="rank is 0: it must be at least 1"):
        backend.adapted(nn.Linear(2, 2), rank=0)
