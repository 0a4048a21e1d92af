"""Every term of what devices send each other alone, with a value by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ideal_bench import CUT, GPT, IDEAL, LLAMA, SECOND, SPARSE, N, free_machine

from sim.planner.cost_model import Bench, Configuration, reduce_seconds
from sim.planner.cost_model.communication import layer_communication, sharding_seconds
from sim.planner.cost_model.groups import (
    context_group,
    data_group,
    expert_copies_group,
    expert_group,
    pipeline_group,
    tensor_group,
)
from sim.planner.cost_model.parameters import Held
from sim.planner.cost_model.passes import layer_spent
from sim.planner.hardware import WIRES, Group


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
    machine = free_machine(inside=WIRES["nvlink4"])
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
    machine = free_machine(inside=WIRES["nvlink4"])
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
    machine, n = free_machine(inside=SECOND), N * 64
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


@pytest.mark.parametrize("t", [2, 4])
def test_overlapped_collectives_leave_one_piece_of_as_many_as_there_are_devices(t: int) -> None:
    """Beside multiplications that take longer; two gathers and two scatters of 2 bytes a number."""
    c = replace(CUT, tensor=t, sequence_parallel=True, tensor_overlap="all")
    spent = layer_spent(Bench(LLAMA, c, free_machine(flops=1, inside=SECOND), IDEAL)).tensor
    whole = 4 * 2 * N * 64 * (t - 1) / t
    assert spent == pytest.approx((whole / t, whole / t, 0))
