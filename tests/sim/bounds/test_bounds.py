"""A lower bound is never above a schedule that exists, and meets the known optima."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sim import FAMILIES, Costs, Op, Schedule, frozen, makespan, mechanisms, offloaded, simulate
from sim.bounds.workload import workload_of
from sim.schedule.clock import Clock
from sim.search import evaluate, lower_bound, steady_interval
from sim.testing import costs, schedules
from validation.published_searches import instances

cases = schedules().flatmap(lambda schedule: st.tuples(st.just(schedule), costs(schedule)))
CLOCKS: tuple[Clock, Clock] = ("makespan", "longest_stage")


def unit(schedule: Schedule) -> Costs:
    """Every pass takes one unit of time."""
    return Costs.of(schedule.n_stages, forward=1, backward=1, weight=1)


@settings(max_examples=75, deadline=None)
@given(cases)
def test_no_bound_is_above_a_schedule_that_exists(case: tuple[Schedule, Costs]) -> None:
    schedule, prices = case
    found = evaluate(schedule, prices)
    limits: dict[str, Any] = {
        "memory_limit": max(found.peak_activations),
        "memory_bytes": list(found.peak_bytes),
    }
    for clock in CLOCKS:
        clocked = getattr(found, clock)
        assert lower_bound(schedule, prices, clock=clock) <= clocked
        for limit in ({"memory_limit": limits["memory_limit"]}, limits):
            assert lower_bound(schedule, prices, clock=clock, **limit) <= clocked


STRAIGHT = [name for name, family in FAMILIES.items() if family.placement == "straight"]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(STRAIGHT), st.integers(1, 5), st.integers(1, 12), st.data())
def test_no_bound_is_above_an_uneven_straight_schedule_at_its_own_memory(
    name: str, p: int, m: int, data: st.DataObject
) -> None:
    schedule = FAMILIES[name](p, m)
    times = data.draw(costs(schedule))
    found = evaluate(schedule, times)
    limits: dict[str, Any] = {
        "memory_limit": max(found.peak_activations),
        "memory_bytes": list(found.peak_bytes),
    }
    assert lower_bound(schedule, times, clock="longest_stage", **limits) <= found.longest_stage


@pytest.mark.parametrize(
    ("limit", "wait"), [(15, 7525), (16, 3225), (18, 1075), (21, 1075), (22, 0), (24, 0)]
)
def test_all_devices_of_a_straight_pipeline_wait_for_their_first_backward(
    limit: int, wait: int
) -> None:
    """B - F + 2 send = 1075: what a device waits that runs two forwards more than the next one.

    With 22 microbatches each runs three more. With 18 every other one does, and the rest wait for
    one such time; with 15 nobody does, and the waits add up. Searches reach all of these.
    """
    (row,) = (
        row for row in instances("curve") if (row.m, row.limit, row.times[0]) == (64, limit, 18546)
    )
    schedule = FAMILIES["zb-h1"](8, 64)
    bound = lower_bound(schedule, row.costs(), clock="longest_stage", **row.limits())
    assert bound == 64 * (18546 + 18097 + 9321) + wait


@pytest.mark.parametrize("name", FAMILIES)
def test_no_bound_is_above_a_family_at_its_own_memory(name: str) -> None:
    for p in (1, 2, 5, 8):
        for m in (p, 2 * p, 6 * p):
            try:
                schedule = FAMILIES[name](p, m)
            except ValueError:
                continue
            for prices in ({}, {"forward": 3, "weight": 0}, {"backward": 5, "send": 2}):
                times = Costs.uniform(schedule, **prices)
                found = evaluate(schedule, times)
                limit = None if schedule.copies else max(found.peak_activations)
                for clock in CLOCKS:
                    bound = lower_bound(schedule, times, clock=clock, memory_limit=limit)
                    assert bound <= getattr(found, clock), (p, m, prices, clock)


@pytest.mark.parametrize("p", range(3, 13))
def test_the_bound_of_the_v_family_is_what_v_min_and_v_half_reach(p: int) -> None:
    m = 2 * p + 3
    for name in ("v-min", "v-half"):
        schedule = FAMILIES[name](p, m)
        found = evaluate(schedule, unit(schedule))
        k = round(2 * max(found.peak_activations))
        bound = lower_bound(schedule, unit(schedule), memory_limit=k / 2)
        assert bound == 6 * m + 6 * p - 3 * k - 1
        if name == "v-half" or p % 3 != 2:
            assert found.makespan == bound


def test_one_f_one_b_is_optimal_at_any_memory() -> None:
    for p, m in ((1, 1), (1, 5), (2, 1), (3, 2), (4, 8), (6, 20)):
        schedule = FAMILIES["1f1b"](p, m)
        found = evaluate(schedule, unit(schedule))
        assert lower_bound(schedule, unit(schedule)) == found.makespan


def test_a_slow_stage_in_the_middle_bounds_everything() -> None:
    schedule = FAMILIES["gpipe"](3, 10)
    prices = Costs.of(3, forward=[1, 10, 1], backward=[2, 20, 2], weight=0)
    assert lower_bound(schedule, prices) == 10 * 30 + 1 + 2
    assert lower_bound(schedule, prices, clock="longest_stage") == 10 * 30 + 1 + 2


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 5), st.data())
def test_more_memory_never_raises_a_bound(p: int, m: int, send: int, data: st.DataObject) -> None:
    times = st.integers(0, 9)
    schedule = FAMILIES["zb-v"](p, m)
    prices = Costs.uniform(
        schedule,
        forward=2 * data.draw(times),
        backward=2 * data.draw(times),
        weight=2 * data.draw(times),
        send=send,
    )
    for clock in CLOCKS:
        bounds = [
            lower_bound(schedule, prices, clock=clock, memory_limit=limit)
            for limit in (1, 1.5, 2, 3, 5, 9)
        ]
        assert bounds == sorted(bounds, reverse=True)


def test_the_interval_is_bounded_by_work_and_by_the_life_of_an_activation() -> None:
    schedule = FAMILIES["zb-h1"](4, 8)
    assert steady_interval(schedule, unit(schedule)) == 3
    assert steady_interval(schedule, unit(schedule), memory_limit=2) == 4.5
    assert steady_interval(schedule, unit(schedule), memory_limit=1) == 9


def test_an_unknown_clock_is_refused() -> None:
    schedule = FAMILIES["1f1b"](2, 2)
    with pytest.raises(ValueError, match="'wall'"):
        lower_bound(schedule, unit(schedule), clock="wall")  # type: ignore[arg-type]


@pytest.mark.parametrize("v", [3, 6, 7])
def test_a_peak_in_thirds_is_a_limit_that_its_schedule_meets(v: int) -> None:
    for m in (8, 13):
        schedule = FAMILIES["gis-h"](2, m, v=v)
        prices = Costs.uniform(schedule, forward=3, backward=5, weight=2, send=1)
        found = evaluate(schedule, prices)
        for clock in CLOCKS:
            bound = lower_bound(
                schedule, prices, clock=clock, memory_limit=max(found.peak_activations)
            )
            assert bound <= getattr(found, clock)


def test_a_limit_into_which_nothing_fits_has_no_bound() -> None:
    schedule = FAMILIES["v-half"](4, 8)
    prices = Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
    for bound in (lower_bound, steady_interval):
        said = "nothing fits into a memory limit of 0.5 shares: the smallest that can be met is 1"
        with pytest.raises(ValueError, match=said):
            bound(schedule, prices, memory_limit=0.5)
        assert bound(schedule, prices, memory_limit=1) > 0
    with pytest.raises(ValueError, match="memory_bytes has 3 entries for 4 devices"):
        lower_bound(schedule, prices, memory_bytes=[1, 2, 3])


@settings(max_examples=60, deadline=None)
@given(cases)
def test_the_least_bytes_are_what_one_microbatch_at_a_time_holds(
    case: tuple[Schedule, Costs],
) -> None:
    schedule, prices = case
    assume(not mechanisms(schedule))  # `one_by_one` knows the passes of a chain alone
    alone = one_by_one(schedule)
    needs = evaluate(alone, prices).peak_bytes
    assert lower_bound(schedule, prices, memory_bytes=list(needs)) >= 0
    if schedule.n_slices > 1 and schedule.n_stages > schedule.n_devices:
        return  # several orders of one microbatch: the message may name too small a limit
    for device, need in enumerate(needs):
        if need > 0:
            room = [*needs[:device], need * 0.99, *needs[device + 1 :]]
            with pytest.raises(ValueError, match=rf"nothing fits .*: device {device} holds"):
                lower_bound(schedule, prices, memory_bytes=room)


def one_by_one(schedule: Schedule) -> Schedule:
    """The same passes on the same devices, a microbatch after the other, every W after its B."""
    slices = range(schedule.n_slices)
    orders: list[list[Op]] = [[] for _ in range(schedule.n_devices)]
    there = {op for order in schedule.orders for op in order}
    for i in range(schedule.n_microbatches):
        ahead = [("F", s, i, j) for s in range(schedule.n_stages) for j in slices]
        back = [
            (kind, s, i, j)
            for s in reversed(range(schedule.n_stages))
            for j in reversed(slices)
            for kind in ("BW", "B", "W")
        ]
        for op in map(Op._make, ahead + back):
            if op in there:
                orders[schedule.placement[op.stage]].append(op)
    return replace(schedule, orders=tuple(map(tuple, orders)), fused=())


def test_without_a_common_tick_a_bound_is_rounded_down() -> None:
    """One device never waits, so the bound is the time, but for what adding floats may lose."""
    schedule = FAMILIES["gpipe"](1, 3)
    costs = Costs.of(1, forward=0.12345678901234566, backward=1 / 3, weight=2 / 7)
    time = makespan(simulate(schedule, costs))
    assert time * (1 - 2**-39) < lower_bound(schedule, costs) < time


def test_a_stage_that_trains_nothing_is_no_simple_pipeline() -> None:
    schedule = FAMILIES["1f1b"](3, 4)
    assert workload_of(schedule, Costs.uniform(schedule)).simple
    still = frozen(schedule, [0])
    assert not workload_of(still, Costs.uniform(still)).simple


def test_a_copy_queue_needs_the_time_of_its_copies() -> None:
    """Every microbatch is copied out, 5 of its queue's time, more than the 3 of F, B and W."""
    schedule = offloaded(FAMILIES["gpipe"](2, 4))
    assert sum(op.kind == "O" for op in schedule.orders[0]) == 4
    for offload, interval in ((5, 5), (2, 3)):
        costs = Costs.of(2, forward=1, backward=1, weight=1, offload=offload)
        assert steady_interval(schedule, costs) == interval


def test_a_bound_is_of_the_costs_it_is_asked_for_whatever_was_asked_before() -> None:
    """1F1B on two devices: m (F + BW) of the busiest one, and F + BW of the other before and after.

    With F = 1, BW = 2 and m = 4 that is 4 * 3 + 3; with F = 2 it is 4 * 4 + 4.
    """
    schedule, other = FAMILIES["1f1b"](2, 4), FAMILIES["1f1b"](2, 5)
    short, long = (Costs.of(2, forward=f, backward=1, weight=1) for f in (1, 2))
    asked = [(schedule, short), (schedule, short), (schedule, long), (other, long), (other, short)]
    assert [lower_bound(*one) for one in asked] == [15, 15, 20, 24, 18]
