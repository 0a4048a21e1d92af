"""Every term of the cost model alone, with a value by hand.

A device that computes in no time and moves one byte per second takes as many seconds as a pass
moves bytes; one that does both in no time and needs a second per kernel takes as many as the pass
has kernels. Whatever a term leaves out or counts twice shows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sim.planner import Problem
from sim.planner.cost_model import (
    Bench,
    Configuration,
    Efficiency,
    PerParameter,
    Static,
    activation,
    automatic_split,
    costs_of,
    embedding_seconds,
    head_seconds,
    held_parameters,
    layer_seconds,
    model_flops,
    optimizer_seconds,
    parts,
    prediction_flops,
    reduce_seconds,
    refusal,
    split_of,
    stages_of,
    static,
    tail_seconds,
)
from sim.planner.cost_model.attention import attention_work
from sim.planner.cost_model.communication import layer_communication, sharding_seconds
from sim.planner.cost_model.flops import layer_flops
from sim.planner.cost_model.groups import (
    context_group,
    data_group,
    expert_copies_group,
    expert_group,
    pipeline_group,
    tensor_group,
)
from sim.planner.cost_model.kernels import Work, elapsed
from sim.planner.cost_model.memory import (
    Held,
    edge_parameters,
    embedding_activation,
    full_activation,
    head_activation,
    held_by_prediction,
    largest_matrix,
    prediction_activation,
)
from sim.planner.cost_model.passes import fused_saving, layer_spent, prediction_spent
from sim.planner.cost_model.precision import cast_bytes, no_faster_units
from sim.planner.estimate import rates
from sim.planner.hardware import DEVICES, WIRES, Group, Machine, machine_of
from sim.planner.models import (
    DeltaNet,
    Experts,
    LatentAttention,
    Layer,
    Lightning,
    Mixer,
    Model,
    StateSpace,
    active_parameters,
    head_parameters,
    layer_parameters,
    mixing,
    parameters,
    prediction_parameters,
)

GPT = Model("gpt", 4, 64, 4, 100, gated=False, biases=True, dropout=True)  # heads of 16, ffn 256
LLAMA = Model("llama", 4, 64, 4, 100, kv_heads=2, ffn=128)  # keys and values of 2 x 32
SPARSE = replace(LLAMA, name="sparse", experts=Experts(8, 2, 32, shared=1))
EXPERTS = Layer("experts")
IDEAL = Efficiency(
    matmul=1, fused_attention=1, memory=1, misaligned=1, wire=1, grouped=1, fp8=1, fp4=1, ramp=0,
    launch=0, collective=0, dispatch=0,
)  # fmt: skip
FREE = replace(WIRES["nvlink4"], bandwidth=1e30, latency=0)
SECOND = replace(WIRES["nvlink4"], bandwidth=1.0, latency=0)
"""A byte per second."""
N = 32
"""Tokens of a microbatch: two sequences of 16."""
CUT = Configuration(16, 2, microbatch=2)


def _machine(*, flops: float = 1e30, bandwidth: float = 1e30, inside: Any = FREE) -> Machine:
    device = replace(DEVICES["h100"], flops=flops, fp8=flops, fp4=flops, bandwidth=bandwidth)
    return Machine("m", device, 64, 8, inside, WIRES["ndr"])


def _moving(model: Model, c: Configuration, **more: Any) -> Bench:
    """Seconds are bytes of memory traffic."""
    return Bench(model, c, _machine(bandwidth=1, **more), IDEAL)


def _starting(model: Model, c: Configuration) -> Bench:
    """Seconds are kernels."""
    return Bench(model, c, _machine(), replace(IDEAL, ramp=1))


def _product(rows: float, wide: float, out: float, copies: int = 1) -> float:
    """Two 16-bit operands read, the result written."""
    return 2 * (rows * wide + wide * out * copies + rows * out)


# Kernels of a layer


def test_bytes_that_a_layer_with_biases_and_dropout_moves() -> None:
    """Products of 64 x 192, 64 x 64, 64 x 256 and 256 x 64. Elementwise, in bytes per number: a
    norm 4 in F and 10 in B, a residual 6, its mask 2 in F and 3 in B, an activation function 4 in F
    and 6 in B, queries, keys and values (192) 4 in both. W sums gradients of the biases of two
    outputs, of the inner width, and of queries, keys and values, reading 2 each."""
    products = sum(_product(N, a, b) for a, b in ((64, 192), (64, 64), (64, 256), (256, 64)))
    forward = N * (64 * (2 * 4 + 2 * (6 + 2)) + 256 * 4 + 192 * 4)
    backward = N * (64 * (2 * 10 + 2 * (6 + 3)) + 256 * 6 + 192 * 4)
    weight = N * 2 * (2 * 64 + 256 + 192)
    found = layer_seconds(_moving(GPT, CUT))
    assert found == (products + forward, products + backward, products + weight)


def test_bytes_that_a_gated_layer_moves() -> None:
    """Products of 64 x 128 (queries 64, keys and values 64), 64 x 64, 64 x 256 and 128 x 64; the
    gated function reads two and writes one in F, and reads three and writes two in B."""
    products = sum(_product(N, a, b) for a, b in ((64, 128), (64, 64), (64, 256), (128, 64)))
    forward = N * (64 * (2 * 4 + 2 * 6) + 128 * 6 + 128 * 4)
    backward = N * (64 * (2 * 10 + 2 * 6) + 128 * 10 + 128 * 4)
    found = layer_seconds(_moving(LLAMA, CUT))
    assert found == (products + forward, products + backward, products)


def test_bytes_that_plain_attention_moves() -> None:
    """Per pair of tokens and head 9 bytes in F and 12 in B; with dropout 4 and 5 more."""
    pairs = N * 16 * 4
    for model, forward, backward in ((GPT, 13, 17), (LLAMA, 9, 12)):
        flash, plain = (
            layer_seconds(_moving(model, replace(CUT, attention=how))) for how in ("flash", "plain")
        )
        assert plain.forward - flash.forward == forward * pairs
        assert plain.backward - flash.backward == backward * pairs
        assert plain.weight == flash.weight


@pytest.mark.parametrize("parallel", [False, True])
def test_what_tensor_parallelism_leaves_of_a_layers_traffic(parallel: bool) -> None:
    """Norms and residuals are cut with sequence parallelism alone; all else is halved."""
    c = replace(CUT, tensor=2, sequence_parallel=parallel, data=1)
    products = sum(_product(N, a, b) for a, b in ((64, 96), (32, 64), (64, 128), (128, 64)))
    whole = N * 64 / (2 if parallel else 1)
    found = layer_seconds(_moving(GPT, c))
    assert found.forward == products + whole * 24 + N * (128 * 4 + 96 * 4)
    assert found.backward == products + whole * 38 + N * (128 * 6 + 96 * 4)
    assert found.weight == products + 2 * (2 * whole + N * (128 + 96))


def test_kernels_of_a_layer() -> None:
    """Four products; attention is one kernel in F and two in B, or where it is plain two and four
    products with two over all pairs; 9 and 12 others; four sums of gradients of biases. The host
    needs its time for each, too."""
    assert layer_seconds(_starting(LLAMA, CUT)) == (4 + 1 + 9, 4 + 2 + 12, 4)
    assert layer_seconds(_starting(GPT, CUT)) == (4 + 1 + 9, 4 + 2 + 12, 4 + 4)
    plain = replace(CUT, attention="plain")
    assert layer_seconds(_starting(LLAMA, plain)) == (4 + 2 + 2 + 9, 4 + 4 + 2 + 12, 4)
    bench = _starting(LLAMA, CUT)
    slower = replace(bench, efficiency=replace(bench.efficiency, launch=3))
    assert layer_seconds(slower).forward == 3 * 14
    assert elapsed(Work(5, 2), replace(bench, efficiency=replace(IDEAL, ramp=1, launch=3))) == 7
    assert elapsed(Work(5, 2), replace(bench, efficiency=replace(IDEAL, ramp=1, launch=4))) == 8


def test_kernels_and_bytes_of_a_layer_with_experts() -> None:
    """A router of 64 x 8, eight experts of two matrices over 64 rows (two per token), a shared one;
    each weight a kernel, 5 and 2 x 8 of them, 20 more pick and 4 sort. Inner width of three
    experts: 96. Sorting reads each token, 64 wide, once and writes it twice, and back:
    2 x 2 x 64 x (1 + 2) bytes."""
    products = (
        _product(N, 64, 128) + _product(N, 64, 64) + _product(N, 64, 8)
        + _product(2 * N, 64, 64, 8) + _product(2 * N, 32, 64, 8)
        + _product(N, 64, 64) + _product(N, 32, 64)
    )  # fmt: skip
    sorting = N * 2 * 2 * 64 * 3
    forward = N * (64 * 20 + 96 * 6 + 128 * 4)
    backward = N * (64 * 32 + 96 * 10 + 128 * 4)
    moving = layer_seconds(_moving(SPARSE, CUT), EXPERTS)
    assert moving == (products + sorting + forward, products + sorting + backward, products)
    starting = layer_seconds(_starting(SPARSE, CUT), EXPERTS)
    assert starting == (21 + 24 + 1 + 9, 21 + 24 + 2 + 12, 21)


def test_a_width_off_the_grid_of_tensor_cores_slows_products_down() -> None:
    """The head of 100 words is no multiple of eight; cut over two devices it is padded. An inner
    width of 132 that is not cut is slow in both of its products."""
    e = replace(IDEAL, misaligned=0.5)
    machine = _machine(flops=1)
    once = 2 * N * 64 * 100
    assert head_seconds(Bench(LLAMA, CUT, machine, e)).weight == 2 * once
    assert head_seconds(Bench(LLAMA, replace(CUT, tensor=2), machine, e)).weight == once / 2
    odd = replace(LLAMA, ffn=132)
    fast, slow = (layer_seconds(Bench(odd, CUT, machine, each)).weight for each in (IDEAL, e))
    assert slow - fast == 2 * N * 132 * 64


def test_flash_attention_does_the_causal_half_and_five_products_for_two() -> None:
    """At one operation per second, heads of 16 padded to 32: 4 x 64 per pair of tokens in F, half
    of it masked; a window of 4 leaves a quarter of 16."""
    for kind, span in ((Layer(), 16), (Layer(window=4), 4)):
        found = layer_seconds(Bench(LLAMA, CUT, _machine(flops=1), IDEAL), kind)
        weights = layer_flops(LLAMA, 16, 2).weight
        scores = 4 * 64 * N * span / 2 * 2
        assert found == (weights + scores, weights + 2.5 * scores, weights)
    half = replace(IDEAL, fused_attention=0.5)
    slow = layer_seconds(Bench(LLAMA, CUT, _machine(flops=1), half))
    assert slow.forward == layer_flops(LLAMA, 16, 2).weight + 2 * 4 * 64 * N * 16


def test_partial_results_of_a_ring_are_put_together() -> None:
    """Three further steps of four read and write the 32-bit sum and read the new part, 64 wide; a
    kernel more for each step and for each putting together, and in B, where sums stay in place, two
    for each step."""
    c = replace(CUT, context=4, data=1)
    one = replace(CUT, microbatch=1, sequence=8, batch=1)  # the same tokens, alone
    ring, alone = (layer_seconds(_moving(LLAMA, each)) for each in (c, one))
    assert ring.forward - alone.forward == 3 * 10 * 8 * 64
    assert ring.backward == alone.backward
    ring, alone = (layer_seconds(_starting(LLAMA, each)) for each in (c, one))
    assert ring.forward - alone.forward == 3 + 3
    assert ring.backward - alone.backward == 2 * 3


def test_states_of_a_recurrence_in_chunks_pass_through_memory() -> None:
    """Of Mamba-2 eight heads of 16 with states of 32, handed on once in 128 tokens: 12 bytes each
    in F and 34 in B. Of a delta rule four heads of 8 x 16, once in 64. Others have none."""
    cases: tuple[tuple[Mixer, int, tuple[int, int]], ...] = (
        (StateSpace(8, 16, 32), 8 * 16 * 32 // 128, (6, 12)),
        (DeltaNet(2, 4, 8, 16), 4 * 8 * 16 // 64, (6, 12)),
        (Lightning(4, 16), 0, (2, 3)),
    )
    for mixer, states, kernels in cases:
        model = replace(LLAMA, mixers=(mixer,), mixing=(1, 1, 1, 1))
        kind, found = model.kind(0), mixing(model, model.kind(0))
        assert found.states == states
        per = attention_work(_moving(model, CUT), kind)
        assert [each.seconds for each in per] == pytest.approx([12 * N * states, 34 * N * states])
        assert tuple(each.kernels for each in per) == kernels
        halved = attention_work(_moving(model, replace(CUT, tensor=2)), kind)
        assert halved[0].seconds == pytest.approx(12 * N * states / 2)
        work = attention_work(Bench(model, CUT, _machine(flops=1), IDEAL), kind)
        assert [each.seconds for each in work] == [N * found.token, 2 * N * found.token]


# What is computed again


def test_what_is_computed_again_is_in_b() -> None:
    cases: tuple[tuple[str, float, float], ...] = (
        ("full", layer_seconds(_moving(GPT, replace(CUT, attention="plain"))).forward, 17),
        ("selective", 13 * N * 16 * 4, 4),
        ("elementwise", N * (2 * 4 * 64 + 4 * 256), 3),
    )
    for how, bytes_again, kernels in cases:
        none = replace(CUT, attention="plain")
        again = replace(none, recompute=how)  # type: ignore[arg-type]
        for bench, more in ((_moving, bytes_again), (_starting, kernels)):
            before, after = (layer_seconds(bench(GPT, each)) for each in (none, again))
            assert after.backward - before.backward == more
            assert (after.forward, after.weight) == (before.forward, before.weight)


def test_collectives_of_what_is_computed_again_are_waited_for_again() -> None:
    """Two all-reduces of 2 bytes a number over two devices at a byte per second: 2 x 64 a token."""
    c = replace(CUT, tensor=2, recompute="full", tensor_overlap="none")
    spent = layer_spent(_moving(GPT, c, inside=SECOND))
    there = 2 * (2 * N * 64)
    assert spent.tensor == (there, 2 * there, 0)
    assert layer_spent(_moving(GPT, replace(c, recompute="selective"), inside=SECOND)).tensor == (
        there, there, 0,
    )  # fmt: skip
    shared = Configuration(
        16, 2, microbatch=2, context=2, context_by="all-gather", recompute="full"
    )
    waits = layer_spent(Bench(LLAMA, shared, _machine(inside=SECOND), IDEAL)).context
    once = 2 * N * 64 / 2  # keys and values of 32 tokens, of which half are here
    assert waits == (once, 3 * once, 0)
    sent = layer_spent(
        Bench(SPARSE, replace(CUT, batch=8, data=4, expert=4, recompute="full"),
              _machine(inside=SECOND), replace(IDEAL, dispatch=1)), EXPERTS,
    ).experts  # fmt: skip
    back = 2 * (2 * N * 2 * 64 * 3 / 4) + 1  # to four devices and back, and a second for the host
    assert sent == (back, 2 * back, 0)


def test_a_fused_backward_hides_collectives_under_the_weights_gradients() -> None:
    """All-reduces of 4 x 32 x 64 bytes; W moves bytes at the same rate; half of what can be hidden
    is."""
    c = replace(CUT, tensor=2)
    e = replace(IDEAL, overlap=0.5)
    there = 2 * (2 * N * 64)
    for wire, hidden in ((SECOND, there), (replace(SECOND, bandwidth=1e-3), None)):
        bench = Bench(LLAMA, c, _machine(bandwidth=1, inside=wire), e)
        weight = layer_seconds(bench).weight
        assert weight > there
        assert fused_saving(bench) == 0.5 * (weight if hidden is None else hidden)


# Ends


def test_bytes_kernels_and_sums_of_the_embedding() -> None:
    """F reads and writes 2 bytes each, W reads gradients and adds them up: 8; dropout 5 more. One
    all-reduce in F over two devices."""
    each = N * 64
    assert embedding_seconds(_moving(LLAMA, CUT)) == (4 * each, 0, 8 * each)
    assert embedding_seconds(_moving(GPT, CUT)) == (9 * each, 0, 13 * each)
    assert embedding_seconds(_starting(GPT, CUT)) == (3, 0, 3)
    cut = embedding_seconds(_moving(LLAMA, replace(CUT, tensor=2), inside=SECOND))
    assert cut == (4 * each + 2 * each, 0, 8 * each)


@pytest.mark.parametrize("t", [1, 2])
def test_bytes_kernels_and_sums_of_the_head(t: int) -> None:
    """The norm 4 bytes in F and 10 in B; the loss 28 per logit in F and 16 in B; its input's
    gradient is summed."""
    c, wide, logits = replace(CUT, tensor=t), N * 64, N * 100 / t
    out = _product(N, 64, 100 / t)
    summed = 2 * wide if t > 1 else 0
    assert head_seconds(_moving(LLAMA, c, inside=SECOND)) == (
        out + 4 * wide + 28 * logits, out + 10 * wide + 16 * logits + summed, out,
    )  # fmt: skip
    assert head_seconds(_starting(LLAMA, c)) == (1 + 8, 1 + 6, 1)


def test_seconds_and_flops_of_a_layer_that_predicts_a_further_token() -> None:
    """A layer, a head, a product of 128 x 64, two norms of 4 bytes a number in F and 8 in B; its
    output is gathered, and twice as much summed in B."""
    model = replace(LLAMA, mtp_layers=1)
    for bench, product, norms in (
        (_moving(model, CUT), _product(N, 128, 64), 8 * N * 64), (_starting(model, CUT), 1, 3),
    ):  # fmt: skip
        layer, head = layer_seconds(bench), head_seconds(bench)
        assert prediction_spent(bench).passes == (
            layer.forward + head.forward + product + norms,
            layer.backward + head.backward + product + 2 * norms,
            layer.weight + head.weight + product,
        )
    cut = _moving(model, replace(CUT, tensor=2), inside=SECOND)
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
        bench = _moving(GPT, replace(c, zero=zero))
        assert optimizer_seconds(bench, 1000) == 32 * 1000 / share
    slow = replace(bench, efficiency=replace(IDEAL, memory=0.5))
    assert optimizer_seconds(slow, 1000) == 2 * 32 * 1000 / 8


# Groups


def test_which_devices_work_together() -> None:
    """Tensor 2, context 2, data 8, pipeline 4: neighbours first. Experts over 4 devices cut in two
    take 8 of a stage's 32, whole ones 4."""
    c = Configuration(64, 8, tensor=2, context=2, data=8, pipeline=4, expert=4)
    assert tensor_group(c) == Group(2, 1)
    assert context_group(c) == Group(2, 2)
    assert data_group(c) == Group(16, 2)
    assert pipeline_group(c) == Group(4, 32)
    assert (expert_group(c), expert_copies_group(c)) == (Group(4, 2), Group(4, 8))
    whole = replace(c, expert_tensor=1)
    assert (expert_group(whole), expert_copies_group(whole)) == (Group(4, 1), Group(8, 4))
    assert (c.n_devices, c.per_stage, c.n_microbatches, c.tokens, c.copies) == (128, 32, 1, 32, 16)


