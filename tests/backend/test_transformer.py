"""The reference model: cut anywhere and sliced anyhow, it computes the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from backend.stages.split_backward import deferred
from backend.stages.stage import LossTerm, Stage, Unit
from backend.stages.transformer import (
    Block,
    Model,
    even_layers,
    grouped,
    next_token_loss,
    tokens,
    transformer_stages,
)

SMALL: dict[str, Any] = {
    "width": 16,
    "heads": 2,
    "vocabulary": 11,
    "sequence": 8,
    "dtype": torch.float64,
}


def logits_of(stages: list[nn.Module], ids: torch.Tensor) -> torch.Tensor:
    for stage in stages:
        ids = stage(ids)
    return ids


@pytest.mark.parametrize("layers", [(3,), (1, 2), (0, 3), (1, 1, 1, 0)])
def test_where_the_model_is_cut_does_not_change_what_it_computes(layers: tuple[int, ...]) -> None:
    whole, cut = Model(layers=(3,), **SMALL), Model(layers=layers, **SMALL)
    ids, _ = tokens(whole, 2)
    assert len(transformer_stages(cut)) == len(layers)
    assert torch.equal(
        logits_of(transformer_stages(whole), ids), logits_of(transformer_stages(cut), ids)
    )


def test_the_seed_decides_the_weights_and_nothing_else_is_drawn() -> None:
    model = Model(layers=(1,), **SMALL)
    torch.manual_seed(5)
    one = transformer_stages(model, seed=1)[0].state_dict()
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))
    other = transformer_stages(model, seed=2)[0].state_dict()
    again = transformer_stages(model, seed=1)[0].state_dict()
    name = "parts.1.qkv.weight"
    assert torch.equal(one[name], again[name])
    assert not torch.equal(one[name], other[name])


def test_no_token_sees_a_later_one() -> None:
    model = Model(layers=(2,), **SMALL)
    stages, (ids, _) = transformer_stages(model), tokens(model, 1)
    changed = ids.clone()
    changed[0, 5] = (changed[0, 5] + 1) % model.vocabulary
    before, after = logits_of(stages, ids), logits_of(stages, changed)
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.equal(before[:, 5:], after[:, 5:])


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("sizes", [(4, 4), (5, 2, 1), (2, 2, 2, 2)])
def test_slices_forward_ascending_and_backward_descending_equal_the_whole_sequence(
    sizes: tuple[int, ...], checkpointed: bool
) -> None:
    model = Model(layers=(1, 2), checkpointed=checkpointed, **SMALL)
    ids, targets = tokens(model, 3)
    plain = transformer_stages(model)
    whole = next_token_loss(logits_of(plain, ids), targets)
    whole.backward()

    sliced = transformer_stages(model)
    parts, goals = ids.split(sizes, 1), targets.split(sizes, 1)
    k, loss = len(sizes), 0.0
    with deferred(*sliced) as deferral:
        first, last = (
            Stage(module, deferral=deferral, first=s == 0, n_slices=k)
            for s, module in enumerate(sliced)
        )
        for j, part in enumerate(parts):
            start = sum(sizes[:j])
            share = sizes[j] / sum(sizes)
            between = first.forward(Unit(0, j), [part], start=start)
            loss_term = LossTerm(next_token_loss, goals[j], share)
            (found,) = last.forward(Unit(0, j), between, start=start, loss_term=loss_term)
            loss += found.item() * share
        for j in reversed(range(k)):
            first.backward(Unit(0, j), last.backward(Unit(0, j)))
        for stage in (first, last):
            stage.weight([Unit(0, j) for j in range(k)])
    assert loss == pytest.approx(whole.item(), rel=1e-12)
    for one, other in zip(plain, sliced, strict=True):
        for wanted, found in zip(one.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-10, atol=1e-13)


def test_a_checkpointed_block_runs_forward_twice_and_no_more() -> None:
    model = Model(layers=(2,), checkpointed=True, **SMALL)
    (module,) = transformer_stages(model)
    calls = []
    for part in module.modules():
        if isinstance(part, Block):
            part.up.register_forward_hook(lambda *_: calls.append(1))
    ids, targets = tokens(model, 2)
    with deferred(module) as deferral:
        stage = Stage(module, deferral=deferral, first=True)
        stage.forward(Unit(0), [ids], loss_term=LossTerm(next_token_loss, targets, 1.0))
        assert len(calls) == 2
        stage.backward(Unit(0))
        assert len(calls) == 4
        stage.weight([Unit(0)])
    assert len(calls) == 4


def test_even_layers_gives_the_rest_to_the_middle() -> None:
    assert even_layers(4, 4) == (1, 1, 1, 1)
    assert even_layers(6, 4) == (1, 2, 2, 1)
    assert even_layers(3, 2) == (2, 1)
    assert even_layers(0, 2) == (0, 0)


def test_any_list_of_modules_makes_stages() -> None:
    modules = [nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)]
    stages = grouped(modules, (1, 2))
    x = torch.randn(2, 4)
    assert torch.equal(stages[1](stages[0](x)), nn.Sequential(*modules)(x))
    with pytest.raises(ValueError, match="do not add up to the 3 modules"):
        grouped(modules, (1, 1))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"layers": ()}, "give every stage a number of blocks"),
        ({"layers": (1, -1)}, "give every stage a number of blocks"),
        ({"width": 10, "heads": 4}, "width is 10: it must be a multiple of the number of heads, 4"),
        ({"heads": 0}, "heads is 0: it must be at least 1"),
        ({"dtype": torch.int64}, "dtype is torch.int64: weights need a floating point type"),
    ],
)
def test_impossible_sizes_are_refused(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Model(**{"layers": (1,), **SMALL, **sizes})
