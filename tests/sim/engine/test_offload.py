"""Offload and load back: copies beside compute, and memory where the bytes are at every instant."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import (
    FAMILIES,
    Cluster,
    Costs,
    InvalidSchedule,
    OutOfMemory,
    Schedule,
    critical_path,
    from_json,
    gantt,
    gantt_svg,
    host_peak_bytes,
    iteration_times,
    longest_stage,
    makespan,
    memory_curve,
    offloaded,
    parse_op,
    peak_activations,
    peak_bytes,
    peak_shares,
    simulate,
    to_json,
    validate,
)
from sim.metrics.perfetto import perfetto
from sim.search import lower_bound, steady_interval
from sim.testing import schedules


def order(*rows: str, m: int, **fields: Any) -> Schedule:
    """A schedule of one stage per device from a row of passes each."""
    orders = tuple(tuple(map(parse_op, row.split())) for row in rows)
    return Schedule(tuple(range(len(rows))), orders, m, name="test", **fields)


ONE = order(
    "F0@0 O0@0 F1@0 O1@0 F2@0 L0@0 F3@0 BW0@0 L1@0 BW2@0 BW1@0 BW3@0", m=4
)  # fmt: skip
"""F 3, BW 4, O 2, L 3, and 10 bytes:

    compute | F0 | F1 | F2 | F3 | BW0 | BW2 | BW1 | BW3 |
    out          |O0| |O1|
    in                     | L0 |     | L1 |
"""
PRICES = Costs.uniform(
    ONE, forward=3, backward=2, weight=2, activation_bytes=10, offload=2, load=3, static_bytes=1
)


def test_copies_run_beside_compute_from_where_they_stand_in_its_order() -> None:
    trace = simulate(ONE, PRICES)
    ops = trace.ops[trace.ops["kind"].isin(["O", "L"])]
    spans = zip(ops["kind"], ops["microbatch"], ops["start"], ops["end"], strict=True)
    assert sorted(spans) == [("L", 0, 9, 12), ("L", 1, 16, 19), ("O", 0, 3, 5), ("O", 1, 6, 8)]
    assert makespan(trace) == longest_stage(trace) == 4 * (3 + 4)  # all of it hidden
    twice = simulate(ONE, PRICES, iterations=2)
    assert iteration_times(twice) == (28, 28)


def test_memory_is_charged_where_the_bytes_are() -> None:
    """On the device from F to the end of O, and from the start of L; on the host in between."""
    trace = simulate(ONE, PRICES)
    columns = (trace.memory[name].tolist() for name in ("device", "time", "live", "reason"))
    rows = [
        (device, time, live - (device == 0), reason)  # one byte is static
        for device, time, live, reason in zip(*columns, strict=True)
        if reason != "static"
    ]
    assert rows == [
        (0, 0, 10, "F0@0"), (0, 3, 20, "F1@0"), (-1, 3, 10, "O0@0"), (0, 5, 10, "O0@0"),
        (0, 6, 20, "F2@0"), (-1, 6, 20, "O1@0"), (0, 8, 10, "O1@0"), (0, 9, 20, "F3@0"),
        (0, 9, 30, "L0@0"), (-1, 12, 10, "L0@0"), (0, 16, 20, "BW0@0"), (0, 16, 30, "L1@0"),
        (-1, 19, 0, "L1@0"), (0, 20, 20, "BW2@0"), (0, 24, 10, "BW1@0"), (0, 28, 0, "BW3@0"),
    ]  # fmt: skip
    assert (peak_bytes(trace), host_peak_bytes(trace), peak_shares(trace)) == ((31,), 20, (3,))


def test_a_partner_keeps_what_is_evicted_to_it() -> None:
    schedule = order(
        "F0@0 O0@0 F1@0 F2@0 L0@0 BW0@0 BW1@0 BW2@0", "F0@1 BW0@1 F1@1 BW1@1 F2@1 BW2@1",
        m=3, stores=(1, None),
    )  # fmt: skip
    prices = Costs.uniform(schedule, forward=2, activation_bytes=10, offload=1)
    trace = simulate(schedule, prices)
    mine = trace.memory[trace.memory["device"] == 1]
    evicted = mine[mine["reason"].isin(["O0@0", "L0@0"])]
    assert list(zip(evicted["time"], evicted["change"], strict=True)) == [(2, 10), (7, -10)]
    assert peak_bytes(trace) == (30, 20)
    assert peak_shares(trace) == (3, 2)
    assert host_peak_bytes(trace) == 0
    assert from_json(to_json(schedule)) == schedule


def test_a_host_that_is_too_small_names_device_queue_and_pass() -> None:
    simulate(ONE, PRICES, Cluster(1, host_memory=20))
    with pytest.raises(OutOfMemory) as caught:
        simulate(ONE, PRICES, Cluster(1, host_memory=15))
    assert str(caught.value) == (
        "out of memory on the host at time 6: O1@0 on the out queue of device 0 wants 10 bytes, "
        "5 of 15 are free"
    )


def test_devices_on_one_host_link_take_turns() -> None:
    """Two devices without a boundary between them but one microbatch later: O's of 4 collide."""
    schedule = order("F0@0 O0@0 F1@0 L0@0 BW1@0 BW0@0", "F0@1 O0@1 F1@1 L0@1 BW1@1 BW0@1", m=2)
    prices = Costs.uniform(schedule, forward=2, offload=4, load=1)

    def starts(cluster: Cluster) -> list[int]:
        ops = simulate(schedule, prices, cluster).ops
        return list(ops[ops["kind"] == "O"].sort_values("device")["start"])

    assert starts(Cluster(2)) == [2, 4]
    assert starts(Cluster(2, host_links=("a", "b"))) == [2, 4]
    assert starts(Cluster(2, host_links=("switch", "switch"))) == [2, 6]