def test_gradients_of_experts_are_reduced_over_their_copies() -> None:
    """Sixteen devices, experts over 4: four copies, four devices apart, on two nodes: a ring of one
    border and two hops inside, and two cards of 50 GB/s. All sixteen reduce what is common."""
    c = Configuration(16, 16, data=16, expert=4, data_overlap=False)
    machine = _machine(inside=WIRES["nvlink4"])
    once = 2 * 1e6 * 3 / 4 / 100e9 + 10e-6 + 2 * 5e-6
    found = reduce_seconds(Held(0, 1e6), c, machine, efficiency=IDEAL)
    assert found == pytest.approx(2 * once)
    moved = sharding_seconds(Held(0, 1e6), replace(c, zero=3), machine, efficiency=IDEAL)
    assert moved == pytest.approx((once,) * 3)
    common = 2 * 1e6 * 15 / 16 / 400e9 + 10e-6 + 14 * 5e-6
    both = reduce_seconds(Held(1e6, 1e6), c, machine, efficiency=IDEAL)
    assert both == pytest.approx(2 * (once + common))
    nothing = replace(c, zero=0)  # all-reduced: as many bytes again instead of a gather
    assert reduce_seconds(Held(1e6, 0), nothing, machine, efficiency=IDEAL) == pytest.approx(
        4 * 1e6 * 15 / 16 / 400e9 + 10e-6 + 14 * 5e-6
    )


