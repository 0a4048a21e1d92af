"""What programs do beside the mathematics, term by term, with values by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sim.planner.cost_model import (
    PROGRAMS,
    Bench,
    Configuration,
    Efficiency,
    activation,
    automatic_split,
    costs_of,
    embedding_seconds,
    full_activation,
    head_seconds,
    held_parameters,
    layer_communication,
    layer_seconds,
    parts,
    reduce_seconds,
    send_seconds,
    stages_of,
)
from sim.planner.cost_model.attention import attention_work
from sim.planner.cost_model.configuration import Recompute
from sim.planner.cost_model.experts import dispatch_seconds
from sim.planner.cost_model.flops import Matmul
from sim.planner.cost_model.kernels import Work, elapsed, exposed, summing
from sim.planner.cost_model.passes import layer_spent, prediction_spent
from sim.planner.hardware import DEVICES, WIRES, Machine
from sim.planner.models import Experts, Layer, Model

LLAMA = Model("llama", 4, 64, 4, 100, kv_heads=2, ffn=128)  # keys and values of 2 x 32
SPARSE = replace(LLAMA, name="sparse", experts=Experts(8, 2, 32, shared=1))
IDEAL = Efficiency(
    matmul=1, fused_attention=1, memory=1, misaligned=1, wire=1, grouped=1, fp8=1, fp4=1, ramp=0,
    launch=0, collective=0, dispatch=0,
)  # fmt: skip
CUT = Configuration(16, 2, microbatch=2)
WEIGHTS = 64 * 128 + 64 * 64 + 64 * 256 + 128 * 64
"""Of a layer: queries with keys and values, output, gate with up, down."""


def _bench(c: Configuration, *, model: Model = LLAMA, bandwidth: float = 1.0, **e: Any) -> Bench:
    """A device that computes in no time and moves a byte per second."""
    device = replace(DEVICES["h100"], flops=1e30, fp8=1e30, fp4=1e30, bandwidth=bandwidth)
    machine = Machine("m", device, 64, 8, WIRES["nvlink4"], WIRES["ndr"])
    return Bench(model, c, machine, replace(IDEAL, **e))


def test_every_program_says_where_its_habits_can_be_read() -> None:
    assert all(program.source for program in PROGRAMS.values())
    usual = PROGRAMS["megatron"]
    assert (usual.waits, usual.blocks, usual.summed) == (False, False, 0)
    with pytest.raises(ValueError, match=r"program is 'jax': use one of megatron, .*nanotron$"):
        replace(CUT, program="jax")


def test_a_host_that_waits_for_kernels_and_the_device_take_turns() -> None:
    """Two kernels of 5 seconds in all, 1 more each to fill the device, 3 each to launch."""
    work = Work(5, 2)
    assert elapsed(work, _bench(CUT, ramp=1, launch=3)) == max(6, 7)
    waiting = replace(CUT, program="megatron-deepspeed-fp16")
    assert elapsed(work, _bench(waiting, ramp=1, launch=3)) == 6 + 7


@pytest.mark.parametrize(
    ("launch", "seconds", "more"),
    [
        (0, 3, 3),
        (3, 3, 12 - 7),  # the host needs 12 for four launches, the device 10
        (3, 9, 9),  # the device needs 16
        (4, 3, 16 - 8),
        (4, 9, 16 - 8),  # both need 16
        (4, 10, 17 - 8),
    ],
)
def test_collectives_run_while_the_host_lags_behind(
    launch: float, seconds: float, more: float
) -> None:
    """Two of them, beside two kernels for which the device needs 7 seconds."""
    bench = _bench(CUT, ramp=1, launch=launch)
    assert exposed(Work(5, 2), bench, seconds, 2) == more
    assert exposed(Work(5, 2), bench, seconds, 0) == 0
    waiting = _bench(replace(CUT, program="megatron-deepspeed-fp16"), ramp=1, launch=launch)
    assert exposed(Work(5, 2), waiting, seconds, 2) == 2 * launch + seconds


def test_a_layers_collectives_are_launched_as_its_kernels_are() -> None:
    """14 kernels in F and 18 in B, of a second to launch and none to run, and two collectives in
    each, which take no time beside; four with sequence parallelism, of which there are twice as
    many. B with F computed again has all of both."""
    tensor = replace(CUT, tensor=2)
    bench = _bench(tensor, bandwidth=1e30, launch=1)
    assert layer_seconds(bench) == (14 + 2, 18 + 2, 4)
    parallel = replace(bench, configuration=replace(tensor, sequence_parallel=True))
    assert layer_seconds(parallel) == (14 + 4, 18 + 4, 4)
    again = replace(bench, configuration=replace(tensor, recompute="full"))
    assert layer_seconds(again) == pytest.approx((16, 18 + 14 + 4, 4), rel=1e-6)
    alone = replace(bench, configuration=CUT)
    assert layer_seconds(alone) == (14, 18, 4)
    slow = replace(bench, efficiency=replace(bench.efficiency, launch=0))
    there = layer_communication(LLAMA, tensor, slow.machine, efficiency=slow.efficiency)
    assert layer_spent(slow).tensor == there


def test_gradients_are_added_up_beside_the_multiplications() -> None:
    """Ten bytes per weight: a 16-bit gradient read, a 32-bit sum read and written. Devices of a
    tensor-parallel group hold half of the weights each, and of experts their own."""
    nanotron = replace(CUT, program="nanotron")
    for c, weights in ((CUT, WEIGHTS), (replace(CUT, tensor=2), WEIGHTS / 2)):
        usual, more = (
            layer_seconds(_bench(replace(c, program=name))) for name in ("megatron", "nanotron")
        )
        assert more.weight - usual.weight == 10 * weights
        assert (more.forward, more.backward) == (usual.forward, usual.backward)
    routed, shared = 8 * 3 * 64 * 32, 3 * 64 * 32
    attention, router = 64 * 128 + 64 * 64, 64 * 8
    for expert, held in ((1, routed), (4, routed / 4)):
        kind, c = Layer("experts"), replace(CUT, expert=expert, data=4, batch=8)
        usual, more = (
            layer_seconds(_bench(replace(c, program=name), model=SPARSE), kind)
            for name in ("megatron", "nanotron")
        )
        assert more.weight - usual.weight == 10 * (attention + router + shared + held)
    assert summing(_bench(nanotron), (Matmul(32, 64, 128, "out"),)) == Work(10 * 64 * 128, 1)
    assert summing(_bench(CUT), (Matmul(32, 64, 128, "out"),)) == Work()


def test_embedding_head_and_what_predicts_further_tokens_are_added_up_too() -> None:
    """100 words of 64 each; a layer that predicts has the projection of 128 to 64, a layer and a
    head. Adapters are added up in place of the weights beside which they stand, 18 bytes each where
    the gradient is cast first."""
    deep = replace(LLAMA, mtp_layers=1)
    usual, more = (
        _bench(replace(CUT, program=name), model=deep) for name in ("megatron", "nanotron")
    )
    assert embedding_seconds(more).weight - embedding_seconds(usual).weight == 10 * 6400
    assert head_seconds(more).weight - head_seconds(usual).weight == 10 * 6400
    grown = prediction_spent(more).passes.weight - prediction_spent(usual).passes.weight
    assert grown == 10 * (128 * 64 + WEIGHTS + 6400)
    lora = replace(CUT, lora=2)
    usual, more = (
        _bench(replace(lora, program=name)) for name in ("megatron", "megatron-deepspeed-bf16")
    )
    pairs = 2 * ((64 + 128) + (64 + 64) + (64 + 256) + (128 + 64))
    assert layer_seconds(more).weight - layer_seconds(usual).weight == 18 * pairs


def test_a_program_that_blocks_sends_and_receives_in_its_passes_time() -> None:
    """Four stages on four devices each, two stages a node: the second hop is the slow one. A stage
    spends its hops, before and after, in F and in B each."""
    c = Configuration(16, 8, microbatch=2, pipeline=4, data=4)
    usual = _bench(c, bandwidth=1e30)
    machine = usual.machine
    pieces = parts(usual)
    stages = stages_of(usual, automatic_split(usual, pieces), pieces)
    costs = costs_of(usual, stages, (0, 1, 2, 3))
    near, far, last = hops = [
        send_seconds(LLAMA, c, machine, efficiency=IDEAL, source=i, destination=i + 1)
        for i in range(3)
    ]
    assert near == last < far
    assert list(costs.send) == hops
    blocking = replace(usual, configuration=replace(c, program="nanotron"))
    found = costs_of(blocking, stages, (0, 1, 2, 3))
    assert tuple(found.send) == (0, 0, 0)
    waits = (near, near + far, far + near, near)
    for name in ("forward", "backward", "fused_backward"):
        grown = [now[0] - before[0] for now, before in
                 zip(getattr(found, name), getattr(costs, name), strict=True)]  # fmt: skip
        assert grown == pytest.approx(waits)
    assert found.weight == costs.weight
    assert costs_of(blocking, stages, (0, 1, 2, 3), sends=False).forward == costs.forward


def test_a_message_for_each_weight_and_gathers_before_the_first_forward() -> None:
    """A layer of Llama has four matrices and two norms. Eight devices, inside a node: seven hops of
    5 microseconds for each of six messages, there and back, or for one; bytes of 2 per weight each
    way over 450 GB/s. The gather waits where nothing hides it."""
    machine = _bench(CUT).machine
    c = Configuration(16, 8, data=8)
    held = held_parameters(LLAMA, c)
    assert held.tensors == 6
    once = 2 * held.total * 7 / 8 / 450e9
    usual, by_tensor = (
        reduce_seconds(
            held, replace(c, program=name, data_overlap=False), machine, efficiency=IDEAL
        )
        for name in ("megatron", "nanotron")
    )
    assert usual == pytest.approx(2 * (once + 7 * 5e-6))
    assert by_tensor == pytest.approx(2 * (once + 6 * 7 * 5e-6))
    hidden, late = (
        reduce_seconds(held, replace(c, program=name), machine, efficiency=IDEAL, beside=(1, 1))
        for name in ("megatron", "nanotron")
    )
    assert hidden == pytest.approx(2 * (once + 7 * 5e-6))  # the last of one message
    assert late == pytest.approx(once / 6 + 7 * 5e-6 + once + 6 * 7 * 5e-6)
    biased = replace(LLAMA, biases=True)
    assert held_parameters(biased, c).tensors == 12
    assert held_parameters(LLAMA, replace(c, lora=2)).tensors == 8


def test_numbers_of_tokens_that_stay_on_the_device_are_not_waited_for() -> None:
    machine, ideal = _bench(CUT).machine, replace(IDEAL, dispatch=3.0)
    for name, waited in (("megatron-flex", 3), ("megatron-graphs", 0)):
        c = replace(CUT, program=name)
        assert dispatch_seconds(SPARSE, c, machine, efficiency=ideal).waited == waited


def test_flash_attention_2_reaches_a_third_of_a_device() -> None:
    """Half of 4 N s h operations for two sequences of 16, twice that since heads of 16 are padded
    to 32, at 1 operation per second or 0.35."""
    device = replace(DEVICES["h100"], flops=1.0, fp8=1.0, fp4=1.0, bandwidth=1e30)
    bench = _bench(CUT)
    bench = replace(bench, machine=replace(bench.machine, device=device))
    nanotron = replace(bench, configuration=replace(CUT, program="nanotron"))
    usual, slow = (attention_work(each, Layer())[0].seconds for each in (bench, nanotron))
    assert usual == 4 * 32 * 16 * 64
    assert slow == pytest.approx(usual / 0.35)
    slower = replace(nanotron, efficiency=replace(IDEAL, fused_attention=0.3))
    assert attention_work(slower, Layer())[0].seconds == pytest.approx(usual / 0.3)


def test_a_token_is_sent_once_to_every_node_and_device() -> None:
    """Two of eight experts for each of 32 tokens of 128 bytes. Over sixteen devices on two nodes a
    token meets the other node with probability 1 - 1/4, and fifteen other devices with
    1 - (15/16)^2 each; over eight devices of one node, seven with 1 - (7/8)^2. There and back."""
    machine, size = _bench(CUT).machine, 32 * 128
    ideal = replace(IDEAL, dispatch=3.0)
    c = replace(CUT, program="megatron-flex", data=16, expert=16, batch=32)
    many = replace(SPARSE, experts=Experts(16, 2, 32))
    found = dispatch_seconds(many, c, machine, efficiency=ideal)
    away, inside = size * 3 / 4 / 50e9, size * 15 * (1 - (15 / 16) ** 2) / 450e9
    assert found.moved == pytest.approx(2 * (10e-6 + max(away, inside)), rel=1e-12)
    assert found.waited == 3
    small = replace(c, data=8, expert=8, batch=16)
    found = dispatch_seconds(many, small, machine, efficiency=ideal)
    assert found.moved == pytest.approx(
        2 * (5e-6 + size * 7 * (1 - (7 / 8) ** 2) / 450e9), rel=1e-12
    )
    alone = replace(c, data=1, expert=1, batch=2)
    assert dispatch_seconds(many, alone, machine, efficiency=ideal).moved == 0


def test_sending_tokens_hides_behind_all_work_of_a_microbatch() -> None:
    """What is left is shared out over F and B, as often as tokens are sent: with full recomputation
    three times instead of two. The host's wait is not hidden."""
    c = replace(CUT, program="megatron-overlap", data=8, expert=8, batch=16)
    kind = Layer("experts")
    both: tuple[tuple[Recompute, int], ...] = (("none", 2), ("full", 3))
    for recompute, times in both:
        now = replace(c, recompute=recompute)
        bench = _bench(now, model=SPARSE, bandwidth=1e12, dispatch=3.0)
        moved = dispatch_seconds(SPARSE, now, bench.machine, efficiency=bench.efficiency).moved
        found = layer_spent(bench, kind)
        room = (found.work.total + found.recompute.total) / times
        assert 0 < room < moved
        each = 3 + moved - room
        assert found.experts == pytest.approx((each, each * (times - 1), 0), rel=1e-12)
        slow = _bench(now, model=SPARSE, dispatch=3.0)  # all of it is hidden
        assert layer_spent(slow, kind).experts == (3, 3 * (times - 1), 0)