def test_a_straggler_computes_slowly_and_copies_as_fast_as_others() -> None:
    trace = simulate(ONE, PRICES, Cluster(1, slowdown=(2,)))
    took = (trace.ops["end"] - trace.ops["start"]).groupby(trace.ops["kind"]).max()
    assert took.to_dict() == {"F": 6, "BW": 8, "O": 2, "L": 3}


def test_evictions_queue_for_the_wire_between_the_devices() -> None:
    """F of 2 sends 6 bytes over a wire of 2 per unit: it holds the wire from 2 to 5."""
    from sim import Link

    schedule = order(
        "F0@0 O0@0 F1@0 L0@0 BW1@0 BW0@0", "F0@1 F1@1 BW0@1 BW1@1", m=2, stores=(1, None)
    )
    prices = Costs.uniform(schedule, forward=2, offload=1, boundary_bytes=6)
    wire = Cluster(2, links={"w": Link(bandwidth=2)}, routes={(0, 1): ("w",)})
    ops = simulate(schedule, prices, wire).ops
    assert ops[ops["kind"] == "O"]["start"].tolist() == [5]


def test_who_waits_for_a_load_waits_for_a_link() -> None:
    """BW0 could begin at 3, the end of F1; O ends at 3 + 4, L at 3 + 4 + 5."""
    schedule = order("F0@0 F1@0 O0@0 L0@0 BW0@0 BW1@0", m=2)
    prices = Costs.uniform(schedule, forward=1.5, offload=4, load=5)
    trace = simulate(schedule, prices)
    row = trace.ops[(trace.ops["kind"] == "BW") & (trace.ops["microbatch"] == 0)].iloc[0]
    assert (row.start, row.written, row.arrived, row.source) == (12, 7, 12, "L0@0")
    assert [(str(leg.op), leg.start, leg.end) for leg in critical_path(trace)] == [
        ("F0@0", 0, 1.5), ("F1@0", 1.5, 3), ("O0@0", 3, 7), ("L0@0", 7, 12), ("BW0@0", 12, 14),
        ("BW1@0", 14, 16),
    ]  # fmt: skip


def test_one_f_one_b_offloads_for_nothing_where_a_copy_takes_no_longer_than_a_forward() -> None:
    """F=B=W=4, p=8: at 4 per copy each direction keeps up, and two activations stay of p - r."""
    schedule = FAMILIES["1f1b"](8, 16)
    prices = Costs.uniform(schedule, forward=4, backward=4, weight=4, offload=4)
    away = offloaded(schedule, costs=prices)
    trace = simulate(away, prices)
    assert makespan(trace) == makespan(simulate(schedule, prices)) == (16 + 7) * 12
    assert peak_shares(trace) == (2,) * 7 + (1,)
    assert peak_activations(schedule) == (8, 7, 6, 5, 4, 3, 2, 1)


@settings(max_examples=40, deadline=None)
@given(schedules(max_microbatches=8), st.sampled_from((1, 5, 50)), st.data())
def test_offload_with_costs_makes_no_schedule_longer(
    schedule: Schedule, copy: int, data: st.DataObject
) -> None:
    """Every L is placed so that it ends when its backward begins, if the schedule keeps its times:
    then it does."""
    prices = Costs.uniform(schedule, forward=8, backward=7, weight=4, offload=copy, send=1)
    stages = data.draw(st.sets(st.integers(0, schedule.n_stages - 1)))
    found = offloaded(schedule, sorted(stages), costs=prices)
    validate(found)
    before, after = simulate(schedule, prices), simulate(found, prices)
    assert makespan(after) == makespan(before)
    assert longest_stage(after) == longest_stage(before)
    pairs = zip(peak_shares(after), peak_shares(before), strict=True)
    assert all(now <= then + 1e-9 for now, then in pairs)


