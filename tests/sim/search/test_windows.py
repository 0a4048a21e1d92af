"""Windows of the solver and annealing: never worse, never outside the memory, sometimes proven."""

from __future__ import annotations

import numpy as np
import pytest
from counted import list_scheduled, window
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import FAMILIES, Costs, Schedule
from sim.metrics.metrics import peak_activations
from sim.schedule.validate import validate
from sim.search import evaluate, lower_bound, search
from sim.search.orders.improve import annealed, improve
from sim.search.orders.lengthen import longer, with_middle, without_middle
from sim.search.orders.pool import Pool
from sim.search.orders.problem import Order, OrderProblem, order_problem
from sim.search.orders.replay import replayed, within
from sim.search.placement import Placement, stages_on
from sim.search.settings.effort import Effort
from sim.search.settings.run_options import RunOptions


def uniform(placement: Placement, p: int, *times: int) -> Costs:
    """Costs of F, B, W of a device's whole share, and send."""
    bare = Schedule(stages_on(p, placement), ((),) * p, 1)
    names = ("forward", "backward", "weight", "send")
    return Costs.uniform(bare, **dict(zip(names, times, strict=True)))


def checked(given: OrderProblem, order: Order) -> Schedule:
    """The order as a schedule that is valid, within the limits and worth what it claims."""
    schedule = given.schedule(order, "found")
    validate(schedule)
    found = evaluate(schedule, given.costs)
    assert getattr(found, given.clock) == given.in_units(replayed(given, order).value)
    assert within(given, order)
    return schedule


problems = st.builds(
    lambda placement, p, m, times, limit, clock: order_problem(
        stages_on(p, placement),
        m,
        uniform(placement, p, *times),
        clock=clock,
        memory_limit=limit,
    ),
    st.sampled_from(("straight", "loop", "v")),
    st.integers(1, 4),
    st.integers(1, 7),
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 3)),
    st.sampled_from((1, 1.5, 2, 3, 4)),
    st.sampled_from(("makespan", "longest_stage")),
)


@settings(max_examples=60, deadline=None)
@given(problems, st.integers(0, 1000))
def test_annealing_keeps_limits_and_never_loses(given_problem: OrderProblem, seed: int) -> None:
    run = RunOptions(Effort(counted=True), seed)
    for found in list_scheduled(given_problem, seconds=0.02, run=run)[:1]:
        checked(given_problem, found.order)
        pool = Pool(given_problem)
        pool.add(found.order, "greedy")
        better, _ = annealed(pool, found.order, moves=300, heat=1.0, seed=seed)
        assert replayed(given_problem, better).value <= found.value
        checked(given_problem, better)


@settings(max_examples=25, deadline=None)
@given(problems, st.floats(0, 1), st.floats(0, 1))
def test_a_window_keeps_limits_and_never_loses(
    given_problem: OrderProblem, low: float, high: float
) -> None:
    run = RunOptions(Effort(counted=True), workers=1)
    for found in list_scheduled(given_problem, seconds=0.02, run=run)[:1]:
        low, high = sorted((low * found.value, high * found.value))
        better = window(
            given_problem, found.order, low=int(low), high=int(high) + 1, seconds=0.3, run=run
        )
        assert better.value <= found.value
        assert better.value == replayed(given_problem, better.order).value
        checked(given_problem, better.order)


@pytest.mark.parametrize(("m", "limit", "optimum"), [(8, 3, 31), (8, 2, 41)])
def test_a_window_over_everything_proves_the_optimum(m: int, limit: int, optimum: int) -> None:
    given_problem = order_problem(
        stages_on(4, "straight"), m, uniform("straight", 4, 1, 1, 1, 0), memory_limit=limit
    )
    start = list_scheduled(given_problem, seconds=0.2)[0]
    found = window(given_problem, start.order, seconds=60)
    assert (found.value, found.bound, found.proven) == (optimum, optimum, True)


def test_a_repeatable_window_gives_the_same_answer_twice() -> None:
    given_problem = order_problem(stages_on(4, "v"), 6, uniform("v", 4, 6, 8, 4, 1), memory_limit=2)
    start = list_scheduled(given_problem, seconds=0.1)[-1].order
    found = [window(given_problem, start, seconds=0.2) for _ in range(2)]
    assert np.array_equal(found[0].order, found[1].order)


def test_bytes_that_rise_and_fall_at_b_are_kept_within_the_limit() -> None:
    place = stages_on(3, "v")
    for change in (-3, 4):
        costs = Costs.of(
            6, forward=[2, 3, 2, 3, 2, 3], backward=4, weight=2, send=1, activation_bytes=10,
            backward_bytes=[change] * 6, static_bytes=7,
        )  # fmt: skip
        given_problem = order_problem(place, 6, costs, memory_bytes=64)
        run = RunOptions(Effort(counted=True), workers=1)
        start = list_scheduled(given_problem, seconds=0.2, run=run)[0]
        pool = Pool(given_problem)
        pool.add(start.order, "greedy")
        improve(pool, until=run.effort.now() + 0.4, run=run)
        schedule = checked(given_problem, pool.best.order)
        assert max(evaluate(schedule, costs).peak_bytes) <= 64
        assert lower_bound(schedule, costs, memory_bytes=64) <= given_problem.in_units(
            pool.best.value
        )


def test_the_middle_of_a_schedule_can_be_taken_out_put_back_and_repeated() -> None:
    costs = uniform("v", 4, 10, 12, 8, 1)
    for name in ("v-half", "zb-v", "v-min"):
        schedule = FAMILIES[name](4, 40)
        whole = order_problem(stages_on(4, "v"), 40, costs)
        order = whole.order(schedule)
        assert order is not None
        short = without_middle(whole, order, 8)
        assert short is not None
        assert short.problem.n_microbatches < 30
        validate(short.problem.schedule(short.order, name))
        assert np.array_equal(with_middle(short, short.order), order)
        extended = longer(whole, order, 53)
        assert extended is not None
        larger = whole.with_microbatches(53).schedule(extended, name)
        validate(larger)
        assert peak_activations(larger) == peak_activations(schedule)
        more = evaluate(larger, costs).makespan - evaluate(schedule, costs).makespan
        assert 13 * 30 <= more <= 13 * 1.4 * 30


@pytest.mark.slow
def test_a_window_that_has_no_better_order_does_not_end_the_process() -> None:
    """OR-Tools 9.15 aborts here, at the second window, where workers take turns."""
    found = search(
        8, 8, uniform("v", 8, 10, 12, 8, 1), memory_limit=8, clock="longest_stage",
        moves=25_000_000, progress=False,
    )  # fmt: skip
    assert 292 <= found.lower_bound <= found.value <= 300
