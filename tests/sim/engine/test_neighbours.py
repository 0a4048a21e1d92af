"""Devices that slow each other down while they compute at the same time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sim
from sim import Cluster, Costs, Op, Schedule
from sim.testing import costs as any_costs
from sim.testing import schedules

SLOWER = st.sampled_from((1.0, 1.1, 1.5, 2.0, 3.0))


def factor(slowdown: float, busy: int, n: int) -> float:
    """How many times as long a pass takes while so many devices compute, its own among them."""
    return 1 + (slowdown - 1) * (busy - 1) / (n - 1) if n > 1 else 1.0


def test_two_devices_that_compute_together_take_longer() -> None:
    """F0@0 alone until 10; F1@0 and F0@1 together, 20 each; then F1@1 alone, and so on."""
    order = (
        tuple(Op(kind, 0, i) for kind in ("F", "BW") for i in range(2)),
        tuple(Op(kind, 1, i) for kind in ("F", "BW") for i in range(2)),
    )
    schedule = Schedule((0, 1), order, 2, name="two")
    costs = Costs.uniform(schedule, forward=10, backward=3, weight=2)
    trace = sim.simulate(schedule, costs, Cluster(2, neighbour_slowdown=2))
    rows: Any = trace.ops.itertuples()
    ends = {(op.kind, op.stage, op.microbatch): op.end for op in rows}
    assert ends["F", 0, 0] == 10
    assert ends["F", 0, 1] == ends["F", 1, 0] == 30
    assert ends["F", 1, 1] == 40
    assert ends["BW", 1, 0] == 45
    assert ends["BW", 1, 1] == ends["BW", 0, 0] == 55
    assert sim.makespan(trace) == 60


@given(st.data())
def test_every_pass_gets_its_work_done_at_the_pace_of_the_moment(data: st.DataObject) -> None:
    schedule = data.draw(schedules())
    costs = data.draw(any_costs(schedule))
    slowdown, n = data.draw(SLOWER), schedule.n_devices
    trace = sim.simulate(schedule, costs, Cluster(n, neighbour_slowdown=slowdown))
    alone = sim.simulate(schedule, costs)
    steps, work = (
        played.ops.sort_values(["device", "position"]).drop_duplicates(["device", "step"])
        for played in (trace, alone)
    )
    played: Any = steps.itertuples()
    spans = [(float(op.start), float(op.end)) for op in played]
    moments = sorted({moment for span in spans for moment in span})
    paces = [
        (a, b, factor(slowdown, sum(s <= a and b <= e for s, e in spans), n))
        for a, b in pairwise(moments)
    ]
    plain: Any
    for plain, (start, end) in zip(work.itertuples(), spans, strict=True):
        done = sum((b - a) / pace for a, b, pace in paces if start <= a and b <= end)
        assert done == pytest.approx(float(plain.end - plain.start), abs=1e-6)
    longest = float(sim.makespan(alone))
    assert longest - 1e-6 <= float(sim.makespan(trace)) <= slowdown * longest + 1e-6


def test_clocks_of_devices_that_slow_each_other_down_are_not_rounded() -> None:
    """A tick is 1 here, and the makespan 18.9."""
    schedule = sim.FAMILIES["1f1b"](3, 4)
    costs = Costs.uniform(schedule)
    trace = sim.simulate(schedule, costs, Cluster(3, neighbour_slowdown=1.1))
    makespan, busy = sim.makespan(trace), sim.busy(trace)
    assert makespan == trace.ops["end"].max() == pytest.approx(18.9)
    assert (makespan, busy) == (sim.makespan(trace), sim.busy(trace))  # read off the frame
    assert sum(busy) == pytest.approx((trace.ops["end"] - trace.ops["start"]).sum())


def test_without_neighbours_times_stay_exact() -> None:
    schedule = sim.FAMILIES["v-half"](4, 8)
    costs = Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
    cluster = Cluster(4, neighbour_slowdown=1)
    assert sim.simulate(schedule, costs, cluster).ops.equals(sim.simulate(schedule, costs).ops)


@pytest.mark.parametrize("factor", [0, -1, "fast"])
def test_a_slowdown_that_is_none_is_refused(factor: object) -> None:
    with pytest.raises((ValueError, TypeError), match="neighbour_slowdown"):
        Cluster(2, neighbour_slowdown=factor)  # type: ignore[arg-type]
