"""Profiler traces of torch's pipeline runtime, read back: by hand, and one of a real run."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import sim
from validation.cli.commands import main
from validation.kineto import measured_run, predicted, trace_files, what_if
from validation.kineto.idle import idle_table, sums_after

REAL = Path(__file__).parents[2] / "validation" / "data" / "profiled"
Capture = pytest.CaptureFixture[str]
Event = dict[str, Any]


def event(name: str, ts: float, dur: float, cat: str = "user_annotation", **args: Any) -> Event:
    return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur, "tid": 1, "args": args}


def ran(name: str, begin: float, start: float, end: float) -> list[Event]:
    """A range that waits until `start`, then runs an operator."""
    return [event(name, begin, end - begin), event("aten::mm", start, end - start, "cpu_op")]


def write(folder: Path, rank: int, events: Iterable[Event], host: str = "a", base: int = 0) -> None:
    text = json.dumps(
        {
            "distributedInfo": {"rank": rank},
            "host_name": host,
            "baseTimeNanoseconds": base,
            "traceEvents": [*events],
        }
    )
    (folder / f"rank{rank}.json.gz").write_bytes(gzip.compress(text.encode()))


def straight(folder: Path, *, shift: float = 0.0, host: str = "a") -> None:
    """1F1B of two microbatches on two ranks, microseconds:

    rank 0 | F0 0-100, send 100-110, F1 120-220, send 220-225, BW0 waits 225-460, runs to 600,
           | BW1 waits 600-800, runs to 950
    rank 1 | F0 waits 0-115, runs to 215, BW0 215-415, send 415-425, F1 430-530, BW1 530-730
    """
    first = [
        *ran("PP:0F0", 0, 0, 100), event("PP:0SEND_F0", 100, 10),
        *ran("PP:0F1", 120, 120, 220), event("PP:0SEND_F1", 220, 5),
        *ran("PP:0B0", 225, 460, 600), *ran("PP:0B1", 600, 800, 950),
    ]  # fmt: skip
    second = [
        *ran("PP:1F0", 0, 115, 215), *ran("PP:1B0", 215, 215, 415), event("PP:1SEND_B0", 415, 10),
        *ran("PP:1F1", 430, 430, 530), *ran("PP:1B1", 530, 530, 730),
    ]  # fmt: skip
    write(folder, 0, first)
    write(folder, 1, [each | {"ts": each["ts"] + shift} for each in second], host=host)


def test_order_passes_and_idle_time_are_those_drawn(tmp_path: Path) -> None:
    straight(tmp_path)
    run = measured_run(trace_files([str(tmp_path)]))
    assert run.schedule == sim.FAMILIES["1f1b"](2, 2)
    (trace,) = run.traces
    names = (
        trace.ops["kind"]
        + trace.ops["microbatch"].astype(str)
        + "@"
        + trace.ops["stage"].astype(str)
    )
    spans = dict(zip(names, zip(trace.ops["start"], trace.ops["end"], strict=True), strict=True))
    assert {name: tuple(round(t * 1e6) for t in span) for name, span in spans.items()} == {
        "F0@0": (0, 100), "F1@0": (120, 220), "BW0@0": (460, 600), "BW1@0": (800, 950),
        "F0@1": (115, 215), "BW0@1": (215, 415), "F1@1": (430, 530), "BW1@1": (530, 730),
    }  # fmt: skip
    assert sim.makespan(trace) == pytest.approx(950e-6)
    table = idle_table(run).mul(1e6).round().astype(int).to_dict("list")
    assert table == {
        "device": [0, 1_000_000],
        "busy": [490, 600],
        "warm_up": [0, 115],
        "waiting_for_input": [320, 0],  # from 225 until 415, and from 600 until 730
        "waiting_for_link": [115, 0],  # from 415 until 460, and from 730 until 800
        "sends": [15, 10],
        "receives": [0, 0],
        "collectives": [0, 0],
        "gradient_sums": [0, 0],
        "between": [10, 5],
        "cool_down": [0, 220],
    }


@pytest.mark.parametrize("host", ["b", "a"])  # containers may all have one name
def test_the_clocks_of_two_hosts_are_joined_by_their_messages(tmp_path: Path, host: str) -> None:
    straight(tmp_path, shift=5000, host=host)
    run = measured_run(trace_files([str(tmp_path)]))
    # Forth: sent at 100 arrives at 5115 by the other clock, so it is at most 5015 ahead.
    # Back: sent at 5415 arrives at 460, so it is at least 4955 ahead: 4985 in the middle.
    ops = run.traces[0].ops
    moved = dict(zip(zip(ops["kind"], ops["stage"], strict=True), ops["start"], strict=True))
    assert run.doubt == pytest.approx(30e-6)
    assert moved["F", 1] == pytest.approx((5430 - 4985) * 1e-6)


def test_kernels_of_a_gpu_are_the_pass_whatever_the_host_does(tmp_path: Path) -> None:
    def launch(number: int, at: float, start: float, dur: float, name: str) -> list[Event]:
        return [
            event("cudaLaunchKernel", at, 1, "cuda_runtime", correlation=number),
            event(name, start, dur, "kernel", correlation=number),
        ]

    events = [
        event("PP:0F0", 0, 10), *launch(1, 2, 50, 30, "gemm"), *launch(2, 4, 85, 15, "gelu"),
        *launch(3, 5, 100, 900, "ncclDevKernel_SendRecv"),
        event("PP:0B0", 10, 10), *launch(4, 12, 120, 60, "gemm"),
    ]  # fmt: skip
    write(tmp_path, 0, events)
    (trace,) = measured_run(trace_files([str(tmp_path)])).traces
    assert [round(t * 1e6) for t in trace.ops.start] == [0, 70]
    assert [round(t * 1e6) for t in trace.ops.end] == [50, 130]


def test_sums_of_gradients_are_neither_passes_nor_bubbles(tmp_path: Path) -> None:
    """Microseconds. FSDP's sum of stage 1 stands between two passes, that of stage 0 at the end;
    DDP's is what the last backward does from its last all-reduce on."""
    fsdp = [
        *ran("PP:0F0", 0, 0, 100), *ran("PP:1F0", 100, 100, 200), *ran("PP:1I0", 200, 200, 300),
        *ran("PP:1W0", 300, 300, 350), event("PP:1REDUCE_GRAD", 350, 40),
        event("PP:1WAIT_REDUCE_GRAD", 390, 5), *ran("PP:0B0", 400, 400, 500),
        event("PP:0REDUCE_GRAD", 500, 70),
    ]  # fmt: skip
    write(tmp_path, 0, fsdp)
    run = measured_run(trace_files([str(tmp_path)]))
    (row,) = idle_table(run).mul(1e6).round().to_dict("records")
    assert {name: value for name, value in row.items() if value} == {
        "busy": 450, "gradient_sums": 45, "between": 5
    }  # fmt: skip
    assert sums_after(run) == pytest.approx(70e-6)
    assert sim.makespan(run.traces[0]) == pytest.approx(500e-6)
    ddp = [
        *ran("PP:0F0", 0, 0, 100), event("PP:0B0", 100, 300), event("aten::mm", 100, 80, "cpu_op"),
        event("c10d::allreduce_", 150, 5, "cpu_op"),  # of a bucket that is ready before the others
        event("torch::distributed::reducer::mul_out", 181, 4, "cpu_op"),
        event("c10d::allreduce_", 190, 5, "cpu_op"),
        event("torch.distributed.ddp.reducer::copy_bucket_to_grad", 390, 5, "cpu_op"),
    ]  # fmt: skip
    write(tmp_path, 0, ddp)
    run = measured_run(trace_files([str(tmp_path)]))
    assert sim.makespan(run.traces[0]) == pytest.approx(190e-6)
    assert sums_after(run) == pytest.approx(210e-6)