def test_experts_alone_are_computed_again() -> None:
    """B repeats the forward of the block: all that F does but attention, its products and one norm,
    sum and what is moved around it; what the block keeps gives way to its input."""
    kind, c = Layer("experts"), replace(CUT, recompute="experts")
    plain, again = (_bench(each, model=SPARSE) for each in (CUT, c))
    usual, more = layer_spent(plain, kind), layer_spent(again, kind)
    block = layer_spent(plain, kind.block)
    assert more.recompute.backward == pytest.approx(block.work.forward)
    assert more.experts.backward == 2 * usual.experts.backward
    assert more.work == usual.work
    kept, less = activation(SPARSE, CUT, kind), activation(SPARSE, c, kind)
    inside = full_activation(SPARSE, CUT, kind.block)
    assert kept.after_forward - less.after_forward == inside - 2 * 32 * 64
    assert less.scratch == inside
    assert activation(SPARSE, c) == activation(SPARSE, CUT)  # a dense layer has no experts
    tensor = replace(c, tensor=2)
    there, once = (
        layer_spent(_bench(each, model=SPARSE), kind).tensor.backward
        for each in (tensor, replace(tensor, recompute="none"))
    )
    assert there == pytest.approx(once * 3 / 2)  # a block's all-reduce beside two


def test_what_layers_keep_may_wait_in_the_hosts_memory() -> None:
    """Two of four layers keep nothing between their passes, and all of it while one runs."""
    bench = _bench(CUT)
    away = replace(bench, configuration=replace(CUT, offloaded=2))
    (whole,), (less,) = (
        stages_of(each, automatic_split(each, parts(each)), parts(each)) for each in (bench, away)
    )
    layer = activation(LLAMA, CUT)
    assert whole.kept.after_forward - less.kept.after_forward == 2 * layer.after_forward
    assert whole.kept.after_backward - less.kept.after_backward == 2 * layer.after_backward
    assert less.kept.scratch == layer.after_forward
    assert less.seconds == whole.seconds
    with pytest.raises(ValueError, match="offloaded is -1: it must be a whole number >= 0"):
        replace(CUT, offloaded=-1)
