"""Every term of the ends and of whole stages alone, with a value by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ideal_bench import (
    CUT,
    GPT,
    IDEAL,
    LLAMA,
    SECOND,
    N,
    bytes_bench,
    free_machine,
    kernels_bench,
    product_bytes,
)

from sim.planner.cost_model import (
    Bench,
    Configuration,
    PerParameter,
    automatic_split,
    costs_of,
    embedding_seconds,
    head_seconds,
    layer_seconds,
    model_flops,
    optimizer_seconds,
    parts,
    prediction_flops,
    split_of,
    stages_of,
    static,
    tail_seconds,
)
from sim.planner.cost_model.flops import layer_flops
from sim.planner.cost_model.passes import layer_spent, prediction_spent
from sim.planner.hardware import WIRES
from sim.planner.models import Layer, parameters

# Ends


def test_bytes_kernels_and_sums_of_the_embedding() -> None:
    """F reads and writes 2 bytes each, W reads gradients and adds them up: 8; dropout 5 more. One
    all-reduce in F over two devices."""
    each = N * 64
    assert embedding_seconds(bytes_bench(LLAMA, CUT)) == (4 * each, 0, 8 * each)
    assert embedding_seconds(bytes_bench(GPT, CUT)) == (9 * each, 0, 13 * each)
    assert embedding_seconds(kernels_bench(GPT, CUT)) == (3, 0, 3)
    cut = embedding_seconds(bytes_bench(LLAMA, replace(CUT, tensor=2), inside=SECOND))
    assert cut == (4 * each + 2 * each, 0, 8 * each)


@pytest.mark.parametrize("t", [1, 2])
def test_bytes_kernels_and_sums_of_the_head(t: int) -> None:
    """The norm 4 bytes in F and 10 in B; the loss 28 per logit in F and 16 in B; its input's
    gradient is summed."""
    c, wide, logits = replace(CUT, tensor=t), N * 64, N * 100 / t
    out = product_bytes(N, 64, 100 / t)
    summed = 2 * wide if t > 1 else 0
    assert head_seconds(bytes_bench(LLAMA, c, inside=SECOND)) == (
        out + 4 * wide + 28 * logits, out + 10 * wide + 16 * logits + summed, out,
    )  # fmt: skip
    assert head_seconds(kernels_bench(LLAMA, c)) == (1 + 8, 1 + 6, 1)


def test_seconds_and_flops_of_a_layer_that_predicts_a_further_token() -> None:
    """A layer, a head, a product of 128 x 64, two norms of 4 bytes a number in F and 8 in B; its
    output is gathered, and twice as much summed in B."""
    model = replace(LLAMA, mtp_layers=1)
    for bench, product, norms in (
        (bytes_bench(model, CUT), product_bytes(N, 128, 64), 8 * N * 64),
        (kernels_bench(model, CUT), 1, 3),
    ):  # fmt: skip
        layer, head = layer_seconds(bench), head_seconds(bench)
        assert prediction_spent(bench).passes == (
            layer.forward + head.forward + product + norms,
            layer.backward + head.backward + product + 2 * norms,
            layer.weight + head.weight + product,
        )
    cut = bytes_bench(model, replace(CUT, tensor=2), inside=SECOND)
    there, summed = layer_spent(cut).tensor, 2 * N * 64
    found = prediction_spent(cut).tensor
    assert found.forward == there.forward + 2 * N * 64
    assert found.backward == there.backward + summed + 2 * (2 * N * 64)
    once = 2 * N * 128 * 64
    whole = prediction_flops(model, 16, 2)
    assert whole.total == layer_flops(model, 16, 2).total + 3 * (2 * N * 64 * 100) + 3 * once
    assert model_flops(model, 16, 2) - model_flops(LLAMA, 16, 2) == whole.total


def test_the_optimizer_moves_32_bytes_per_parameter_that_it_holds() -> None:
    c = Configuration(16, 8, data=4, context=2)
    for zero, share in ((0, 1), (1, 8), (3, 8)):
        bench = bytes_bench(GPT, replace(c, zero=zero))
        assert optimizer_seconds(bench, 1000) == 32 * 1000 / share
    slow = replace(bench, efficiency=replace(IDEAL, memory=0.5))
    assert optimizer_seconds(slow, 1000) == 2 * 32 * 1000 / 8


# Stages


def test_the_costs_of_stages_are_those_of_their_pieces() -> None:
    """Two stages of two layers on one device: passes need memory one at a time, so that the larger
    need counts; a fused backward is shorter by what it hides. Ticks are rounded seconds."""
    c = Configuration(16, 4, microbatch=2, pipeline=1, virtual=2, tensor=2, recompute="full")
    bench = bytes_bench(LLAMA, c, inside=SECOND)
    pieces = parts(bench)
    stages = stages_of(bench, split_of([3, 1]), pieces, [0, 0])
    layer, words, head = pieces.layers[Layer()], pieces.embedding, pieces.head
    costs = costs_of(bench, stages, [0, 0], per=PerParameter(2, 2, 12))
    assert costs.forward[0][0] == 3 * layer.seconds.forward + words.seconds.forward
    assert costs.backward[1][0] == layer.seconds.backward + head.seconds.backward
    assert costs.weight[1][0] == layer.seconds.weight + head.seconds.weight
    assert costs.fused_backward is not None
    fused = costs.backward[0][0] + costs.weight[0][0] - 3 * layer.saving
    assert layer.saving > 0
    assert costs.fused_backward[0][0] == pytest.approx(fused)
    kept = 3 * layer.kept.after_forward + words.kept.after_forward
    assert costs.activation_bytes[0][0] == kept
    assert costs.backward_bytes[0][0] == 3 * layer.kept.after_backward + 8 * N - kept
    assert layer.kept.scratch > 0
    held = [static(stage.held, c, PerParameter(2, 2, 12)).total for stage in stages]
    assert costs.static_bytes == (round(held[0] + layer.kept.scratch), round(held[1]))
    assert costs.boundary_bytes == ((2 * N * 64,),)
    ticked = costs_of(bench, stages, [0, 0], ticks=10)
    assert ticked.forward[0][0] == round(10 * costs.forward[0][0])


def test_a_tail_is_what_is_reduced_beyond_the_last_pass_and_the_optimizer() -> None:
    c = Configuration(16, 32, microbatch=2, data=16)
    bench = Bench(LLAMA, c, free_machine(bandwidth=1e3, inside=WIRES["nvlink4"]), IDEAL)
    pieces = parts(bench)
    stages = stages_of(bench, split_of([4]), pieces)
    found = tail_seconds(bench, stages)
    whole = stages[0].held.total
    assert whole == parameters(LLAMA)
    message = 2 * whole * 15 / 16 / 400e9 + 10e-6 + 14 * 5e-6
    assert found.data == pytest.approx(2 * message)  # passes hide all but one message each
    assert found.optimizer == pytest.approx(32 * whole / 16 / 1e3)
    assert found.seconds == found.data + found.optimizer
    alone = replace(bench, configuration=replace(c, data_overlap=False))
    wide = tail_seconds(alone, stages, gradient_bytes=4)  # of which 6 bytes are reduced
    hops = 10e-6 + 14 * 5e-6
    assert wide.data == pytest.approx((6 + 2) * whole * 15 / 16 / 400e9 + 2 * hops)


def test_layers_that_predict_weigh_on_the_last_stage() -> None:
    """Twelve equal layers: half of what predicts, with its head, moves to the first stage."""
    model = replace(LLAMA, layers=12, mtp_layers=1)
    bench = Bench(model, replace(CUT, pipeline=2), free_machine(flops=1), IDEAL)
    plain = replace(bench, model=replace(model, mtp_layers=0))
    further = automatic_split(bench, parts(bench)).stages
    without = automatic_split(plain, parts(plain)).stages
    layer, head = layer_flops(LLAMA, 16, 2).total, 3 * 2 * N * 64 * 100
    more = layer + head + 3 * 2 * N * 128 * 64
    assert without[-1].layers - further[-1].layers == round(more / layer / 2)
