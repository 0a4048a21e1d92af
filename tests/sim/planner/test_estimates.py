"""What a configuration takes: bounds that hold, short runs that stand for long ones, the engine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_plans import MACHINE, PROBLEM, SMALL, small_configuration

import sim
from sim.planner import (
    DEFAULT_SCHEDULES,
    Orders,
    Problem,
    Shape,
    bytes_at_least,
    estimate,
    live_counts,
    peak_bytes,
    prepare,
    seconds_at_least,
    short,
    timeline,
)
from sim.planner.cost_model import Efficiency, costs_of, efficiency_of
from sim.schedule.clock import Clock
from sim.search import evaluate

schedules = st.sampled_from(DEFAULT_SCHEDULES)


@pytest.mark.slow
@given(
    schedule=schedules,
    p=st.sampled_from([2, 4]),
    m=st.integers(1, 40),
    tensor=st.sampled_from([1, 2]),
    clock=st.sampled_from(["makespan", "longest_stage"]),
)
@settings(max_examples=80, deadline=None)
def test_bounds_hold_for_every_configuration(
    schedule: str, p: int, m: int, tensor: int, clock: Clock
) -> None:
    c = small_configuration(schedule, p, m, tensor=tensor)
    problem = replace(PROBLEM, clock=clock)
    prepared, orders = prepare(problem, c), Orders()
    found = estimate(problem, prepared, orders)
    assert seconds_at_least(problem, prepared) <= found.seconds * (1 + 1e-6)
    assert bytes_at_least(problem, prepared) <= found.memory * (1 + 1e-9)
    assert 0 < found.busy <= 1 + 1e-6


def test_the_bound_of_1f1b_is_what_it_takes_where_stages_are_equal_and_sends_are_free() -> None:
    # Filling and draining are in it: the last device waits for p-1 forwards, and p-1 backwards
    # follow its last one. Words and head, a few here, make the first and last stage longer.
    problem = replace(PROBLEM, model=replace(SMALL, layers=16, vocabulary=8), cut="even")
    c = small_configuration("1f1b", 4, 12)
    prepared = prepare(problem, c)
    found = estimate(problem, prepared, Orders(), sends=False)
    assert seconds_at_least(problem, prepared) == pytest.approx(found.seconds, rel=1e-6)


@given(schedule=schedules, p=st.sampled_from([1, 2, 4, 8]), m=st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_peak_bytes_are_the_evaluators(schedule: str, p: int, m: int) -> None:
    if p == 1:
        schedule = "1f1b"
    c = small_configuration(schedule, p, m, v=1 if p == 8 else 2)
    if p == 8 and schedule != "1f1b":
        c = replace(c, virtual=1, schedule="zb-h1")
    prepared, orders = prepare(PROBLEM, c), Orders()
    order = orders(prepared.shape)
    costs = costs_of(prepared.bench, prepared.stages, order.schedule.placement)
    found = evaluate(order.schedule, costs)
    assert peak_bytes(PROBLEM, prepared, order) == pytest.approx(max(found.peak_bytes), rel=1e-6)


@pytest.mark.parametrize("schedule", [*DEFAULT_SCHEDULES, "gpipe", "eager-1f1b"])
@pytest.mark.parametrize(("p", "m"), [(2, 1501), (4, 702), (4, 640)])
def test_a_shortened_run_takes_as_long_as_the_whole(schedule: str, p: int, m: int) -> None:
    c = small_configuration(schedule, p, m)
    prepared, orders = prepare(PROBLEM, c), Orders()
    assert short(prepared.shape).microbatches < m
    quick = estimate(PROBLEM, prepared, orders)
    whole = estimate(PROBLEM, prepared, orders, exact=True)
    assert quick.seconds == pytest.approx(whole.seconds, rel=1e-3)
    assert quick.memory == whole.memory


def test_gpipe_is_charged_for_every_microbatch() -> None:
    few, many = (
        estimate(PROBLEM, prepare(PROBLEM, small_configuration("gpipe", 4, m)), Orders()).memory
        for m in (100, 1000)
    )
    assert many > 5 * few


def test_live_counts_of_1f1b_are_its_peaks() -> None:
    counts = live_counts(sim.FAMILIES["1f1b"](4, 8))
    assert [each.live.tolist() for each in counts] == [[[4]], [[3]], [[2]], [[1]]]


def test_orders_forget_the_longest_unused_ones() -> None:
    orders = Orders(most_passes=100)
    first = orders(Shape("1f1b", 2, 1, 10))
    assert orders(Shape("1f1b", 2, 1, 10)) is first
    orders(Shape("1f1b", 2, 1, 20))
    assert orders(Shape("1f1b", 2, 1, 10)) is not first


def test_the_engine_agrees_with_the_estimate_where_nothing_queues() -> None:
    c = small_configuration("1f1b", 4, 12)
    ideal = replace(PROBLEM, efficiency=Efficiency(wire=1))
    found = estimate(ideal, prepare(ideal, c), Orders())
    trace = timeline(ideal, c)
    assert sim.makespan(trace) == pytest.approx(found.pipeline, rel=1e-3)
    assert max(sim.peak_bytes(trace)) == pytest.approx(found.memory, rel=1e-6)


def test_a_problem_takes_the_calibration_of_its_device() -> None:
    assert Problem(SMALL, MACHINE).efficiency == efficiency_of("h100")
    assert Problem(SMALL, MACHINE, Efficiency(matmul=0.4)).efficiency.matmul == 0.4
