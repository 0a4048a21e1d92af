"""Seq1F1B: bubble and peak over (p, m, k, v, U), both clocks, and what the rules refuse."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import FAMILIES, Costs, Schedule
from sim.engine.simulate import simulate
from sim.metrics.metrics import longest_stage, makespan, peak_activations
from sim.schedule.validate import validate


def clocks(schedule: Schedule, forward: int, backward: int, weight: int) -> tuple[Any, Any]:
    costs = Costs.uniform(schedule, forward=forward, backward=backward, weight=weight)
    trace = simulate(schedule, costs)
    return makespan(trace), longest_stage(trace)


def test_the_order_of_slices_is_ascending_forward_and_descending_backward() -> None:
    assert str(FAMILIES["seq1f1b"](3, 2, slices=3)) == (
        "seq1f1b: 3 devices, 3 stages, 2 microbatches, 3 slices\n"
        "device 0 | F0 F0.1 F0.2 F1 F1.1 BW0.2 F1.2 BW0.1 BW0 BW1.2 BW1.1 BW1\n"
        "device 1 | F0 F0.1 F0.2 F1 BW0.2 F1.1 BW0.1 F1.2 BW0 BW1.2 BW1.1 BW1\n"
        "device 2 | F0 F0.1 F0.2 BW0.2 F1 BW0.1 F1.1 BW0 F1.2 BW1.2 BW1.1 BW1"
    )


def test_figures_of_the_paper_and_its_peers_come_out() -> None:
    small = FAMILIES["seq1f1b"](4, 8, slices=2)
    costs = Costs.uniform(small, forward=1, backward=1, weight=1)
    assert makespan(simulate(small, costs)) == 28.5
    large = FAMILIES["seq1f1b"](8, 32, slices=2)
    assert clocks(large, 2, 2, 2) == (213, 213)
    assert peak_activations(large)[0] * 2 == 9


@pytest.mark.parametrize(("forward", "backward", "weight"), [(1, 1, 1), (3, 5, 2), (5, 1, 7)])
def test_bubble_and_peak_of_seq1f1b_hold_for_every_size_and_cost(
    forward: int, backward: int, weight: int
) -> None:
    for p, m, k in product((1, 3, 8), (1, 2, 7), (1, 2, 5)):
        schedule = FAMILIES["seq1f1b"](p, m, slices=k)
        f, b, w = forward * k, backward * k, weight * k
        time = m * (f + b + w) + (p - 1) * (forward + backward + weight)
        assert clocks(schedule, f, b, w) == (time, time), (p, m, k)
        peaks = [round(peak * k) for peak in peak_activations(schedule)]
        assert peaks == [min(p - r + k - 1, m * k) for r in range(p)], (p, m, k)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("v", [1, 2, 3])
def test_bubble_and_peak_of_the_interleaved_form_hold_for_every_block_size(k: int, v: int) -> None:
    for p, blocks, wider, (f, b, w) in product((1, 2, 5), (1, 3), (0, 1), ((3, 5, 2), (5, 1, 7))):
        size = (-(-p // k) + wider) * k
        m = blocks * size // k
        schedule = FAMILIES["seq1f1b-interleaved"](p, m, slices=k, v=v, group_size=size)
        unit = f + b + w
        time = m * unit * v * k + (p - 1) * unit
        assert clocks(schedule, f * v * k, b * v * k, w * v * k) == (time, time), (p, m, size)
        most = min((v - 1) * size + min(v, 2) * (p - 1) + k, m * v * k)
        assert round(peak_activations(schedule)[0] * v * k) == most, (p, m, size)


def test_the_default_block_is_the_smallest_that_holds_whole_microbatches_and_p_units() -> None:
    family = FAMILIES["seq1f1b-interleaved"]
    assert family(8, 8, slices=4) == family(8, 8, slices=4, group_size=8)
    assert family(3, 8, slices=2) == family(3, 8, slices=2, group_size=4)


def test_one_slice_or_one_stage_per_device_is_the_simpler_family() -> None:
    def orders(name: str, **options: int) -> Any:
        return FAMILIES[name](4, 8, **options).orders

    assert orders("seq1f1b", slices=1) == orders("1f1b")
    assert orders("seq1f1b-zb", slices=1) == orders("zb-h1")
    assert orders("seq1f1b-interleaved", slices=3, v=1) == orders("seq1f1b", slices=3)
    assert orders("seq1f1b-interleaved", slices=1, v=3) == orders("interleaved", v=3)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (3, "group_size is 3, and every microbatch has 2 slices: it counts slices, and must be"),
        (1, "group_size is 1, and every microbatch has 2 slices: it counts slices, and must be"),
        (2, "group_size is 2 on 4 devices, which serves at most 2 microbatches, not 8: make"),
    ],
)
def test_a_block_that_would_deadlock_is_refused_with_one_that_works(size: int, said: str) -> None:
    family = FAMILIES["seq1f1b-interleaved"]
    with pytest.raises(ValueError, match=said) as refusal:
        family(4, 8, slices=2, group_size=size)
    works = int(str(refusal.value).split()[-1])
    validate(family(4, 8, slices=2, group_size=works))


def test_the_split_backward_has_the_bubble_of_zb_h1_over_slices() -> None:
    for p, m, k in product((1, 2, 5, 8), (2, 7, 17), (1, 2, 5)):
        if (m - 1) * k < 2 * p - 1:
            continue
        schedule = FAMILIES["seq1f1b-zb"](p, m, slices=k)
        time = m * 3 * k + p - 1
        assert clocks(schedule, k, k, k) == (time, time), (p, m, k)
        peaks = [round(peak * k) for peak in peak_activations(schedule)]
        assert peaks == [min(p + k - 1, m * k)] * p, (p, m, k)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["seq1f1b", "seq1f1b-zb", "seq1f1b-interleaved"]),
    p=st.integers(1, 7),
    m=st.integers(1, 9),
    slices=st.integers(1, 6),
)
def test_every_size_gives_a_runnable_schedule(name: str, p: int, m: int, slices: int) -> None:
    validate(FAMILIES[name](p, m, slices=slices))
