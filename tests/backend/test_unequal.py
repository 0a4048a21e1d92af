"""Microbatches of unequal size: lists of inputs, with rows and tokens of each its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sim
from backend.measure.passes import measured_passes
from backend.measure.unequal import microbatch_scale
from backend.stages.reference import gradient_error, gradients_of, plain_backward
from backend.stages.transformer import Model, tokens, transformer_stages
from backend.threads.run import run

SMALL: dict[str, Any] = {"width": 8, "heads": 2, "vocabulary": 11, "sequence": 9}
SIZES = ((1, 9), (2, 4), (3, 9), (1, 5))


def unequal(n_stages: int) -> tuple[list[nn.Module], list[Tensor], list[Tensor]]:
    """Stages, and four microbatches that differ in rows and in tokens."""
    model = Model((1,) * n_stages, dtype=torch.float64, **SMALL)
    drawn = [tokens(model, rows, seed=rows) for rows, _ in SIZES]
    cut = [
        [one[:, :length] for one in pair] for pair, (_, length) in zip(drawn, SIZES, strict=True)
    ]
    return transformer_stages(model), [a for a, _ in cut], [b for _, b in cut]


@pytest.mark.parametrize(
    "name", ["1f1b", "zb-h1", "v-half", "seq1f1b", "2bp-1f1b-2", "dualpipe", "chimera"]
)
def test_every_token_weighs_alike(name: str) -> None:
    schedule = sim.FAMILIES[name](2, 4)
    stages, batch, targets = unequal(schedule.n_stages)
    result = run(schedule, stages, batch, targets=targets, memory=0)
    plain = plain_backward(stages, batch, targets=targets)
    assert result.loss == pytest.approx(plain.loss, rel=1e-12)
    assert gradient_error(gradients_of(stages), plain.gradients) < 1e-12
    with torch.no_grad():
        logits = [stages[-1](stages[0](rows)) if len(stages) == 2 else rows for rows in batch]
    if len(stages) == 2:
        of_each = torch.cat([out.flatten(0, 1) for out in logits])
        mean = nn.functional.cross_entropy(of_each, torch.cat([t.flatten() for t in targets]))
        assert plain.loss == pytest.approx(mean.item(), rel=1e-12)


@pytest.mark.parametrize("name", ["1f1b", "chimera"])
def test_bytes_are_those_of_costs_with_a_factor_per_microbatch_and_stage(name: str) -> None:
    schedule = sim.FAMILIES[name](2, 4)
    stages, batch, targets = unequal(2)
    alone = [
        measured_passes(stages, rows, targets=goals, steps=1, warmup=0, grouped=False)
        for rows, goals in zip(batch, targets, strict=True)
    ]
    factors = microbatch_scale(alone, of="bytes")
    assert factors[0] == (1, 1)
    assert factors[2][0] > 2
    costs = replace(alone[0].costs(), microbatch_scale=factors)
    measured = run(schedule, stages, batch, targets=targets)
    assert sim.peak_bytes(sim.simulate(schedule, costs)) == measured.peak_bytes
    assert min(min(row) for row in microbatch_scale(alone)) > 0


@pytest.mark.parametrize(
    ("batch", "targets", "message"),
    [
        ([torch.ones(1, 3)] * 3, None, "batch is a list of 3 for 2 microbatches: give an entry"),
        ([torch.ones(1, 3)] * 2, torch.ones(2, 3), "targets is no list for 2 microbatches"),
        ([torch.ones(1, 3), torch.ones(0, 3)], None, "batch of microbatch 1 has 0 rows"),
        ([torch.ones(1, 3)] * 2, [torch.ones(1, 3), torch.ones(2, 3)], "targets have shape"),
    ],
)
def test_lists_that_do_not_fit_get_one_sentence(batch: Any, targets: Any, message: str) -> None:
    schedule, stages = sim.FAMILIES["1f1b"](2, 2), [nn.Linear(3, 3), nn.Linear(3, 3)]
    with pytest.raises(ValueError, match=message):
        run(schedule, stages, batch, targets=targets, loss_fn=lambda out, _: out.sum())
