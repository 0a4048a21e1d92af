"""No bound with levers is above a schedule that pulls them, and each says what a lever costs."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import FAMILIES, Costs, Schedule
from sim.bounds.lever_area import Way, span_with_levers
from sim.bounds.lever_bound import bound_with_levers, interval_with_levers
from sim.bounds.lever_memory import without_levers
from sim.bounds.lever_units import Unit, ways
from sim.bounds.workload import workload_of
from sim.engine.offloaded import offloaded
from sim.engine.recomputed import Place, recomputed
from sim.engine.simulate import simulate
from sim.metrics.metrics import longest_stage, makespan
from sim.schedule.clock import Clock
from sim.search import evaluate, lower_bound, steady_interval
from sim.testing import costs as random_costs
from sim.testing import schedules

CLOCKS: tuple[Clock, Clock] = ("makespan", "longest_stage")


@st.composite
def pulled(draw: st.DrawFn) -> tuple[Schedule, Costs]:
    """A schedule some stages of which recompute, and some offload, in some of its microbatches."""
    schedule = draw(schedules())
    times = replace(
        draw(random_costs(schedule)),
        recompute_keeps=draw(st.sampled_from([Fraction(n, 60) for n in (0, 3, 20, 30, 60)])),
        pair_scale=1,
    )
    if times.offload is None:
        times = replace(times, offload=((draw(st.integers(1, 9)),),) * schedule.n_stages)
    if draw(st.booleans()):
        left = [[draw(st.integers(0, int(min(row))))] for row in times.activation_bytes]
        times = replace(times, recompute_bytes=left)  # type: ignore[arg-type]
    times = replace(times, microbatch_scale=())
    stages = st.lists(st.integers(0, schedule.n_stages - 1), max_size=4, unique=True)
    place: Place = "late" if draw(st.booleans()) else "in waits"
    if some := draw(stages):
        schedule = recomputed(schedule, some, place=place, costs=times)
    if some := draw(stages):
        schedule = offloaded(schedule, some, costs=times)
    return schedule, times


@settings(max_examples=40, deadline=None)
@given(pulled())
def test_no_bound_is_above_a_schedule_with_levers(case: tuple[Schedule, Costs]) -> None:
    schedule, times = case
    trace, held = simulate(schedule, times), evaluate(schedule, times)
    limit: dict[str, Any] = {
        "memory_limit": max(held.peak_activations),
        "memory_bytes": list(held.peak_bytes),
    }
    plain = without_levers(schedule)
    levers = ("recompute", "offload")
    for clock, found in zip(CLOCKS, (makespan(trace), longest_stage(trace)), strict=True):
        assert lower_bound(schedule, times, clock=clock, **limit) <= found
        assert bound_with_levers(plain, times, levers=levers, clock=clock, **limit) <= found


areas = st.integers(0, 30)
way = st.builds(Way, st.integers(0, 9), st.integers(0, 9), areas)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(way, min_size=1, max_size=3), min_size=1, max_size=3),
       st.integers(0, 20), st.integers(1, 12))  # fmt: skip
def test_the_span_is_below_every_choice_and_meets_it_where_one_choice_is_left(
    stages: list[list[Way]], work: int, limit: int
) -> None:
    span = span_with_levers(work, stages, limit)
    for chosen in product(*stages):
        total = [sum(column) for column in zip(*chosen, strict=True)]
        assert span <= max(work + total[0], total[1], Fraction(total[2], limit))
    alone = [[ways[0]] for ways in stages]
    total = [sum(column) for column in zip(*(ways[0] for ways in stages), strict=True)]
    assert span_with_levers(work, alone, limit) == max(
        work + total[0], total[1], Fraction(total[2], limit)
    )


def test_half_of_the_units_recompute_where_half_of_the_area_must_go() -> None:
    """Keeping takes an area of 8, recomputing one of 2 and a time of 3: V = 4 + 3 x with
    8 - 6 x = V gives x = 4/9."""
    ways = [[Way(0, 0, 8), Way(3, 0, 2)]]
    assert span_with_levers(4, ways, 1) == 4 + Fraction(4, 3)


V = FAMILIES["zb-v"](8, 32)
TIMES = Costs.of(
    16, forward=5, backward=6, weight=4, send=1, activation_bytes=100, recompute_keeps=0.05,
    offload=5,
)  # fmt: skip


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_lever_more_or_more_memory_never_raises_a_bound(clock: Clock) -> None:
    sets: list[tuple[str, ...]] = [(), ("recompute",), ("recompute", "offload")]
    table = [
        [bound_with_levers(V, TIMES, levers=levers, clock=clock, memory_bytes=size)
         for size in (200, 300, 400, 600, 800)]
        for levers in sets
    ]  # fmt: skip
    for row in table:
        assert row == sorted(row, reverse=True)
    for column in zip(*table, strict=True):
        assert list(column) == sorted(column, reverse=True)
    without = [
        lower_bound(V, TIMES, clock=clock, memory_bytes=size) for size in (200, 300, 400, 600, 800)
    ]
    assert table[0] == without
    assert table[1][3] > lower_bound(V, TIMES, clock=clock)  # the limit says something


def test_an_interval_with_levers_is_that_of_its_busiest_resource() -> None:
    """Memory x time without levers, less of it with R, and work alone where copies are free."""
    plain = steady_interval(V, TIMES, memory_bytes=300)
    again = interval_with_levers(V, TIMES, levers=["recompute"], memory_bytes=300)
    assert (
        plain
        > again
        > 30
        == interval_with_levers(V, TIMES, levers=["recompute", "offload"], memory_bytes=300)
    )
    assert steady_interval(recomputed(V), TIMES) == 40


def test_a_limit_is_heard_where_a_schedule_recomputes() -> None:
    schedule = recomputed(V, range(8), place="in waits")
    tight, wide = (
        lower_bound(schedule, TIMES, clock="longest_stage", memory_bytes=size)
        for size in (200, 10_000)
    )
    assert tight > wide >= 32 * 35


def test_levers_take_ticks_of_the_workload() -> None:
    """A tick of half a unit where F takes one half: R of 2, O of 3 and L of 4 are 4, 6 and 8 ticks;
    and their own times where no tick divides all."""
    schedule = FAMILIES["1f1b"](2, 2)
    times = Costs.of(
        2, forward=0.5, backward=1, weight=1, send=0, recompute=2, offload=3, load=4,
    )  # fmt: skip
    expected = [Unit(None, 0, 0, 0), Unit("R", 4, 0, 0), Unit("O", 0, 6, 8)]
    assert ways(workload_of(schedule, times), times, 0, ("R", "O")) == expected
    rough = replace(times, forward=((0.12345678901234567,), (0.9876543210987654,)))
    work = workload_of(schedule, rough)
    assert not work.ticks.per_unit
    assert [unit[1:4] for unit in ways(work, rough, 0, ("R", "O"))[1:]] == [(2, 0, 0), (0, 3, 4)]


def test_memory_under_a_limit_may_be_parts_of_pieces_where_something_is_recomputed() -> None:
    """A third of a piece and a whole one are two thirds of a device's two pieces: a limit that the
    schedule itself keeps. Rounded down to one piece it would hold the second F back."""
    times = Costs.of(
        2, forward=[7, 14], backward=[5, 13], weight=[6, 10], send=3,
        recompute_keeps=Fraction(1, 3),
    )  # fmt: skip
    schedule = recomputed(FAMILIES["zb-v"](1, 5), [0], place="in waits", costs=times)
    trace = simulate(schedule, times)
    (limit,) = evaluate(schedule, times).peak_activations
    assert limit == 2 / 3
    assert lower_bound(schedule, times, memory_limit=limit) == makespan(trace) == 310
    plain = without_levers(schedule)
    assert bound_with_levers(plain, times, levers=["recompute"], memory_limit=limit) <= 310


def test_a_bound_in_bytes_takes_what_forwards_keep_in_bytes() -> None:
    """1F1B on 2 devices, all recomputed, 100 bytes of which F keeps none (though a share of 1 is
    said): 100 bytes are enough for the schedule as it is, in which one activation is rebuilt at a
    time. Were all of them kept, one microbatch at a time would be all that fits."""
    times = Costs.of(
        2, forward=1, backward=1, weight=1, send=0, activation_bytes=100,
        recompute_keeps=1, recompute_bytes=0,
    )  # fmt: skip
    schedule = recomputed(FAMILIES["1f1b"](2, 8))
    held, trace = evaluate(schedule, times), simulate(schedule, times)
    assert held.peak_bytes == (100, 100)
    for bound in (
        lower_bound(schedule, times, memory_bytes=100),
        bound_with_levers(without_levers(schedule), times, levers=["recompute"], memory_bytes=100),
    ):
        assert bound <= makespan(trace) == 36
