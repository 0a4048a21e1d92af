"""The interval of a repeating order: the formulas of the papers, the slope of long schedules."""

from __future__ import annotations

from fractions import Fraction

import pytest
from event_graph import interval
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import FAMILIES, Costs, Op, Schedule
from sim.search import evaluate
from sim.search.periodic.steady_state import repeating

FORMULAS = {
    "1f1b": "F+B+W",
    "interleaved": "F+B+W",
    "zb-h1": "F+B+W",
    "zb-h2": "F+B+W",
    "zb-v": "F+B+W",
    "v-zb": "F+B+W",
    "v-half": "max(F+B+W, 2*F+W/2, 2*B+W/2)",
    "v-min": "max(F+B+W, 3*F, 3*B)",
    "1f1b-v": "max(F+B+W, 3*F)",
}  # Qi et al. 2024, arXiv 2405.15362, and its blocks simulated


@pytest.mark.parametrize("name", FORMULAS)
@settings(max_examples=12, deadline=None)
@given(
    p=st.sampled_from([4, 8]),
    F=st.integers(1, 12),
    B=st.integers(1, 12),
    W=st.integers(1, 12),
)
def test_the_interval_is_the_formula_of_the_family(
    name: str, p: int, F: int, B: int, W: int
) -> None:
    schedule = FAMILIES[name](p, 5 * p)
    costs = Costs.uniform(schedule, forward=F, backward=B, weight=W)
    assert interval(schedule, costs) == eval(FORMULAS[name], {"F": F, "B": B, "W": W, "max": max})


@given(p=st.integers(1, 9), c=st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_1f1b_goes_in_lock_step_with_its_sends(p: int, c: int) -> None:
    schedule = FAMILIES["1f1b"](p, 4 * p)
    costs = Costs.uniform(schedule, forward=5, backward=7, weight=3, send=c)
    assert interval(schedule, costs) == pytest.approx(15 + Fraction(2 * c * (p - 1), p), abs=1e-12)


@pytest.mark.parametrize("name", ["1f1b", "zb-h1", "v-half", "v-min", "interleaved", "dualpipe-v"])
def test_long_schedules_grow_by_the_interval(name: str) -> None:
    p = 4
    spans = {}
    for m in (20 * p, 32 * p):
        schedule = FAMILIES[name](p, m)
        costs = Costs.uniform(schedule, forward=5, backward=7, weight=3, send=1)
        spans[m] = evaluate(schedule, costs).makespan
    assert spans[32 * p] - spans[20 * p] == 12 * p * interval(schedule, costs)


def test_a_microbatch_count_does_not_matter_once_the_order_repeats() -> None:
    found = set()
    for m in (16, 40, 100):
        schedule = FAMILIES["v-half"](4, m)
        found.add(interval(schedule, Costs.uniform(schedule, forward=5, backward=7, weight=3)))
    assert found == {15.5}


def test_slow_stages_decide_the_interval() -> None:
    schedule = FAMILIES["1f1b"](4, 16)
    costs = Costs.of(4, forward=[1, 1, 1, 10], backward=[1, 1, 1, 10], weight=[1, 1, 1, 10])
    assert interval(schedule, costs) == 30


def test_orders_that_never_repeat_are_refused() -> None:
    for schedule in (FAMILIES["gpipe"](4, 16), FAMILIES["1f1b"](4, 1)):
        with pytest.raises(ValueError, match="no repeating order"):
            interval(schedule, Costs.uniform(schedule))


def test_a_group_of_microbatches_is_one_period() -> None:
    assert repeating(FAMILIES["interleaved"](4, 32)).n == 4
    assert repeating(FAMILIES["1f1b"](4, 32)).n == 1


def test_weight_gradients_put_off_to_the_end_are_no_steady_state() -> None:
    m = 12
    order = [Op(kind, 0, i) for i in range(m) for kind in ("F", "B")]
    late = Schedule((0,), ((*order, *(Op("W", 0, i) for i in range(m))),), m, name="late")
    with pytest.raises(ValueError, match="no repeating order"):
        interval(late, Costs.uniform(late))
