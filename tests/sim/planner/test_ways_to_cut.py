"""Terms of the cost model beyond tensor and data parallelism, each with a value by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from sim.planner import Problem, estimate, prepare
from sim.planner.cost_model import (
    Bench,
    Configuration,
    Efficiency,
    PerParameter,
    activation,
    all_gather,
    all_reduce,
    all_to_all,
    layer_communication,
    layer_flops,
    layer_seconds,
    parts,
    reduce_seconds,
    refusal,
    send_seconds,
    stages_of,
    static,
)
from sim.planner.cost_model.context import context_seconds, key_value_bytes
from sim.planner.cost_model.experts import dispatch_seconds
from sim.planner.cost_model.parameters import Held
from sim.planner.cost_model.passes import layer_spent
from sim.planner.cost_model.split import split_of
from sim.planner.hardware import DEVICES, WIRES, Group, Machine, machine_of
from sim.planner.models import Experts, Layer, Model
from sim.planner.orders import Orders

DENSE = Model("dense", 4, 256, 8, 1000, kv_heads=2, ffn=704)  # heads of 32, keys and values of 128
SPARSE = replace(DENSE, name="sparse", experts=Experts(8, 2, 64))
IDEAL = Efficiency(
    matmul=1, fused_attention=1, memory=1, misaligned=1, wire=1, grouped=1, fp8=1, fp4=1, ramp=0,
    launch=0, collective=0, dispatch=0,
)  # fmt: skip
KIND, EXPERTS = Layer(), Layer("experts")


def _machine(n: int = 16, **changed: Any) -> Machine:
    return replace(Machine("m", DEVICES["h100"], n, 8, WIRES["nvlink4"], WIRES["ndr"]), **changed)


def _fast() -> Machine:
    """Without waiting for memory."""
    return _machine(device=replace(DEVICES["h100"], bandwidth=1e30))


# Collectives


def test_a_ring_over_nodes_hops_once_per_border_and_otherwise_inside() -> None:
    """Sixteen devices on two nodes: one slow hop of 10 and fourteen of 5 microseconds; eight cards
    carry the ring over the border."""
    seconds = all_gather(1e6, Group(16, 1), machine=_machine(), efficiency=IDEAL)
    assert seconds == pytest.approx(10e-6 + 14 * 5e-6 + 1e6 * 15 / 16 / 400e9)
    twice = all_gather(1e6, Group(16, 1), machine=_machine(), efficiency=IDEAL, messages=2)
    assert twice - seconds == pytest.approx(10e-6 + 14 * 5e-6)


def test_members_of_a_collective_wait_for_each_other_per_doubling() -> None:
    slow = replace(IDEAL, collective=1)
    for call in (all_gather, all_reduce, all_to_all):
        more = [call(1e6, Group(8, 1), machine=_machine(), efficiency=e) for e in (slow, IDEAL)]
        assert more[0] - more[1] == pytest.approx(3)


def test_an_all_reduce_of_many_takes_a_trees_hops() -> None:
    """512 devices on 64 nodes: of a ring's 1022 hops a tree has 2 * 9."""
    machine, group = _machine(512), Group(512, 1)
    seconds = all_reduce(0, group, machine=machine, efficiency=IDEAL)
    assert seconds == pytest.approx(18 / 511 * (63 * 10e-6 + 448 * 5e-6))


def test_what_all_to_all_sends_out_of_a_node_goes_over_each_members_card() -> None:
    """Of 16 pieces seven stay in the node at 450 GB/s, eight leave it at 50 GB/s, at once."""
    seconds = all_to_all(16e6, Group(16, 1), machine=_machine(), efficiency=IDEAL)
    assert seconds == pytest.approx(10e-6 + max(7e6 / 450e9, 8e6 / 50e9))
    inside = all_to_all(8e6, Group(8, 1), machine=_machine(), efficiency=IDEAL)
    assert inside == pytest.approx(5e-6 + 7e6 / 450e9)


# Context parallelism


