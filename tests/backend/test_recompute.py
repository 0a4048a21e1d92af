"""Recompute: F keeps its input, R builds the rest again, and no gradient changes by a bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from local_engine import RUNNABLE
from torch import nn

import sim
from backend.stages.reference import gradients_of
from backend.stages.transformer import Model, tokens, transformer_stages
from backend.threads.run import run

SMALL: dict[str, Any] = {"width": 8, "heads": 2, "vocabulary": 11, "sequence": 6}


def small(schedule: sim.Schedule) -> tuple[list[nn.Module], torch.Tensor, torch.Tensor]:
    model = Model((1,) * schedule.n_stages, dtype=torch.float64, **SMALL)
    return transformer_stages(model), *tokens(model, schedule.n_microbatches)


def gradients(schedule: sim.Schedule, **options: Any) -> list[torch.Tensor]:
    stages, batch, targets = small(schedule)
    run(schedule, stages, batch, targets=targets, memory=0, **options)
    return [found for each in gradients_of(stages) for found in each if found is not None]


def same(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return all(map(torch.equal, some, others))


@pytest.mark.parametrize("name", RUNNABLE)
def test_gradients_are_those_of_the_same_schedule_without_r_to_the_bit(name: str) -> None:
    schedule = sim.FAMILIES[name](2, 3)
    plain = gradients(schedule)
    late = [*RUNNABLE].index(name) % 2
    stages = None if late else [0, schedule.n_stages - 1]
    again = sim.recomputed(schedule, stages, place="late" if late else "in waits")
    assert same(gradients(again), plain)


def test_torchs_own_split_can_recompute_too() -> None:
    schedule = sim.FAMILIES["zb-h1"](2, 3)
    plain = gradients(schedule, split="native")
    assert same(gradients(sim.recomputed(schedule), split="native"), plain)


class Counted(nn.Linear):
    """Counts its forwards, and those with a graph."""

    def __init__(self) -> None:
        super().__init__(6, 6)
        self.calls, self.graphs = 0, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.graphs += torch.is_grad_enabled()
        return torch.tanh(super().forward(x))


def square(output: torch.Tensor, _: torch.Tensor | None) -> torch.Tensor:
    return output.square().mean()


def test_every_module_runs_twice_where_it_is_recomputed_and_once_elsewhere() -> None:
    schedule = sim.recomputed(sim.FAMILIES["zb-h1"](2, 3), [1], place="in waits")
    stages = [Counted(), Counted()]
    result = run(schedule, stages, torch.randn(3, 6), loss_fn=square, memory=0)
    assert [(stage.calls, stage.graphs) for stage in stages] == [(3, 3), (6, 3)]
    kinds = [op.kind for op in schedule.orders[1]]
    ops = result.trace.ops
    assert [*ops[ops["device"] == 1].sort_values("start")["kind"]] == kinds
    assert kinds.count("R") == 3


class Dropping(nn.Module):
    """Remembers what came out of its dropout, and draws a number of its own after it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 6, dtype=torch.float64)
        self.came: dict[float, list[torch.Tensor]] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dropped = nn.functional.dropout(self.inner(x)) + torch.rand(6)
        self.came.setdefault(x.sum().item(), []).append(dropped.detach())
        return dropped


def test_dropout_drops_the_same_twice_however_many_devices_draw() -> None:
    schedule = sim.recomputed(sim.FAMILIES["zb-h1"](3, 6), place="in waits")
    stages = [Dropping() for _ in range(3)]
    run(schedule, stages, torch.randn(6, 6, dtype=torch.float64), loss_fn=square, memory=0)
    for stage in stages:
        assert len(stage.came) == 6
        for first, second in stage.came.values():
            assert torch.equal(first, second)


def test_on_one_device_dropout_is_that_of_a_run_without_r() -> None:
    schedule = sim.FAMILIES["gpipe"](1, 4)
    torch.manual_seed(0)
    batch, found = torch.randn(4, 6, dtype=torch.float64), []
    stage = Dropping()
    for each in (schedule, sim.recomputed(schedule)):
        torch.manual_seed(1)
        run(each, [stage], batch, loss_fn=square, memory=0)
        found.append([stage.inner.weight.grad.clone(), torch.rand(1)])  # type: ignore[union-attr]
    assert same(*found)