def test_overlapped_pairs_and_gpipes_own_names_are_read(tmp_path: Path) -> None:
    pair = [
        *ran("PP:0F0", 0, 0, 10), *ran("PP:(0F1;0B0)OVERLAP_F_B", 10, 10, 40),
        *ran("PP:0B1", 40, 40, 60),
    ]  # fmt: skip
    write(tmp_path, 0, pair)
    schedule = measured_run(trace_files([str(tmp_path)])).schedule
    assert schedule.fused == ((sim.Op("F", 0, 1), sim.Op("BW", 0, 0)),)
    for rank in (0, 1):
        names = "Forward 0", "Forward 1", "Backward 0", "Backward 1"
        # Later on rank 1, so that no input comes before it is sent.
        at = [rank * 10 + 20 * i if i < 2 else 200 - rank * 50 + 20 * i for i in range(4)]
        each = [ran(name, t, t, t + 10) for name, t in zip(names, at, strict=True)]
        write(tmp_path, rank, [one for range_ in each for one in range_])
    assert measured_run(trace_files([str(tmp_path)])).schedule.name == "gpipe"


def test_a_real_run_is_read_back_and_simulated_from_its_own_passes(capsys: Capture) -> None:
    run = measured_run(trace_files([str(REAL)]))
    assert run.schedule == sim.FAMILIES["zb-v"](2, 4)
    assert len(run.traces) == 2
    base = predicted(run)
    # What a mean over random pass times leaves open; the iterations themselves differ by more.
    assert abs(base.error) < 0.08
    others = what_if(run, base, schedules=[sim.FAMILIES[name](2, 4) for name in ("zb-v", "1f1b-v")])
    assert others["zb-v"] == base.makespan
    assert others["1f1b-v"] > base.makespan
    longer = what_if(run, base, schedules=[sim.FAMILIES["zb-v"](2, 8)])
    assert longer["zb-v"] > 1.5 * base.makespan
    parts = idle_table(run).drop(columns="device").sum(axis=1)
    assert parts.to_list() == pytest.approx([base.measured] * 2)
    assert main(["trace", str(REAL), "--schedule", "v-half", "--what-if", "zb-v", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["makespan_error"] == base.error
    assert (told["schedule"], told["as_meant"]) == ("zb-v", False)
    assert told["difference"] == "pass 7 of rank 0 was B1@3, not B0@0"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not JSON"),
        ("{}", "no list 'traceEvents'"),
        ('{"traceEvents": []}', "nor its name has a rank: profile after init_process"),
        ('{"traceEvents": [], "distributedInfo": {"rank": 0}}', "no ranges of a pipeline"),
        (
            '{"traceEvents": [{"ph": "X", "name": "PP:0F0", "ts": 1, "dur": "no"}]}',
            "event 'PP:0F0' has ts 1 and dur 'no': both must be numbers, dur not below 0",
        ),
        ('{"traceEvents": [{"ph": "X", "name": "F", "ts": 1, "dur": -2}]}', "has ts 1 and dur -2"),
        ('{"traceEvents": [7]}', "event 0 is 7: it must be an object"),
    ],
)
def test_a_file_that_is_no_such_trace_is_told_in_one_sentence(
    text: str, sentence: str, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "some.json"
    path.write_text(text)
    assert main(["trace", str(path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path}: ")
    assert sentence in said
    assert said.count("\n") == 1


def test_a_rank_that_is_missing_or_twice_is_named(tmp_path: Path, capsys: Capture) -> None:
    straight(tmp_path)
    assert main(["trace", str(tmp_path / "rank1.json.gz")]) == 1
    assert "no file has stage 0, though there is a stage 1" in capsys.readouterr().err
    assert main(["trace", *[str(tmp_path / "rank0.json.gz")] * 2]) == 1
    assert "are both of rank 0: give one per rank" in capsys.readouterr().err


def test_of_replicas_the_first_pipeline_is_read(tmp_path: Path) -> None:
    straight(tmp_path)
    whole = measured_run(trace_files([str(tmp_path)]))
    for rank in (1, 0):  # ranks 0 and 1 have stage 0, ranks 2 and 3 stage 1
        path = tmp_path / f"rank{rank}.json.gz"
        told = json.loads(gzip.decompress(path.read_bytes()))
        for copy in (2 * rank, 2 * rank + 1):
            write(tmp_path, copy, told["traceEvents"])
    run = measured_run(trace_files([str(tmp_path)]))
    assert run.replicas == 2
    assert run.passes == whole.passes
    (tmp_path / "rank3.json.gz").unlink()
    with pytest.raises(ValueError, match=r"2 files have stages \[0\], of other stages there are 1"):
        measured_run(trace_files([str(tmp_path)]))


def test_a_schedule_of_other_stages_cannot_be_tried(capsys: Capture) -> None:
    assert main(["trace", str(REAL), "--what-if", "1f1b"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: 1f1b places its stages [0, 1], the run [0, 1, 1, 0]")
