"""DualPipe, Chimera, BitPipe and Hanayo: what their sources claim, and what they keep."""

from __future__ import annotations

from fractions import Fraction

import pytest

from sim import FAMILIES, Costs, makespan, peak_activations, simulate, steps
from sim.families.bitpipe import bitpipe
from sim.families.chimera import chimera
from sim.families.dualpipe import dualpipe
from sim.families.hanayo import hanayo
from sim.search import evaluate


@pytest.mark.parametrize("p", [4, 6, 8, 16])
@pytest.mark.parametrize("extra", [0, 2, 10])
def test_the_bubble_of_dualpipe_is_exact_for_equal_passes(p: int, extra: int) -> None:
    """(p/2-1)(F&BW + BW - 3W) = (p/2-1)(3+2-3) in passes, and p+1 chunks on every device."""
    schedule = dualpipe(p, 2 * p + extra)
    trace = simulate(schedule, Costs.uniform(schedule))
    assert makespan(trace) - 3 * (2 * p + extra) == (p // 2 - 1) * 2
    assert peak_activations(schedule) == (p + 1,) * p
    assert all(len(held) == 2 for held in schedule.stages_of)  # twice the weights


@pytest.mark.parametrize("pair", [2, Fraction(5, 2)])
def test_the_bubble_of_dualpipe_counts_the_time_of_a_pair(pair: Fraction) -> None:
    p = 8
    schedule = dualpipe(p, 32)
    costs = Costs.uniform(schedule, pair_scale=Fraction(pair, 3))
    work = sum(costs.duration(step) for step in steps(schedule, p // 2))
    assert makespan(simulate(schedule, costs)) - work == (p // 2 - 1) * (pair + 2 - 3)


def test_dualpipe_pairs_a_forward_of_one_way_with_a_backward_of_the_other() -> None:
    schedule = dualpipe(4, 12)
    for step in schedule.fused:
        (ahead, back) = step
        assert (ahead.kind, back.kind) == ("F", "BW")
        assert ahead.microbatch % 2 != back.microbatch % 2
    quick = Costs.uniform(schedule, pair_scale=0.8)
    slow = Costs.uniform(schedule)
    assert evaluate(schedule, quick).makespan < evaluate(schedule, slow).makespan


@pytest.mark.parametrize("p", [4, 8])
def test_chimera_has_both_of_its_ratios_at_one_microbatch_per_device(p: int) -> None:
    """(p-2)/(2m+p-2) where F = BW, (p-2)/(1.5m+p-2) where BW = 2F; peak from p/2+1 to p."""
    schedule = chimera(p, p)
    for backward, work in ((1, 2 * p), (2, 1.5 * p)):
        prices = Costs.of(p, forward=1, backward=0, weight=0, fused_backward=backward)
        time = makespan(simulate(schedule, prices))
        assert 1 - p * (1 + backward) / time == pytest.approx((p - 2) / (work + p - 2), rel=1e-12)
    peaks = peak_activations(schedule)
    assert (min(peaks), max(peaks)) == (p // 2 + 1, p)


def test_more_microbatches_of_chimera_run_unit_after_unit() -> None:
    one, three = chimera(4, 4), chimera(4, 12)
    prices = Costs.uniform(one, forward=2)
    assert makespan(simulate(three, prices)) <= 3 * makespan(simulate(one, prices))
    for device, order in enumerate(three.orders):
        assert order[:8] == one.orders[device]


@pytest.mark.parametrize("p", [2, 4, 6, 8, 12])
@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_bitpipe_has_its_ratio_where_forwards_and_backwards_are_alike(p: int, rounds: int) -> None:
    """(p-2) of 4m+p-2 passes: the published ratio, for m = p and 2p."""
    m = rounds * p
    schedule = bitpipe(p, m)
    prices = Costs.of(2 * p, forward=1, backward=0, weight=0, fused_backward=1)
    time = evaluate(schedule, prices).makespan
    assert time == 4 * m + p - 2
    assert max(peak_activations(schedule)) == p
    assert {len(held) for held in schedule.stages_of} == {4}  # twice the weights


@pytest.mark.parametrize("p", [2, 3, 4, 8])
@pytest.mark.parametrize("waves", [1, 2, 4])
def test_hanayo_idles_less_the_more_waves_there_are(p: int, waves: int) -> None:
    """2(p-1) of the longer passes, at m = p whatever they take; the paper's ratio is larger."""
    schedule = hanayo(p, p, v=2 * waves)
    for forward, backward in ((1, 1), (1, 2), (2, 3), (5, 2)):
        prices = Costs.of(
            2 * waves * p, forward=forward, backward=0, weight=0, fused_backward=backward
        )
        time = evaluate(schedule, prices).makespan
        work = p * 2 * waves * (forward + backward)
        assert isinstance(time, int)
        assert time - work == 2 * (p - 1) * max(forward, backward)
        if (forward, backward) == (1, 2):
            ours = Fraction(time - work, time)
            assert ours == Fraction(2 * p - 2, 3 * p * waves + 2 * p - 2)
            assert ours < Fraction(2 * p - 2, 3 * p * waves + p - 1)
    many = hanayo(p, 3 * p, v=2 * waves)
    alike = Costs.of(2 * waves * p, forward=1, backward=0, weight=0, fused_backward=1)
    assert evaluate(many, alike).makespan == 3 * p * 4 * waves + 2 * (p - 1)
    assert max(peak_activations(many)) == p


def test_hanayo_takes_whole_waves() -> None:
    with pytest.raises(ValueError, match=r"v is 3, .* must be even, .* e\.g\. 4"):
        FAMILIES["hanayo"](4, 8, v=3)


@pytest.mark.parametrize("build", [dualpipe, chimera, bitpipe])
def test_an_odd_number_of_devices_is_refused(build: object) -> None:
    with pytest.raises(ValueError, match="takes an even number of devices, not 3"):
        build(3, 6)  # type: ignore[operator]
