"""Greedy orders: warm-ups without idle time, and the published figures for ample memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from counted import list_scheduled
from hypothesis import given
from hypothesis import strategies as st

from sim import Costs, Op, Schedule, simulate
from sim.search.orders.problem import order_problem
from sim.search.orders.warm_up import warm_ups
from validation.published_searches import TOLERANCE, Instance, instances

times = st.integers(1, 12)
AMPLE = [row for row in instances("curve") if row.limit >= 2 * row.p - 1]


@st.composite
def pipelines(draw: st.DrawFn) -> Costs:
    p = draw(st.integers(2, 6))
    forward, backward = (draw(st.lists(times, min_size=p, max_size=p)) for _ in range(2))
    forward.sort()  # a slower device in front would starve the next one
    send = draw(st.lists(st.integers(0, 3), min_size=p - 1, max_size=p - 1))
    return Costs.of(p, forward=forward, backward=backward, weight=0, send=send)


def first_wait(costs: Costs, number: Any) -> list[Any]:
    """How long each device waits between its first forward and its first backward."""
    p, m = len(number), int(max(number))
    orders = [
        [Op("F", s, i) for i in range(m)] + [Op(kind, s, i) for i in range(m) for kind in "BW"]  # type: ignore[arg-type]
        for s in range(p)
    ]
    for s, row in enumerate(orders):
        n = int(number[s])
        row[:] = [*row[:n], row[m], *row[n:m], *row[m + 1 :]]
    trace = simulate(Schedule(tuple(range(p)), tuple(map(tuple, orders)), m), costs)
    first: Any = trace.ops[trace.ops.microbatch == 0].itertuples()
    start = {(op.kind, op.stage): op.start for op in first}
    return [
        start["B", s] - start["F", s] - n * costs.forward[s][0]
        for s, n in enumerate(map(int, number))
    ]


def arrays(costs: Costs) -> tuple[Any, ...]:
    send = np.array(costs.send, np.int64)
    return np.array(costs.forward)[:, 0], np.array(costs.backward)[:, 0], send, send


@given(pipelines())
def test_the_first_warm_up_has_no_idle_time_and_one_forward_less_has(costs: Costs) -> None:
    best = next(iter(warm_ups(*arrays(costs))))
    assert first_wait(costs, best) == [0] * best.size
    for d in range(best.size - 1):
        fewer = best.copy()
        fewer[d] -= 1
        assert fewer[d] < 1 or sum(first_wait(costs, fewer)) > 0


def test_equal_passes_take_two_or_three_forwards_more_per_device() -> None:
    found = [
        list(n) for n in warm_ups(np.full(4, 10), np.full(4, 10), np.full(3, 1), np.full(3, 1))
    ]
    assert found[0] == [10, 7, 4, 1]
    assert [7, 5, 3, 1] in found


@pytest.mark.parametrize("row", AMPLE[::8], ids=lambda row: f"{row.m}-{row.times[0]}-{row.limit:g}")
def test_rules_reach_the_published_curve_where_memory_is_ample(row: Instance) -> None:
    given_problem = order_problem(
        tuple(range(row.p)), row.m, row.costs(), clock="longest_stage",
        **{"memory_limit": None, "memory_bytes": None} | row.limits(),
    )  # fmt: skip
    known = row.bubble(row.reference) + TOLERANCE
    target = row.m * sum(row.times[:3]) / (1 - known) * float(given_problem.scale)
    found = list_scheduled(given_problem, seconds=6, target=int(target))
    assert found[0].value <= target


def test_three_forwards_more_per_device_leave_no_idle_time_at_all() -> None:
    p, m = 4, 24
    costs = Costs.of(p, forward=30, backward=29, weight=19, send=1)
    straight = order_problem(tuple(range(p)), m, costs, clock="longest_stage", memory_limit=13)
    assert list_scheduled(straight, seconds=10, target=m * 78)[0].value == m * 78
