"""Which collectives of tensor parallelism a fused backward hides, and what cut experts exchange."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ideal_bench import EXPERTS, IDEAL, LLAMA, SECOND, SPARSE, free_machine

from sim.planner import Problem, Space, megatron, plan
from sim.planner.cost_model import Bench, Configuration, Efficiency, layer_communication
from sim.planner.cost_model.communication import exchanged
from sim.planner.cost_model.passes import fused_saving, layer_spent
from sim.planner.explanation import assumptions
from sim.planner.hardware import WIRES, machine_of
from sim.planner.models import Model

C = Configuration(16, 2, microbatch=2, tensor=2)
SHARED = replace(C, sequence_parallel=True)
ONCE = 32 * 64
"""Numbers that 32 tokens are: over two devices a gather or a reduce-scatter of them, 2 bytes each,
sends half and takes as many seconds, an all-reduce twice as many."""
CUT = 2 * 32 * 64 * (128 + 256) / 2
"""FLOPs of one device for the weight gradients of multiplications with a cut output: queries, keys
and values (64 to 128), gate and up (64 to 256)."""


def _bench(c: Configuration, flops: float, e: Efficiency = IDEAL) -> Bench:
    return Bench(LLAMA, c, free_machine(flops=flops, inside=SECOND), e)


def test_sums_hide_under_the_weight_gradients_of_cut_outputs_alone() -> None:
    """Two all-reduces; of a fast device the weight gradients are shorter, and those of cut inputs
    come when nothing is summed."""
    assert fused_saving(_bench(C, 1.0)) == 2 * 2 * ONCE
    assert fused_saving(_bench(C, 1000.0)) == pytest.approx(CUT / 1000, rel=1e-12)
    assert CUT / 1000 < 2 * 2 * ONCE
    attention = CUT / 3 / 100  # shorter than its all-reduce, which gate and up do not hide
    assert attention < 2 * ONCE < 2 * attention
    assert fused_saving(_bench(C, 100.0)) == pytest.approx(attention + 2 * ONCE, rel=1e-12)
    assert fused_saving(_bench(replace(C, tensor_overlap="none"), 1.0)) == 0
    assert fused_saving(_bench(replace(C, tensor=1), 1.0)) == 0
    assert fused_saving(_bench(C, 1.0, replace(IDEAL, overlap=0.25))) == ONCE


def test_with_sequence_parallelism_gathers_of_gradients_hide_behind_nothing() -> None:
    """Two reduce-scatters; the two gathers before them are half of what B waits for."""
    bench = _bench(SHARED, 1.0)
    assert layer_spent(bench).tensor == (4 * ONCE, 4 * ONCE, 0)
    assert fused_saving(bench) == 2 * ONCE
    eight = replace(SHARED, precision="fp8")  # what is gathered is cast before, gradients are not
    assert layer_spent(_bench(eight, 1.0)).tensor.backward == 3 * ONCE
    assert fused_saving(_bench(eight, 1.0)) == pytest.approx(2 * ONCE, rel=1e-12)


def test_in_pieces_half_of_what_is_left_is_sums() -> None:
    """Of two devices the first half of each collective runs beside nothing."""
    bench = _bench(replace(SHARED, tensor_overlap="all"), 1.0)
    assert layer_spent(bench).tensor.backward == 2 * ONCE
    assert fused_saving(bench) == ONCE


def test_the_host_starts_what_is_hidden() -> None:
    """While the host lags behind, sums are over before it has started the next kernel: nothing is
    left to hide, and starting them takes it as long as ever."""
    assert fused_saving(_bench(C, 1e9, replace(IDEAL, launch=1e6))) == 0


def test_cut_experts_gather_each_token_as_often_as_it_is_sent() -> None:
    """Attention gathers and scatters once; experts twice as many tokens, two for each, in 16 bits
    whatever they are multiplied in, and as many as their capacity takes. None of it is hidden."""
    machine = _bench(C, 1.0).machine
    for c, attention, routed in (
        (SHARED, 2.0, 2),
        (replace(SHARED, precision="fp8"), 1.5, 2),
        (replace(SHARED, capacity=0.5), 2.0, 1),
    ):
        found = exchanged(SPARSE, c, machine, efficiency=IDEAL, experts=True)
        assert found.summed == ONCE
        assert found.total == (attention + 2 * routed) * ONCE
        both = layer_communication(SPARSE, c, machine, efficiency=IDEAL, experts=True)
        assert both == (found.total, found.total, 0)
    whole = replace(SHARED, batch=4, data=2, expert=4, expert_tensor=1)
    found = exchanged(SPARSE, whole, machine, efficiency=IDEAL, experts=True)
    assert found.total == 2 * ONCE


@pytest.mark.parametrize(("shared_by", "slower"), [(4, True), (8, False)])
def test_a_lone_expert_is_an_ordinary_multiplication(shared_by: int, slower: bool) -> None:
    c = Configuration(16, 8, data=8, expert=shared_by)
    machine = replace(_bench(C, 1.0).machine, inside=WIRES["nvlink4"])
    work = [
        layer_spent(Bench(SPARSE, c, machine, e), EXPERTS).work.weight
        for e in (replace(IDEAL, grouped=0.5), IDEAL)
    ]
    assert (work[0] > work[1]) is slower


@pytest.mark.parametrize(
    ("how", "shared", "flag"),
    [
        ("weights", True, ""),
        ("weights", False, ""),
        ("all", True, "--tp-comm-overlap"),
        ("none", False, "--no-async-tensor-model-parallel-allreduce"),
    ],
)
def test_flags_of_megatron_say_what_runs_beside_multiplications(
    how: Any, shared: bool, flag: str
) -> None:
    """The default has none (megatron/training/arguments.py)."""
    problem = Problem(LLAMA, machine_of("8xh100"))
    c = Configuration(16, 4, tensor=2, data=4, sequence_parallel=shared, tensor_overlap=how, zero=0)
    found = [each for each in megatron(problem, c) if "comm-overlap" in each or "async" in each]
    assert found == ([flag] if flag else [])


@pytest.mark.parametrize(
    ("how", "shared", "word"), [("all", False, "with"), ("none", True, "without")]
)
def test_what_megatron_cannot_hide_or_show_is_refused(how: Any, shared: bool, word: str) -> None:
    problem = Problem(LLAMA, machine_of("8xh100"))
    c = Configuration(16, 4, tensor=2, data=4, sequence_parallel=shared, tensor_overlap=how)
    with pytest.raises(ValueError, match=f"tensor overlap {how} only {word} sequence parallelism"):
        megatron(problem, c)


def test_a_plan_is_made_for_what_its_program_hides() -> None:
    """A large layer hides in pieces what one pass after the other waits for."""
    model, machine = Model("wide", 2, 4096, 32, 1000, kv_heads=8, ffn=14336), machine_of("2xh100")
    seconds, told = [], []
    for how in ("all", "weights", "none"):
        space = Space(tensor=(2,), pipeline=(1,), microbatch=(1,), recompute=("none",), zero=(1,),
                      tensor_overlap=how)  # fmt: skip
        row = plan(model, machine, sequence=4096, batch=2, space=space, jobs=1).iloc[0]
        seconds.append(row["seconds"])
        told.append(row["tensor_overlap"])
    assert seconds[0] < seconds[1] < seconds[2]
    assert told == ["all", "weights", "none"]
    problem = Problem(model, machine)
    said = [str(assumptions(problem, replace(C, tensor_overlap=how))) for how in told]
    assert ["parallelism's collectives hidden" in each for each in said] == [True, False, True]
