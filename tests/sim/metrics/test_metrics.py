"""Clocks, bubbles, peaks, the idle account and the critical path."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sim
from sim import Cluster, Costs, Op, Schedule


def play(name: str, p: int, m: int, **options: int) -> sim.Trace:
    schedule = sim.FAMILIES[name](p, m)
    numbers = {"forward": 1, "backward": 1, "weight": 1, "send": 0} | options
    return sim.simulate(schedule, Costs.uniform(schedule, **numbers))


def test_the_two_clocks_differ_where_devices_end_at_different_times() -> None:
    trace = play("zb-h2", 8, 32)
    assert (sim.makespan(trace), sim.longest_stage(trace)) == (103, 96)
    assert sim.bubble(trace) == pytest.approx(1 - 96 / 103)
    assert sim.bubble(trace, "longest_stage") == 0


def test_an_unknown_clock_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown clock 'wall': use makespan or longest_stage"):
        sim.bubble(play("1f1b", 2, 2), "wall")  # type: ignore[arg-type]


def test_peaks_are_counted_in_shares_of_a_device() -> None:
    assert sim.peak_activations(sim.FAMILIES["1f1b"](4, 8)) == (4, 3, 2, 1)
    assert sim.peak_activations(sim.FAMILIES["gpipe"](4, 8)) == (8, 8, 8, 8)
    assert max(sim.peak_activations(sim.FAMILIES["interleaved"](4, 8))) == 5.5


def test_a_pass_fused_with_the_forward_frees_only_at_the_end() -> None:
    forward, backward = Op("F", 0, 1), Op("BW", 0, 0)
    order = (Op("F", 0, 0), forward, backward, Op("BW", 0, 1))
    assert sim.peak_activations(Schedule((0,), (order,), 2)) == (2,)
    order = (Op("F", 0, 0), backward, forward, Op("BW", 0, 1))
    assert sim.peak_activations(Schedule((0,), (order,), 2)) == (1,)
    fused = Schedule((0,), (order,), 2, fused=((backward, forward),))
    assert sim.peak_activations(fused) == (2,)


def test_the_idle_account_of_1f1b_by_hand() -> None:
    account = sim.idle_account(play("1f1b", 2, 2, send=1)).set_index("device")
    # device 0 | F0 F1 . . BW0 . . . BW1     device 1 | . . F0 BW0 F1 BW1
    assert account.loc[0].to_dict() == {
        "busy": 6, "warm_up": 0, "waiting_for_input": 3, "waiting_for_link": 2,
        "between_iterations": 0, "cool_down": 0, "idle": 5,
    }  # fmt: skip
    assert account.loc[1].to_dict() == {
        "busy": 6, "warm_up": 2, "waiting_for_input": 0, "waiting_for_link": 0,
        "between_iterations": 0, "cool_down": 3, "idle": 5,
    }  # fmt: skip


def test_the_critical_path_of_1f1b_by_hand() -> None:
    path = sim.critical_path(play("1f1b", 2, 2, send=1))
    assert [(leg.what, str(leg.op), leg.device, leg.start, leg.end) for leg in path] == [
        ("pass", "F0@0", 0, 0, 1),
        ("transfer", "F0@0", 1, 1, 2),
        ("pass", "F0@1", 1, 2, 3),
        ("pass", "BW0@1", 1, 3, 5),
        ("pass", "F1@1", 1, 5, 6),
        ("pass", "BW1@1", 1, 6, 8),
        ("transfer", "BW1@1", 0, 8, 9),
        ("pass", "BW1@0", 0, 9, 11),
    ]


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(sim.FAMILIES)),
    p=st.integers(1, 5),
    m=st.integers(1, 9),
    times=st.tuples(*[st.fractions(0, 5, max_denominator=4)] * 4),
    iterations=st.integers(1, 3),
    barrier=st.booleans(),
    receives=st.sampled_from(["buffered", "early", "just-in-time"]),
)
def test_idle_time_and_critical_path_add_up_exactly(
    name: str,
    p: int,
    m: int,
    times: tuple[float, float, float, float],
    iterations: int,
    barrier: bool,
    receives: str,
) -> None:
    try:
        schedule = sim.FAMILIES[name](p, m)
    except ValueError:
        return  # the family does not take these numbers
    forward, backward, weight, send = times
    costs = Costs.uniform(schedule, forward=forward, backward=backward, weight=weight, send=send)
    cluster = Cluster(p, receives=receives)  # type: ignore[arg-type]
    trace = sim.simulate(
        schedule, costs, cluster, iterations=iterations, barrier=barrier, optimizer=2
    )
    account = sim.idle_account(trace)
    whole = sim.makespan(trace)
    assert (account.idle + account.busy - float(whole)).abs().max() < 1e-9
    parts = ["warm_up", "waiting_for_input", "waiting_for_link", "between_iterations", "cool_down"]
    assert (account[parts].sum(axis=1) - account.idle).abs().max() < 1e-9
    assert (account[parts] >= 0).all(axis=None)
    path = sim.critical_path(trace)
    assert path[-1].end - path[0].start == pytest.approx(float(whole))
    assert all(one.end == two.start for one, two in pairwise(path))
    if receives == "buffered" and iterations == 1:
        assert all(leg.what != "wait" for leg in path)


READERS = (sim.makespan, sim.longest_stage, sim.clock_time, sim.busy, sim.bubble, sim.peak_bytes,
           sim.iteration_times, sim.idle_account, sim.critical_path)  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("wrong", [sim.FAMILIES["1f1b"](2, 2), None, 33])
def test_what_reads_a_trace_refuses_anything_else(
    reader: Callable[[object], object], wrong: object
) -> None:
    with pytest.raises(ValueError, match=r"expected a Trace, got .*simulate\(schedule, costs\)"):
        reader(wrong)


@pytest.mark.parametrize("reader", [sim.peak_activations, sim.to_json, sim.grid, sim.validate])
def test_what_reads_a_schedule_refuses_anything_else(reader: Callable[[object], object]) -> None:
    for wrong in (play("1f1b", 2, 2), sim.FAMILIES["1f1b"], None):
        with pytest.raises(ValueError, match=r"expected a Schedule, got .*FAMILIES\[name\]"):
            reader(wrong)


def test_what_reads_costs_with_a_schedule_refuses_anything_else() -> None:
    schedule: Any = sim.FAMILIES["1f1b"](2, 2)
    costs: Any = Costs.uniform(schedule)
    for reader in (sim.simulate, sim.search.evaluate, sim.search.lower_bound):
        with pytest.raises(ValueError, match="expected a Costs, got a Schedule"):
            reader(schedule, schedule)
        with pytest.raises(ValueError, match="expected a Schedule, got a Costs"):
            reader(costs, costs)
    for change in (sim.costs_to_json, lambda wrong: sim.slower(wrong, [1, 1])):
        with pytest.raises(ValueError, match="expected a Costs, got a Schedule"):
            change(schedule)


def test_bytes_beyond_what_an_int64_holds_are_the_same_before_and_after_a_look_at_frames() -> None:
    schedule = sim.FAMILIES["1f1b"](2, 2)
    trace = sim.simulate(schedule, Costs.uniform(schedule, activation_bytes=10**20))
    before = sim.peak_bytes(trace)
    assert len(trace.memory)
    assert sim.peak_bytes(trace) == before == (2 * 10**20, 10**20)
