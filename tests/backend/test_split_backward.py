"""Split backward: exact gradients, whenever W runs, and nothing else changed."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from backend.stages.split_backward import defer, deferred, restore, unsplit, warn_unsplit
from backend.stages.unsplit_share import unsplit_share
from backend.stages.weight_gradients import accumulate
from backend.torch_private.versions import (
    BOUNDARIES,
    NAMES,
    NAMES_OF_BOUNDARIES,
    checked_torch,
    missing_names,
)


def gradients(module: nn.Module) -> list[torch.Tensor | None]:
    return [None if p.grad is None else p.grad.clone() for p in module.parameters()]


def plain_gradients(module: nn.Module, x: torch.Tensor) -> tuple[list[Any], torch.Tensor | None]:
    twin = copy.deepcopy(module)
    x = x.detach().clone().requires_grad_(x.is_floating_point())
    twin(x).square().mean().backward()
    return gradients(twin), x.grad


class Twice(nn.Module):
    """One weight used twice in a forward."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(torch.tanh(self.inner(x)))


class TwoSided(nn.Module):
    """What no rule covers."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Bilinear(6, 6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x, x)


class Attention(nn.Module):
    """torch's own, whose matrices are used inside a function of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x, x, x, need_weights=False)[0]


class Tied(nn.Module):
    """Embedding and head with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4, padding_idx=2)
        self.head = nn.Linear(4, 9, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.embedding(ids)))


class Recomputed(nn.Module):
    """A checkpointed block that counts its forwards."""

    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh())
        self.reentrant, self.calls = reentrant, 0

    def counted(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.block(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return checkpoint(self.counted, x, use_reentrant=self.reentrant)


class Experts(nn.Module):
    """Matrices in three dimensions, used batched, one by one, transposed and by einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Parameter(torch.randn(4, 6, 5)), nn.Parameter(torch.randn(4, 6, 5))
        self.mix = nn.Parameter(torch.randn(6, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(torch.bmm(x, self.up))
        parts = [hidden[i] @ self.down[i].t() for i in range(4)]
        mixed = torch.einsum("bti,oi->bto", torch.stack(parts), self.mix)
        return mixed + (self.mix @ x.mT).mT  # from the left as well


class Projection(nn.Module):
    """GPT-2's Conv1D, and a low-rank pair beside it in another type, and the weight once more."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(6, 6)), nn.Parameter(torch.randn(6))
        self.a, self.b = nn.Parameter(torch.randn(2, 6)), nn.Parameter(torch.randn(6, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = torch.addmm(self.bias, x.reshape(-1, 6), self.weight).view(x.shape)
        low = x @ self.a.to(x.dtype).t() @ self.b.to(x.dtype).t()
        return torch.tanh(rows) @ self.weight + low


FLOATS = {
    "one layer": nn.Linear(6, 5),
    "no bias": nn.Linear(6, 5, bias=False),
    "feed-forward": nn.Sequential(nn.Linear(6, 7), nn.GELU(), nn.Linear(7, 6), nn.LayerNorm(6)),
    "weight used twice": Twice(),
    "checkpointed": Recomputed(reentrant=False),
    "checkpointed, reentrant": Recomputed(reentrant=True),
    "parametrized": parametrizations.weight_norm(nn.Linear(6, 5)),
    "encoder layer": nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True),
    "convolution": nn.Sequential(nn.Conv1d(3, 3, 3, padding=1), nn.Linear(6, 6)),
    "experts": Experts(),
    "projection": Projection(),
    "checkpointed projection": nn.Sequential(Projection(), Recomputed(reentrant=False)),
}
TOKENS = {
    "embedding": nn.Embedding(9, 4),
    "padding": nn.Embedding(9, 4, padding_idx=-1),
    "tied": Tied(),
    "scaled by frequency": nn.Embedding(9, 4, scale_grad_by_freq=True),
}


@pytest.mark.parametrize("name", [*FLOATS, *TOKENS])
def test_b_then_w_gives_the_gradients_of_plain_autograd(name: str) -> None:
    module = copy.deepcopy({**FLOATS, **TOKENS}[name]).double()
    x = torch.randint(9, (4, 3)) if name in TOKENS else torch.randn(4, 3, 6).double()
    expected, expected_x = plain_gradients(module, x)
    if x.is_floating_point():
        x.requires_grad_()
    with deferred(module) as deferral:
        module(x).square().mean().backward()
        accumulate(deferral.take())
    for found, wanted in zip(gradients(module), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)
    if expected_x is not None:
        torch.testing.assert_close(x.grad, expected_x, rtol=1e-12, atol=1e-14)


def test_b_leaves_the_weights_of_linear_layers_without_a_gradient_and_norms_with_one() -> None:
    module = nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6))
    with deferred(module) as deferral:
        module(torch.randn(2, 6)).sum().backward()
        assert module[0].weight.grad is None
        assert module[0].bias.grad is None
        assert module[1].weight.grad is not None
        assert len(deferral.take()) == 1
        assert deferral.take() == ()


@pytest.mark.parametrize(
    ("name", "weights"), [("experts", "up down mix"), ("projection", "weight a b")]
)
def test_matrices_of_any_module_get_their_gradient_in_w(name: str, weights: str) -> None:
    module = copy.deepcopy(FLOATS[name]).double()
    x = torch.randn(4, 3, 6, dtype=torch.float64, requires_grad=True)
    with deferred(module) as deferral:
        module(x).square().mean().backward()
        assert x.grad is not None
        for weight in weights.split():
            assert getattr(module, weight).grad is None, weight
        assert unsplit(module, deferral) == ()
        accumulate(deferral.take())
        for weight in weights.split():
            assert getattr(module, weight).grad is not None, weight


def test_grouped_products_of_experts_are_split_too() -> None:
    class Grouped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, 16, 8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            ends = torch.tensor([2, 2, 6], dtype=torch.int32)
            return torch.nn.functional.grouped_mm(x, self.weight, offs=ends)

    module, x = Grouped(), torch.randn(6, 16)
    expected, expected_x = plain_gradients(module, x)
    x.requires_grad_()
    with deferred(module) as deferral:
        module(x).square().mean().backward()
        assert module.weight.grad is None
        accumulate(deferral.take())
    torch.testing.assert_close(module.weight.grad, expected[0])
    torch.testing.assert_close(x.grad, expected_x)


def test_the_share_of_what_stays_in_b_is_counted_in_flops() -> None:
    # Attention's own matrix of 6 x 18 stays in B: 2 * 12 rows * 6 * 18 = 2592 FLOPs. Its output
    # of 6 x 6 is of a kind of linear layer that is not called: 864. Linear: 2 * 12 * 6 * 8 = 1152.
    module = nn.Sequential(Attention(), nn.Linear(6, 8))
    x = torch.randn(4, 3, 6)
    with deferred(module) as deferral:
        module(x).sum().backward()
        deferral.take()
        before = gradients(module)
        share = unsplit_share(module, deferral, [x], {})
        assert unsplit(module, deferral)[0] == "MultiheadAttention"
    assert share == pytest.approx(3456 / (3456 + 1152))
    for found, wanted in zip(gradients(module), before, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    with pytest.warns(UserWarning, match=r"split off \(75% of the FLOPs of all weight gradients\)"):
        warn_unsplit(("MultiheadAttention",), share)


def test_w_of_several_microbatches_at_once_adds_up_their_gradients() -> None:
    module = nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 2)).double()
    x = torch.randn(3, 5, 6).double()
    expected, _ = plain_gradients(module, x)
    with deferred(module) as deferral:
        taken = []
        for part in x:
            (module(part).square().sum() / (3 * 5 * 2)).backward()
            taken.append(deferral.take())
        accumulate(entry for each in taken for entry in each)
    for found, wanted in zip(gradients(module), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)


def test_at_once_computes_weight_gradients_inside_the_backward_pass() -> None:
    module = FLOATS["feed-forward"]
    x = torch.randn(4, 6)
    expected, _ = plain_gradients(module, x)
    module = copy.deepcopy(module)
    with deferred(module) as deferral:
        deferral.at_once = True
        module(x).square().mean().backward()
        assert deferral.take() == ()
    for found, wanted in zip(gradients(module), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_weight_gradients_keep_no_graph_alive() -> None:
    module = nn.Linear(6, 5)
    with deferred(module) as deferral:
        module(torch.randn(2, 6, requires_grad=True)).sum().backward()
        accumulate(deferral.take())
    assert module.weight.grad is not None
    assert module.weight.grad.grad_fn is None
    assert not module.weight.grad.requires_grad


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpointed_block_is_recomputed_once(reentrant: bool) -> None:
    module = Recomputed(reentrant=reentrant)
    with deferred(module) as deferral:
        module(torch.randn(4, 6, requires_grad=True)).sum().backward()
        assert module.calls == 2
        accumulate(deferral.take())
    assert module.calls == 2


def test_frozen_hooked_and_compiled_layers_are_left_alone() -> None:
    frozen, hooked = nn.Linear(6, 6), nn.Linear(6, 6)
    frozen.weight.requires_grad_(False)
    seen: list[torch.Tensor] = []
    hooked.weight.register_hook(lambda gradient: seen.append(gradient) or gradient * 2)  # type: ignore[func-returns-value]
    compiled = torch.compile(nn.Linear(6, 6))
    in_place = nn.Linear(6, 6)
    in_place.compile()
    module = nn.Sequential(frozen, hooked, compiled, in_place)  # type: ignore[call-overload]
    deferral = defer(module)
    assert deferral.modules == []
    assert "Linear" in unsplit(module, deferral)
    (hooked(frozen(torch.randn(2, 6)))).sum().backward()
    assert len(seen) == 1
    assert frozen.weight.grad is None
    assert frozen.bias.grad is not None


def test_restore_gives_every_layer_its_own_forward_back() -> None:
    module = copy.deepcopy(FLOATS["feed-forward"])
    before = [dict(vars(layer)).keys() for layer in module.modules()]
    restore(defer(module))
    assert [dict(vars(layer)).keys() for layer in module.modules()] == before
    module(torch.randn(2, 6)).sum().backward()
    assert all(p.grad is not None for p in module.parameters())


def test_without_gradients_nothing_is_put_aside() -> None:
    module = nn.Linear(6, 5)
    with deferred(module) as deferral, torch.no_grad():
        out = module(torch.randn(2, 6))
        assert not out.requires_grad
        assert deferral.take() == ()


def test_autocast_gives_the_gradients_of_autocast() -> None:
    module = nn.Sequential(nn.Linear(16, 16), nn.GELU(), nn.Linear(16, 16))
    twin, x = copy.deepcopy(module), torch.randn(8, 16)
    with torch.autocast("cpu", torch.bfloat16):
        loss = twin(x).float().square().mean()
    loss.backward()
    with deferred(module) as deferral:
        with torch.autocast("cpu", torch.bfloat16):
            out = module(x)
            assert out.dtype == torch.bfloat16
            loss = out.float().square().mean()
        loss.backward()
        accumulate(deferral.take())
    for found, wanted in zip(gradients(module), gradients(twin), strict=True):
        assert found is not None
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, wanted, rtol=0.02, atol=1e-4)


def test_what_cannot_be_split_is_named_in_one_warning() -> None:
    module = nn.Sequential(nn.Conv1d(3, 3, 1), TwoSided(), nn.Linear(6, 6))
    deferral = defer(module)
    module(torch.randn(4, 3, 6)).sum().backward()
    names = unsplit(module, deferral)
    restore(deferral)
    assert names == ("Bilinear",)
    with pytest.warns(UserWarning, match="Bilinear: weights here cannot be split off") as caught:
        warn_unsplit(names)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_unsplit(())


def test_private_names_are_used_only_with_the_torch_they_were_read_in() -> None:
    for version in ("2.12.1", "2.14.1+cu130", "2.15.0+cpu", "2.13.0a0+git1234"):
        assert checked_torch(version) == version
    for version in ("2.11.0", "2.16.0", "3.0.0", "nightly"):
        with pytest.raises(RuntimeError, match=f"torch is {version}, but this part"):
            checked_torch(version)
    with pytest.raises(RuntimeError, match=r"torch is 2.12.1, .* torch 2.13 to 2.15: install"):
        checked_torch("2.12.1", oldest=BOUNDARIES)
    assert missing_names(NAMES | NAMES_OF_BOUNDARIES) == []
    homes = {"torch.nn": "Linear _Gone", "torch.nn.Linear": "forward other", "torch.gone": "_x"}
    lacking = ["torch.nn._Gone", "torch.nn.Linear.other", "torch.gone._x"]
    assert missing_names(homes) == lacking
