"""All-to-alls: a pass alone computes and exchanges in turn, a fused pair hides one by the other."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sim import (
    FAMILIES,
    Costs,
    Op,
    Schedule,
    costs_from_json,
    costs_to_json,
    makespan,
    recomputed,
    simulate,
    slower,
)
from sim.base.numbers import Number
from sim.families.dualpipe import dualpipe
from sim.metrics.metrics import busy, exposed, longest_stage
from sim.metrics.summary import summary
from sim.search import evaluate, lower_bound, search
from sim.testing import costs, transformed, wild_schedules

F0, BW1, R1, W1 = Op("F", 0, 0), Op("BW", 0, 1), Op("R", 0, 1), Op("W", 0, 1)
PAIR = Schedule((0,), ((Op("F", 0, 1), F0, BW1, Op("BW", 0, 0)),), 2, fused=((F0, BW1),))
"""F1, then F0 and BW1 as one step, then BW0."""


def of(forward: int, backward: int, there: int, back: int | None = None, **more: int) -> Costs:
    found = Costs.of(1, forward=forward, backward=0, weight=backward, all_to_all=there, **more)
    return replace(found, all_to_all_backward=back if back is None else ((back,),))


def test_a_pass_alone_exchanges_after_what_it_computes() -> None:
    found = of(1, 2, 4, 5)
    assert [found.duration((op,)) for op in (F0, BW1, R1, W1)] == [1 + 4, 2 + 5, 1 + 4, 2]
    assert found.duration((Op("B", 0, 1),)) == 5  # W exchanges nothing
    assert of(1, 2, 4).duration((BW1,)) == 2 + 4  # as F, if nothing else is said


@pytest.mark.parametrize(
    ("found", "time"),
    [
        (of(5, 9, 3, 4), 14),  # all exchanges hidden: 5 + 9
        (of(1, 2, 4, 5), 9),  # all computing hidden: 4 + 5
        (of(2, 3, 9, 0), 11),  # nothing hides more of F than its own 2 + 9
        (of(2, 3, 0, 9), 12),  # nor of BW
        (of(2, 3, 0, 0), 5),
    ],
)
def test_a_pair_takes_the_longest_of_what_cannot_be_hidden(found: Costs, time: int) -> None:
    assert found.duration((F0, BW1)) == time


def test_a_scale_of_pairs_is_one_of_what_they_compute() -> None:
    found = replace(of(4, 6, 3, 3), pair_scale=0.9)
    assert found.duration((F0, BW1)) == 9
    assert replace(found, pair_scale=0.5).duration((F0, BW1)) == 6  # as BW alone, 3 + 3


def test_a_recompute_is_one_pass_with_its_backward() -> None:
    """R and BW follow each other, so nothing hides: 1 + 4 + 2 + 5; F0 beside them computes 1."""
    found = of(1, 2, 4, 5)
    assert found.duration((R1, BW1)) == 12
    assert found.duration((F0, R1, BW1)) == max(1 + 1 + 2, 4 + 4 + 5, 12, 5) == 13


def test_microbatches_scale_their_own_exchange() -> None:
    found = replace(of(1, 2, 4, 5), microbatch_scale=((1,), (3,)))
    assert found.duration((BW1,)) == 3 * 7
    assert found.duration((F0, BW1)) == max(1 + 6, 4 + 15, 5, 21)


def test_what_nothing_hides_is_exposed_in_the_trace() -> None:
    """F1 1+4, the pair 9 of which 3 compute, BW0 2+5."""
    trace = simulate(PAIR, of(1, 2, 4, 5))
    assert makespan(trace) == 5 + 9 + 7
    assert exposed(trace) == (4 + 6 + 5,)  # off the record, and below off the frame
    assert trace.ops["exposed"].tolist() == [4, 6, 6, 5]
    assert exposed(trace) == (4 + 6 + 5,)
    assert busy(trace) == (21,)
    assert summary(trace)["exposed_all_to_all"] == [15]
    two = simulate(PAIR, of(1, 2, 4, 5), iterations=2)
    assert exposed(two) == (30,)
    plain = simulate(PAIR, of(1, 2, 0))
    assert "exposed" not in plain.ops.columns
    assert exposed(plain) == (0,)
    assert "exposed_all_to_all" not in summary(plain)


def test_dualpipe_hides_what_1f1b_exposes() -> None:
    """Once all pairs are under way, an exchange of up to half of F&BW costs dualpipe nothing."""
    times = {}
    for exchange in (0, 1):
        for schedule in (dualpipe(4, 20), FAMILIES["1f1b"](4, 20)):
            found = Costs.uniform(schedule, forward=2, backward=2, weight=2, all_to_all=exchange)
            times[schedule.name, exchange] = makespan(simulate(schedule, found))
    lost = {name: times[name, 1] - times[name, 0] for name in ("dualpipe", "1f1b")}
    assert lost["1f1b"] == (20 + 3) * 2
    assert lost["dualpipe"] < lost["1f1b"] / 2


@pytest.mark.slow
@settings(max_examples=25, deadline=None, phases=set(Phase) - {Phase.explain})
@given(st.data())
def test_evaluator_and_bound_agree_with_the_engine(data: st.DataObject) -> None:
    ways = data.draw(st.integers(1, 2))
    schedule = data.draw(wild_schedules(directions=ways).flatmap(transformed))
    if schedule.copies:
        return
    cells: st.SearchStrategy[Number] = st.sampled_from((0, 1, 0.5, Fraction(7, 3), 12))
    found = replace(
        data.draw(costs(schedule)),
        all_to_all=tuple((data.draw(cells),) for _ in range(schedule.n_stages)),
        all_to_all_backward=data.draw(st.sampled_from((None, ((5,),) * schedule.n_stages))),
    )
    trace, evaluation = simulate(schedule, found), evaluate(schedule, found)
    assert evaluation.makespan == makespan(trace)
    assert evaluation.longest_stage == longest_stage(trace)
    assert lower_bound(schedule, found) <= makespan(trace)
    assert lower_bound(schedule, found, clock="longest_stage") <= longest_stage(trace)
    assert all(lost <= work for lost, work in zip(exposed(trace), busy(trace), strict=True))


def test_costs_with_exchanges_survive_json_and_are_slowed_down() -> None:
    found = of(1, 2, 4, 5)
    assert costs_from_json(costs_to_json(found)) == found
    assert "all_to_all" not in costs_to_json(of(1, 2, 0))
    assert slower(found, [2]).duration((F0, BW1)) == 2 * found.duration((F0, BW1))
    whole = Costs.uniform(FAMILIES["v-half"](2, 4), all_to_all=3)
    assert whole.all_to_all == ((1.5,),) * 4


def test_a_search_refuses_all_to_alls() -> None:
    schedule = FAMILIES["1f1b"](2, 4)
    with pytest.raises(ValueError, match="a search knows no all-to-alls: leave all_to_all out"):
        search(2, 4, Costs.uniform(schedule, all_to_all=1), placement="straight", moves=1)


def test_recompute_exchanges_again() -> None:
    schedule = recomputed(FAMILIES["1f1b"](1, 1))
    assert makespan(simulate(schedule, of(1, 2, 4, 5))) == 5 + 5 + 7
