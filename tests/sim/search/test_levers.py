"""Search over order, recompute and offload: what it plays is what the engine plays."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import FAMILIES, Costs
from sim.schedule.clock import Clock
from sim.schedule.validate import validate
from sim.search import Host, bound_with_levers, evaluate, pareto, pareto_figure, search
from sim.search.levers.fold import folded, unfolded
from sim.search.levers.pool import let_go, played
from sim.search.levers.problem import KEEP, RECOMPUTE, LeverProblem, Pulled, lever_problem
from sim.search.levers.race import plans
from sim.search.levers.written import schedule_of
from sim.search.orders.problem import one_by_one
from sim.search.orders.replay import BROKEN, replayed, within
from sim.search.pareto_front.page import pareto_page
from sim.search.placement import stages_on

CLOCKS: tuple[Clock, Clock] = ("makespan", "longest_stage")
BOTH = ("recompute", "offload")


def times(n_stages: int, **changes: Any) -> Costs:
    cells: dict[str, Any] = {
        "forward": 5, "backward": 6, "weight": 4, "send": 1, "activation_bytes": 100,
        "recompute_keeps": 0.05, "offload": 5,
    }  # fmt: skip
    return Costs.of(n_stages, **{**cells, **changes})


@st.composite
def pulled(draw: st.DrawFn) -> tuple[LeverProblem, Pulled]:
    """A named order with levers pulled at random, without a limit."""
    p, m = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    place = stages_on(p, "v")
    number = st.integers(0, 9)
    costs = times(
        2 * p, forward=draw(number), backward=draw(number), weight=draw(number), send=draw(number),
        recompute=draw(st.none() | number), offload=draw(number), load=draw(st.none() | number),
        copy_latency=draw(st.sampled_from((0, 2))), backward_bytes=draw(st.sampled_from((-20, 30))),
        recompute_bytes=draw(st.sampled_from((None, 0, 40, 100))),
    )  # fmt: skip
    clock = draw(st.sampled_from(CLOCKS))
    q = lever_problem(place, m, costs, levers=BOTH, clock=clock, memory_bytes=10**6)
    schedule = draw(st.sampled_from(("zb-v", "v-half", "v-min")))
    order = q.orders.order(FAMILIES[schedule](p, m))
    assert order is not None
    kept = q.kept(order)
    seed = np.random.default_rng(draw(st.integers(0, 2**20)))
    kept.mode[:] = seed.integers(0, 3, kept.mode.shape)
    kept.lead[:] = seed.integers(0, 9, kept.lead.shape)
    return q, kept


@settings(max_examples=30, deadline=None)
@given(pulled())
def test_an_order_with_levers_is_played_as_its_schedule_is(
    case: tuple[LeverProblem, Pulled],
) -> None:
    q, found = case
    schedule = schedule_of(q.orders.placement, found, "pulled")
    validate(schedule)
    told = evaluate(schedule, q.costs)
    value = getattr(told, q.orders.clock)
    assert q.orders.in_units(played(q, found)) == value
    assert bound_with_levers(
        one_by_one(q.orders.placement, q.orders.n_microbatches), q.costs, levers=BOTH,
        clock=q.orders.clock, memory_bytes=list(told.peak_bytes),
    ) <= value  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(pulled(), st.sampled_from((0, -1)), st.sampled_from((None, 0, 40)))
def test_a_limit_holds_to_the_byte(
    case: tuple[LeverProblem, Pulled], less: int, left: int | None
) -> None:
    """Passes of no time aside, whose memory comes and goes at one moment."""
    q, found = case
    costs = times(q.orders.n_stages, backward_bytes=30, recompute_bytes=left)
    peaks = evaluate(schedule_of(q.orders.placement, found, "pulled"), costs).peak_bytes
    limited = lever_problem(
        q.orders.placement, q.orders.n_microbatches, costs, levers=BOTH,
        memory_bytes=[peak + less for peak in peaks],
    )  # fmt: skip
    assert (played(limited, found) < BROKEN) == (less == 0)


def test_a_hidden_recompute_takes_the_time_that_it_takes_as_a_pass() -> None:
    place = stages_on(3, "v")
    q = lever_problem(place, 7, times(6), levers=["recompute"], memory_bytes=10**6)
    order = q.orders.order(FAMILIES["v-half"](3, 7))
    assert order is not None
    for plan in plans(q):
        hidden = folded(q, plan)
        (shown,) = unfolded(q, order, plan)
        assert replayed(hidden, order).value == played(q, shown)
        assert set(np.unique(shown.mode)) <= {KEEP, RECOMPUTE}


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 5), st.fractions(1, 3, max_denominator=7),
    st.none() | st.sampled_from((-20, 0, 30)), st.sampled_from((None, 0, 40)),
    st.sampled_from(("zb-v", "v-half", "v-min")),
)  # fmt: skip
def test_costs_of_a_plan_say_the_same_of_memory_as_its_tables(
    p: int, m: int, limit: Fraction, in_bytes: int | None, left: int | None, family: str
) -> None:
    costs = times(2 * p, backward_bytes=in_bytes or 0, static_bytes=7, recompute_bytes=left)
    limits: dict[str, Any] = {"memory_limit": limit}
    if in_bytes is not None:
        limits = {"memory_bytes": int(200 * limit)}
    q = lever_problem(stages_on(p, "v"), m, costs, levers=["recompute"], **limits)
    schedule = FAMILIES[family](p, m)
    order = q.orders.order(schedule)
    assert order is not None
    for plan in plans(q):
        hidden = folded(q, plan)
        peaks = evaluate(schedule, hidden.costs).peak_bytes
        room = hidden.memory_bytes
        each = room if isinstance(room, list) else [room] * p
        fits = all(peak <= most for peak, most in zip(peaks, each, strict=True))
        assert fits <= within(hidden, order)
        if in_bytes != -20:
            assert fits == within(hidden, order)


def test_levers_that_do_nothing_are_let_go() -> None:
    place = stages_on(2, "v")
    q = lever_problem(place, 4, times(4), levers=BOTH, memory_bytes=10**6)
    order = q.orders.order(FAMILIES["zb-v"](2, 4))
    assert order is not None
    everything = q.kept(order)
    everything.mode[:] = RECOMPUTE
    assert (let_go(q, everything).mode == KEEP).all()


def test_levers_pay_where_memory_is_scarce_and_an_answer_says_what_was_pulled() -> None:
    settings: dict[str, Any] = {
        "memory_bytes": 300, "clock": "longest_stage", "moves": 3_000_000, "progress": False,
    }  # fmt: skip
    letters = {"recompute": "R", "offload": "O"}
    p, m, values = 3, 6, []
    for levers in ((), ("recompute",), BOTH):
        found = search(p, m, times(6), levers=levers, **settings)
        told = evaluate(found.schedule, times(6))
        assert max(told.peak_bytes) <= 300
        assert told.longest_stage == found.value >= found.lower_bound
        assert {*found.schedule.levers.values()} <= {letters[name] for name in levers}
        assert bool(found.schedule.levers) == bool(levers)
        values.append(found.value)
    assert values[0] > values[1] > values[2]


def test_levers_at_ample_memory_change_nothing() -> None:
    settings: dict[str, Any] = {"moves": 3_000_000, "progress": False, "memory_limit": 4}
    alone = search(2, 6, times(4), **settings)
    found = search(2, 6, times(4), levers=BOTH, **settings)
    assert found.value == alone.value
    assert not found.schedule.levers
    free = search(2, 6, times(4), levers=BOTH, moves=3_000_000, progress=False)
    assert not free.schedule.levers


def test_less_than_a_share_is_met_with_levers_and_the_least_is_named() -> None:
    settings: dict[str, Any] = {"moves": 1_000_000, "progress": False}
    found = search(2, 4, times(4), levers=["recompute"], memory_bytes=110, **settings)
    assert max(evaluate(found.schedule, times(4)).peak_bytes) <= 110
    with pytest.raises(ValueError, match="not even with recompute: device 1 holds 105 with one"):
        search(2, 4, times(4), levers=["recompute"], memory_bytes=104, **settings)
    with pytest.raises(ValueError, match=r"0.5 shares, not even with recompute: .* is 0.525"):
        search(2, 4, times(4), levers=["recompute"], memory_limit=0.5, **settings)


def test_what_levers_need_is_asked_for() -> None:
    bare = times(4, offload=None)
    with pytest.raises(ValueError, match="no lever is called 'swap'"):
        search(2, 4, bare, levers=["swap"], memory_limit=1)
    with pytest.raises(ValueError, match="offload needs the time of copies: give host"):
        search(2, 4, bare, levers=["offload"], memory_limit=1)
    with pytest.raises(ValueError, match="host bandwidth is 0"):
        Host(0)
    found = search(
        2, 4, bare, levers=["offload"], host=Host(20), memory_bytes=300, moves=1_000_000,
        progress=False,
    )  # fmt: skip
    assert found.value >= found.lower_bound


def test_a_front_with_levers_reaches_below_one_share_and_names_families_that_recompute() -> None:
    found = pareto(
        2, 4, times(4), limits=[0.75, 2], levers=["recompute"], clock="longest_stage",
        moves=4_000_000, progress=False,
    )  # fmt: skip
    searched = found[~found["family"]]
    assert list(zip(searched["levers"], searched["limit"], strict=True)) == [
        ("", 2), ("recompute", 0.75), ("recompute", 2),
    ]  # fmt: skip
    assert searched["recomputed"].iloc[1] > 0 == searched["recomputed"].iloc[0]
    assert (searched["peak"] <= searched["limit"]).all()
    assert list(found["throughput"]) == [4 / float(x) for x in found["longest_stage"]]
    named = set(found[found["family"]]["method"])
    assert {"zb-v", "zb-v + recompute"} <= named
    assert "with levers" in {line.name for line in pareto_figure(found).data}
    assert "recomputed" in pareto_page(found, (2, 4))
