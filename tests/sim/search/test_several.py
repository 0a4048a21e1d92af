"""Several microbatches per period: the fast climb tells the truth, and beats one per period."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from counted import smallest_interval
from hypothesis import given, settings
from hypothesis import strategies as st
from ortools.sat.python import cp_model

from sim import Costs
from sim.search import ComputedBlock
from sim.search.cp_sat import solve
from sim.search.periodic.climb import climb_tables, climbed
from sim.search.periodic.fastest import fastest_layout
from sim.search.periodic.layout import check_layout, one_at_a_time, order_of
from sim.search.periodic.problem import BlockProblem, problem_of
from sim.search.periodic.rounds import order_of_rounds, rounds_of
from sim.search.periodic.unroll import of_several_periods
from sim.search.settings.effort import Effort


@st.composite
def problems(draw: st.DrawFn) -> tuple[BlockProblem, int]:
    """A V or straight pipeline under a limit, and how many microbatches make a period."""
    p = draw(st.integers(1, 3))
    placement = draw(st.sampled_from([tuple(range(p)), (*range(p), *reversed(range(p)))]))
    rows = st.lists(st.integers(1, 5), min_size=len(placement), max_size=len(placement))
    costs = Costs.of(
        len(placement),
        forward=draw(rows),
        backward=draw(rows),
        weight=draw(rows),
        send=draw(st.integers(0, 2)),
    )
    problem, _ = problem_of(placement, costs, memory_limit=draw(st.integers(1, 3)))
    return problem, draw(st.integers(1, 3))


@settings(max_examples=60, deadline=None)
@given(problems(), st.sampled_from([0.0, 0.05]), st.integers(0, 99))
def test_the_climb_keeps_its_word(given: tuple[BlockProblem, int], heat: float, seed: int) -> None:
    """The period it claims is that of its order, which keeps the limit and is no longer than
    before."""
    problem, n = given
    start = of_several_periods(order_of(problem, one_at_a_time(problem)), n)
    before, scale = fastest_layout(problem, start)
    climb = climbed(
        rounds_of(start, problem.n_stages), climb_tables(problem, n), 60, heat, 0.0,
        np.random.default_rng(seed),
    )  # fmt: skip
    found, of = fastest_layout(problem, order_of_rounds(climb.rounds, n))
    check_layout(problem, found, of)
    assert Fraction(found.period, of) == Fraction(climb.ticks, climb.periods)
    assert Fraction(found.period, of) <= Fraction(before.period, scale)


def test_one_microbatch_at_a_time_is_left_behind() -> None:
    costs = Costs.of(8, forward=2.5, backward=3.5, weight=1.5, send=1)
    v = (0, 1, 2, 3, 3, 2, 1, 0)
    block = smallest_interval(v, costs, memory_limit=2, microbatches_per_period=None, time_limit=2)
    assert block.n_microbatches == block.per_period == 2
    assert block.interval_bound <= block.interval <= 20.5  # one per period: 22, proven


def test_more_periods_than_the_memory_holds_are_not_asked_for() -> None:
    costs = Costs.of(8, forward=2.5, backward=3.5, weight=1.5, activation_bytes=4)
    v = (0, 1, 2, 3, 3, 2, 1, 0)
    for limit, most in ((8, 2), (31, 3), (39, 4), (10**6, 16)):
        block = smallest_interval(
            v, costs, memory_bytes=limit, microbatches_per_period=None, time_limit=1
        )
        assert block.per_period == most


def test_an_order_of_one_instant_that_is_not_realised_ends_the_climb() -> None:
    costs = Costs.of(
        4,
        forward=[0, 3, 0, 0],
        backward=[0, 0, 0, 2],
        weight=0,
        send=[0, 0, 1],
        activation_bytes=4,
        backward_bytes=[0, 0, 3, -2],
    )
    block = smallest_interval(
        (0, 1, 0, 1), costs, memory_bytes=17, microbatches_per_period=2, time_limit=2
    )
    assert block.floor <= block.interval_bound <= block.interval


def test_a_solver_that_crashes_has_said_nothing() -> None:
    class Crashing(cp_model.CpSolver):
        def solve(self, *_: object, **__: object) -> Any:
            raise IndexError("absl::btree_map::at")

    assert solve(Crashing(), cp_model.CpModel()) == cp_model.UNKNOWN
    assert solve(cp_model.CpSolver(), cp_model.CpModel()) == cp_model.OPTIMAL


STRAIGHT = Costs.of(4, forward=1, backward=1, weight=1)


def several(**options: Any) -> ComputedBlock:
    """A block of up to 3 microbatches per period on a straight pipeline, in counted seconds."""
    return smallest_interval(
        (0, 1, 2, 3), STRAIGHT, memory_limit=3, microbatches_per_period=3, time_limit=0.5,
        effort=Effort(counted=True), **options,
    )  # fmt: skip


def test_counted_work_gives_equal_blocks_however_long_it_takes() -> None:
    assert several(seed=5) == several(seed=5)


def test_work_is_counted_until_it_is_used_up() -> None:
    costs = Costs.of(8, forward=5, backward=6, weight=4, send=1)
    for methods in ((), ("dispatch",), ("climb", "period-solver")):
        effort = Effort(counted=True)
        smallest_interval(
            (0, 1, 2, 3, 3, 2, 1, 0), costs, memory_limit=2, microbatches_per_period=2,
            time_limit=0.3, effort=effort, without=methods,
        )  # fmt: skip
        assert 0.1 < effort.spent < 3


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("dispatch", "dispatching into idle time"),
        ("climb", "hill climb on the critical cycle"),
        ("period-solver", "modulo scheduling with CP-SAT"),
        ("slot-grid", "slot grid"),
    ],
)
def test_a_method_that_is_left_out_finds_nothing(method: str, name: str) -> None:
    others = {"slot-grid", "dispatch", "climb", "period-solver"} - {method}
    alone = several(without=others)
    assert (alone.method, alone.interval < 4) == (name, True)
    assert several(without={*others, method}).interval == 4


def test_a_method_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no method is called 'climbing'"):
        several(without=["climbing"])


def test_one_microbatch_per_period_is_left_without_longer_periods() -> None:
    block = several(without=["longer-periods"])
    assert (block.interval, block.n_microbatches, block.per_period) == (4, 1, 1)
    assert block.proven
