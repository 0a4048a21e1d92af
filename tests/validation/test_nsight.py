"""Nsight Systems exports with NVTX ranges around passes, made here from simulated runs."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import sim
from validation.cli.commands import main
from validation.kineto import measured_run
from validation.kineto.nsight import RANGES, processes, rank_files

Capture = pytest.CaptureFixture[str]
CALLED = {"F": "forward_step", "BW": "backward_step", "B": "backward_input_step",
          "W": "backward_weight_step"}  # fmt: skip
MS = 1_000_000
"""Nanoseconds that a time unit of the simulator becomes."""


def played(name: str, p: int = 2, m: int = 4) -> sim.Trace:
    schedule = sim.FAMILIES[name](p, m)
    costs = sim.Costs.uniform(schedule, forward=2, backward=3, weight=1, send=1)
    return sim.simulate(schedule, costs)


def export(
    path: Path, trace: sim.Trace, *, iterations: int = 2, ranks: range | None = None
) -> None:
    """The run as Nsight would export it: iterations one after the other, a process per rank."""
    length = (int(sim.makespan(trace)) + 5) * MS
    texts = {name: number for number, name in enumerate((*CALLED.values(), "aten::mm"))}
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            """
            create table StringIds (id integer primary key, value text not null);
            create table NVTX_EVENTS (start int not null, end int, eventType int not null,
                text text, globalTid int, textId int);
            create table TARGET_INFO_SESSION_START_TIME (utcEpochNs int, utcTime text);
            create table TARGET_INFO_SYSTEM_ENV (globalVid int, devStateName text, name text,
                value text);
            """
        )
        db.executemany("insert into StringIds values (?, ?)", [(n, t) for t, n in texts.items()])
        db.execute("insert into TARGET_INFO_SESSION_START_TIME values (1700000000000000000, '')")
        db.execute("insert into TARGET_INFO_SYSTEM_ENV values (0, '', 'Hostname', 'a')")
        rows: list[tuple[Any, ...]] = []
        for kind, device, begin, finish in trace.ops[["kind", "device", "start", "end"]].values:
            if ranks is not None and device not in ranks:
                continue
            thread = (1 << 56) + (4000 + device) * 0x1000000 + 17
            for i in range(iterations):
                start, end = (int(t) * MS + i * length for t in (begin, finish))
                rows.append((start, end, 59, None, thread, texts[CALLED[kind]]))
                rows.append((start, end, 59, "forward_stepper", thread, None))  # another's
                rows.append((start, end, 60, "forward_step", thread, None))  # no push and pop
                if kind == "F":  # the same again inside, as nested modules have it
                    rows.append((start + 1, end - 1, 59, "forward_step, op 2", thread, None))
        db.executemany("insert into NVTX_EVENTS values (?, ?, ?, ?, ?, ?)", rows)
        db.commit()


@pytest.mark.parametrize("name", ["1f1b", "interleaved", "zb-h1"])
def test_a_simulated_run_comes_back_from_its_export(name: str, tmp_path: Path) -> None:
    trace = played(name)
    export(tmp_path / "run.sqlite", trace)
    found = processes([str(tmp_path)])
    run = measured_run(rank_files(found, trace.schedule))
    assert run.schedule.orders == trace.schedule.orders
    assert len(run.traces) == 2
    expected = trace.ops.sort_values(["device", "position"])
    for each in run.traces:
        for column in ("start", "end"):
            milliseconds = each.ops[column].to_numpy(float) * 1e3
            assert milliseconds == pytest.approx(expected[column].to_numpy(float), abs=1e-3)
        assert each.notes["source"] == "Nsight Systems"


def test_ranks_in_files_of_their_own_share_the_clock_of_their_host(tmp_path: Path) -> None:
    trace = played("1f1b")
    for rank in (0, 1):
        export(tmp_path / f"rank{rank}.sqlite", trace, ranks=range(rank, rank + 1))
    run = measured_run(rank_files(processes([str(tmp_path)]), trace.schedule))
    assert sim.makespan(run.traces[0]) * 1e3 == pytest.approx(float(sim.makespan(trace)), abs=1e-3)


def test_kernels_that_a_range_launched_are_the_pass(tmp_path: Path) -> None:
    trace = played("1f1b", 1, 1)
    path = tmp_path / "run.sqlite"
    export(path, trace, iterations=1)
    thread, process = 4000 * 0x1000000 + 17, 4000 * 0x1000000
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            """
            create table CUPTI_ACTIVITY_KIND_RUNTIME (start int, end int, globalTid int,
                correlationId int);
            create table CUPTI_ACTIVITY_KIND_KERNEL (start int, end int, globalPid int,
                correlationId int, shortName int);
            insert into StringIds values (50, 'gemm'), (51, 'ncclDevKernel_SendRecv');
            """
        )
        calls = [(1, 10, MS, 3 * MS, 50), (2, 20, 3 * MS, 9 * MS, 51), (3, 2 * MS + 1, 9 * MS,
                 11 * MS, 50)]  # fmt: skip
        for number, launched, start, end, name in calls:
            db.execute(
                "insert into CUPTI_ACTIVITY_KIND_RUNTIME values (?, ?, ?, ?)",
                (launched, launched + 5, thread, number),
            )
            db.execute(
                "insert into CUPTI_ACTIVITY_KIND_KERNEL values (?, ?, ?, ?, ?)",
                (start, end, process, number, name),
            )
        db.commit()
    (found,) = measured_run(rank_files(processes([str(path)]), trace.schedule)).traces
    milliseconds = [round(1e3 * t, 6) for t in (*found.ops.start, *found.ops.end)]
    assert milliseconds == [0, 8, 2, 10]  # F on the GPU 1-3, BW 9-11, from the first start on


def test_the_command_reads_an_export_and_simulates_it(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "run.sqlite"
    export(path, played("1f1b"))
    asked = ["trace", str(path), "--schedule", "1f1b", "-m", "4", "--what-if", "gpipe", "--json"]
    assert main(asked) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schedule"], told["as_meant"], told["iterations"]) == ("1f1b", True, 2)
    assert told["makespan_error"] == pytest.approx(0, abs=1e-3)
    assert main([*asked, "--range", "F=forward_step", "--range", "BW=backward_step"]) == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "an Nsight export does not say which pass a range is: give --schedule FAMILY and -m"),
        (["--schedule", "1f1b"], "does not say how many microbatches there were: give -m"),
        (["--schedule", "1f1b", "-m", "5"], "rank 0 is a BW, and 1f1b has F"),
        (["--schedule", "1f1b", "-m", "99"], "has 16 ranges of passes, and an iteration of 1f1b"),
        (["--schedule", "gpipe", "-m", "4"], "is a BW, and gpipe has F2@0 there: another schedule"),
        (["--schedule", "1f1b", "-m", "4", "--range", "X=a"], "--range is 'X=a': it must be"),
        (["--schedule", "1f1b", "-m", "4", "--range", "F=a", "--range", "BW=b"],
         "no NVTX ranges called a, b, backward_input_step, backward_weight_step: say what they"),
    ],
)  # fmt: skip
def test_what_an_export_cannot_tell_is_asked_for_in_one_sentence(
    options: list[str], sentence: str, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "run.sqlite"
    export(path, played("1f1b"))
    assert main(["trace", str(path), *options]) in (1, 2)
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_other_files_and_other_numbers_of_ranks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.sqlite"
    path.write_text("no database" * 100)
    with pytest.raises(ValueError, match="not an SQLite export of Nsight Systems: file is not a"):
        processes([str(path)])
    with pytest.raises(ValueError, match=r"gone.sqlite: no such file"):
        processes([str(tmp_path / "gone.sqlite")])
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table other (a int)")
        db.commit()
    with pytest.raises(ValueError, match="no table NVTX_EVENTS: profile with --trace cuda,nvtx"):
        processes([str(path)])
    path.unlink()
    export(path, played("1f1b"))
    with pytest.raises(ValueError, match="2 processes have ranges of passes, and 1f1b is for 4"):
        rank_files(processes([str(path)], RANGES), sim.FAMILIES["1f1b"](4, 4))
