"""Every term of a layer alone, with a value by hand: kernels, what is computed again, blocks that
stand beside each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ideal_bench import (
    CUT,
    EXPERTS,
    GPT,
    IDEAL,
    LLAMA,
    SECOND,
    SPARSE,
    N,
    bytes_bench,
    free_machine,
    kernels_bench,
    product_bytes,
)

from sim.planner.cost_model import Bench, Configuration, activation, head_seconds, layer_seconds
from sim.planner.cost_model.attention import attention_work
from sim.planner.cost_model.flops import layer_flops
from sim.planner.cost_model.kernels import Work, elapsed
from sim.planner.cost_model.passes import fused_saving, layer_spent
from sim.planner.models import DeltaNet, Layer, Lightning, Mixer, StateSpace, mixing, parameters

# Kernels


def test_bytes_that_a_layer_with_biases_and_dropout_moves() -> None:
    """Products of 64 x 192, 64 x 64, 64 x 256 and 256 x 64. Elementwise, in bytes per number: a
    norm 4 in F and 10 in B, a residual 6, its mask 2 in F and 3 in B, an activation function 4 in F
    and 6 in B, queries, keys and values (192) 4 in both. W sums gradients of the biases of two
    outputs, of the inner width, and of queries, keys and values, reading 2 each."""
    products = sum(product_bytes(N, a, b) for a, b in ((64, 192), (64, 64), (64, 256), (256, 64)))
    forward = N * (64 * (2 * 4 + 2 * (6 + 2)) + 256 * 4 + 192 * 4)
    backward = N * (64 * (2 * 10 + 2 * (6 + 3)) + 256 * 6 + 192 * 4)
    weight = N * 2 * (2 * 64 + 256 + 192)
    found = layer_seconds(bytes_bench(GPT, CUT))
    assert found == (products + forward, products + backward, products + weight)


def test_bytes_that_a_gated_layer_moves() -> None:
    """Products of 64 x 128 (queries 64, keys and values 64), 64 x 64, 64 x 256 and 128 x 64; the
    gated function reads two and writes one in F, and reads three and writes two in B."""
    products = sum(product_bytes(N, a, b) for a, b in ((64, 128), (64, 64), (64, 256), (128, 64)))
    forward = N * (64 * (2 * 4 + 2 * 6) + 128 * 6 + 128 * 4)
    backward = N * (64 * (2 * 10 + 2 * 6) + 128 * 10 + 128 * 4)
    found = layer_seconds(bytes_bench(LLAMA, CUT))
    assert found == (products + forward, products + backward, products)


def test_bytes_that_plain_attention_moves() -> None:
    """Per pair of tokens and head 9 bytes in F and 12 in B; with dropout 4 and 5 more."""
    pairs = N * 16 * 4
    for model, forward, backward in ((GPT, 13, 17), (LLAMA, 9, 12)):
        flash, plain = (
            layer_seconds(bytes_bench(model, replace(CUT, attention=how)))
            for how in ("flash", "plain")
        )
        assert plain.forward - flash.forward == forward * pairs
        assert plain.backward - flash.backward == backward * pairs
        assert plain.weight == flash.weight


@pytest.mark.parametrize("parallel", [False, True])
def test_what_tensor_parallelism_leaves_of_a_layers_traffic(parallel: bool) -> None:
    """Norms and residuals are cut with sequence parallelism alone; all else is halved."""
    c = replace(CUT, tensor=2, sequence_parallel=parallel, data=1)
    products = sum(product_bytes(N, a, b) for a, b in ((64, 96), (32, 64), (64, 128), (128, 64)))
    whole = N * 64 / (2 if parallel else 1)
    found = layer_seconds(bytes_bench(GPT, c))
    assert found.forward == products + whole * 24 + N * (128 * 4 + 96 * 4)
    assert found.backward == products + whole * 38 + N * (128 * 6 + 96 * 4)
    assert found.weight == products + 2 * (2 * whole + N * (128 + 96))


def test_kernels_of_a_layer() -> None:
    """Four products; attention is one kernel in F and two in B, or where it is plain two and four
    products with two over all pairs; 9 and 12 others; four sums of gradients of biases. The host
    needs its time for each, too."""
    assert layer_seconds(kernels_bench(LLAMA, CUT)) == (4 + 1 + 9, 4 + 2 + 12, 4)
    assert layer_seconds(kernels_bench(GPT, CUT)) == (4 + 1 + 9, 4 + 2 + 12, 4 + 4)
    plain = replace(CUT, attention="plain")
    assert layer_seconds(kernels_bench(LLAMA, plain)) == (4 + 2 + 2 + 9, 4 + 4 + 2 + 12, 4)
    bench = kernels_bench(LLAMA, CUT)
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
        product_bytes(N, 64, 128) + product_bytes(N, 64, 64) + product_bytes(N, 64, 8)
        + product_bytes(2 * N, 64, 64, 8) + product_bytes(2 * N, 32, 64, 8)
        + product_bytes(N, 64, 64) + product_bytes(N, 32, 64)
    )  # fmt: skip
    sorting = N * 2 * 2 * 64 * 3
    forward = N * (64 * 20 + 96 * 6 + 128 * 4)
    backward = N * (64 * 32 + 96 * 10 + 128 * 4)
    moving = layer_seconds(bytes_bench(SPARSE, CUT), EXPERTS)
    assert moving == (products + sorting + forward, products + sorting + backward, products)
    starting = layer_seconds(kernels_bench(SPARSE, CUT), EXPERTS)
    assert starting == (21 + 24 + 1 + 9, 21 + 24 + 2 + 12, 21)


def test_a_width_off_the_grid_of_tensor_cores_slows_products_down() -> None:
    """The head of 100 words is no multiple of eight; cut over two devices it is padded. An inner
    width of 132 that is not cut is slow in both of its products."""
    e = replace(IDEAL, misaligned=0.5)
    machine = free_machine(flops=1)
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
        found = layer_seconds(Bench(LLAMA, CUT, free_machine(flops=1), IDEAL), kind)
        weights = layer_flops(LLAMA, 16, 2).weight
        scores = 4 * 64 * N * span / 2 * 2
        assert found == (weights + scores, weights + 2.5 * scores, weights)
    half = replace(IDEAL, fused_attention=0.5)
    slow = layer_seconds(Bench(LLAMA, CUT, free_machine(flops=1), half))
    assert slow.forward == layer_flops(LLAMA, 16, 2).weight + 2 * 4 * 64 * N * 16


def test_partial_results_of_a_ring_are_put_together() -> None:
    """Three further steps of four read and write the 32-bit sum and read the new part, 64 wide; a
    kernel more for each step and for each putting together, and in B, where sums stay in place, two
    for each step."""
    c = replace(CUT, context=4, data=1)
    one = replace(CUT, microbatch=1, sequence=8, batch=1)  # the same tokens, alone
    ring, alone = (layer_seconds(bytes_bench(LLAMA, each)) for each in (c, one))
    assert ring.forward - alone.forward == 3 * 10 * 8 * 64
    assert ring.backward == alone.backward
    ring, alone = (layer_seconds(kernels_bench(LLAMA, each)) for each in (c, one))
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
        per = attention_work(bytes_bench(model, CUT), kind)
        assert [each.seconds for each in per] == pytest.approx([12 * N * states, 34 * N * states])
        assert tuple(each.kernels for each in per) == kernels
        halved = attention_work(bytes_bench(model, replace(CUT, tensor=2)), kind)
        assert halved[0].seconds == pytest.approx(12 * N * states / 2)
        work = attention_work(Bench(model, CUT, free_machine(flops=1), IDEAL), kind)
        assert [each.seconds for each in work] == [N * found.token, 2 * N * found.token]


# What is computed again


def test_what_is_computed_again_is_in_b() -> None:
    cases: tuple[tuple[str, float, float], ...] = (
        ("full", layer_seconds(bytes_bench(GPT, replace(CUT, attention="plain"))).forward, 17),
        ("selective", 13 * N * 16 * 4, 4),
        ("elementwise", N * (2 * 4 * 64 + 4 * 256), 3),
    )
    for how, bytes_again, kernels in cases:
        none = replace(CUT, attention="plain")
        again = replace(none, recompute=how)  # type: ignore[arg-type]
        for bench, more in ((bytes_bench, bytes_again), (kernels_bench, kernels)):
            before, after = (layer_seconds(bench(GPT, each)) for each in (none, again))
            assert after.backward - before.backward == more
            assert (after.forward, after.weight) == (before.forward, before.weight)


def test_collectives_of_what_is_computed_again_are_waited_for_again() -> None:
    """Two all-reduces of 2 bytes a number over two devices at a byte per second: 2 x 64 a token."""
    c = replace(CUT, tensor=2, recompute="full", tensor_overlap="none")
    spent = layer_spent(bytes_bench(GPT, c, inside=SECOND))
    there = 2 * (2 * N * 64)
    assert spent.tensor == (there, 2 * there, 0)
    selective = bytes_bench(GPT, replace(c, recompute="selective"), inside=SECOND)
    assert layer_spent(selective).tensor == (there, there, 0)
    shared = Configuration(
        16, 2, microbatch=2, context=2, context_by="all-gather", recompute="full"
    )
    waits = layer_spent(Bench(LLAMA, shared, free_machine(inside=SECOND), IDEAL)).context
    once = 2 * N * 64 / 2  # keys and values of 32 tokens, of which half are here
    assert waits == (once, 3 * once, 0)
    sent = layer_spent(
        Bench(SPARSE, replace(CUT, batch=8, data=4, expert=4, recompute="full"),
              free_machine(inside=SECOND), replace(IDEAL, dispatch=1)), EXPERTS,
    ).experts  # fmt: skip
    back = 2 * (2 * N * 2 * 64 * 3 / 4) + 1  # to four devices and back, and a second for the host
    assert sent == (back, 2 * back, 0)


def test_a_fused_backward_hides_collectives_under_the_weights_gradients() -> None:
    """All-reduces of 4 x 32 x 64 bytes; weight gradients move bytes at the same rate, on each of
    two devices from 64 to 64 (queries, keys, values) and to 128 (gate, up) numbers; half of what
    can be hidden is."""
    c = replace(CUT, tensor=2)
    e = replace(IDEAL, overlap=0.5)
    there = 2 * (2 * N * 64)
    for wire, hidden in ((SECOND, there), (replace(SECOND, bandwidth=1e-3), None)):
        bench = Bench(LLAMA, c, free_machine(bandwidth=1, inside=wire), e)
        weight = product_bytes(N, 64, 64) + product_bytes(N, 64, 128)
        assert layer_seconds(bench).weight > weight > there
        assert fused_saving(bench) == 0.5 * (weight if hidden is None else hidden)


# Blocks beside each other


@pytest.mark.parametrize(("norms", "sums"), [(1, (8, 12)), (2, (8, 8))])
def test_blocks_beside_each_other_share_a_sum_and_maybe_a_norm(
    norms: int, sums: tuple[int, int]
) -> None:
    """In sequence two norms (4 bytes a number in F, 10 in B) and two sums (6). Beside each other
    one sum of three; behind one norm the gradients of both inputs are added up. Kernels: in F one
    sum and maybe a norm less, in B a sum or a norm."""
    beside = replace(LLAMA, parallel=norms)
    one, two = (layer_seconds(bytes_bench(model, CUT)) for model in (LLAMA, beside))
    assert one.forward - two.forward == N * 64 * (8 + 12 - 4 * norms - sums[0])
    assert one.backward - two.backward == N * 64 * (20 + 12 - 10 * norms - sums[1])
    assert one.weight == two.weight
    one, two = (layer_seconds(kernels_bench(model, CUT)) for model in (LLAMA, beside))
    assert (one.forward - two.forward, one.backward - two.backward) == (3 - norms, 1)
    assert layer_flops(LLAMA, 16) == layer_flops(beside, 16)


@pytest.mark.parametrize("norms", [1, 2])
def test_blocks_beside_each_other_are_reduced_together_and_keep_one_input(norms: int) -> None:
    """One all-reduce instead of two. One input of norms, 2 bytes, and behind one norm one input of
    both blocks; for W one gradient of both outputs, and as many inputs as there are norms."""
    beside, c = replace(LLAMA, parallel=norms), replace(CUT, tensor=2, tensor_overlap="none")
    for model, sums in ((LLAMA, 2), (beside, 1)):
        spent = layer_spent(bytes_bench(model, c, inside=SECOND)).tensor
        assert spent == (sums * 2 * N * 64, sums * 2 * N * 64, 0)
    one, two = activation(LLAMA, CUT), activation(beside, CUT)
    assert one.after_forward - two.after_forward == 2 * N * 64 * (1 + (2 - norms))
    assert one.after_backward - two.after_backward == 2 * N * 64 * (1 + (2 - norms))
    again = activation(beside, replace(CUT, recompute="elementwise")).scratch
    assert again == 2 * N * (64 * norms + 128)
    assert parameters(LLAMA) - parameters(beside) == 4 * (2 - norms) * 64
    experts = replace(SPARSE, parallel=norms)
    whole = replace(c, batch=4, data=2, expert=4, expert_tensor=1)
    spent = layer_spent(Bench(experts, whole, free_machine(inside=SECOND), IDEAL), EXPERTS).tensor
    assert spent.forward == 2 * N * 64  # attention's, which experts of each device do not have
