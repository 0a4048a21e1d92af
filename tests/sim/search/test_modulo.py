"""The computed block: smallest interval under a limit, proven; a valid schedule for any m."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from counted import smallest_interval, solver_layout
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import Costs, validate
from sim.base.numbers import exact
from sim.search import ComputedBlock, block_schedule, evaluate
from sim.search.periodic.decide_straight import straight_layout
from sim.search.periodic.decide_v import v_layout
from sim.search.periodic.layout import Answer, Layout, check_layout
from sim.search.periodic.problem import BlockProblem, problem_of


def v(p: int) -> tuple[int, ...]:
    return (*range(p), *reversed(range(p)))


def shares(p: int, forward: float, backward: float, weight: float, send: float = 0) -> Costs:
    """Equal devices of two stages each, times of a whole share."""
    return Costs.of(
        2 * p,
        forward=Fraction(forward) / 2,
        backward=Fraction(backward) / 2,
        weight=Fraction(weight) / 2,
        send=send,
    )


def assert_sound(block: ComputedBlock, costs: Costs, limits: Sequence[float] | None = None) -> None:
    """Play many periods of the block, pass by pass: inputs, overlaps, and the limit in shares."""
    n, stages, period = block.n_microbatches, len(block.placement), exact(block.period)
    tables = {"F": block.forward, "B": block.backward, "W": block.weight}
    lengths = {"F": costs.forward, "B": costs.backward, "W": costs.weight}

    def start(kind: str, s: int, i: int) -> Fraction:
        return exact(tables[kind][i % n][s]) + period * (i // n)

    def end(kind: str, s: int, i: int) -> Fraction:
        return start(kind, s, i) + exact(lengths[kind][s][0])

    span = max(end("W", s, n - 1) for s in range(stages)) - min(
        start("F", s, 0) for s in range(stages)
    )
    m = n * (int(span // period) + 4)
    for i in range(n):
        for s in range(stages):
            send = Fraction(0)
            if s:
                send = exact(costs.send[s - 1]) * (block.placement[s - 1] != block.placement[s])
                assert start("F", s, i) >= end("F", s - 1, i) + send
                assert start("B", s - 1, i) >= end("B", s, i) + send
            assert start("B", s, i) >= end("F", s, i)
            assert start("W", s, i) >= end("B", s, i)
    for device in range(block.n_devices):
        here = [s for s in range(stages) if block.placement[s] == device]
        busy = sorted((start(k, s, i), end(k, s, i)) for k in "FBW" for s in here for i in range(m))
        assert all(b[0] >= a[1] for a, b in pairwise(busy))
        if limits is not None:
            changes = sorted(
                [(end("W", s, i), -1) for s in here for i in range(m)]
                + [(start("F", s, i), 1) for s in here for i in range(m)]
            )
            alive = 0
            for _, change in changes:
                alive += change
                assert Fraction(alive, len(here)) <= limits[device]


@pytest.mark.parametrize(
    ("times", "p", "limit", "interval"),
    [
        ((5, 7, 3, 0), 4, 2, 18),
        ((5, 7, 3, 0), 4, 3, 15),
        ((5, 7, 3, 0), 8, 5, 15),
        ((3, 4, 2, 0), 4, 2, 10.5),
        ((3, 4, 2, 0), 8, 4, 10.5),
        ((10, 12, 8, 0), 4, 2, 34),
        ((5, 7, 3, 1), 4, 2, 22),
        ((5, 7, 3, 1), 4, 3, 16),
        ((1, 1, 1, 0), 4, 2, 3),
        ((1, 1, 1, 0), 6, 3, 3),
        ((1, 1, 1, 0), 16, 6, 3),
    ],
)
def test_the_smallest_interval_of_a_v_is_found_and_proven(
    times: tuple[int, int, int, int], p: int, limit: int, interval: float
) -> None:
    costs = shares(p, *times)
    block = smallest_interval(v(p), costs, memory_limit=limit)
    assert block.interval == interval
    assert block.interval_bound == interval
    assert block.proven
    assert_sound(block, costs, [limit] * p)


@pytest.mark.parametrize(("limit", "interval"), [(1, 9), (2, 5), (3, 4), (4, 3)])
def test_a_straight_pipeline_needs_longer_where_memory_is_short(limit: int, interval: int) -> None:
    costs = Costs.of(4, forward=1, backward=1, weight=1)
    block = smallest_interval((0, 1, 2, 3), costs, memory_limit=limit)
    assert (block.interval, block.proven) == (interval, True)
    assert_sound(block, costs, [limit] * 4)


def test_a_loop_is_solved_and_proven() -> None:
    costs = Costs.of(6, forward=2, backward=3, weight=1, send=1)
    block = smallest_interval((0, 1, 2, 0, 1, 2), costs, memory_limit=2.5, time_limit=20)
    assert block.proven
    assert_sound(block, costs, [2.5] * 3)


def test_several_microbatches_per_period_can_beat_one() -> None:
    costs = Costs.of(4, forward=1, backward=1, weight=1)
    block = smallest_interval(
        (0, 1, 2, 3), costs, memory_limit=3, microbatches_per_period=3, time_limit=2
    )
    assert block.interval < 4
    assert block.interval_bound <= block.interval
    assert_sound(block, costs, [3] * 4)


def test_long_profiled_times_are_bounded_from_both_sides() -> None:
    costs = shares(4, 18522, 18086, 9337, 601)
    block = smallest_interval(v(4), costs, memory_limit=2, time_limit=2)
    assert 45945 <= block.interval_bound <= block.interval < 1.05 * block.interval_bound
    assert_sound(block, costs, [2] * 4)


def test_long_profiled_times_of_a_straight_pipeline_are_proven_to_the_last_digit() -> None:
    costs = Costs.of(8, forward=18522, backward=18086, weight=9337, send=601)
    block = smallest_interval(tuple(range(8)), costs, memory_limit=6)
    assert (block.interval, block.proven) == (74418, True)


def test_a_head_ten_times_a_layer_decides_the_interval() -> None:
    costs = Costs.of(
        8, forward=[1] * 7 + [10], backward=[1] * 7 + [10], weight=[1] * 7 + [10], send=0
    )
    block = smallest_interval(v(4), costs, memory_limit=2, time_limit=20)
    assert (block.interval, block.proven) == (33, True)
    assert_sound(block, costs, [2] * 4)


def test_without_a_limit_the_busiest_device_decides() -> None:
    costs = shares(6, 5, 7, 3, 1)
    for placement in (v(6), (0, 1, 2, 3, 4, 5) * 2):
        block = smallest_interval(placement, costs)
        assert (block.interval, block.proven) == (15, True)
        assert_sound(block, costs)


def test_one_device_and_timeless_passes_work() -> None:
    one = Costs.of(1, forward=1, backward=2, weight=3)
    assert smallest_interval((0,), one, memory_limit=1).interval == 6
    nothing = Costs.of(4, forward=0, backward=0, weight=0)
    assert smallest_interval((0, 1, 1, 0), nothing, memory_limit=1).interval == 0
    fused = Costs.of(4, forward=1, backward=2, weight=0, send=0)
    block = smallest_interval((0, 1, 1, 0), fused, memory_limit=2)
    assert block.proven
    assert_sound(block, fused, [2, 2])


def test_a_limit_below_one_microbatch_names_the_smallest_that_works() -> None:
    costs = Costs.of(4, forward=1, backward=1, weight=1, activation_bytes=10, static_bytes=100)
    with pytest.raises(ValueError, match="smallest limit that can be met is 1"):
        smallest_interval((0, 1, 1, 0), costs, memory_limit=0.5)
    with pytest.raises(ValueError, match="takes 220 bytes"):
        smallest_interval((0, 1, 1, 0), costs, memory_bytes=219)
    assert smallest_interval((0, 1, 1, 0), costs, memory_bytes=220, time_limit=5).interval == 8


def test_bytes_given_back_at_b_buy_speed() -> None:
    held = Costs.of(8, forward=1, backward=1, weight=1, activation_bytes=10)
    lean = Costs.of(8, forward=1, backward=1, weight=1, activation_bytes=10, backward_bytes=-8)
    slow = smallest_interval(v(4), held, memory_bytes=35)
    fast = smallest_interval(v(4), lean, memory_bytes=35)
    assert fast.proven
    assert slow.proven
    assert fast.interval < slow.interval


@pytest.mark.parametrize(
    ("placement", "message"),
    [((0, 2), "must be 0 to 2"), ((), "placement is empty"), ((0, 1, 2), "placement has 3")],
)
def test_a_placement_that_is_none_is_refused(placement: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        smallest_interval(placement, Costs.of(2, forward=1, backward=1, weight=1))


times = st.integers(0, 4)


@settings(max_examples=15, deadline=None)
@given(st.data(), st.integers(1, 3), st.sampled_from(["shares", "bytes"]))
def test_the_table_and_the_solver_agree_on_every_period(
    data: st.DataObject, p: int, unit: str
) -> None:
    n = 2 * p
    rows = st.lists(times, min_size=n, max_size=n)
    costs = Costs.of(
        n,
        forward=data.draw(rows),
        backward=data.draw(rows),
        weight=data.draw(st.lists(times, min_size=n, max_size=n)),
        send=data.draw(st.lists(st.integers(0, 3), min_size=n - 1, max_size=n - 1)),
        activation_bytes=4,
        backward_bytes=data.draw(st.lists(st.integers(-4, 3), min_size=n, max_size=n)),
    )
    limit = data.draw(st.integers(1, 2 * p)) if unit == "shares" else data.draw(st.integers(14, 30))
    kind = {"memory_limit" if unit == "shares" else "memory_bytes": limit}
    problem, _ = problem_of(v(p), costs, **kind)
    low = max(1, *(problem.work(d) for d in range(p)))
    for period in range(low, low + 5):
        table = v_layout(problem, period)
        solver = solver_layout(problem, period, 1, time_limit=20)
        assert table is not None
        assert solver.proven
        # unsure at most where both passes of a kind on a device can be at once, others between them
        assert table.proven or any(
            not any(row[d : n - d]) and not any(problem.send[d : n - 1 - d])
            for row in (problem.forward, problem.backward)
            for d in range(p - 1)
        )
        if table.proven:
            assert (table.layout is None) == (solver.layout is None)
        for layout in (table.layout, solver.layout):
            assert_runs(problem, layout)


def test_a_backward_without_length_counts_what_it_adds() -> None:
    """At period 1 two microbatches are alive on device 2 when B, of no length, adds a byte."""
    costs = Costs.of(
        4,
        forward=[0, 0, 1, 0],
        backward=[0, 0, 0, 1],
        weight=[0] * 4,
        activation_bytes=4,
        backward_bytes=[0, 0, 1, 0],
    )
    eight, _ = problem_of(range(4), costs, memory_bytes=8)
    nine, _ = problem_of(range(4), costs, memory_bytes=9)
    for problem, found in ((eight, False), (nine, True)):
        assert (straight_layout(problem, 1) is not None) == found
        assert (solver_layout(problem, 1, 1, time_limit=20).layout is not None) == found


def test_a_backward_counts_what_it_adds_before_its_weight_at_the_same_instant() -> None:
    """At period 2 device 2 runs F2 F3(i) at 0 and B3 B2 W2(i-1) at 1: two microbatches of 8 bytes
    are alive when B3 adds one, though W2 frees 4 at that instant."""
    costs = Costs.of(
        6,
        forward=[0, 0, 0, 1, 1, 1],
        backward=0,
        weight=0,
        activation_bytes=4,
        backward_bytes=[0, 0, 0, 1, 0, 0],
    )
    assert not any(_found(v(3), costs, 16, 2))
    assert all(_found(v(3), costs, 17, 2))


def test_a_table_tries_passes_of_one_instant_in_every_order() -> None:
    """One microbatch at a time, F0 F1 B1 W1 B0 W0, holds 4 8 8 4 7 7 bytes; B1 and B0 share an
    instant with W0."""
    costs = Costs.of(
        2,
        forward=[1, 0],
        backward=0,
        weight=[1, 0],
        activation_bytes=4,
        backward_bytes=[3, 0],
    )
    assert all(_found(v(1), costs, 8, 2))


def test_passes_of_one_instant_run_one_after_the_other() -> None:
    """Three that take no time and see each other in a circle would hide a byte."""
    costs = Costs.of(
        4,
        forward=0,
        backward=[1, 1, 0, 0],
        weight=0,
        activation_bytes=4,
        backward_bytes=[1, -4, 3, 1],
    )
    problem, _ = problem_of(v(2), costs, memory_bytes=12)
    assert solver_layout(problem, 3, 2, time_limit=20) == Answer(None, True)


def test_an_order_that_ties_spoil_is_not_taken() -> None:
    """Period 3/2 needs the W3 of one microbatch before the B0 of an older one at one instant."""
    costs = Costs.of(
        4,
        forward=[0, 0, 0, 1],
        backward=0,
        weight=0,
        send=[0, 0, 1],
        activation_bytes=4,
        backward_bytes=[3, 0, 0, 0],
    )
    block = smallest_interval(v(2), costs, memory_bytes=18, time_limit=5)
    assert block.interval_bound <= 1.5 < block.interval
    assert smallest_interval(v(2), costs, memory_bytes=19).interval == 1.5


def test_a_pass_without_length_leaves_before_one_that_starts_at_its_instant() -> None:
    """W3 of a newer microbatch frees what B1 of an older one adds."""
    costs = Costs.of(
        4,
        forward=0,
        backward=[0, 1, 0, 1],
        weight=0,
        send=[0, 1, 1],
        activation_bytes=4,
        backward_bytes=[0, 3, 0, 0],
    )
    block = smallest_interval((0, 1, 0, 1), costs, memory_bytes=17)
    schedule = block_schedule(block, 4, costs, memory_bytes=17)
    validate(schedule)
    assert max(evaluate(schedule, costs).peak_bytes) <= 17


def _found(placement: Sequence[int], costs: Costs, limit: int, period: int) -> tuple[bool, bool]:
    """Whether the table and the solver find a layout, both of them sure."""
    problem, _ = problem_of(placement, costs, memory_bytes=limit)
    table, solver = v_layout(problem, period), solver_layout(problem, period, 1, time_limit=20)
    assert table is not None
    assert table.proven
    assert solver.proven
    return table.layout is not None, solver.layout is not None


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 4))
def test_the_recursion_and_the_solver_agree_on_every_period(data: st.DataObject, p: int) -> None:
    rows = st.lists(times, min_size=p, max_size=p)
    costs = Costs.of(
        p,
        forward=data.draw(rows),
        backward=data.draw(rows),
        weight=data.draw(st.lists(times, min_size=p, max_size=p)),
        send=data.draw(st.lists(st.integers(0, 3), min_size=p - 1, max_size=p - 1)),
        activation_bytes=4,
        backward_bytes=data.draw(st.lists(st.integers(-4, 3), min_size=p, max_size=p)),
    )
    problem, _ = problem_of(tuple(range(p)), costs, memory_bytes=data.draw(st.integers(7, 20)))
    low = max(1, *(problem.work(d) for d in range(p)))
    for period in range(low, low + 8):
        found = straight_layout(problem, period)
        solver = solver_layout(problem, period, 1, time_limit=20)
        assert solver.proven
        assert (found is None) == (solver.layout is None)
        if found is not None:
            check_layout(problem, found)
        assert_runs(problem, solver.layout)


def assert_runs(problem: BlockProblem, layout: Layout | None) -> None:
    """A layout is what it claims; where ties may need another order than ours, but for memory."""
    ties = min(*problem.forward, *problem.backward, *problem.weight) == 0
    if layout is not None:
        check_layout(replace(problem, limit=None) if ties else problem, layout)


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(1, 4), st.integers(1, 9))
def test_a_block_is_sound_and_gives_a_valid_schedule_for_any_m(
    data: st.DataObject, p: int, m: int
) -> None:
    placement = data.draw(st.sampled_from([v(p), tuple(range(p))]))
    n = len(placement)
    rows = st.lists(times, min_size=n, max_size=n)
    costs = Costs.of(
        n,
        forward=data.draw(rows),
        backward=data.draw(rows),
        weight=data.draw(rows),
        send=data.draw(st.lists(st.integers(0, 2), min_size=n - 1, max_size=n - 1)),
    )
    limit = data.draw(st.integers(1, p + 1))
    block = smallest_interval(placement, costs, memory_limit=limit, time_limit=5)
    assert block.floor <= block.interval_bound <= block.interval
    schedule = block_schedule(block, m, costs, memory_limit=limit)
    validate(schedule)
    assert max(evaluate(schedule, costs).peak_activations) <= limit


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(1, 9), st.integers(11, 30))
def test_a_schedule_of_a_block_keeps_a_limit_in_bytes(
    data: st.DataObject, p: int, m: int, limit: int
) -> None:
    placement = data.draw(st.sampled_from([v(p), (*range(p),) * 2]))
    rows = st.lists(st.integers(0, 2), min_size=2 * p, max_size=2 * p)
    costs = Costs.of(
        2 * p,
        forward=data.draw(rows),
        backward=data.draw(rows),
        weight=data.draw(rows),
        send=data.draw(st.lists(st.integers(0, 2), min_size=2 * p - 1, max_size=2 * p - 1)),
        activation_bytes=4,
        backward_bytes=data.draw(st.lists(st.integers(-4, 3), min_size=2 * p, max_size=2 * p)),
    )
    block = smallest_interval(placement, costs, memory_bytes=limit, time_limit=2)
    assert block.floor <= block.interval_bound <= block.interval
    schedule = block_schedule(block, m, costs, memory_bytes=limit)
    validate(schedule)
    assert max(evaluate(schedule, costs).peak_bytes) <= limit


def test_the_schedule_of_a_block_takes_one_interval_per_microbatch() -> None:
    costs = shares(4, 5, 7, 3, 0)
    block = smallest_interval(v(4), costs, memory_limit=2)
    spans = [
        evaluate(block_schedule(block, m, costs, memory_limit=2), costs).makespan for m in (40, 80)
    ]
    assert spans[1] - spans[0] <= 40 * block.interval


def test_a_warm_start_is_never_lost() -> None:
    costs = shares(4, 5, 7, 3, 0)
    block = smallest_interval(v(4), costs, memory_limit=2)
    again = smallest_interval(v(4), costs, memory_limit=2, time_limit=0, warm_start=block)
    assert again.interval == block.interval


def test_passes_that_take_no_time_still_leave_in_microbatch_order() -> None:
    costs = Costs.of(4, forward=0, backward=0, weight=0, send=[0, 0, 1])
    block = smallest_interval((0, 1, 1, 0), costs, memory_limit=3)
    for m in (1, 3, 5, 8):
        schedule = block_schedule(block, m, costs, memory_limit=3)
        validate(schedule)
        assert max(evaluate(schedule, costs).peak_activations) <= 3


def test_a_limit_in_thirds_is_the_whole_number_of_pieces_that_it_stands_for() -> None:
    costs = Costs.of(6, forward=2, backward=3, weight=1, send=1)
    found = [
        smallest_interval((0, 1, 0, 1, 0, 1), costs, memory_limit=limit, time_limit=1).interval
        for limit in (4 / 3, Fraction(4, 3), 1)
    ]
    assert found[0] == found[1] < found[2]
