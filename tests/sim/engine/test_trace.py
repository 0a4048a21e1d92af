"""A trace makes its frames when they are read; numbers never need them, and never depend on it."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sim
from sim import Costs, Schedule, Trace
from sim.metrics.summary import summary
from sim.testing import clusters, costs, family_schedules, wild_schedules

ROOT = Path(__file__).resolve().parents[3]
FRAMES = ("ops", "transfers", "memory")
NUMBERS: tuple[Callable[[Trace], Any], ...] = (
    sim.makespan,
    sim.longest_stage,
    sim.busy,
    sim.bubble,
    sim.peak_bytes,
    sim.iteration_times,
    sim.critical_path,
    summary,
)


def played(iterations: int = 1) -> Trace:
    schedule = sim.FAMILIES["zb-h1"](3, 4)
    numbers = {"send": 1, "activation_bytes": 4, "boundary_bytes": 2}
    return sim.simulate(schedule, Costs.uniform(schedule, **numbers), iterations=iterations)


def test_clocks_and_the_summary_need_neither_pandas_nor_numpy() -> None:
    code = """
import sys, sim
from sim.metrics.summary import summary
schedule = sim.FAMILIES["v-half"](4, 8)
costs = sim.Costs.uniform(schedule, send=1, activation_bytes=8)
trace = sim.simulate(schedule, costs, sim.Cluster(4, memory=(100,) * 4), iterations=2)
summary(trace, costs=costs)
sim.iteration_times(trace)
print([name for name in ("pandas", "numpy") if name in sys.modules])
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_is_made_once(name: str) -> None:
    trace = played()
    assert isinstance(getattr(trace, name), pd.DataFrame)
    assert getattr(trace, name) is getattr(trace, name)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_numbers_read_off_the_record_equal_those_read_off_the_frames(data: st.DataObject) -> None:
    schedule = data.draw(st.one_of(family_schedules(), wild_schedules()))
    price = data.draw(costs(schedule))
    modes: dict[str, Any] = {
        "transfers": ("overlapped", "blocking"),
        "receives": ("buffered", "early", "just-in-time"),
    }
    cluster = data.draw(clusters(schedule, **modes))
    cluster = replace(cluster, neighbour_slowdown=data.draw(st.sampled_from((1, 1, 1.5))))
    options: dict[str, Any] = {
        "iterations": data.draw(st.integers(1, 3)),
        "barrier": data.draw(st.booleans()),
        "optimizer": data.draw(st.sampled_from((0, 1, 0.25))),
        "jitter": data.draw(st.sampled_from((0, 0, 0.3))),
    }
    try:
        trace = sim.simulate(schedule, price, cluster, **options)
    except ValueError:
        return  # out of memory, or a deadlock
    before = [repr(number(trace)) for number in NUMBERS]
    idle = sim.idle_account(trace)
    again = Trace(
        schedule, trace.ops, trace.transfers, trace.memory,
        iterations=trace.iterations, per_unit=trace.per_unit,
    )  # fmt: skip
    assert [repr(number(again)) for number in NUMBERS] == before
    pd.testing.assert_frame_equal(sim.idle_account(again), idle, check_exact=True)


def test_a_trace_of_other_frames_has_other_numbers() -> None:
    trace = played()
    later = replace(trace, ops=trace.ops.assign(end=trace.ops["end"] + 5))
    assert sim.makespan(later) == sim.makespan(trace) + 5
    grown = replace(trace, memory=trace.memory.assign(live=trace.memory["live"] + 7))
    assert sim.peak_bytes(grown) == tuple(peak + 7 for peak in sim.peak_bytes(trace))


def copied_by_pickle(trace: Trace) -> Trace:
    found: Trace = pickle.loads(pickle.dumps(trace))
    return found


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, copied_by_pickle, replace])
@pytest.mark.parametrize("read", [False, True])
def test_a_copy_is_equal_whether_frames_have_been_read_or_not(
    copied: Callable[[Trace], Trace], read: bool
) -> None:
    trace = played(iterations=2)
    if read:
        assert len(trace.ops)
    other = copied(trace)
    assert sim.makespan(other) == sim.makespan(trace)
    for name in FRAMES:
        pd.testing.assert_frame_equal(getattr(other, name), getattr(trace, name))


def test_a_frame_cannot_be_put_in_place_of_another() -> None:
    with pytest.raises(AttributeError, match="cannot assign to field 'ops'"):
        played().ops = pd.DataFrame()  # type: ignore[misc]


def test_a_trace_needs_all_its_frames() -> None:
    schedule = Schedule((0,), ((),), 1)
    with pytest.raises(TypeError, match="missing 3 required positional arguments"):
        Trace(schedule)
