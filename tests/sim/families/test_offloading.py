"""BPipe, PO-H and PO-F: their peaks, and that copies as long as the shortest pass cost nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sim import FAMILIES, Costs, Schedule, mechanisms, simulate, validate
from sim.families.gis import gis, gis_h
from sim.families.one_f_one_b import one_f_one_b
from sim.search import Evaluation, evaluate


def played(schedule: Schedule, f: int, b: int, w: int) -> Evaluation:
    """With passes of so long, and copies as long as the shortest one."""
    shortest = min(f, b, w) if "B" in {op.kind for op in schedule.orders[0]} else min(f, b + w)
    prices = Costs.uniform(schedule, forward=f, backward=b, weight=w, offload=shortest)
    return evaluate(schedule, prices)


@pytest.mark.parametrize("p", [*range(1, 11), 16])
def test_no_device_of_bpipe_holds_more_than_half_of_all(p: int) -> None:
    for m in sorted({1, 2, p - 1, p, p + 1, 2 * p, 2 * p + 1, 3 * p + 2} - {0}):
        schedule = FAMILIES["bpipe"](p, m)
        validate(schedule)
        for f, b, w in ((1, 1, 1), (4, 1, 2), (2, 3, 5)):
            found = played(schedule, f, b, w)
            assert found.makespan == (m + p - 1) * (f + b + w), m
            assert max(found.peak_activations) == min((p + 3) // 2, p, m), m


def test_bpipe_is_1f1b_with_evictions_to_the_mirror_of_each_device() -> None:
    schedule = FAMILIES["bpipe"](8, 16)
    assert schedule.stores == (7, 6, 5, 4, None, None, None, None)
    assert mechanisms(schedule) == ("stages 0-2 offload activations to other devices",)
    for order, plain in zip(schedule.orders, one_f_one_b(8, 16).orders, strict=True):
        assert tuple(op for op in order if op.kind not in ("O", "L")) == plain
    assert max(played(one_f_one_b(8, 16), 1, 1, 1).peak_activations) == 8


@pytest.mark.parametrize(("p", "m"), [(4, 10), (8, 17), (9, 18)])
def test_no_two_copies_of_a_device_of_bpipe_are_under_way_at_once(p: int, m: int) -> None:
    schedule = FAMILIES["bpipe"](p, m)
    ops = simulate(schedule, Costs.uniform(schedule, offload=1)).ops
    for _, mine in ops[ops["kind"].isin(["O", "L"])].groupby("device"):
        spans = sorted(zip(mine["start"], mine["end"], strict=True))
        assert all(one[1] <= other[0] for one, other in pairwise(spans))


@pytest.mark.parametrize("p", [3, 4, 5, 8])
@pytest.mark.parametrize("v", [1, 2, 3, 4])
def test_po_f_keeps_three_activations_of_one_stage_for_any_times(p: int, v: int) -> None:
    for m in (p, 3 * p):
        schedule, plain = FAMILIES["po-f"](p, m, v=v), gis(p, m, v=v)
        for f, b, w in ((1, 1, 1), (3, 5, 2), (5, 3, 4)):
            found = played(schedule, f * v, b * v, w * v)
            assert found.makespan == played(plain, f * v, b * v, w * v).makespan
            assert max(found.peak_activations) * v == pytest.approx(3)


@pytest.mark.parametrize("p", [4, 5, 6, 8])
@pytest.mark.parametrize("v", [2, 3, 4])
def test_po_h_keeps_a_group_on_half_of_the_stages_and_two(p: int, v: int) -> None:
    group = (p + 1) // 2
    for m in (2 * group, 4 * group):
        schedule, plain = FAMILIES["po-h"](p, m, v=v), gis_h(p, m, v=v)
        found = played(schedule, v, v, v)
        assert found.makespan == played(plain, v, v, v).makespan
        assert max(found.peak_activations) * v == pytest.approx((v - v // 2) * group + 2)


def test_slow_copies_cost_time() -> None:
    for name in ("bpipe", "po-h", "po-f"):
        schedule = FAMILIES[name](4, 12)
        free, slow = (Costs.uniform(schedule, offload=time) for time in (1, 9))
        assert evaluate(schedule, free).makespan < evaluate(schedule, slow).makespan