def test_context_parallel_devices_share_tokens_attention_and_activations() -> None:
    whole = Configuration(4096, 8, microbatch=2)
    cut = replace(whole, context=4)
    assert (cut.tokens, cut.copies, cut.n_devices) == (2048, 4, 4)
    machine = _fast()
    flops = layer_flops(DENSE, 4096, 2)
    free = replace(machine, inside=replace(machine.inside, bandwidth=1e30, latency=0))
    plain = replace(cut, attention="plain")
    found = layer_seconds(Bench(DENSE, plain, free, IDEAL))
    assert found == pytest.approx([each / 4 / 989.4e12 for each in flops], rel=1e-9)
    kept, quarter = activation(DENSE, whole), activation(DENSE, cut)
    assert quarter.after_forward == kept.after_forward / 4


@pytest.mark.parametrize(
    ("attention", "forward", "backward"),
    [((0.0, 0.0), 3, 6), ((4.0, 4.0), 0, 3), ((0.4, 0.4), 2.7, 5.7)],
)
def test_a_ring_of_keys_and_values_waits_where_attention_is_shorter(
    attention: tuple[float, float], forward: float, backward: float
) -> None:
    """Four devices: three steps of one second each, and of two seconds backwards, where gradients
    go round too; a quarter of attention hides each of them."""
    c = Configuration(4096, 1, context=4)
    size = 2 * 1024 * 128  # 16-bit keys and values of 1,024 tokens
    assert key_value_bytes(DENSE, c) == size
    second = replace(_machine(), inside=replace(WIRES["nvlink4"], bandwidth=size, latency=0))
    found = context_seconds(DENSE, c, second, efficiency=IDEAL, attention=attention)
    assert found == pytest.approx((forward, backward))


def test_all_to_all_sends_queries_keys_and_values_and_brings_the_result_back() -> None:
    c = Configuration(4096, 1, context=2, context_by="all-to-all")
    tokens = 2048
    there, back = 2 * tokens * (256 + 128) / 2 / 450e9, 2 * tokens * 256 / 2 / 450e9
    found = context_seconds(DENSE, c, _machine(), efficiency=IDEAL, attention=(1, 1))
    assert found == pytest.approx((there + back + 10e-6,) * 2)


def test_gathered_keys_and_values_are_waited_for_and_their_gradients_reduced() -> None:
    c = Configuration(4096, 1, context=4, context_by="all-gather")
    once = 2 * 4096 * 128 * 3 / 4 / 450e9 + 3 * 5e-6
    found = context_seconds(DENSE, c, _machine(), efficiency=IDEAL, attention=(1, 1))
    assert found == pytest.approx((once, 2 * once))


def test_a_device_holds_a_whole_key_value_head_where_there_are_fewer_than_devices() -> None:
    c = Configuration(4096, 1, tensor=8, context=2)
    assert key_value_bytes(DENSE, c) == 2 * 2048 * 128 / 2


def test_weights_are_the_same_on_devices_that_share_a_sequence() -> None:
    """Two by four of them share the optimizer's state, and reduce gradients together."""
    c = Configuration(4096, 8, data=4, context=2)
    assert static(Held(1000, 0), c).total == 1000 * (6 + 12 / 8)
    seconds = reduce_seconds(
        Held(1000, 0), replace(c, data_overlap=False), _machine(), efficiency=IDEAL
    )
    assert seconds == pytest.approx(2 * (2 * 1000 * 7 / 8 / 450e9 + 7 * 5e-6))
    away: Any = {"efficiency": IDEAL, "source": 0, "destination": 1}
    pipeline = replace(c, pipeline=2)
    assert send_seconds(DENSE, pipeline, _machine(), **away) == pytest.approx(
        10e-6 + 2 * 2048 * 256 / 50e9
    )


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"context": 3}, "sequence 1024 cannot be divided by twice the context parallel size 3"),
        ({"context": 4, "context_by": "all-to-all"}, "2 key-value heads cannot be divided by"),
        ({"context": 2, "expert": 8, "data": 4}, ""),
        ({"tensor": 2, "expert": 8, "data": 4}, "data parallel size 4 cannot be divided by expert"),
        ({"tensor": 2, "expert": 8, "data": 4, "expert_tensor": 1}, ""),
        ({"tensor": 2, "expert_tensor": 4}, "cannot be divided by size within experts 4"),
        ({"context": 4, "sequence": 1024, "tensor": 8, "kv": 8}, ""),
    ],
)
def test_what_context_and_experts_cannot_be_cut_into_is_said(
    changed: dict[str, Any], sentence: str
) -> None:
    wide = changed.pop("kv", 2)
    c = replace(Configuration(1024, 32), **changed)
    found = refusal(replace(SPARSE, kv_heads=wide), c)
    assert sentence in found if sentence else found == ""


