"""The compiled evaluator tells what the engine plays, to the last digit."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from longest_path import times

from sim import FAMILIES, Costs, Op, Schedule, offloaded, simulate
from sim.base.numbers import common_ticks
from sim.metrics.metrics import longest_stage, makespan, peak_activations, peak_bytes, peak_shares
from sim.schedule.validate import InvalidSchedule
from sim.search import evaluate
from sim.testing import costs, schedules

cases = schedules().flatmap(lambda schedule: st.tuples(st.just(schedule), costs(schedule)))


@settings(max_examples=75, deadline=None)
@given(cases)
def test_times_and_peaks_equal_those_of_the_engine(case: tuple[Schedule, Costs]) -> None:
    schedule, prices = case
    trace, found = simulate(schedule, prices), evaluate(schedule, prices)
    played = trace.ops.sort_values(["device", "position"])
    assert np.concatenate(found.starts).tolist() == played["start"].tolist()
    assert np.concatenate(found.ends).tolist() == played["end"].tolist()
    assert found.makespan == makespan(trace)
    assert found.longest_stage == longest_stage(trace)
    assert found.peak_activations == peak_activations(schedule)
    assert found.peak_bytes == pytest.approx(peak_bytes(trace), rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(cases)
def test_exact_costs_give_the_exact_longest_path(case: tuple[Schedule, Costs]) -> None:
    schedule, prices = case
    found, known = evaluate(schedule, prices), times(schedule, prices)
    assert float(found.makespan) == pytest.approx(float(known.makespan), rel=1e-12)
    if isinstance(found.makespan, int) and isinstance(found.longest_stage, int):
        assert (found.makespan, found.longest_stage) == (known.makespan, known.longest_stage)


@pytest.mark.parametrize("name", FAMILIES)
def test_whole_and_fractional_costs_of_every_family_at_a_larger_size(name: str) -> None:
    schedule = FAMILIES[name](6, 13 if not name.startswith(("2bp", "seq1f1b-i")) else 6)
    for forward, send in ((7, 2), (0.7, 0.013), (1 / 3, 2.0**-40 + 0.1)):
        prices = Costs.uniform(schedule, forward=forward, backward=1.1, weight=0.9, send=send)
        trace, found = simulate(schedule, prices), evaluate(schedule, prices)
        assert (found.makespan, found.longest_stage) == (makespan(trace), longest_stage(trace))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("copy", [0, 1, Fraction(1, 1000)])
def test_peaks_beside_copies_of_any_length_are_those_of_the_engine(
    name: str, copy: int | Fraction
) -> None:
    """Of none, too: it ends after what begins when it does, as the shortest copy would."""
    plain = FAMILIES[name](4, 8)
    schedule = plain if plain.copies else offloaded(plain)
    prices = Costs.uniform(schedule, offload=copy, activation_bytes=12)
    trace, found = simulate(schedule, prices), evaluate(schedule, prices)
    assert found.peak_activations == peak_shares(trace)
    assert found.peak_bytes == peak_bytes(trace)


def test_costs_without_a_common_tick_are_played_in_the_same_floating_point() -> None:
    schedule = FAMILIES["zb-v"](4, 9)
    rng = np.random.default_rng(1)
    prices = Costs.of(8, **{f: rng.random(8).tolist() for f in ("forward", "backward", "weight")})
    assert common_ticks({row[0] for row in prices.forward}, how_many=1000).per_unit == 0
    trace, found = simulate(schedule, prices), evaluate(schedule, prices)
    assert (found.makespan, found.longest_stage) == (makespan(trace), longest_stage(trace))


def test_the_same_schedule_can_be_judged_under_other_costs() -> None:
    schedule = FAMILIES["1f1b"](4, 8)
    found = [evaluate(schedule, Costs.uniform(schedule, forward=f)).makespan for f in (1, 2, 1)]
    assert found == [33, 44, 33]


def test_passes_that_wait_for_each_other_are_named() -> None:
    first = Op("BW", 0, 0), Op("F", 0, 0)
    schedule = Schedule((0, 1), (first, (Op("F", 1, 0), Op("BW", 1, 0))), 1, name="stuck")
    with pytest.raises(InvalidSchedule, match=r"stuck.*BW0@0"):
        evaluate(schedule, Costs.uniform(schedule))


@pytest.mark.parametrize("op", [Op("F", 5, 0), Op("F", 0, 7), Op("F", 0, 0, 3), Op("F", -1, 0)])
def test_a_pass_outside_the_schedule_is_refused(op: Op) -> None:
    schedule = Schedule((0,), ((op, Op("BW", 0, 0)),), 1)
    with pytest.raises(InvalidSchedule):
        evaluate(schedule, Costs.uniform(schedule))


def test_costs_of_another_pipeline_are_refused() -> None:
    schedule = FAMILIES["1f1b"](4, 8)
    with pytest.raises(ValueError, match="8 stages"):
        evaluate(schedule, Costs.uniform(FAMILIES["zb-v"](4, 8)))


def test_without_numba_the_plain_loops_give_the_same_answer() -> None:
    program = """
import sys
sys.modules["numba"] = None
from sim import FAMILIES, Costs
from sim.search import evaluate
schedule = FAMILIES["dualpipe-v"](4, 10)
found = evaluate(schedule, Costs.uniform(schedule, forward=2, backward=2, weight=2))
print(found.makespan, found.longest_stage, *found.peak_activations)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    schedule = FAMILIES["dualpipe-v"](4, 10)
    found = evaluate(schedule, Costs.uniform(schedule, forward=2, backward=2, weight=2))
    expected = [found.makespan, found.longest_stage, *found.peak_activations]
    assert done.stdout.split() == list(map(str, expected))
