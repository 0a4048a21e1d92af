"""Where a row's seconds go: parts that add up, each with the value that follows by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import sim
from sim.planner import DEFAULT_SCHEDULES, Orders, Problem, estimate, prepare
from sim.planner.breakdown import Breakdown, breakdown
from sim.planner.cost_model import (
    Bench,
    Configuration,
    Efficiency,
    all_reduce,
    layer_communication,
    layer_seconds,
    optimizer_seconds,
)
from sim.planner.cost_model.groups import tensor_group
from sim.planner.hardware import machine_of
from sim.planner.models import Model
from sim.planner.orders import short
from sim.schedule.clock import Clock

SMALL = Model("small", 14, 512, 8, 32000, kv_heads=4)
PROBLEM = Problem(SMALL, machine_of("8xh100"), Efficiency())


def configuration(schedule: str, p: int, m: int, *, tensor: int = 1, **more: Any) -> Configuration:
    family = sim.FAMILIES[schedule]
    virtual = 2 if "v" in family.options or family.placement == "V" else 1
    data = 8 // p // tensor
    return Configuration(
        1024, m * data, pipeline=p, data=data, tensor=tensor, schedule=schedule, virtual=virtual,
        sequence_parallel=tensor > 1, **more,
    )  # fmt: skip


def of(c: Configuration, problem: Problem = PROBLEM) -> Breakdown:
    return breakdown(problem, c, Orders())


@pytest.mark.parametrize("clock", ["makespan", "longest_stage"])
@pytest.mark.parametrize("more", [
    {}, {"tensor": 2}, {"recompute": "full"}, {"zero": 2}, {"zero": 3, "tensor": 2}, {"zero": 0},
])  # fmt: skip
@pytest.mark.parametrize("schedule", [*DEFAULT_SCHEDULES, "gpipe", "dualpipe-v"])
def test_the_parts_add_up_to_the_iteration(
    schedule: str, more: dict[str, Any], clock: Clock
) -> None:
    problem = replace(PROBLEM, clock=clock)
    c = configuration(schedule, 4, 10, **more)
    parts = of(c, problem)
    seconds = estimate(problem, prepare(problem, c), Orders()).seconds
    assert parts.total == pytest.approx(seconds, rel=1e-12)
    assert min(parts) > -1e-7 * seconds  # passes are played in whole nanoseconds
    assert sum(parts.named.values()) == parts.total


def test_the_parts_of_a_run_too_long_to_be_played_add_up_too() -> None:
    c = configuration("interleaved", 4, 1502)
    prepared = prepare(PROBLEM, c)
    assert short(prepared.shape) != prepared.shape
    assert of(c).total == pytest.approx(estimate(PROBLEM, prepared, Orders()).seconds, rel=1e-12)


def test_a_pipeline_of_one_device_has_no_bubble() -> None:
    parts = of(configuration("1f1b", 1, 8))
    assert parts.sends == parts.imbalance == parts.tensor == parts.split_backward == 0
    assert abs(parts.fill_drain) < 1e-6 * parts.work


def test_filling_and_draining_is_the_bubble_of_equal_stages() -> None:
    # 1F1B: (p-1)(F+B+W), of the average stage.
    c = configuration("1f1b", 4, 12)
    stages = prepare(PROBLEM, c).stages
    average = sum(stage.seconds.total - stage.saving for stage in stages) / 4
    whole_nanoseconds = 15 * 0.5e-9  # of 15 passes one after the other
    assert of(c).fill_drain == pytest.approx(3 * average, abs=whole_nanoseconds)


def test_imbalance_is_what_equal_stages_would_save() -> None:
    # Two devices, the second one with more work: F and BW of the first and m times the second's
    # work, one after the other; equal ones take m + 1 times the average.
    problem = replace(PROBLEM, cut="Et*4|t*10L")
    c = configuration("1f1b", 2, 12)
    first, second = (stage.seconds.total for stage in prepare(problem, c).stages)
    uneven = first + 12 * second - 13 * (first + second) / 2
    assert of(c, problem).imbalance == pytest.approx(uneven, rel=1e-6)


def test_waiting_for_tensor_parallelism_is_its_collectives() -> None:
    # In F and B of 14 layers, once for the embedding and once for the head; a fused backward hides
    # B's behind the weight gradients, which are shorter here or longer.
    c = configuration("1f1b", 2, 12, tensor=2)
    problem = replace(PROBLEM, efficiency=Efficiency(overlap=0, launch=0))
    machine, efficiency = problem.machine, problem.efficiency
    layer = layer_communication(SMALL, c, machine, efficiency=efficiency).total
    ends = 2 * all_reduce(2 * 1024 * 512, tensor_group(c), machine=machine, efficiency=efficiency)
    assert of(c, problem).tensor == pytest.approx(12 / 2 * (14 * layer + ends), rel=1e-9)
    assert (
        of(c, replace(problem, efficiency=Efficiency(overlap=1, launch=0))).tensor
        < of(c, problem).tensor
    )


def test_the_price_of_a_split_backward_is_what_a_fused_one_hides() -> None:
    c = configuration("zb-h1", 2, 12, tensor=2)
    problem = replace(PROBLEM, efficiency=Efficiency(launch=0))
    saving = sum(stage.saving for stage in prepare(problem, c).stages)
    assert saving > 0
    parts = of(c, problem)
    assert parts.split_backward == pytest.approx(12 / 2 * saving, rel=1e-12)
    fused = of(replace(c, schedule="1f1b"), problem)
    assert fused.split_backward == 0
    assert fused.tensor == pytest.approx(parts.tensor, rel=1e-12)
    assert fused.work == pytest.approx(parts.work, rel=1e-12)


def test_what_is_computed_again_is_each_layers_forward() -> None:
    c = configuration("1f1b", 2, 12)
    full = replace(c, recompute="full")
    once, again = (
        layer_seconds(Bench(SMALL, each, PROBLEM.machine, PROBLEM.efficiency)).backward
        for each in (c, full)
    )
    assert of(full).recompute == pytest.approx(12 / 2 * 14 * (again - once), rel=1e-9)
    assert of(full).work == pytest.approx(of(c).work, rel=1e-12)
    assert of(c).recompute == 0


def test_what_sharding_moves_in_every_pass_is_a_part_of_its_own() -> None:
    c = configuration("1f1b", 2, 12, zero=3)
    moved, still = (
        sum(stage.seconds.total - stage.saving for stage in prepare(PROBLEM, each).stages)
        for each in (c, replace(c, zero=1))
    )
    assert moved > still
    assert of(c).sharding == pytest.approx(12 / 2 * (moved - still), rel=1e-9)
    assert of(replace(c, zero=1)).sharding == 0


def test_the_tail_is_the_optimizer_and_what_data_parallelism_moves() -> None:
    c = configuration("1f1b", 2, 12, data_overlap=False)
    prepared = prepare(PROBLEM, c)
    parts = of(c)
    most = max(stage.held.total for stage in prepared.stages)
    assert parts.optimizer == pytest.approx(optimizer_seconds(prepared.bench, most), rel=1e-9)
    assert parts.data + parts.optimizer == pytest.approx(prepared.tail, rel=1e-12)
    alone = of(Configuration(1024, 12, pipeline=8))
    assert alone.data == 0


def test_transfers_that_something_waits_for_are_sends() -> None:
    c = configuration("1f1b", 4, 12)
    slow = machine_of("8xh100", inside="ethernet-25")
    quick, late = of(c).sends, of(c, replace(PROBLEM, machine=slow)).sends
    # Three edges there and back, once each at least: 1024 tokens of 512 16-bit numbers.
    assert late > 6 * (40e-6 + 2 * 1024 * 512 / (3.125e9 * 0.75))
    assert 0 < quick < late