# Fewer bits


@pytest.mark.parametrize(("precision", "speed"), [("fp8", 2), ("mxfp8", 2), ("nvfp4", 4)])
def test_weights_are_multiplied_at_the_rate_of_fewer_bits_and_attention_is_not(
    precision: Any, speed: int
) -> None:
    c = Configuration(512, 1, attention="plain")
    device = replace(DEVICES["h100"], flops=1e15, fp8=2e15, fp4=4e15, bandwidth=1e30)
    machine = _machine(device=device)
    both = [
        layer_seconds(Bench(DENSE, replace(c, precision=p), machine, IDEAL))
        for p in ("bf16", precision)
    ]
    products = layer_flops(DENSE, 512).weight / 1e15
    assert both[0].weight == pytest.approx(products)
    for wide, narrow in zip(*both, strict=True):
        assert wide - narrow == pytest.approx(products * (1 - 1 / speed))


def test_casts_read_16_bits_and_write_the_number_along_rows_and_columns() -> None:
    """F casts inputs of all products: hidden twice, the values, the inner width; B the gradients of
    their outputs. Each is read in 2 bytes and written twice in 1."""
    c = Configuration(512, 1)
    arithmetic = replace(DEVICES["h100"], flops=1e30, fp8=1e30, fp4=1e30)
    narrow, wide = (
        layer_seconds(Bench(DENSE, each, _machine(device=arithmetic), replace(IDEAL, memory=0.5)))
        for each in (replace(c, precision="fp8"), c)
    )
    bandwidth = 0.5 * 3350e9
    inputs, outputs = 256 + 256 + 256 + 704, (256 + 128) + 256 + 2 * 704 + 256
    shorter = (512 * inputs + 256 * (2 * 256 + 128) + 3 * 256 * 704) / bandwidth  # operands of 1 B
    assert narrow.forward - wide.forward == pytest.approx(4 * 512 * inputs / bandwidth - shorter)
    assert narrow.backward - wide.backward == pytest.approx(4 * 512 * outputs / bandwidth - shorter)


def test_fewer_bits_keep_smaller_inputs_and_two_more_copies_of_weights() -> None:
    """Inputs of the four products: 256 twice, values of 256 and the inner 704."""
    c = Configuration(64, 1)
    low = replace(c, precision="fp8")
    saved = 64 * (256 + 256 + 256 + 704)
    assert activation(DENSE, c).after_forward - activation(DENSE, low).after_forward == saved
    assert activation(DENSE, low).after_backward == activation(DENSE, c).after_backward / 2
    assert static(Held(1000, 0), low).weights == 1000 * (2 + 2)


def test_gathered_inputs_are_cast_before_they_are_sent() -> None:
    c = Configuration(4096, 1, tensor=4, sequence_parallel=True)
    size = 2 * 4096 * 256
    wide, narrow = (
        layer_communication(DENSE, replace(c, precision=p), _machine(), efficiency=IDEAL).forward
        for p in ("bf16", "fp8")
    )
    assert wide - narrow == pytest.approx(2 * size / 2 * 3 / 4 / 450e9)


# Vocabulary over all stages


def test_a_vocabulary_cut_over_all_stages_gives_each_a_share() -> None:
    c = Configuration(512, 8, pipeline=4, vocabulary="vocab-1")
    bench = Bench(DENSE, c, _fast(), IDEAL)
    stages = stages_of(bench, split_of([1, 1, 1, 1]), parts(bench))
    assert len({stage.seconds for stage in stages}) == 1
    assert len({stage.held for stage in stages}) == 1
    head = 2 * 512 * 256 * 250 / 989.4e12
    assert stages[0].seconds.weight == pytest.approx(
        layer_flops(DENSE, 512).weight / 989.4e12 + head
    )
    looped = Bench(DENSE, replace(c, virtual=2, pipeline=2), _fast(), IDEAL)
    quarter = stages_of(looped, split_of([1, 1, 1, 1]), parts(looped))[0]
    assert quarter.seconds.weight == pytest.approx(stages[0].seconds.weight)