def test_messages_grow_with_a_large_group() -> None:
    """Of 80 million parameters two messages of 40 million; over 64 devices two of 64 million."""
    machine = _machine(inside=WIRES["nvlink4"])
    for data, parameters_, messages in ((8, 80e6, 2), (8, 81e6, 3), (64, 81e6, 2)):
        c = Configuration(16, data, data=data, data_overlap=False, zero=2)
        hops = (data // 8 - 1) * 10e-6 + (data - data // 8) * 5e-6
        rate = 450e9 if data == 8 else 400e9
        found = reduce_seconds(Held(parameters_, 0), c, machine, efficiency=IDEAL)
        expected = 2 * parameters_ * (data - 1) / data / rate + messages * hops
        assert found == pytest.approx(expected, rel=1e-12)


def test_collectives_of_a_layer_are_one_per_block_and_direction() -> None:
    """Over two devices at a byte per second: an all-reduce of n numbers of 2 bytes takes 2 n, a
    gather and a reduce-scatter n each; whole experts need none."""
    c = replace(CUT, tensor=2)
    machine, n = _machine(inside=SECOND), N * 64
    for parallel in (False, True):
        now = replace(c, sequence_parallel=parallel)
        for blocks in (1, 2):
            found = layer_communication(GPT, now, machine, efficiency=IDEAL, blocks=blocks)
            assert found == (2 * n * blocks, 2 * n * blocks, 0)
    whole = replace(c, batch=4, data=2, expert=4, expert_tensor=1)
    found = layer_communication(SPARSE, whole, machine, efficiency=IDEAL, experts=True)
    assert found.forward == 2 * n
    cut = replace(whole, expert_tensor=0, expert=2)
    found = layer_communication(SPARSE, cut, machine, efficiency=IDEAL, experts=True)
    assert found.forward == 4 * n


# Bytes


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


# Stages


def test_the_costs_of_stages_are_those_of_their_pieces() -> None:
    """Two stages of two layers on one device: passes need memory one at a time, so that the larger
    need counts; a fused backward is shorter by what it hides. Ticks are rounded seconds."""
    c = Configuration(16, 4, microbatch=2, pipeline=1, virtual=2, tensor=2, recompute="full")
    bench = _moving(LLAMA, c, inside=SECOND)
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
    bench = Bench(LLAMA, c, _machine(bandwidth=1e3, inside=WIRES["nvlink4"]), IDEAL)
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
    bench = Bench(model, replace(CUT, pipeline=2), _machine(flops=1), IDEAL)
    plain = replace(bench, model=replace(model, mtp_layers=0))
    further = automatic_split(bench, parts(bench)).stages
    without = automatic_split(plain, parts(plain)).stages
    layer, head = layer_flops(LLAMA, 16, 2).total, 3 * 2 * N * 64 * 100
    more = layer + head + 3 * 2 * N * 128 * 64
    assert without[-1].layers - further[-1].layers == round(more / layer / 2)


# Blocks beside each other


@pytest.mark.parametrize(("norms", "sums"), [(1, (8, 12)), (2, (8, 8))])
def test_blocks_beside_each_other_share_a_sum_and_maybe_a_norm(
    norms: int, sums: tuple[int, int]
) -> None:
    """In sequence two norms (4 bytes a number in F, 10 in B) and two sums (6). Beside each other
    one sum of three; behind one norm the gradients of both inputs are added up. Kernels: in F one
    sum and maybe a norm less, in B a sum or a norm."""
    beside = replace(LLAMA, parallel=norms)
    one, two = (layer_seconds(_moving(model, CUT)) for model in (LLAMA, beside))
    assert one.forward - two.forward == N * 64 * (8 + 12 - 4 * norms - sums[0])
    assert one.backward - two.backward == N * 64 * (20 + 12 - 10 * norms - sums[1])
    assert one.weight == two.weight
    one, two = (layer_seconds(_starting(model, CUT)) for model in (LLAMA, beside))
    assert (one.forward - two.forward, one.backward - two.backward) == (3 - norms, 1)
    assert layer_flops(LLAMA, 16) == layer_flops(beside, 16)


@pytest.mark.parametrize("norms", [1, 2])
def test_blocks_beside_each_other_are_reduced_together_and_keep_one_input(norms: int) -> None:
    """One all-reduce instead of two. One input of norms, 2 bytes, and behind one norm one input of
    both blocks; for W one gradient of both outputs, and as many inputs as there are norms."""
    beside, c = replace(LLAMA, parallel=norms), replace(CUT, tensor=2, tensor_overlap="none")
    for model, sums in ((LLAMA, 2), (beside, 1)):
        spent = layer_spent(_moving(model, c, inside=SECOND)).tensor
        assert spent == (sums * 2 * N * 64, sums * 2 * N * 64, 0)
    one, two = activation(LLAMA, CUT), activation(beside, CUT)
    assert one.after_forward - two.after_forward == 2 * N * 64 * (1 + (2 - norms))
    assert one.after_backward - two.after_backward == 2 * N * 64 * (1 + (2 - norms))
    again = activation(beside, replace(CUT, recompute="elementwise")).scratch
    assert again == 2 * N * (64 * norms + 128)
    assert parameters(LLAMA) - parameters(beside) == 4 * (2 - norms) * 64
    experts = replace(SPARSE, parallel=norms)
    whole = replace(c, batch=4, data=2, expert=4, expert_tensor=1)
    spent = layer_spent(Bench(experts, whole, _machine(inside=SECOND), IDEAL), EXPERTS).tensor
    assert spent.forward == 2 * N * 64  # attention's, which experts of each device do not have


# Adapters, Muon, dropped tokens

LORA = replace(CUT, lora=4)
PAIRS = 4 * ((64 + 128) + (64 + 64) + (64 + 256) + (128 + 64))
"""Weights of rank 4 beside the four products of a layer."""


def test_adapters_are_multiplied_beside_frozen_weights_and_alone_in_w() -> None:
    """At one operation per second F and B have both, W has two per adapter weight and token."""
    machine = _machine(flops=1)
    plain, adapted = (layer_seconds(Bench(LLAMA, c, machine, IDEAL)) for c in (CUT, LORA))
    assert adapted.forward - plain.forward == 2 * N * PAIRS
    assert adapted.backward - plain.backward == 2 * N * PAIRS
    assert adapted.weight == 2 * N * PAIRS
    assert layer_seconds(_starting(GPT, LORA)).weight == 8  # no gradients of biases
    whole, half = (
        layer_seconds(Bench(LLAMA, replace(LORA, tensor=t), machine, IDEAL)).weight for t in (1, 2)
    )
    uncut = 4 * (2 * 64 + 2 * 64)  # what reads whole inputs where outputs are cut, or writes whole
    assert half - whole / 2 == pytest.approx(2 * N * uncut / 2)
    assert embedding_seconds(_moving(LLAMA, LORA)) == (4 * N * 64, 0, 0)
    assert head_seconds(_moving(LLAMA, LORA)).weight == 0


def test_adapters_are_held_in_all_their_states_and_frozen_weights_as_they_are() -> None:
    held = held_parameters(LLAMA, LORA)
    assert held[:4] == (PAIRS, 0, layer_parameters(LLAMA), 0)
    assert static(held, replace(LORA, zero=0)) == (
        2 * (PAIRS + layer_parameters(LLAMA)), 4 * PAIRS, 12 * PAIRS,
    )  # fmt: skip
    plain, adapted = activation(LLAMA, CUT), activation(LLAMA, LORA)
    assert adapted.after_forward - plain.after_forward == 2 * N * 4 * 4
    assert adapted.after_backward - plain.after_backward == 4 * N * 4 * 4
    assert largest_matrix(LLAMA, LORA) == 4 * 256
    experts = held_parameters(SPARSE, Configuration(16, 8, data=8, expert=4, lora=4), EXPERTS)
    assert experts.frozen_experts == 8 * 3 * 64 * 32 / 4
    assert experts.common == 4 * (128 + 128 + 64 + 2 * 64 + 64 + 32)  # none on router and routed
    assert embedding_activation(LLAMA, LORA) == (0, 0, 0)
    assert head_activation(LLAMA, LORA) == (2 * N * 64 + 4 * N * 100, 0, 0)
    tied = Bench(replace(LLAMA, tied=True), replace(LORA, pipeline=2), _machine(), IDEAL)
    stages = stages_of(tied, split_of([2, 2]), parts(tied), [0, 1])
    assert [stage.held.common for stage in stages] == [2 * PAIRS] * 2
    assert stages[1].held.frozen == 2 * layer_parameters(LLAMA) + 64 + 6400
    assert stages[1].scratch(PerParameter()) == 2 * 4 * 256  # a gradient of an adapter alone
    three = replace(tied, configuration=replace(LORA, batch=16, data=8, zero=3, pipeline=2))
    moved = sharding_seconds(
        stages[1].held, three.configuration, _machine(inside=SECOND), efficiency=IDEAL
    )
    whole = stages[1].held.frozen + 2 * PAIRS
    assert moved == pytest.approx((2 * whole * 7 / 8, 2 * whole * 7 / 8, 2 * 2 * PAIRS * 7 / 8))


def test_mfu_of_adapters_counts_no_gradients_of_frozen_weights() -> None:
    problem = Problem(LLAMA, machine_of("1xh100"))
    full, adapted = (rates(problem, c, 1.0).mfu for c in (CUT, LORA))
    weights = 4 * layer_flops(LLAMA, 16, 2).weight + 2 * N * 64 * 100
    assert full - adapted == pytest.approx(weights / 989.4e12)


def test_muon_keeps_one_momentum_of_matrices_and_makes_them_orthogonal() -> None:
    """AdamW keeps 12 bytes of what is in no matrix of a layer, Muon 8 of the rest. Of m x n, m the
    smaller, five steps of 4 m^2 n + 2 m^3 operations."""
    c = replace(CUT, optimizer="muon", zero=0)
    held = held_parameters(LLAMA, c)
    assert held.vectors == 2 * 64
    assert static(held, c).optimizer == 12 * 128 + 8 * (layer_parameters(LLAMA) - 128)
    sizes = ((64, 128), (64, 64), (64, 256), (64, 128))
    work = sum(5 * (4 * m * m * n + 2 * m**3) for m, n in sizes)
    assert held.orthogonal == work
    assert held_parameters(LLAMA, CUT).orthogonal == 0
    shared = replace(c, zero=1, batch=8, data=4)
    assert held_parameters(LLAMA, shared).orthogonal == work / 4
    assert static(Held(1000, 0, vectors=200), shared).optimizer == (12 * 200 + 8 * 800) / 4
    bench = Bench(LLAMA, c, _machine(flops=1), replace(IDEAL, matmul=0.5))
    (stage,) = stages_of(bench, split_of([4]), parts(bench))
    assert stage.held.vectors == 4 * 128 + 2 * 6400 + 64
    assert tail_seconds(bench, [stage]).optimizer == pytest.approx(4 * work / 0.5)
    spread = Configuration(16, 8, data=8, expert=4, optimizer="muon")
    one = 5 * (4 * 32**2 * 64 + 2 * 32**3)  # of an expert 64 x 32, of gate and up 64 x 64
    two = 5 * (4 * 64**3 + 2 * 64**3)
    routed = 2 * (one + two) / 2  # two of eight experts here, on two devices each
    common = replace(SPARSE, experts=replace(SPARSE.experts, count=4))  # type: ignore[type-var]
    less = held_parameters(common, replace(spread, expert=4), EXPERTS).orthogonal
    router = 5 * (4 * 8**2 * 64 + 2 * 8**3 - 4 * 4**2 * 64 - 2 * 4**3) / 8
    more = held_parameters(SPARSE, spread, EXPERTS).orthogonal
    assert more - less == pytest.approx(routed / 2 + router)


def test_experts_with_a_capacity_take_an_even_share_and_nobody_waits_for_counts() -> None:
    """Twice the even share: 128 rows instead of 64 in the two routed products, sorted and kept."""
    c = replace(CUT, capacity=2.0)
    machine = _machine(flops=1)
    plain, dropped = (layer_seconds(Bench(SPARSE, x, machine, IDEAL), EXPERTS) for x in (CUT, c))
    assert dropped.weight - plain.weight == 2 * 64 * (64 * 64 + 32 * 64)
    even = layer_seconds(Bench(SPARSE, replace(c, capacity=1.0), machine, IDEAL), EXPERTS)
    assert even == plain
    waiting = Bench(SPARSE, CUT, _machine(), replace(IDEAL, dispatch=1))
    assert layer_seconds(waiting, EXPERTS).forward == 1
    known = replace(waiting, configuration=replace(c, capacity=1.0))
    assert layer_seconds(known, EXPERTS).forward == pytest.approx(0)
    kept, more = (activation(SPARSE, x, EXPERTS).after_forward for x in (CUT, c))
    assert more - kept == 2 * N * 2 * (64 + 3 * 32)  # inputs of two experts, and what is inside
    moved, twice = (layer_seconds(_moving(SPARSE, x), EXPERTS).forward for x in (CUT, c))
    rows = 2 * 64 * (64 + 64 + 32 + 64)  # inputs and outputs of both products
    assert twice - moved == rows + 2 * 2 * 64 * 64 + 64 * 32 * 6  # sorted, and the gated function
    sent = Configuration(16, 8, microbatch=2, data=4, expert=4, capacity=2.0)
    spent = layer_spent(Bench(SPARSE, sent, _machine(inside=SECOND), IDEAL), EXPERTS).experts
    assert spent.forward == 2 * (2 * N * 2 * 2 * 64 * 3 / 4)


@pytest.mark.parametrize(
    ("model", "changed", "sentence"),
    [
        (LLAMA, {"capacity": 1.0}, "a capacity of 1 for a model without experts: leave it out"),
        (LLAMA, {"lora": 4, "frozen": 1}, "adapters of rank 4 are not planned together with froz"),
        (replace(LLAMA, mtp_layers=1), {"lora": 4}, "together with layers that predict further"),
        (LLAMA, {"lora": 4}, ""), (SPARSE, {"capacity": 1.0}, ""),
    ],
)  # fmt: skip
def test_what_adapters_and_capacities_do_not_go_with(
    model: Model, changed: dict[str, Any], sentence: str
) -> None:
    found = refusal(model, replace(CUT, **changed))
    assert sentence in found if sentence else found == ""


def test_whole_experts_beside_attention_that_is_cut() -> None:
    """On four devices, two to a layer: attention, the router and the shared expert as before, of
    each routed expert all."""
    c = Configuration(16, 8, microbatch=2, tensor=2, data=2, expert=4, expert_tensor=1)
    common = 64 * 128 + 64 * 64 + 3 * 64 * 32
    routed = 2 * 3 * 64 * 32  # of two experts per token
    found = layer_seconds(Bench(SPARSE, c, _machine(flops=1), IDEAL), EXPERTS).weight
    assert found == 2 * N * (common / 2 + 64 * 8 + routed)


def test_an_index_over_tokens_keeps_its_queries_and_its_key() -> None:
    """Four heads of 8 and a key of 8, on every device of a tensor-parallel group."""
    latent = LatentAttention(24, 16, 8, 8, 16)
    model = Model("sparse", 1, 64, 4, 100, ffn=128, latent=latent)
    chosen = replace(model, latent=replace(latent, index_heads=4, index_width=8))
    for t in (1, 2):
        c = replace(CUT, tensor=t)
        plain, indexed = activation(model, c), activation(chosen, c)
        assert indexed.after_forward - plain.after_forward == 2 * N * (4 * 8 + 8)


@pytest.mark.parametrize(
    ("device", "precision", "sentence"),
    [
        ("h100", "nvfp4", "h100 does not multiply faster in 4 bits than in 8: plan with fp8"),
        ("a100-80g", "fp8", "does not multiply faster in 8 bits than in 16: plan with bf16"),
        ("h100", "fp8", ""), ("h100", "bf16", ""), ("b200", "nvfp4", ""),
    ],
)  # fmt: skip
def test_fewer_bits_are_refused_where_they_gain_nothing(
    device: str, precision: Any, sentence: str
) -> None:
    found = no_faster_units(DEVICES[device], precision)
    assert sentence in found if sentence else found == ""


@pytest.mark.parametrize("t", [2, 4])
def test_overlapped_collectives_leave_one_piece_of_as_many_as_there_are_devices(t: int) -> None:
    """Beside multiplications that take longer; two gathers and two scatters of 2 bytes a number."""
    c = replace(CUT, tensor=t, sequence_parallel=True, tensor_overlap="all")
    spent = layer_spent(Bench(LLAMA, c, _machine(flops=1, inside=SECOND), IDEAL)).tensor
    whole = 4 * 2 * N * 64 * (t - 1) / t
    assert spent == pytest.approx((whole / t, whole / t, 0))
