"""Traces in the form HolisticTraceAnalysis reads; what it says of them, where it is installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import sim


def played() -> sim.Trace:
    schedule = sim.FAMILIES["zb-h1"](4, 8)
    costs = sim.Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
    return sim.simulate(schedule, costs)


def test_a_file_per_device_has_every_pass_as_a_kernel_with_its_launch(tmp_path: Path) -> None:
    paths = sim.write_hta(played(), tmp_path, microseconds=1000)
    assert [Path(path).name for path in paths] == [f"rank{rank}.json" for rank in range(4)]
    for rank, path in enumerate(paths):
        found = json.loads(Path(path).read_text())
        assert found["distributedInfo"] == {"backend": "nccl", "rank": rank, "world_size": 4}
        kernels = [event for event in found["traceEvents"] if event["cat"] == "kernel"]
        launches = [event for event in found["traceEvents"] if event["cat"] == "cuda_runtime"]
        assert {event["args"]["correlation"] for event in kernels} == {
            event["args"]["correlation"] for event in launches
        }
        work = [event for event in kernels if event["args"]["stream"] == 7]
        assert len(work) == 3 * 8
        assert sum(event["dur"] for event in work) == 8 * 30 * 1000
        assert all(event["name"].startswith("nccl") != (event in work) for event in kernels)


def test_its_account_of_idle_time_is_ours(tmp_path: Path) -> None:
    hta = pytest.importorskip("hta.trace_analysis")
    trace = played()
    paths = sim.write_hta(trace, tmp_path, microseconds=1000)
    theirs = hta.TraceAnalysis(trace_files=dict(enumerate(paths)))
    times = theirs.get_temporal_breakdown(visualize=False).sort_values("rank")
    assert times["compute_time(us)"].to_list() == [1000 * time for time in sim.busy(trace)]
    idle, _ = theirs.get_idle_time_breakdown(ranks=[0, 1, 2, 3], visualize=False)
    gaps = idle[idle["stream"] == 7].groupby("rank")["idle_time"].sum()
    ours = sim.idle_account(trace)
    waits = ours["waiting_for_input"] + ours["waiting_for_link"]
    assert gaps.to_list() == [1000 * wait for wait in waits]