def test_a_vocabulary_cut_over_all_stages_holds_more_microbatches() -> None:
    machine = machine_of("4xh100")
    orders, found = Orders(), {}
    for form in ("vocab-1", "vocab-2", "interlaced"):
        c = Configuration(512, 16, pipeline=4, vocabulary=form)
        problem = Problem(DENSE, machine, cut="even")
        prepared = prepare(problem, c)
        found[form] = estimate(problem, prepared, orders).memory
    one = prepared.stages[0].kept.after_forward
    assert found["vocab-1"] - found["vocab-2"] == pytest.approx(one)
    assert found["interlaced"] == pytest.approx(found["vocab-1"])  # half of four more


def test_each_barrier_of_a_vocabulary_over_all_stages_delays_by_one_microbatch() -> None:
    """Four equal stages, eight microbatches, no time for sends; times are whole nanoseconds."""
    machine = replace(_fast(), inside=replace(WIRES["nvlink4"], bandwidth=1e30, latency=0))
    found = {}
    for form in ("vocab-1", "vocab-2"):
        c = Configuration(512, 8, pipeline=4, vocabulary=form, data_overlap=False)
        problem = Problem(DENSE, machine, IDEAL, cut="even")
        prepared = prepare(problem, c)
        found[form] = estimate(problem, prepared, Orders()).pipeline
    stage = prepared.stages[0].seconds.total
    assert found["vocab-2"] == pytest.approx((8 + 3 + 1) * stage, rel=1e-4)
    assert found["vocab-1"] == pytest.approx((8 + 3 + 2) * stage, rel=1e-4)


def test_interlaced_waits_for_two_sums_over_the_pipeline() -> None:
    c = Configuration(512, 8, pipeline=4, vocabulary="interlaced")
    bench = Bench(DENSE, c, _fast(), IDEAL)
    spent = stages_of(bench, split_of([1] * 4), parts(bench))[0].spent
    once = 2 * (2 * 512 * 256) * 3 / 4 / 450e9 + 4 * 5e-6
    assert spent.vocabulary.total == pytest.approx(2 * once)


# Experts


def test_tokens_are_sent_to_their_experts_and_back() -> None:
    c = Configuration(1024, 8, data=8, expert=4)
    routed = 2 * 1024 * 256 * 2
    found = sum(dispatch_seconds(SPARSE, c, _machine(), efficiency=replace(IDEAL, dispatch=1)))
    assert found == pytest.approx(2 * (routed * 3 / 4 / 450e9 + 5e-6) + 1)


def test_sorting_tokens_by_expert_reads_and_writes_them() -> None:
    """Without arithmetic: F of 8 experts on 4 devices sorts 1,024 tokens of width 256 into 2,048
    places and back, 2 bytes each, and those once more among the 2 experts that are here."""
    c = Configuration(1024, 8, data=4, expert=4)
    one = Configuration(1024, 8)
    device = replace(DEVICES["h100"], flops=1e30, fp8=1e30, fp4=1e30)
    free = replace(WIRES["nvlink4"], bandwidth=1e30, latency=0)
    machine = _machine(device=device, inside=free)
    found = [layer_spent(Bench(SPARSE, each, machine, IDEAL), EXPERTS).work for each in (c, one)]
    weights = 2 * 3 * 256 * 64 * 8 * (1 - 1 / 4)  # of 6 experts, which are elsewhere
    again = 2 * 4 * 256 * 2048
    assert found[0].forward - found[1].forward == pytest.approx((again - weights) / 3350e9)


def test_grouped_products_of_experts_have_a_rate_of_their_own() -> None:
    c, machine = Configuration(1024, 8), _fast()
    slow = replace(IDEAL, grouped=0.5)
    found = [layer_spent(Bench(SPARSE, c, machine, e), EXPERTS).work.weight for e in (slow, IDEAL)]
    assert found[0] - found[1] == pytest.approx(2 * 2048 * 3 * 256 * 64 / 989.4e12)


def test_whole_experts_on_each_device_need_no_collectives_of_tensor_parallelism() -> None:
    c = Configuration(1024, 8, tensor=2, data=4, expert=8, expert_tensor=1)
    assert (c.expert_cut, c.expert_copies) == (1, 1)
    there = [
        layer_communication(SPARSE, c, _machine(), efficiency=IDEAL, experts=x).forward
        for x in (True, False)
    ]
    assert there[0] == pytest.approx(there[1] / 2)
    pieces = parts(Bench(SPARSE, c, _machine(), IDEAL))
    assert pieces.layers[EXPERTS].held.experts == 8 * 3 * 256 * 64 / 8


