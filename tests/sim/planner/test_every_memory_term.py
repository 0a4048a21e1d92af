"""Every term of memory alone, with a value by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ideal_bench import CUT, EXPERTS, GPT, LLAMA, SPARSE, N

from sim.planner.cost_model import (
    Configuration,
    PerParameter,
    Static,
    activation,
    held_parameters,
    static,
)
from sim.planner.cost_model.memory import (
    embedding_activation,
    full_activation,
    head_activation,
    prediction_activation,
)
from sim.planner.cost_model.parameters import (
    Held,
    edge_parameters,
    held_by_prediction,
    largest_matrix,
)
from sim.planner.cost_model.precision import cast_bytes
from sim.planner.models import (
    Experts,
    LatentAttention,
    Layer,
    Model,
    active_parameters,
    head_parameters,
    layer_parameters,
    parameters,
    prediction_parameters,
)


@pytest.mark.parametrize(("t", "parallel"), [(1, False), (2, False), (2, True)])
def test_bytes_kept_under_full_recompute_are_the_layers_input(t: int, parallel: bool) -> None:
    """2 bytes of 64 numbers per token; W then waits with what it always needs, and B works with
    what a layer keeps otherwise."""
    none = replace(CUT, tensor=t, sequence_parallel=parallel)
    found = activation(GPT, replace(none, recompute="full"))
    assert found.after_forward == 2 * N * 64 / (2 if parallel else 1)
    assert found.after_backward == activation(GPT, none).after_backward
    assert found.scratch == activation(GPT, none).after_forward == full_activation(GPT, none)


def test_bytes_that_a_gated_layer_keeps() -> None:
    """16-bit inputs of two norms and of what comes behind them (4 x 64), queries, keys, values and
    the sum of values (64 + 64 + 64), gate, up and their product (3 x 128), and 4 bytes per head.
    For W: inputs 64, 64, 64, 128 and gradients of outputs 128, 64, 256, 64."""
    found = activation(LLAMA, CUT)
    assert found.after_forward == N * (2 * (4 * 64 + 3 * 64 + 3 * 128) + 4 * 4)
    assert found.after_backward == N * 2 * (64 + 64 + 64 + 128 + 128 + 64 + 256 + 64)
    windowed = activation(LLAMA, replace(CUT, attention="plain"), Layer(window=4))
    assert windowed.after_forward - found.after_forward == N * 4 * (4 * 4 - 4)
    again = activation(GPT, replace(CUT, attention="plain", recompute="selective"))
    assert again.scratch == 5 * 4 * N * 16


def test_bytes_that_the_ends_keep() -> None:
    """Numbers of words in 8 bytes, a mask of one; the inputs of the last norm and of the head, and
    32-bit logits; for W its input and 16-bit gradients of logits."""
    assert embedding_activation(LLAMA, CUT) == (8 * N, 8 * N, 0)
    assert embedding_activation(GPT, CUT) == (8 * N + N * 64, 8 * N, 0)
    for t, parallel in ((1, False), (2, False), (2, True)):
        c = replace(CUT, tensor=t, sequence_parallel=parallel)
        wide, logits = N * 64 / (2 if parallel else 1), N * 100 / t
        assert head_activation(GPT, c) == (4 * wide + 4 * logits, 2 * wide + 2 * logits, 0)
        layer = activation(GPT, c)
        assert prediction_activation(GPT, c) == (
            layer.after_forward + 12 * wide + 4 * logits,
            layer.after_backward + 8 * wide + 2 * logits,
            0,
        )
        masks = 8 * N + N * 64 / (2 if parallel else 1)
        assert embedding_activation(GPT, c).after_forward == masks


def test_parameters_that_a_device_holds() -> None:
    """A layer of GPT: 12 x 64 x 64 weights, biases of 192, 64, 256 and 64, two norms of 128. Of
    experts, cut over two devices and shared by four, and whole ones shared by eight. Last how many
    weights there are: of GPT four matrices, two norms and a bias of each."""
    assert layer_parameters(GPT) == 12 * 64 * 64 + 192 + 64 + 256 + 64 + 2 * 128
    vectors = (layer_parameters(GPT) - 12 * 64 * 64) / 2
    assert held_parameters(GPT, replace(CUT, tensor=2)) == (
        layer_parameters(GPT) / 2, 0, 0, 0, vectors, 0, 12,
    )  # fmt: skip
    routed = 8 * 3 * 64 * 32
    common = layer_parameters(SPARSE, EXPERTS) - routed
    assert common == 64 * 128 + 64 * 64 + 2 * 64 + 64 * 8 + 3 * 64 * 32
    c = Configuration(16, 8, tensor=2, data=8, expert=4)
    assert held_parameters(SPARSE, c, EXPERTS)[:3] == (common / 2, routed / 8, 0)
    whole = replace(c, expert=8, expert_tensor=1)
    assert held_parameters(SPARSE, whole, EXPERTS)[:3] == (common / 2, routed / 8, 0)
    plain = replace(SPARSE, gated=False)
    assert held_parameters(plain, CUT, EXPERTS).experts == 8 * 2 * 64 * 32


def test_parameters_at_the_ends() -> None:
    """A hundred words and 16 positions of 64; the head's norm of 128 with biases. Tied, and where
    further tokens are predicted, the last stage of a pipeline has the words once more."""
    placed = replace(GPT, positions=16)
    cut, deep = replace(CUT, tensor=2), replace(CUT, tensor=2, pipeline=2)
    assert edge_parameters(placed, cut, last=False) == 116 * 64 / 2
    assert edge_parameters(GPT, deep, last=True) == (128 + 6400) / 2
    assert head_parameters(replace(GPT, tied=True)) == 128
    assert edge_parameters(replace(GPT, tied=True), deep, last=True) == (128 + 6400) / 2
    assert edge_parameters(replace(GPT, tied=True), cut, last=True) == 128 / 2
    more = replace(GPT, mtp_layers=1)
    assert edge_parameters(more, deep, last=True) == (128 + 2 * 6400) / 2
    extra = 2 * 64 * 64 + 3 * 128
    assert prediction_parameters(more) == layer_parameters(GPT) + extra
    held, layer = held_by_prediction(more, deep), held_parameters(GPT, deep)
    assert (held.common, held.experts) == ((layer_parameters(GPT) + extra) / 2, 0)
    assert held.vectors - layer.vectors == 3 * 128 / 2
    muon = replace(deep, optimizer="muon", zero=0)
    step = 5 * (4 * 32**2 * 128 + 2 * 32**3)  # of 128 x 64, cut in two
    assert held_by_prediction(more, muon).orthogonal == pytest.approx(
        held_parameters(GPT, muon).orthogonal + step
    )


def test_all_and_active_parameters() -> None:
    """Of eight experts of 3 x 64 x 32 a token meets two, and the shared one."""
    each, ends = 3 * 64 * 32, 2 * 6400 + 64
    layer = 64 * 128 + 64 * 64 + 2 * 64 + 64 * 8 + 9 * each
    assert parameters(SPARSE) == 4 * layer + ends
    assert active_parameters(SPARSE) == 4 * (layer - 6 * each) + ends
    some = replace(SPARSE, experts=Experts(8, 2, 32, dense_layers=1, also_dense=(2,)), mtp_layers=1)
    assert parameters(some) - active_parameters(some) == (2 + 1) * 6 * each


def test_weights_gradients_and_optimizer_are_shared_out_apart() -> None:
    """Common parameters over 8 copies, experts over 2; frozen ones have weights alone."""
    c = Configuration(16, 8, data=8, expert=4)
    held, per = Held(800, 80, 8), PerParameter(2, 4, 12)
    shared = 800 / 8 + 80 / 2
    assert static(held, replace(c, zero=0), per) == Static(2 * 888, 4 * 880, 12 * 880)
    assert static(held, replace(c, zero=1), per) == Static(2 * 888, 4 * 880, 12 * shared)
    assert static(held, replace(c, zero=2), per) == Static(2 * 888, 4 * shared, 12 * shared)
    assert static(held, replace(c, zero=3), per) == (
        2 * (shared + 1), 4 * shared, 12 * shared,
    )  # fmt: skip
    assert (cast_bytes("bf16"), cast_bytes("fp8"), cast_bytes("nvfp4")) == (0, 4, 3.125)


def test_the_largest_matrix_of_a_layer() -> None:
    """Gate and up together; of experts one alone, of 64 x 64, or all in one where they are few."""
    assert largest_matrix(LLAMA, CUT) == 64 * 256
    assert largest_matrix(LLAMA, replace(CUT, tensor=2)) == 64 * 128
    assert largest_matrix(replace(SPARSE, experts=Experts(8, 2, 128)), CUT, EXPERTS) == 64 * 256
    cut = Configuration(16, 8, tensor=2, data=4, expert=8, expert_tensor=1)
    assert largest_matrix(replace(SPARSE, experts=Experts(8, 2, 128)), cut, EXPERTS) == 64 * 256


def test_an_index_over_tokens_keeps_its_queries_and_its_key() -> None:
    """Four heads of 8 and a key of 8, on every device of a tensor-parallel group."""
    latent = LatentAttention(24, 16, 8, 8, 16)
    model = Model("sparse", 1, 64, 4, 100, ffn=128, latent=latent)
    chosen = replace(model, latent=replace(latent, index_heads=4, index_width=8))
    for t in (1, 2):
        c = replace(CUT, tensor=t)
        plain, indexed = activation(model, c), activation(chosen, c)
        assert indexed.after_forward - plain.after_forward == 2 * N * (4 * 8 + 8)
