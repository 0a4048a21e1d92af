"""Every term of what a run can choose alone, with a value by hand: adapters, Muon, dropped tokens,
whole experts, fewer bits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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
)

from sim.planner import Problem
from sim.planner.cost_model import (
    Bench,
    Configuration,
    PerParameter,
    activation,
    embedding_seconds,
    head_seconds,
    held_parameters,
    layer_seconds,
    parts,
    refusal,
    split_of,
    stages_of,
    static,
    tail_seconds,
)
from sim.planner.cost_model.communication import sharding_seconds
from sim.planner.cost_model.flops import layer_flops
from sim.planner.cost_model.memory import embedding_activation, head_activation
from sim.planner.cost_model.parameters import Held, largest_matrix
from sim.planner.cost_model.passes import layer_spent
from sim.planner.cost_model.precision import no_faster_units
from sim.planner.estimate import rates
from sim.planner.hardware import DEVICES, machine_of
from sim.planner.models import Model, layer_parameters

LORA = replace(CUT, lora=4)
PAIRS = 4 * ((64 + 128) + (64 + 64) + (64 + 256) + (128 + 64))
"""Weights of rank 4 beside the four products of a layer."""


def test_adapters_are_multiplied_beside_frozen_weights_and_alone_in_w() -> None:
    """At one operation per second F and B have both, W has two per adapter weight and token."""
    machine = free_machine(flops=1)
    plain, adapted = (layer_seconds(Bench(LLAMA, c, machine, IDEAL)) for c in (CUT, LORA))
    assert adapted.forward - plain.forward == 2 * N * PAIRS
    assert adapted.backward - plain.backward == 2 * N * PAIRS
    assert adapted.weight == 2 * N * PAIRS
    assert layer_seconds(kernels_bench(GPT, LORA)).weight == 8  # no gradients of biases
    whole, half = (
        layer_seconds(Bench(LLAMA, replace(LORA, tensor=t), machine, IDEAL)).weight for t in (1, 2)
    )
    uncut = 4 * (2 * 64 + 2 * 64)  # what reads whole inputs where outputs are cut, or writes whole
    assert half - whole / 2 == pytest.approx(2 * N * uncut / 2)
    assert embedding_seconds(bytes_bench(LLAMA, LORA)) == (4 * N * 64, 0, 0)
    assert head_seconds(bytes_bench(LLAMA, LORA)).weight == 0


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
    tied = Bench(replace(LLAMA, tied=True), replace(LORA, pipeline=2), free_machine(), IDEAL)
    stages = stages_of(tied, split_of([2, 2]), parts(tied), [0, 1])
    assert [stage.held.common for stage in stages] == [2 * PAIRS] * 2
    assert stages[1].held.frozen == 2 * layer_parameters(LLAMA) + 64 + 6400
    assert stages[1].scratch(PerParameter()) == 2 * 4 * 256  # a gradient of an adapter alone
    three = replace(tied, configuration=replace(LORA, batch=16, data=8, zero=3, pipeline=2))
    moved = sharding_seconds(
        stages[1].held, three.configuration, free_machine(inside=SECOND), efficiency=IDEAL
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
    bench = Bench(LLAMA, c, free_machine(flops=1), replace(IDEAL, matmul=0.5))
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
    machine = free_machine(flops=1)
    plain, dropped = (layer_seconds(Bench(SPARSE, x, machine, IDEAL), EXPERTS) for x in (CUT, c))
    assert dropped.weight - plain.weight == 2 * 64 * (64 * 64 + 32 * 64)
    even = layer_seconds(Bench(SPARSE, replace(c, capacity=1.0), machine, IDEAL), EXPERTS)
    assert even == plain
    waiting = Bench(SPARSE, CUT, free_machine(), replace(IDEAL, dispatch=1))
    assert layer_seconds(waiting, EXPERTS).forward == 1
    known = replace(waiting, configuration=replace(c, capacity=1.0))
    assert layer_seconds(known, EXPERTS).forward == pytest.approx(0)
    kept, more = (activation(SPARSE, x, EXPERTS).after_forward for x in (CUT, c))
    assert more - kept == 2 * N * 2 * (64 + 3 * 32)  # inputs of two experts, and what is inside
    moved, twice = (layer_seconds(bytes_bench(SPARSE, x), EXPERTS).forward for x in (CUT, c))
    rows = 2 * 64 * (64 + 64 + 32 + 64)  # inputs and outputs of both products
    assert twice - moved == rows + 2 * 2 * 64 * 64 + 64 * 32 * 6  # sorted, and the gated function
    sent = Configuration(16, 8, microbatch=2, data=4, expert=4, capacity=2.0)
    spent = layer_spent(Bench(SPARSE, sent, free_machine(inside=SECOND), IDEAL), EXPERTS).experts
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
    found = layer_seconds(Bench(SPARSE, c, free_machine(flops=1), IDEAL), EXPERTS).weight
    assert found == 2 * N * (common / 2 + 64 * 8 + routed)


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
