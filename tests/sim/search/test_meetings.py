"""What meetings cost: each step of the argument on blocks by chance, the bound against exact
answers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import Costs
from sim.schedule.ir import Kind, Op
from sim.search import smallest_interval
from sim.search.periodic.climb import climb_tables
from sim.search.periodic.decide_straight import straight_layout
from sim.search.periodic.decide_v import v_layout
from sim.search.periodic.fastest import fastest_layout
from sim.search.periodic.floors import area_of, least_loop
from sim.search.periodic.layout import Layout
from sim.search.periodic.meetings import least_time, meeting_bound, price
from sim.search.periodic.problem import BlockProblem, problem_of
from sim.search.periodic.rounds import critical, order_of_rounds, rounds_of, swap
from sim.search.periodic.slot_grid import legs
from sim.search.periodic.slot_grid_orders import slot_grid_orders
from sim.search.placement import stages_on
from sim.search.settings.effort import Effort


def times(draw: st.DrawFn, n: int, low: int, high: int) -> int | list[int]:
    """Of all stages alike, or of every one by chance."""
    one = st.integers(low, high)
    return draw(st.one_of(one, st.lists(one, min_size=n, max_size=n)))


@st.composite
def problems(draw: st.DrawFn, most: int = 6) -> BlockProblem:
    """A pipeline on which meetings have a price."""
    p = draw(st.integers(2, most))
    placement = stages_on(p, draw(st.sampled_from(["v", "straight"])))
    n, send = len(placement), draw(st.integers(1, 2))
    short = 2 * send + 1
    sends = st.lists(st.integers(send, send + 1), min_size=n - 1, max_size=n - 1)
    costs = Costs.of(
        n, forward=times(draw, n, short, short + 5), backward=times(draw, n, short, short + 5),
        weight=times(draw, n, draw(st.sampled_from([0, short])), short + 4),
        send=draw(st.one_of(st.just(send), sends)),
    )  # fmt: skip
    return problem_of(placement, costs, memory_limit=draw(st.integers(1, p)))[0]


@st.composite
def blocks(draw: st.DrawFn) -> tuple[BlockProblem, Layout, int]:
    """A block whose passes changed places by chance, its limit as high as it needs to be."""
    problem = draw(problems())
    found = slot_grid_orders(problem, 3, Effort(counted=True))
    order = found[draw(st.integers(0, len(found) - 1))].order
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    tables = climb_tables(problem, order.n)
    rounds = rounds_of(order, problem.n_stages)
    starts = np.zeros(rounds.order.size, np.int64)
    for _ in range(draw(st.integers(0, 60))):
        d = rng.integers(problem.n_devices)
        low, high = rounds.first[d], rounds.first[d + 1]
        i = rng.integers(low, high)
        swap(rounds, low, high, i)
        if critical(rounds, tables, 1, starts)[1] <= 0:
            swap(rounds, low, high, i)  # it would deadlock
    layout, scale = fastest_layout(problem, order_of_rounds(rounds, order.n))
    return problem, layout, scale


class Flights:
    """When legs are between two neighbours, in ticks: [end here, start there] of every leg."""

    def __init__(self, problem: BlockProblem, layout: Layout, scale: int, device: int) -> None:
        self.up: list[tuple[Fraction, Fraction]] = []
        self.down: list[tuple[Fraction, Fraction]] = []
        self.waits = Fraction(0)
        for leg in legs(problem, 0):
            a, b = leg.stages[device], leg.stages[device + 1]
            first, then = (a, b) if leg.up else (b, a)
            kind: Kind = "B" if leg.kind else "F"
            for i in range(layout.n):
                done = problem.duration(Op(kind, first, i))
                begin = Fraction(layout.start[Op(kind, first, i)], scale) + done
                end = Fraction(layout.start[Op(kind, then, i)], scale)
                (self.up if leg.up else self.down).append((begin, end))
                self.waits += end - begin - problem.send[min(first, then)]
        self.period = Fraction(layout.period, scale)

    def meetings(self) -> int:
        """Pairs of one period that have a moment in common."""
        return sum(
            math.floor((d - a) / self.period) - math.ceil((c - b) / self.period) + 1
            for a, b in self.up
            for c, d in self.down
        )


def spans_of(problem: BlockProblem) -> list[int]:
    """Of every two legs that go against each other: how long they take together at least."""
    known = legs(problem, 0)
    return [
        least_time(problem, a) + least_time(problem, b)
        for a in known
        for b in known
        if a.up and not b.up
    ]


def longer_sends(problem: BlockProblem) -> int:
    """What F and B of a microbatch spend on sends beyond the shortest of them."""
    between = zip(problem.placement, problem.placement[1:], strict=False)
    sends = [s for s, (a, b) in zip(problem.send, between, strict=True) if a != b]
    return 2 * sum(s - min(sends) for s in sends)


@settings(max_examples=40, deadline=None)
@given(blocks())
def test_every_step_of_the_argument_holds_in_blocks_by_chance(
    block: tuple[BlockProblem, Layout, int],
) -> None:
    problem, layout, scale = block
    cost = price(problem)
    if cost is None:
        return
    flights = [Flights(problem, layout, scale, d) for d in range(problem.n_devices - 1)]
    period, n = flights[0].period, layout.n
    longer = n * longer_sends(problem)
    waits = sum(one.waits for one in flights)
    # what meetings cost
    meetings = sum(one.meetings() for one in flights)
    idle = sum(period - n * problem.work(d) for d in range(problem.n_devices))
    assert meetings <= idle / cost.idle + (waits + longer) / cost.wait
    # how many there are
    assert meetings >= n * sum(span // period for span in spans_of(problem))
    # what waits take of the memory of device 0
    loops = sum(layout.start[Op("B", 0, i)] - layout.start[Op("F", 0, i)] for i in range(n))
    assert Fraction(loops, scale) >= n * least_loop(problem, 0) + waits


@given(problems(40), st.integers(1, 4))
def test_the_bound_is_where_there_is_room_for_all_meetings(problem: BlockProblem, n: int) -> None:
    cost, bound = price(problem), meeting_bound(problem, n)
    if cost is None or problem.limit is None:
        assert bound == 0
        return
    spans, limit = spans_of(problem), problem.limit[0]
    area = sum(area_of(problem, s, least_loop(problem, s)) for s in problem.stages_of[0])

    def room(interval: Fraction) -> Fraction:
        """For so many meetings per microbatch more than there are."""
        idle = sum(interval - problem.work(d) for d in range(problem.n_devices))
        waits = (interval * limit - area) / problem.kept[0] + longer_sends(problem)
        meetings = n * sum(span // (n * interval) for span in spans)
        return Fraction(idle / cost.idle + waits / cost.wait - meetings)

    near = Fraction(1, 10**6)
    assert room(bound - near) < 0 <= room(bound + near)


@pytest.mark.parametrize(("p", "limit"), [(64, 28), (32, 14), (16, 7)])
def test_scarce_memory_has_a_bound_above_work_and_area(p: int, limit: int) -> None:
    costs = Costs.of(2 * p, forward=5, backward=6, weight=4, send=1)
    block = smallest_interval(
        stages_on(p, "v"), costs, memory_limit=limit, microbatches_per_period=2, time_limit=0
    )
    assert block.floor * 1.02 < block.interval_bound < block.interval


def test_nothing_is_known_where_a_meeting_may_cost_nothing() -> None:
    """Two sends take as long as a W: it fills the gaps, and nobody waits."""
    for weight, send in ((4, 2), (4, 0), (1, 1)):
        costs = Costs.of(8, forward=5, backward=6, weight=weight, send=send)
        problem, _ = problem_of(stages_on(4, "v"), costs, memory_limit=2)
        assert meeting_bound(problem, 1) == 0
    loop = Costs.of(8, forward=5, backward=6, weight=4, send=1)
    assert meeting_bound(problem_of(stages_on(4, "loop"), loop, memory_limit=3)[0], 1) == 0


@settings(max_examples=60, deadline=None)
@given(problems(5))
def test_no_exact_answer_is_below_the_bound(problem: BlockProblem) -> None:
    """One microbatch per period is decided exactly."""
    bound = meeting_bound(problem, 1)
    below = math.ceil(bound) - 1
    if problem.n_stages == problem.n_devices:
        assert below < 1 or straight_layout(problem, below) is None
    else:
        answer = v_layout(problem, below) if below >= 1 else None
        assert answer is None or answer.layout is None


@settings(max_examples=40, deadline=None)
@given(problems(9), st.integers(1, 4))
def test_no_block_is_below_the_bound(problem: BlockProblem, most: int) -> None:
    for found in slot_grid_orders(problem, most, Effort(counted=True)):
        assert found.interval >= meeting_bound(problem, found.order.n)
