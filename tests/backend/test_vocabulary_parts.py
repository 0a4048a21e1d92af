"""The output layer cut along its vocabulary: gradients are those of the whole model."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

import backend
import sim
from backend.measure.passes import measured_passes
from backend.stages.reference import gradient_error, gradients_of, plain_backward
from backend.stages.transformer import Model, grouped, tokens, transformer_stages
from backend.threads.board import PassFailed
from backend.threads.run import run

SMALL: dict[str, Any] = {"width": 8, "heads": 2, "vocabulary": 11, "sequence": 6}


def small(schedule: sim.Schedule, **sizes: Any) -> tuple[list[nn.Module], Tensor, Tensor]:
    """A block per stage, and a row per microbatch."""
    model = Model((1,) * schedule.n_stages, **{"dtype": torch.float64, **SMALL, **sizes})
    return transformer_stages(model), *tokens(model, schedule.n_microbatches)


def error(schedule: sim.Schedule, stages: list[nn.Module], batch: Any, targets: Any) -> float:
    """Of a run, against a plain backward of the whole model: of the loss, or of the gradients."""
    plain = plain_backward(stages, batch, targets=targets)
    result = run(schedule, stages, batch, targets=targets, memory=0)
    loss = abs(result.loss - plain.loss) / plain.loss
    return max(loss, gradient_error(gradients_of(stages), plain.gradients))


@pytest.mark.parametrize("barriers", [1, 2])
@pytest.mark.parametrize(("name", "p", "m"), [("vocab-1f1b", 4, 5), ("vocab-v-half", 3, 4)])
def test_parts_of_unequal_size_give_the_gradients_of_the_whole(
    name: str, p: int, m: int, barriers: int
) -> None:
    schedule = sim.FAMILIES[name](p, m, barriers=barriers)
    assert error(schedule, *small(schedule)) < 1e-12


@pytest.mark.parametrize("barriers", [1, 2])
def test_a_bias_targets_that_do_not_count_and_large_scores(barriers: int) -> None:
    schedule = sim.FAMILIES["vocab-1f1b"](2, 3, barriers=barriers)
    layers = [nn.Embedding(7, 6), nn.Tanh(), nn.Linear(6, 7)]
    stages = grouped([layer.double() for layer in layers], (2, 1))
    with torch.no_grad():
        cast(Any, layers[2]).weight *= 1000  # exp of them overflows
    batch, targets = torch.arange(18).view(6, 3) % 7, torch.arange(18).view(6, 3) * 2 % 7
    targets[:, 1] = -100
    assert error(schedule, stages, batch, targets) < 1e-12


def test_weights_shared_with_the_embedding_get_the_sum_of_their_gradients() -> None:
    schedule = sim.FAMILIES["vocab-1f1b"](2, 3)
    stages, batch, targets = small(schedule)
    first, last = cast(Any, stages[0]), cast(Any, stages[-1])
    last.parts[-1].out.weight = first.parts[0].token.weight
    assert error(schedule, stages, batch, targets) < 1e-12
    assert last.parts[-1].out.weight is first.parts[0].token.weight


def test_single_precision_stays_within_1e_5_and_half_precision_runs() -> None:
    schedule = sim.FAMILIES["vocab-v-half"](2, 3)
    assert error(schedule, *small(schedule, dtype=torch.float32)) < 1e-5
    assert error(schedule, *small(schedule, dtype=torch.bfloat16)) < 0.1


@pytest.mark.parametrize("barriers", [1, 2])
def test_a_frozen_output_layer_and_forwards_alone(barriers: int) -> None:
    whole = sim.FAMILIES["vocab-1f1b"](2, 3, barriers=barriers)
    stages, batch, targets = small(whole)
    plain = plain_backward(stages, batch, targets=targets)
    frozen = sim.frozen(whole, [1])
    run(frozen, stages, batch, targets=targets, memory=0)
    assert gradient_error(gradients_of(stages[:1]), plain.gradients[:1]) < 1e-12
    assert all(parameter.grad is None for parameter in stages[1].parameters())
    forward = run(sim.forward_only(whole), stages, batch, targets=targets)
    assert forward.loss == pytest.approx(plain.loss, rel=1e-12)
    assert forward.peak_bytes == (0, 0)


@pytest.mark.parametrize("barriers", [1, 2])
def test_the_trace_has_passes_and_transfers_of_the_schedule_and_bytes_to_the_byte(
    barriers: int,
) -> None:
    schedule = sim.FAMILIES["vocab-1f1b"](3, 4, barriers=barriers)
    stages, batch, targets = small(schedule, vocabulary=12)
    alone = measured_passes(stages, batch[:1], targets=targets[:1], like=schedule, steps=1)
    costs = alone.costs()
    n_tokens, width = 6, 8
    assert costs.logits_bytes == n_tokens * (12 // 3 + width) * 8  # scores, and their input
    assert len(costs.vocabulary_scores) == len(costs.vocabulary_gradients) == 3
    assert min(costs.vocabulary_scores + costs.vocabulary_gradients) > 0
    real = run(schedule, stages, batch, targets=targets)
    guess = sim.simulate(schedule, costs)
    assert sim.peak_bytes(guess) == real.peak_bytes
    key = ["value", "stage", "microbatch", "slice", "source", "destination"]
    assert {*map(tuple, real.trace.transfers[key].to_numpy())} == {
        *map(tuple, guess.transfers[key].to_numpy())
    }
    columns = ["device", "kind", "stage", "microbatch", "slice"]
    began: dict[int, list[sim.Op]] = {}
    for device, *op in real.trace.ops.sort_values("start")[columns].itertuples(index=False):
        began.setdefault(device, []).append(sim.Op(*op))
    assert began == dict(enumerate(map(list, schedule.orders)))


def test_devices_hold_the_rows_of_their_part() -> None:
    cut, whole = sim.FAMILIES["vocab-1f1b"](3, 3), sim.FAMILIES["1f1b"](3, 3)
    stages, batch, targets = small(cut, vocabulary=12)
    weight, part = 12 * 8 * 8, 4 * 8 * 8
    mine = run(cut, stages, batch, targets=targets, memory=0).static_bytes
    usual = run(whole, stages, batch, targets=targets, memory=0).static_bytes
    assert [a - b for a, b in zip(mine, usual, strict=True)] == [
        2 * part, 2 * part, 2 * (part - weight),
    ]  # fmt: skip


class GoesOn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(8, 11)

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.out(x)


def test_a_last_stage_that_goes_on_after_its_output_layer_fails_and_is_whole_again() -> None:
    schedule = sim.FAMILIES["vocab-1f1b"](2, 2)
    stages = [nn.Embedding(11, 8), last := GoesOn()]
    out, batch = last.out, torch.zeros(2, 3, dtype=torch.long)
    with pytest.raises(PassFailed, match="goes on after its last linear layer"):
        run(schedule, stages, batch, targets=batch, memory=0)
    assert last.out is out


@pytest.mark.parametrize(
    ("last", "options", "message"),
    [
        (nn.Tanh(), {}, r"the last stage \(Tanh\) has no linear layer"),
        (
            backend.adapted(nn.Sequential(nn.Linear(8, 11))),
            {},
            "is an adapter, which cannot be cut",
        ),
        (nn.Linear(8, 1), {}, "the output layer has 1 rows for 2 devices that share"),
        (nn.Linear(8, 11), {"targets": None}, "share the vocabulary, but the run has no targets"),
        (nn.Linear(8, 11), {"loss_fn": lambda a, b: a.sum()}, "the run has a loss_fn of its own"),
    ],
)
def test_what_cannot_be_cut_gets_one_sentence(
    last: nn.Module, options: dict[str, Any], message: str
) -> None:
    batch = torch.zeros(2, 3, dtype=torch.long)
    with pytest.raises(ValueError, match=message):
        run(
            sim.FAMILIES["vocab-1f1b"](2, 2), [nn.Embedding(11, 8), last], batch,
            **{"targets": batch, **options},
        )  # fmt: skip