# What runs beside what


def test_reducing_hides_behind_the_last_backward_but_for_its_last_message() -> None:
    """100 million parameters are three messages of at most 40 million; a reduce-scatter of two
    bytes each takes 0.39 milliseconds and the gather as long."""
    c = Configuration(1024, 8, data=8)
    held, machine = Held(100e6, 0), _machine()
    once = 2 * 100e6 * 7 / 8 / 450e9 + 3 * 7 * 5e-6

    def tail(backward: float, forward: float) -> float:
        return reduce_seconds(held, c, machine, efficiency=IDEAL, beside=(backward, forward))

    assert tail(0, 0) == pytest.approx(2 * once)
    assert tail(1e-4, 0) == pytest.approx(2 * once - 1e-4)
    assert tail(1, 1) == pytest.approx(2 * once / 3)
    alone = reduce_seconds(
        held, replace(c, data_overlap=False), machine, efficiency=IDEAL, beside=(1, 1)
    )
    assert alone == pytest.approx(2 * once)


def test_gradients_of_32_bits_are_reduced_as_such() -> None:
    c = Configuration(1024, 8, data=8, data_overlap=False)
    found = [
        reduce_seconds(Held(1e6, 0), c, _machine(), efficiency=IDEAL, gradient_bytes=size)
        for size in (2, 3)
    ]
    assert found[1] - found[0] == pytest.approx(2 * 1e6 * 7 / 8 / 450e9)


def test_collectives_beside_multiplications_leave_the_first_piece() -> None:
    """Of four devices a quarter of each collective has nothing to run beside; "weights" leaves all
    of F, and B hides its reduce-scatters, half of all, under the weight gradients of cut outputs,
    where both are one pass: 384 and 1,408 of 2,752 columns of 256 numbers."""
    c = Configuration(4096, 1, tensor=4, sequence_parallel=True)
    machine = _fast()
    there = layer_communication(DENSE, c, machine, efficiency=IDEAL).forward
    beside = layer_flops(DENSE, 4096).weight / 4 / 989.4e12
    assert there * 3 / 4 > beside  # a small layer cannot hide all of it
    found = {
        how: layer_spent(Bench(DENSE, replace(c, tensor_overlap=how), machine, IDEAL)).tensor
        for how in ("none", "weights", "all")
    }
    assert found["none"] == found["weights"] == pytest.approx((there, there, 0))
    assert found["all"].forward == pytest.approx(there - beside)
    savings = [
        parts(Bench(DENSE, replace(c, tensor_overlap=how), machine, IDEAL)).layers[KIND].saving
        for how in ("none", "weights")
    ]
    assert savings == pytest.approx([0, min(there / 2, beside * (384 + 1408) / 2752)])


# Again


def test_only_so_many_layers_of_a_stage_are_computed_again() -> None:
    c = Configuration(512, 8, pipeline=1, recompute="full", recompute_layers=1)
    bench = Bench(DENSE, c, _machine(), Efficiency())
    pieces = parts(bench)
    (stage,) = stages_of(bench, split_of([4]), pieces)
    again, plain = pieces.layers[KIND], pieces.plain[KIND]
    ends = pieces.embedding, pieces.head
    assert stage.kept.after_forward == pytest.approx(
        again.kept.after_forward + 3 * plain.kept.after_forward
        + sum(end.kept.after_forward for end in ends)
    )  # fmt: skip
    assert stage.spent.recompute.total == pytest.approx(again.spent.recompute.total)
    assert plain.spent.recompute.total == 0 < again.spent.recompute.total


def test_parts_of_a_stages_seconds_add_up_to_its_passes() -> None:
    c = Configuration(
        1024, 16, tensor=2, context=2, data=4, expert=4, recompute="full", zero=3,
        sequence_parallel=True,
    )  # fmt: skip
    bench = Bench(SPARSE, c, _machine(), Efficiency())
    (stage,) = stages_of(bench, split_of([4]), parts(bench))
    assert math.fsum(stage.spent.totals().values()) == pytest.approx(stage.seconds.total)
    named = {name for name, seconds in stage.spent.totals().items() if seconds}
    assert named >= {"work", "recompute", "tensor", "experts"}