@settings(max_examples=60, deadline=None)
@given(schedules(max_microbatches=8))
def test_offload_keeps_a_valid_schedule_valid(schedule: Schedule) -> None:
    found = offloaded(schedule)
    validate(found)
    assert from_json(to_json(found)) == found
    assert offloaded(found) == found
    for before, after in zip(schedule.orders, found.orders, strict=True):
        assert [op for op in after if op.kind not in ("O", "L")] == list(before)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("F0@0 O0@0 BW0@0", "device 0, position 1: O0@0 on the out queue has no L0@0"),
        ("F0@0 L0@0 BW0@0", "device 0, position 1: L0@0 on the in queue has no O0@0"),
        ("F0@0 L0@0 O0@0 BW0@0", "L0@0 on the in queue comes before O0@0 on the out queue, whose"),
        ("O0@0 F0@0 L0@0 BW0@0", "O0@0 on the out queue comes before F0@0, whose output it reads"),
        (
            "F0@0 O0@0 BW0@0 L0@0",
            "position 2: BW0@0 comes before L0@0 on the in queue, whose",
        ),
        ("F0@0 O0@0 L0@0 R0@0 BW0@0", "position 3: R0@0 rebuilds what O0@0 offloads"),
        ("F0@0 O0@0 O0@0 L0@0 BW0@0", "position 2: O0@0 is also at position 1"),
    ],
)
def test_a_copy_out_of_place_is_named(row: str, words: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        validate(order(row, m=1))
    assert words in caught.value.sentence


def test_a_copy_in_a_fused_step_and_a_store_that_is_none_are_named() -> None:
    row = "F0@0 O0@0 F1@0 L0@0 BW1@0 BW0@0"
    pair = (parse_op("F0@0"), parse_op("O0@0"))
    for schedule, words in (
        (order(row, m=2, fused=(pair,)), "O0@0 is in fused step F0@0&O0@0; it runs beside compute"),
        (order(row, m=2, stores=(0,)), "device 0: offloads to 0; it must be None, the host, or"),
        (order(row, m=2, stores=(3,)), "device 0: offloads to 3; it must be None, the host, or"),
        (order(row, m=2, stores=(1, 0)), "stores has 2 entries for 1 devices"),
    ):
        with pytest.raises(InvalidSchedule) as caught:
            validate(schedule)
        assert words in caught.value.sentence


def test_what_depends_on_times_is_not_read_off_the_order() -> None:
    with pytest.raises(ValueError, match=r"what is alive depends on times: ask peak_shares"):
        peak_activations(ONE)
    with pytest.raises(ValueError, match="test offloads, but the costs have no time for it"):
        simulate(ONE, Costs.of(1, forward=1, backward=1, weight=1))
    free = Costs.uniform(ONE)  # copies take no time, as sends do
    assert makespan(simulate(ONE, free)) == 4 * 3


def test_a_slow_link_bounds_everything() -> None:
    """20 per copy, out and in: out is busy for 2 x 20 between F0 (3) and what must follow, L and
    BW (20 + 4); the interval is 2 x 20 / 4 per microbatch."""
    slow = Costs.uniform(ONE, forward=3, backward=2, weight=2, offload=20)
    assert lower_bound(ONE, slow) == 3 + 2 * 20 + 20 + 4
    assert steady_interval(ONE, slow) == 10
    assert makespan(simulate(ONE, slow)) >= 67


def test_copy_queues_are_rows_of_pictures_and_threads_of_perfetto() -> None:
    trace = simulate(ONE, PRICES)
    figure = gantt(trace)
    assert list(figure.layout.yaxis.ticktext) == ["device 0", "out", "in"]
    rows = {part.name: sorted({*part.y}) for part in figure.data}
    assert rows == {"forward": [0], "full backward": [0], "offload": [1], "load back": [2]}
    assert ">out</text>" in gantt_svg({"one": trace})
    assert "host" in [part.name for part in memory_curve(trace).data]
    events = perfetto(trace)["traceEvents"]
    names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    on = {names[e["tid"]]: e["cat"] for e in events if e["ph"] == "X" and e["cat"] in ("O", "L")}
    assert on == {"out": "O", "in": "L"}
    assert {e["pid"] for e in events} == {0}
    assert not any(math.isnan(e.get("ts", 0)) for e in events)


@pytest.mark.parametrize("name", ["zb-h1", "v-half", "interleaved", "v-zb", "vocab-1f1b"])
def test_copies_take_no_turn_among_posted_messages(name: str) -> None:
    """They run beside compute: copies of no time change nothing, however messages are posted."""
    before = FAMILIES[name](4, 8)
    after = offloaded(before)
    assert after.copies
    costs = Costs.uniform(after, forward=10, backward=12, weight=8, send=9, offload=0)
    cluster = Cluster(4, receives="early")
    assert makespan(simulate(after, costs, cluster)) == makespan(simulate(before, costs, cluster))
