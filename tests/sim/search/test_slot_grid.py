"""The slot grid: nothing collides on any number of devices, and memory between V-Min and V-Half."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sim
from sim import Costs, Schedule, makespan, peak_activations, simulate, validate
from sim.search import ComputedBlock, evaluate, slot_grid, smallest_interval
from sim.search.periodic.block_schedule import unrolled_block
from sim.search.periodic.fastest import fastest_layout
from sim.search.periodic.layout import check_layout
from sim.search.periodic.problem import BlockProblem, problem_of
from sim.search.periodic.slot_grid import ALIKE, even_starts, grids, legs
from sim.search.periodic.slot_grid_climb import moved_weights
from sim.search.periodic.slot_grid_orders import periodic, ranked_grids, slot_grid_orders
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
        microbatches_per_period=8, time_limit=0, effort=Effort(counted=True),
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
def test_no_two_passes_share_a_slot_on_any_device_where_there_are_enough(
    problem: BlockProblem, most: int
) -> None:
    """A period of fewer slots than F and B has an F and a B of one direction in some of them."""
    for grid, _ in zip(grids(problem, most), range(60), strict=False):
        found = legs(problem, grid.gap)
        for device in range(problem.n_devices):
            taken = [
                ((leg.on(device) + start) % grid.slots, leg.up, leg.kind)
                for leg in found
                for start in grid.starts
            ]
            slots = {slot for slot, *_ in taken}
            assert len(set(taken)) == len(taken)
            assert len({(slot, up) for slot, up, _ in taken}) == len(slots)
            assert len(slots) == len(taken) or len(taken) > grid.slots


@settings(max_examples=20, deadline=None)
@given(problems(), st.integers(1, 3))
def test_its_orders_keep_the_limit_and_repeat_with_their_interval(
    problem: BlockProblem, most: int
) -> None:
    before = Fraction(0)
    for interval, _, order in slot_grid_orders(problem, most, Effort()):
        layout, scale = fastest_layout(problem, order)
        check_layout(problem, layout, scale)  # plays it out, device by device, against the limit
        assert order.n <= most
        assert interval == max(Fraction(layout.period, scale * order.n), Fraction(1, order.n))
        assert interval >= before  # the fastest comes first
        before = interval


@given(st.integers(1, 11), st.integers(1, 6), st.integers(0, 10), st.booleans())
def test_starts_are_the_most_even_ones_of_all(pairs: int, n: int, apart: int, alone: bool) -> None:
    if n > pairs:
        return
    taken = None if alone else apart % pairs

    def spread(starts: tuple[int, ...]) -> int:
        late = [n * s - pairs * j for j, s in enumerate(starts)]
        return max(late) - min(late)

    def turned(starts: tuple[int, ...]) -> tuple[int, ...]:
        """The first of all turns of the circle that leave a start at 0."""
        return min(tuple(sorted((s - by) % pairs for s in starts)) for by in starts)

    allowed = [
        (0, *rest)
        for rest in combinations(range(1, pairs), n - 1)
        if taken is None or all((a + taken) % pairs not in (0, *rest) for a in (0, *rest))
    ]
    found = even_starts(pairs, n, taken)
    assert set(found) <= set(allowed)
    assert len({turned(starts) for starts in found}) == len(found)
    assert len(found) == min(ALIKE, len({turned(starts) for starts in allowed}))
    assert min(map(spread, allowed), default=0) == min(map(spread, found), default=0)


@pytest.mark.parametrize(
    ("p", "limit", "interval"),
    [(16, 7, 36), (16, 8, 33), (32, 14, 35), (64, 28, 34.67)],
)
def test_intervals_at_scarce_memory_that_a_minute_of_search_did_not_reach(
    p: int, limit: int, interval: float
) -> None:
    """Searches of a minute found 36.4, 32.3, 37 and 42.1 with (10, 12, 8, 1)."""
    block = by_arithmetic(p, limit)
    assert block.floor <= block.interval <= interval
    assert block.method == "slot grid"


def test_long_sends_leave_room_for_two_passes_in_a_slot() -> None:
    """With one pass in a slot, four slots of 3.5 + 1 are the least that a microbatch can take."""
    costs = whole(8, 5, 7, 3, 1)
    problem, tick = problem_of(stages_on(8, "v"), costs, memory_limit=6)
    found = slot_grid_orders(problem, 3, Effort())[0]
    assert found.interval * tick <= 15.5 < 4 * 4.5
    schedule = slot_grid(8, 32, costs, memory_limit=6)
    assert max(peak_activations(schedule)) <= 6
    assert makespan(simulate(schedule, costs)) == evaluate(schedule, costs).makespan


def test_it_is_never_slower_than_the_published_blocks() -> None:
    """V-Half holds 9 shares on 16 devices, and its interval is the work alone."""
    assert by_arithmetic(16, 9).interval == by_arithmetic(16, 9).floor == 30


@pytest.mark.parametrize(("p", "halves"), [(6, range(5, 10)), (12, range(10, 16))])
def test_more_memory_never_makes_the_interval_longer(p: int, halves: range) -> None:
    """The shortest in slots may repeat more slowly than what fits into less memory."""
    intervals = [by_arithmetic(p, half / 2).interval for half in halves]
    assert intervals == sorted(intervals, reverse=True)
    assert intervals[-1] < intervals[0]


@pytest.mark.parametrize("placement", ["v", "straight"])
def test_the_schedule_is_valid_keeps_its_limit_and_its_ends_are_shorter_than_the_blocks(
    placement: Placement,
) -> None:
    p, limit, costs = 8, 4, whole(8, 10, 12, 8, 1, placement=placement)
    block = by_arithmetic(p, limit, placement)
    found = slot_grid(p, 40, costs, placement=placement, memory_limit=limit)  # type: ignore[arg-type]
    validate(found)
    assert max(peak_activations(found)) <= limit
    played = makespan(simulate(found, costs))
    assert played == evaluate(found, costs).makespan
    repeated = unrolled_block(block, costs, 40).schedule(found.placement, 40, "repeated")
    assert played < evaluate(repeated, costs).makespan


def test_it_is_at_the_front_door_too() -> None:
    assert sim.slot_grid is slot_grid


def test_without_a_limit_it_holds_what_1f1b_holds_and_a_loop_is_refused() -> None:
    costs = whole(4, 10, 12, 8, 1)
    assert max(peak_activations(slot_grid(4, 16, costs))) <= 4
    with pytest.raises(ValueError, match="must be 'v' or 'straight'"):
        slot_grid(4, 16, costs, placement="loop")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="clock is 'bogus': it must be 'makespan' or"):
        slot_grid(4, 16, costs, clock="bogus")  # type: ignore[arg-type]


@settings(max_examples=15, deadline=None)
@given(problems(), st.integers(0, 3))
def test_moving_weights_keeps_the_limit_and_makes_orders_faster(
    problem: BlockProblem, seed: int
) -> None:
    effort = Effort(counted=True)
    intervals = []
    ranking = ranked_grids(problem, 3, effort)
    assert ranking
    for passes, n in moved_weights(ranking, effort.now() + 0.02, seed):
        layout, scale = fastest_layout(problem, periodic(passes, n))
        check_layout(problem, layout, scale)
        intervals.append(Fraction(layout.period, scale * n))
    assert intervals == sorted(intervals, reverse=True)


def test_moving_weights_finds_what_no_rule_gives() -> None:
    costs = whole(16, 10, 12, 8, 1)
    problem, _ = problem_of(stages_on(16, "v"), costs, memory_limit=8)
    effort = Effort(counted=True)
    ranking = ranked_grids(problem, 3, effort)
    assert ranking
    assert ranking.least
    by_rule = ranking.least
    found = list(moved_weights(ranking, effort.now() + 1.5, 0))
    assert found
    layout, scale = fastest_layout(problem, periodic(*found[-1]))
    assert Fraction(layout.period, scale * layout.n) < by_rule
