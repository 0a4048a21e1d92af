"""What real runs do: the engine, the compiled evaluator and the bounds agree on all of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from longest_path import times

from sim import (
    FAMILIES,
    Costs,
    Schedule,
    costs_from_json,
    costs_to_json,
    makespan,
    parse_op,
    simulate,
)
from sim.metrics.metrics import longest_stage, peak_activations, peak_bytes, peak_shares
from sim.schedule.training import forward_only, frozen
from sim.search import evaluate, lower_bound, steady_interval
from sim.testing import costs, scales, schedules, transformed, wild_schedules


@st.composite
def cases(draw: st.DrawFn) -> tuple[Schedule, Costs]:
    """A schedule with any of the mechanisms, and costs that fit it."""
    barriers = draw(st.sampled_from((0, 1, 2)))
    vocabulary = wild_schedules(directions=draw(st.integers(1, 2)), barriers=barriers)
    any_of = st.one_of(schedules(), wild_schedules(directions=2), vocabulary)
    schedule = draw(any_of.flatmap(transformed))
    # Beside copies, passes that take no time could free and take memory in any order.
    times = st.one_of(st.integers(1, 20), st.fractions(1, 20, max_denominator=6))
    prices = draw(costs(schedule, times=times if schedule.copies else None))
    if schedule.copies:
        prices = replace(
            prices,
            offload=((draw(times),),) * schedule.n_stages,
            load=draw(st.sampled_from((None, ((3,),) * schedule.n_stages))),
            copy_latency=draw(st.sampled_from((0, 2))),
        )
    if draw(st.booleans()):
        prices = replace(
            prices,
            recompute_keeps=draw(st.sampled_from((0, 0.05, 1))),
            recompute=draw(st.sampled_from((None, ((2,),) * schedule.n_stages))),
            recompute_bytes=draw(st.sampled_from((None, ((1,),) * schedule.n_stages))),
        )
    if draw(st.booleans()):
        factors = draw(scales(schedule))
        if not schedule.copies or all(factor for row in factors for factor in row):
            prices = replace(prices, microbatch_scale=factors)
    if schedule.vocabulary:
        per_part = tuple(draw(times) for _ in range(schedule.n_devices))
        prices = replace(
            prices,
            vocabulary_scores=draw(st.sampled_from((per_part, (3,)))),
            vocabulary_gradients=(draw(times),),
            all_reduce=draw(st.integers(0, 5)),
            logits_bytes=draw(st.integers(0, 9)),
        )
    if schedule.routes:
        sums = tuple(draw(st.integers(0, 9)) for _ in range(schedule.n_stages))
        prices = replace(prices, gradient_sum=sums)
    return schedule, prices


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(cases())
def test_engine_and_evaluator_agree_on_every_mechanism(case: tuple[Schedule, Costs]) -> None:
    schedule, prices = case
    trace, found = simulate(schedule, prices), evaluate(schedule, prices)
    played = trace.ops.sort_values(["device", "position"])
    assert np.concatenate(found.starts).tolist() == played["start"].tolist()
    assert np.concatenate(found.ends).tolist() == played["end"].tolist()
    assert found.makespan == makespan(trace)
    assert found.longest_stage == longest_stage(trace)
    assert found.peak_activations == pytest.approx(peak_shares(trace))
    if not schedule.copies:
        assert found.peak_activations == peak_activations(schedule, keeps=prices.recompute_keeps)
    assert found.peak_bytes == pytest.approx(peak_bytes(trace), rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_both_play_the_longest_path(case: tuple[Schedule, Costs]) -> None:
    found, known = evaluate(*case), times(*case)
    assert float(found.makespan) == pytest.approx(float(known.makespan), rel=1e-12)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(cases())
def test_no_bound_is_above_a_schedule_with_these_mechanisms(
    case: tuple[Schedule, Costs],
) -> None:
    schedule, prices = case
    found = evaluate(schedule, prices)
    limits: dict[str, Any] = {
        "memory_limit": max(found.peak_activations),
        "memory_bytes": list(found.peak_bytes),
    }
    assert lower_bound(schedule, prices, **limits) <= found.makespan
    longest = lower_bound(schedule, prices, clock="longest_stage", **limits)
    assert longest <= found.longest_stage
    interval = steady_interval(schedule, prices, **limits)  # a third is no float
    assert float(interval * schedule.n_microbatches) <= float(found.makespan) * (1 + 1e-12)


def test_unequal_microbatches_take_their_own_time() -> None:
    """One device: the sum of all. Two, forward only: the second one waits for the longer of both.

    F of microbatches 1, 3, 2 on two devices: 1+3+2 on the first, which ends at 6, and the last
    forward follows on the second: 8.
    """
    one = FAMILIES["1f1b"](1, 3)
    assert makespan(simulate(one, Costs.uniform(one, microbatch_scale=[1, 3, 0.5]))) == 3 * 4.5
    two = forward_only(FAMILIES["1f1b"](2, 3))
    trace = simulate(two, Costs.uniform(two, microbatch_scale=[1, 3, 2]))
    assert trace.ops.sort_values(["device", "start"])["end"].tolist() == [1, 4, 6, 2, 7, 9]


def test_bytes_that_stay_and_bytes_that_cross_follow_their_microbatch() -> None:
    schedule = FAMILIES["gpipe"](2, 3)
    prices = Costs.uniform(
        schedule, activation_bytes=10, boundary_bytes=4, static_bytes=7, microbatch_scale=[1, 2, 3]
    )
    trace = simulate(schedule, prices)
    assert peak_bytes(trace) == (67, 67)
    assert trace.transfers.groupby("microbatch")["bytes"].unique().map(list).tolist() == [
        [4], [8], [12]
    ]  # fmt: skip


def test_equal_scales_change_nothing_but_the_unit() -> None:
    schedule = FAMILIES["v-half"](4, 8)
    prices = Costs.uniform(schedule, forward=10, backward=12, weight=8)
    doubled = replace(prices, microbatch_scale=((2,),) * 8)
    assert makespan(simulate(schedule, doubled)) == 2 * makespan(simulate(schedule, prices))


def test_costs_per_microbatch_must_fit_and_survive_json() -> None:
    schedule = FAMILIES["1f1b"](2, 4)
    with pytest.raises(ValueError, match="microbatch_scale has 3 rows, but 1f1b has 4 microbatch"):
        simulate(schedule, Costs.uniform(schedule, microbatch_scale=[1, 2, 3]))
    with pytest.raises(ValueError, match=r"microbatch 1 has 3 numbers: it must have 1, or one for"):
        Costs.uniform(schedule, microbatch_scale=[[1], [1, 2, 3], [1], [1]])
    with pytest.raises(ValueError, match="microbatch_scale is 2: it must have a factor per micro"):
        Costs.uniform(schedule, microbatch_scale=2)
    found = Costs.uniform(schedule, microbatch_scale=((1,), (2, 3), (0.5,), (1,)))
    assert costs_from_json(costs_to_json(found)) == found
    assert "microbatch_scale" not in costs_to_json(Costs.uniform(schedule))


@pytest.mark.parametrize("stages", [[0], [0, 1], [0, 1, 2]])
def test_frozen_stages_shorten_the_chain_of_the_bound(stages: list[int]) -> None:
    """1f1b without memory limit is optimal, and so is what is left behind the frozen stages."""
    schedule = frozen(FAMILIES["1f1b"](4, 8), stages)
    prices = Costs.uniform(schedule, send=0)
    assert lower_bound(schedule, prices) == makespan(simulate(schedule, prices))


def test_the_least_bytes_are_those_of_passes_that_a_microbatch_has() -> None:
    """Only the first one, of half the size, has a B: F and B keep (10 + 12) / 2 of it, F 10 of the
    other one. Passes take 3 / 2 and 3."""
    passes = ["F0@0", "B0@0", "W0@0", "F1@0", "BW1@0"]
    schedule = Schedule((0,), (tuple(map(parse_op, passes)),), 2)
    prices = Costs.of(
        1, forward=1, backward=1, weight=1, activation_bytes=10, backward_bytes=12,
        microbatch_scale=((0.5,), (1,)),
    )  # fmt: skip
    assert peak_bytes(simulate(schedule, prices)) == (11,)
    assert lower_bound(schedule, prices, memory_bytes=11) == 4.5
    with pytest.raises(ValueError, match="device 0 holds 11 even with one microbatch"):
        lower_bound(schedule, prices, memory_bytes=10)
