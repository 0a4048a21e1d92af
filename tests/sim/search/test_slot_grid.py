"""The slot grid: nothing collides on any number of devices, and memory between V-Min and V-Half."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sim
from sim import Costs, Schedule, makespan, peak_activations, simulate, validate
from sim.search import ComputedBlock, evaluate, slot_grid, smallest_interval
from sim.search.periodic.fastest import fastest_layout
from sim.search.periodic.layout import check_layout
from sim.search.periodic.problem import BlockProblem, problem_of
from sim.search.periodic.slot_grid import grids, legs, slot_grid_orders, slot_of
from sim.search.placement import Placement, stages_on
from sim.search.settings.effort import Effort
from sim.search.settings.methods import METHODS


def whole(p: int, *times: float, placement: Placement = "v") -> Costs:
    """Costs of F, B, W of a device's whole share, and send."""
    bare = Schedule(stages_on(p, placement), ((),) * p, 1)
    return Costs.uniform(
        bare, **dict(zip(("forward", "backward", "weight", "send"), times, strict=True))
    )


def by_arithmetic(p: int, limit: float, placement: Placement = "v") -> ComputedBlock:
    return smallest_interval(
        stages_on(p, placement), whole(p, 10, 12, 8, 1, placement=placement), memory_limit=limit,
        microbatches_per_period=6, time_limit=0, effort=Effort(counted=True),
        without=METHODS.keys() - {"slot-grid", "longer-periods"},
    )  # fmt: skip


@st.composite
def problems(draw: st.DrawFn) -> BlockProblem:
    """A V or straight pipeline of uneven stages under a limit."""
    p = draw(st.integers(1, 9))
    placement = stages_on(p, draw(st.sampled_from(["v", "straight"])))
    n = len(placement)
    rows = st.lists(st.integers(0, 5), min_size=n, max_size=n)
    costs = Costs.of(
        n, forward=draw(rows), backward=draw(rows), weight=draw(rows), send=draw(st.integers(0, 2))
    )
    return problem_of(placement, costs, memory_limit=draw(st.integers(1, p)))[0]


@settings(max_examples=40)
@given(problems(), st.integers(1, 4))
def test_no_two_passes_share_a_slot_on_any_device(problem: BlockProblem, most: int) -> None:
    for grid, _ in zip(grids(problem, most), range(30), strict=False):
        for device in range(problem.n_devices):
            taken = [
                (leg.on(device) + start) % grid.slots
                for leg in legs(problem, grid.gap)
                for start in grid.starts
            ]
            assert len(set(taken)) == len(taken)


@settings(max_examples=40)
@given(problems(), st.integers(1, 4))
def test_its_orders_repeat_within_the_limit_in_at_most_its_slots(
    problem: BlockProblem, most: int
) -> None:
    for grid, order in slot_grid_orders(problem, most, Effort()):
        layout, scale = fastest_layout(problem, order)
        check_layout(problem, layout, scale)  # plays it out, device by device, against the limit
        assert order.n == len(grid.starts) <= most
        assert Fraction(layout.period, scale) <= grid.slots * slot_of(problem)


def test_one_microbatch_in_six_slots_is_v_min_and_one_in_four_has_no_room_for_w() -> None:
    # p = 6: V-Min holds p/3 + 2 shares at most. A slot is max(5, 6) + 1 ticks; the period of the
    # order, played as early as it can be, is no longer than its 6 slots.
    problem, _ = problem_of(stages_on(6, "v"), whole(6, 10, 12, 8, 1), memory_limit=3)
    assert slot_of(problem) == 7
    (_, order), *_ = slot_grid_orders(problem, 1, Effort())
    layout, scale = fastest_layout(problem, order)
    assert Fraction(layout.period, scale) <= 6 * 7
    roomy, _ = problem_of(stages_on(6, "v"), whole(6, 10, 12, 8, 1), memory_limit=6)
    assert next(grids(roomy, 1)).slots == 6


@pytest.mark.parametrize(
    ("p", "limit", "interval"),
    [(32, 16, 35), (32, 14, 37.34), (64, 28, 35), (64, 26, 37.34), (64, 24, 41)],
)
def test_intervals_at_scarce_memory_that_a_minute_of_search_did_not_reach(
    p: int, limit: int, interval: float
) -> None:
    """Searches of a minute found 38.3 and 37, then 42.1, 41.9 and 41 with (10, 12, 8, 1)."""
    block = by_arithmetic(p, limit)
    assert block.floor <= block.interval <= interval
    assert block.method == "slot grid"


@pytest.mark.parametrize(("p", "halves"), [(6, range(4, 12)), (12, range(6, 20, 2))])
def test_more_memory_never_makes_the_interval_longer(p: int, halves: range) -> None:
    """On 6 devices 3 shares allow grids of 40.5, and the shortest in slots of 3.5 repeats in 40.67:
    it is no answer where what fits into less memory repeats faster."""
    intervals = [by_arithmetic(p, half / 2).interval for half in halves]
    assert intervals == sorted(intervals, reverse=True)
    assert intervals[-1] < intervals[0]


@pytest.mark.parametrize("placement", ["v", "straight"])
def test_the_schedule_is_valid_keeps_its_limit_and_repeats_with_the_interval(
    placement: Placement,
) -> None:
    p, limit, costs = 12, 6, whole(12, 10, 12, 8, 1, placement=placement)
    block = by_arithmetic(p, limit, placement)
    times = []
    for m in (96, 96 + 10 * block.n_microbatches):
        found = slot_grid(p, m, costs, placement=placement, memory_limit=limit)  # type: ignore[arg-type]
        validate(found)
        assert max(peak_activations(found)) <= limit
        times.append(evaluate(found, costs).makespan)
        assert makespan(simulate(found, costs)) == times[-1]
    assert times[1] - times[0] == 10 * block.period


def test_it_is_at_the_front_door_too() -> None:
    assert sim.slot_grid is slot_grid


def test_without_a_limit_it_holds_what_1f1b_holds_and_a_loop_is_refused() -> None:
    costs = whole(4, 10, 12, 8, 1)
    assert max(peak_activations(slot_grid(4, 16, costs))) <= 4
    with pytest.raises(ValueError, match="must be 'v' or 'straight'"):
        slot_grid(4, 16, costs, placement="loop")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="clock is 'bogus': it must be 'makespan' or"):
        slot_grid(4, 16, costs, clock="bogus")  # type: ignore[arg-type]