# Heads


def test_heads_that_tensor_cores_cannot_take_are_slow_in_plain_and_padded_in_flash() -> None:
    """Heads of 36: no multiple of eight, and padded to 64 in flash attention."""
    odd = Model("odd", 2, 288, 8, 1000, ffn=1024)
    c, e = Configuration(1024, 1, attention="plain"), replace(IDEAL, unaligned=0.1)
    scores = 4 * 1024 * 1024 * 288 / 989.4e12
    slow, fast = (
        layer_seconds(Bench(odd, c, _fast(), each)).forward for each in (e, replace(e, unaligned=1))
    )
    assert slow - fast == pytest.approx(9 * scores)
    flash = layer_seconds(Bench(odd, replace(c, attention="flash"), _fast(), e)).forward
    weights = layer_flops(odd, 1024).weight / 989.4e12
    assert flash - weights == pytest.approx(scores / 2 * 64 / 36)


# Frozen


def test_frozen_layers_run_forward_alone_and_hold_weights_alone() -> None:
    """The first of four layers, and the embedding: no backward, nothing kept, 2 bytes a weight."""
    c = Configuration(512, 8, frozen=1)
    bench = Bench(DENSE, c, _machine(), Efficiency())
    trained = replace(bench, configuration=replace(c, frozen=0))
    (some,) = stages_of(bench, split_of([4]), parts(bench))
    (whole,) = stages_of(trained, split_of([4]), parts(trained))
    layer, words = parts(trained).layers[KIND], parts(trained).embedding
    assert some.seconds.forward == pytest.approx(whole.seconds.forward)
    for name in ("backward", "weight"):
        less = getattr(layer.seconds, name) + getattr(words.seconds, name)
        got = getattr(whole.seconds, name) - getattr(some.seconds, name)
        assert got == pytest.approx(less)
    assert some.held.frozen == layer.held.total + words.held.total
    assert some.held.total + some.held.frozen == whole.held.total
    assert whole.kept.after_forward - some.kept.after_forward == pytest.approx(
        layer.kept.after_forward + words.kept.after_forward
    )
    assert static(Held(0, 0, 1000), replace(c, zero=0)) == (2000, 0, 0)
    assert "leave none of 4 to train" in refusal(DENSE, replace(c, frozen=4))
    tied = replace(DENSE, tied=True)
    assert "the head shares or spreads it" in refusal(tied, c)


def test_what_is_computed_again_in_norms_and_activations_is_not_kept() -> None:
    """Two norms of 256 and the gated inner width of 704, 16 bits each, for 64 tokens."""
    c = Configuration(64, 1)
    again = replace(c, recompute="elementwise")
    less = 2 * 64 * (2 * 256 + 704)
    kept = activation(DENSE, c), activation(DENSE, again)
    assert kept[0].after_forward - kept[1].after_forward == less == kept[1].scratch
    seconds = [layer_seconds(Bench(DENSE, each, _fast(), IDEAL)) for each in (c, again)]
    slow = replace(_machine(), device=replace(DEVICES["h100"], flops=1e30, fp8=1e30, fp4=1e30))
    took = [layer_seconds(Bench(DENSE, each, slow, IDEAL)).backward for each in (c, again)]
    assert seconds[0] == pytest.approx(seconds[1])
    assert took[1] - took[0] == pytest.approx(64 * (4 * 2 * 256 + 6 * 704) / 3350e9)


def test_a_gradient_that_is_added_up_in_more_bits_is_made_in_16_first() -> None:
    """On one stage the gated matrix of 256 x 1408, and both ends' 1000 x 256: 2 bytes each."""
    bench = Bench(DENSE, Configuration(64, 1), _machine(), Efficiency())
    (stage,) = stages_of(bench, split_of([4]), parts(bench))
    assert stage.scratch(PerParameter(2, 4, 12)) == 2 * (256 * 1408 + 2 * 1000 * 256)
    assert stage.scratch(PerParameter(2, 2, 12)) == 0
    halved = Bench(DENSE, Configuration(64, 1, tensor=2), _machine(), Efficiency())
    (half,) = stages_of(halved, split_of([4]), parts(halved))
    assert half.scratch(PerParameter()) == 256 * 1408 + 2 * 1000 * 256
