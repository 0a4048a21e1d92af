"""Chrome JSON: strict, every slice where the trace has it, arrows and counters that bind."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import FAMILIES, Costs, Schedule, Trace, simulate, write_perfetto
from sim.metrics.perfetto import perfetto
from sim.testing import clusters, costs, schedules


def played(schedule: Schedule, **numbers: Any) -> Trace:
    return simulate(schedule, Costs.uniform(schedule, **numbers))


def of_kind(found: dict[str, Any], phase: str) -> list[dict[str, Any]]:
    return [event for event in found["traceEvents"] if event["ph"] == phase]


def test_a_small_trace_event_by_event() -> None:
    trace = played(FAMILIES["1f1b"](2, 1), forward=2, backward=3, weight=1, send=5)
    found = perfetto(trace, microseconds=1)
    slices = [
        (e["pid"], e["tid"], e["name"], e["ts"], e["dur"])
        for e in sorted(of_kind(found, "X"), key=lambda e: (e["ts"], e["pid"]))
    ]
    assert slices == [
        (0, 0, "F0@0", 0, 2),
        (0, 1, "activation of 0@0", 2, 5),
        (1, 2, "activation of 0@0", 2, 5),
        (1, 0, "F0@1", 7, 2),
        (1, 0, "BW0@1", 9, 4),
        (0, 2, "gradient of 0@1", 13, 5),
        (1, 1, "gradient of 0@1", 13, 5),
        (0, 0, "BW0@0", 18, 4),
    ]
    waited = {e["name"]: e["args"].get("waited for") for e in of_kind(found, "X") if not e["tid"]}
    assert waited == {"F0@0": None, "F0@1": "F0@0", "BW0@1": None, "BW0@0": "BW0@1"}
    names = {(e["pid"], e["tid"]): e["args"]["name"]
             for e in of_kind(found, "M") if e["name"] == "thread_name"}  # fmt: skip
    assert names == {
        (device, thread): name
        for device in (0, 1)
        for thread, name in enumerate(("compute", "send", "receive"))
    }
    processes = [e["args"]["name"] for e in of_kind(found, "M") if e["name"] == "process_name"]
    assert processes == ["device 0", "device 1"]


def test_memory_counters_show_what_is_live_after_each_moment() -> None:
    trace = played(
        FAMILIES["1f1b"](1, 2),
        forward=1,
        backward=1,
        weight=1,
        activation_bytes=7,
        static_bytes=99,
    )
    counted = of_kind(perfetto(trace, microseconds=1), "C")
    bytes_live = [(e["ts"], e["args"]["bytes"]) for e in counted if e["name"] == "memory"]
    assert bytes_live == [(0, 106), (3, 106), (6, 99)]
    shares = [(e["ts"], e["args"]["shares"]) for e in counted if e["name"] == "activations"]
    assert shares == [(0, 1), (3, 1), (6, 0)]


def test_without_bytes_there_is_no_counter_of_bytes() -> None:
    found = perfetto(played(FAMILIES["1f1b"](2, 2)))
    assert {event["name"] for event in of_kind(found, "C")} == {"activations"}


def test_a_fused_step_is_one_slice() -> None:
    trace = played(FAMILIES["dualpipe-v"](2, 4))
    names = [e["name"] for e in of_kind(perfetto(trace), "X") if e["tid"] == 0]
    assert len(names) == len(set(names))
    assert any("&" in name for name in names)
    parts = [part for name in names for part in name.split("&")]
    assert len(parts) == len(set(parts)) == trace.schedule.n_ops


def test_times_are_scaled_to_microseconds_and_whole_nanoseconds() -> None:
    trace = played(FAMILIES["1f1b"](1, 1), forward=1 / 8, backward=1 / 3, weight=0)
    assert [(e["ts"], e["dur"]) for e in of_kind(perfetto(trace), "X")] == [
        (0, 125_000), (125_000, 333_333.333),
    ]  # fmt: skip
    in_milliseconds = perfetto(trace, microseconds=1000)
    assert [e["ts"] for e in of_kind(in_milliseconds, "X")] == [0, 125]


@pytest.mark.parametrize("unit", [0, -1, float("nan"), "s"])
def test_a_unit_that_is_no_time_gets_one_sentence(unit: Any) -> None:
    with pytest.raises(ValueError, match="microseconds is"):
        perfetto(played(FAMILIES["1f1b"](1, 1)), microseconds=unit)


def test_a_time_that_is_not_finite_gets_one_sentence_and_no_file(tmp_path: Path) -> None:
    trace = played(FAMILIES["1f1b"](1, 1))
    broken = replace(trace, ops=trace.ops.assign(end=float("nan")))
    with pytest.raises(ValueError, match="only finite times can be drawn"):
        write_perfetto(broken, tmp_path / "trace.json")
    assert list(tmp_path.iterdir()) == []


def test_the_file_holds_the_same_as_strict_json(tmp_path: Path) -> None:
    trace = played(FAMILIES["zb-h1"](3, 4), send=0.5, activation_bytes=10)
    path = tmp_path / "trace.json"
    write_perfetto(trace, path)

    def refused(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    assert json.loads(path.read_text(), parse_constant=refused) == perfetto(trace)


def test_numbers_that_were_not_measured_are_left_empty() -> None:
    trace = played(FAMILIES["1f1b"](2, 1), send=1)
    partly = replace(trace, transfers=trace.transfers.assign(bytes=float("nan"), link=None))
    found = perfetto(partly)
    json.dumps(found, allow_nan=False)
    assert {e["args"]["bytes"] for e in of_kind(found, "X") if e["tid"]} == {None}


SCHEMA = {
    "X": {"ph", "pid", "tid", "name", "ts", "dur", "cat", "args"},
    "M": {"ph", "pid", "tid", "name", "args"},
    "s": {"ph", "pid", "tid", "name", "ts", "cat", "id"},
    "f": {"ph", "pid", "tid", "name", "ts", "cat", "id", "bp"},
    "C": {"ph", "pid", "tid", "name", "ts", "args"},
}


@settings(max_examples=50, deadline=None)
@given(schedules(), st.data())
def test_every_event_keeps_to_the_format_and_slices_of_a_thread_never_cross(
    schedule: Schedule, data: st.DataObject
) -> None:
    trace = simulate(schedule, data.draw(costs(schedule)), data.draw(clusters(schedule)))
    found = json.loads(json.dumps(perfetto(trace), allow_nan=False))
    slices: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    for event in found["traceEvents"]:
        assert set(event) == SCHEMA[event["ph"]]
        assert type(event["pid"]) is type(event["tid"]) is int
        assert 0 <= event["pid"] < schedule.n_devices
        if event["ph"] == "X":
            assert event["ts"] >= 0 <= event["dur"]
            nano = round(event["ts"] * 1000), round(event["ts"] * 1000 + event["dur"] * 1000)
            slices[event["pid"], event["tid"]].append(nano)
    for spans in slices.values():
        spans.sort()
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
    passes = [part for e in of_kind(found, "X") if not e["tid"] for part in e["name"].split("&")]
    assert sorted(passes) == sorted(str(op) for order in schedule.orders for op in order)


@settings(max_examples=50, deadline=None)
@given(schedules(), st.data())
def test_every_transfer_is_an_arrow_from_inside_its_writer_to_inside_its_reader(
    schedule: Schedule, data: st.DataObject
) -> None:
    found = perfetto(simulate(schedule, data.draw(costs(schedule, times=st.integers(1, 9)))))
    starts = {event["id"]: event for event in of_kind(found, "s")}
    ends = {event["id"]: event for event in of_kind(found, "f")}
    crossings = sum(a != b for a, b in pairwise(schedule.placement))
    assert len(starts) == len(of_kind(found, "s")) == len(of_kind(found, "f"))
    assert len(starts) == 2 * crossings * schedule.n_microbatches * schedule.n_slices
    compute = [event for event in of_kind(found, "X") if event["tid"] == 0]
    for number, start in starts.items():
        end = ends[number]
        assert start["ts"] < end["ts"]
        assert start["pid"] != end["pid"]
        for arrow in (start, end):
            inside = [
                event
                for event in compute
                if event["pid"] == arrow["pid"]
                and event["ts"] < arrow["ts"] < event["ts"] + event["dur"]
            ]
            assert len(inside) == 1
