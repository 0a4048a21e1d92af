"""The sum of gradients between devices that hold the same stage: when it runs, who waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sim import (
    FAMILIES,
    Cluster,
    Costs,
    Link,
    Op,
    Schedule,
    Trace,
    costs_from_json,
    costs_to_json,
    critical_path,
    gantt,
    gantt_svg,
    idle_account,
    longest_stage,
    makespan,
    simulate,
)
from sim.families.chimera import chimera
from sim.families.dualpipe import dualpipe
from sim.metrics.metrics import idle_rows, iteration_times
from sim.metrics.perfetto import perfetto
from sim.schedule.replicas import gradient_sums
from sim.schedule.training import frozen, frozen_weights
from sim.search import evaluate, lower_bound
from sim.show.timeline.packed import packed

TWO = chimera(2, 2)
"""device 0 | F0 F1 BW1 BW0: the gradients of stage 1 are complete at 4, those of stage 0 at 6."""


def sums(trace: Trace) -> list[tuple[int, int, int, int]]:
    """Stage, source, start and end of every sum that crossed."""
    found = trace.transfers[trace.transfers["value"] == "weight_gradient"]
    columns = found[["stage", "source", "start", "end"]]
    return sorted(map(tuple, columns.to_numpy().tolist()))


def test_each_device_sends_its_sum_when_the_last_weight_gradient_has_ended() -> None:
    trace = simulate(TWO, Costs.uniform(TWO, gradient_sum=3))
    assert sums(trace) == [(0, 0, 6, 9), (0, 1, 6, 9), (1, 0, 4, 7), (1, 1, 4, 7)]
    assert (makespan(trace), longest_stage(trace)) == (9, 9)
    assert sums(simulate(TWO, Costs.uniform(TWO))) == []


def test_sums_take_turns_on_a_wire_and_let_gradients_pass_first() -> None:
    """One wire for all, 2 bytes per unit of time: 5 for each sum. When its BW of stage 1 ends, a
    device sends the gradient that stage 0 waits for before it sends the sum."""
    prices = Costs.uniform(TWO, gradient_bytes=10, boundary_bytes=4)
    one_wire = Cluster(2, links={"a": Link(0, 2)}, routes={(0, 1): ("a",), (1, 0): ("a",)})
    trace = simulate(TWO, prices, one_wire)
    first = trace.transfers[trace.transfers["start"] >= 5].sort_values("start")
    assert first["value"].tolist()[:2] == ["gradient", "weight_gradient"]
    assert {end - start for _, _, start, end in sums(trace)} == {5}
    assert makespan(trace) == max(end for *_, end in sums(trace)) > trace.ops["end"].max()


def test_dualpipe_waits_only_for_the_sums_that_come_last() -> None:
    """A sum is under way as soon as the last W of its stage has ended, whatever still runs."""
    schedule = dualpipe(4, 8)
    plain = simulate(schedule, Costs.uniform(schedule))
    ended, ops = makespan(plain), plain.ops.set_index(["kind", "stage", "microbatch"])
    last = {(op.stage, d): int(ops["end"][op[:3]]) for op, d, _ in gradient_sums(schedule)}
    assert len(last) == 8  # 4 stages, each on 2 devices
    for time in (1, 7, 30):
        trace = simulate(schedule, Costs.uniform(schedule, gradient_sum=time))
        assert makespan(trace) == max(ended, max(last.values()) + time)


def test_a_device_is_idle_while_it_waits_for_a_sum() -> None:
    """Device 1 takes twice the time, F1 F0 BW0 BW1 at 2, 4, 8, 12; device 0 ends at 1, 3, 5, 10,
    waits until 12 for the gradients of device 1, and until 15 for the link. Device 1 is through at
    13, when those of device 0 have come."""
    account = idle_account(simulate(TWO, Costs.uniform(TWO, gradient_sum=3)))
    assert account["waiting_for_link"].tolist() == [3, 3]
    assert account["idle"].tolist() == [3, 3]
    slow = simulate(TWO, Costs.uniform(TWO, gradient_sum=3), Cluster(2, slowdown=(1, 2)))
    assert makespan(slow) == 12 + 3
    account = idle_account(slow)
    assert account["idle"].tolist() == [15 - 6, 15 - 12]
    assert account["waiting_for_input"].tolist() == [1 + 3 + 2, 0]
    assert account["waiting_for_link"].tolist() == [3, 1]
    assert account["cool_down"].tolist() == [0, 2]


def test_the_next_iteration_begins_after_the_sum() -> None:
    trace = simulate(TWO, Costs.uniform(TWO, gradient_sum=3), iterations=2, optimizer=1)
    assert iteration_times(trace) == (9, 10)
    assert idle_account(trace)["between_iterations"].tolist() == [1, 1]
    frames = Trace(TWO, trace.ops, trace.transfers, trace.memory, 2, per_unit=trace.per_unit)
    assert idle_rows(frames) == idle_rows(trace)
    assert (makespan(frames), iteration_times(frames)) == (makespan(trace), (9, 10))
    alone = simulate(TWO, Costs.uniform(TWO, gradient_sum=3), iterations=2, barrier=False)
    assert makespan(alone) == 18  # no optimizer step begins before the sum, barrier or not


def test_the_critical_path_ends_with_the_sum() -> None:
    path = critical_path(simulate(TWO, Costs.uniform(TWO, gradient_sum=3)))
    assert [leg.what for leg in path[-2:]] == ["pass", "transfer"]
    assert (path[-1].start, path[-1].end) == (6, 9)
    assert path[-1].op == path[-2].op == Op("BW", 0, 0)
    short = critical_path(simulate(TWO, Costs.uniform(TWO)))
    assert {leg.what for leg in short} == {"pass"}


@pytest.mark.parametrize("build", [chimera, dualpipe])
def test_evaluator_and_bound_know_the_sum(build: Callable[..., Schedule]) -> None:
    schedule = build(4, 9)
    for time in (0, 0.5, 2, 40):
        prices = replace(Costs.uniform(schedule, send=1), gradient_sum=(time, 1, 0, 3 * time))
        trace, found = simulate(schedule, prices), evaluate(schedule, prices)
        assert (found.makespan, found.longest_stage) == (makespan(trace), longest_stage(trace))
        assert lower_bound(schedule, prices) <= found.makespan
    # Whatever runs before it, the sum comes after all F and BW of a stage: 4 F, 4 BW, and 40.
    long = Costs.uniform(chimera(4, 4), gradient_sum=40)
    assert lower_bound(chimera(4, 4), long) >= 4 + 8 + 40


def test_what_trains_no_weights_sums_none() -> None:
    assert {one.op.stage for one in gradient_sums(TWO)} == {0, 1}
    assert {one.op.stage for one in gradient_sums(frozen_weights(TWO, [0]))} == {1}
    assert gradient_sums(frozen(TWO, [0, 1])) == ()
    assert gradient_sums(FAMILIES["1f1b"](2, 2)) == ()


def test_runtimes_sum_on_a_stream_of_their_own() -> None:
    """Neither a queue of posted messages nor a blocked sender makes a sum late."""
    prices = Costs.uniform(TWO, gradient_sum=3)
    for cluster in (Cluster(2, transfers="blocking"), Cluster(2, receives="early")):
        assert sums(simulate(TWO, prices, cluster)) == sums(simulate(TWO, prices))
    waited = simulate(TWO, prices, Cluster(2, receives="just-in-time"))
    assert makespan(waited) == 9  # asked for when a device has nothing left to do


def test_the_sum_is_in_every_picture() -> None:
    trace = simulate(TWO, Costs.uniform(TWO, gradient_sum=3))
    assert "sum of gradients" in {part.name for part in gantt(trace).data}
    assert "sum of gradients" in {shade["name"] for shade in packed(trace)["shades"]}
    assert packed(trace)["whole"] == [0, float(makespan(trace))]
    assert gantt(trace).layout.xaxis.range == (0, 9)
    assert "sum of gradients" in gantt_svg({"two": trace})
    assert "sum of gradients" not in gantt_svg({"two": simulate(TWO, Costs.uniform(TWO))})
    events = perfetto(trace)["traceEvents"]
    assert sum(event["name"].startswith("weight_gradient of") for event in events) == 8
    ends = {event["id"] for event in events if event["ph"] == "f"}
    assert len(ends) == 4  # arrows lead to passes that wait: 2 activations, 2 gradients


def test_costs_of_a_sum_survive_json() -> None:
    found = Costs.uniform(TWO, gradient_sum=3, gradient_bytes=10)
    assert (found.gradient_sum, found.gradient_bytes) == ((3, 3), (10, 10))
    assert costs_from_json(costs_to_json(found)) == found
    assert "gradient" not in costs_to_json(Costs.uniform(TWO))
    with pytest.raises(ValueError, match="gradient_sum has 1 rows: it must have 2"):
        Costs.of(2, forward=1, backward=1, weight=1, gradient_sum=[3])
