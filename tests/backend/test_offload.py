"""Offload: what F saved goes elsewhere and comes back, and no gradient changes by a bit."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from local_engine import RUNNABLE

import sim
from backend.stages.reference import gradient_error, gradients_of, plain_backward
from backend.stages.transformer import Model, tokens, transformer_stages
from backend.threads.board import PassFailed
from backend.threads.result import RunResult
from backend.threads.run import run
from sim.testing import transformed, wild_schedules

SMALL: dict[str, Any] = {"width": 8, "heads": 2, "vocabulary": 11, "sequence": 6}
Found = tuple[RunResult, list[torch.Tensor]]


def played(schedule: sim.Schedule, **options: Any) -> Found:
    """A run, and its gradients."""
    model = Model((1,) * schedule.n_stages, dtype=torch.float64, **SMALL)
    stages, (batch, targets) = transformer_stages(model), tokens(model, schedule.n_microbatches)
    result = run(schedule, stages, batch, targets=targets, **options)
    return result, [found for each in gradients_of(stages) for found in each if found is not None]


def same(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return all(map(torch.equal, some, others))


def partners(schedule: sim.Schedule) -> tuple[int, ...]:
    return tuple(range(schedule.n_devices))[::-1]


@pytest.mark.parametrize("name", RUNNABLE)
def test_gradients_are_those_of_the_same_schedule_without_copies_to_the_bit(name: str) -> None:
    schedule = RUNNABLE[name](2, 4)
    _, plain = played(schedule, memory=0)
    turn = [*RUNNABLE].index(name) % 2
    moved = sim.offloaded(schedule, stores=partners(schedule) if turn else ())
    result, found = played(moved, memory=0)
    assert same(found, plain)
    assert len(result.trace.ops) == moved.n_ops


@settings(max_examples=8, deadline=None)
@given(wild_schedules(max_devices=3, max_microbatches=3, directions=2).flatmap(transformed))
def test_whatever_is_done_to_any_schedule_gives_the_gradients_of_a_plain_backward(
    schedule: sim.Schedule,
) -> None:
    model = Model((1,) * schedule.n_stages, dtype=torch.float64, **SMALL)
    stages, (batch, targets) = transformer_stages(model), tokens(model, schedule.n_microbatches)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stages of adapters that train all they have
        run(schedule, stages, batch, targets=targets, memory=0)
    for stage, trained in zip(stages, schedule.trains, strict=False):
        stage.requires_grad_(trained != "nothing")
    plain = plain_backward(stages, batch, targets=targets)
    assert gradient_error(gradients_of(stages), plain.gradients) < 1e-12


def one_away() -> sim.Schedule:
    """1F1B on two devices: microbatches 1 and 2 of stage 0 are away for a while."""
    return sim.offloaded(sim.FAMILIES["1f1b"](2, 4), [0])


def test_the_trace_has_copies_as_passes_with_what_they_waited_for() -> None:
    schedule = one_away()
    result, _ = played(schedule, host_latency=0.002)
    trace, planned = result.trace, sim.simulate(schedule, sim.Costs.uniform(schedule, offload=1))
    assert set(trace.ops["kind"]) == {"F", "BW", "O", "L"}
    key = ["kind", "stage", "microbatch", "slice"]
    names = [str(sim.Op(*row)) for row in trace.ops[key].itertuples(index=False)]
    ops: Any = trace.ops.assign(name=names).set_index("name")
    copies = ops[ops["kind"].isin(["O", "L"])]
    assert (copies["end"] - copies["start"] >= 0.002).all()
    assert (ops["start"] >= ops["arrived"].fillna(-1)).all()
    assert ops.loc["O1@0", "source"] == "F1@0"
    assert ops.loc["O1@0", "start"] >= ops.loc["F1@0", "end"]
    assert ops.loc["L1@0", "start"] >= max(ops.loc["O1@0", "end"], ops.loc["BW0@0", "end"]) - 1e-9
    assert ops.loc["BW1@0", "arrived"] >= ops.loc["L1@0", "end"]
    assert ops.loc["BW1@0", "source"] in ("L1@0", "BW1@1")  # whichever came last
    assert sim.makespan(trace) > 0
    assert {*planned.ops.columns} <= {*trace.ops.columns}
    for lane in ("O", "L"):
        order = [op for op in schedule.orders[0] if op.kind == lane]
        mine = ops[ops["kind"] == lane].sort_values("start")
        assert [*mine["microbatch"]] == [op.microbatch for op in order]


def test_offloaded_bytes_are_at_the_host_and_not_on_the_device() -> None:
    schedule = one_away()
    result, _ = played(schedule)
    plain, _ = played(sim.FAMILIES["1f1b"](2, 4))
    share = plain.peak_bytes[0] // 2  # of two microbatches that are alive at once
    memory = result.trace.memory
    assert {*memory.query("device == -1")["change"].abs()} == {share}
    assert {*memory.query("device == 0")["change"].abs()} == {share}
    assert (memory.groupby("device")["live"].last() == 0).all()
    assert result.host_peak_bytes in (share, 2 * share)
    assert sim.host_peak_bytes(result.trace) == result.host_peak_bytes
    assert sim.peak_bytes(result.trace) == result.peak_bytes
    assert all(map(int.__ge__, result.most_bytes, result.peak_bytes))


def test_a_partner_keeps_what_it_is_sent() -> None:
    schedule = sim.offloaded(sim.FAMILIES["1f1b"](2, 4), [0], stores=(1, None))
    result, _ = played(schedule, delay=0.001)
    memory = result.trace.memory
    kept = memory[(memory["device"] == 1) & memory["reason"].isin(["O1@0", "L1@0"])]
    assert kept["change"].sum() == 0 < kept["change"].max()
    assert -1 not in {*memory["device"]}
    assert result.host_peak_bytes == 0


def test_a_copy_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from backend.threads import lanes

    def broken(lane: object, data: torch.Tensor, *, host: bool) -> torch.Tensor:
        raise MemoryError("the host is full")

    monkeypatch.setattr(lanes.CpuLane, "stored", broken)
    with pytest.raises(PassFailed, match="device 0 failed in O1@0: MemoryError: the host is full"):
        played(one_away(), memory=0)
    for thread in threading.enumerate():
        if thread.name.startswith("device "):
            thread.join()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host_bandwidth": 0}, "host_bandwidth is 0: give bytes per second > 0"),
        ({"host_latency": -1}, "host_latency is -1: give seconds >= 0"),
    ],
)
def test_a_link_that_is_none_gets_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        played(one_away(), **options)
