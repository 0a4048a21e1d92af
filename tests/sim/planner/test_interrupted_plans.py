"""Plans that are interrupted, continued from a file, or computed elsewhere are the same plans."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_plans import MACHINE, SMALL

from sim.planner import Space, plan
from sim.planner.examination import examine
from sim.planner.store import Row

TWO_SCHEDULES = Space(schedules=("1f1b", "zb-v"), recompute=("none", "full"), zero=(1,))
ASKED: dict[str, Any] = {"sequence": 1024, "batch": 64, "top": None, "space": TWO_SCHEDULES}


@pytest.fixture(scope="module")
def here() -> pd.DataFrame:
    """The plan as one process makes it at once: some are simulated, some need too much memory."""
    found = plan(SMALL, MACHINE, **ASKED, jobs=1)
    assert len(found) > 100
    return found


def test_an_interrupted_plan_goes_on_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.jsonl"
    whole = plan(SMALL, MACHINE, **ASKED, jobs=1, results=path)
    lines = path.read_text().splitlines(keepends=True)
    assert len(lines) > 100
    path.write_text("".join(lines[:60]) + lines[60][:20])  # cut in the middle of a line
    again = plan(SMALL, MACHINE, **ASKED, jobs=1, results=path)
    pd.testing.assert_frame_equal(again, whole)
    assert sorted(path.read_text().splitlines()) == sorted("".join(lines).splitlines())
    with pytest.raises(ValueError, match="another model, machine or setting"):
        plan(SMALL, "4xh100", sequence=1024, batch=64, results=path)
    (tmp_path / "other").write_text("hello\n")
    with pytest.raises(ValueError, match="is no plan: name a new file"):
        plan(SMALL, MACHINE, sequence=1024, batch=64, results=tmp_path / "other")


@pytest.mark.parametrize("damage", ["5\n", '{"a": 1}\n', "\n"])
def test_a_damaged_file_is_read_as_far_as_it_is_whole(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.jsonl"
    asked: dict[str, Any] = {"sequence": 1024, "batch": 16, "jobs": 1, "results": path, "top": None,
                             "space": Space(schedules=("1f1b",))}  # fmt: skip
    whole = plan(SMALL, MACHINE, **asked)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3]) + damage + "".join(lines[3:]))
    pd.testing.assert_frame_equal(plan(SMALL, MACHINE, **asked), whole)
    assert sorted(path.read_text().splitlines(keepends=True)) == sorted(lines)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is no plan: name a new file"):
        plan(SMALL, MACHINE, **asked)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_is_heard_where_what_it_raises_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in callbacks of compiled code: Python drops what is raised in `__del__`."""

    class Interrupted:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    examined: list[Any] = []

    def interrupted(*args: Any) -> list[Row]:
        examined.append(args)
        if len(examined) == 3:
            Interrupted()
        return examine(*args)

    monkeypatch.setattr("sim.planner.waves.examine", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        table = plan(
            SMALL, MACHINE, sequence=1024, batch=16, jobs=1, space=Space(schedules=("1f1b",))
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert table.attrs["interrupted"]
    assert len(examined) == 3


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_in_a_terminal_keeps_what_is_done(tmp_path: Path, jobs: str) -> None:
    path = tmp_path / "plan.jsonl"
    words = ["plan", "--model", "gpt-98.5b", "--cluster", "64xa100-80g", "--sequence", "1024",
             "--batch", "512", "--top", "99999", "--jobs", jobs, "--results", str(path),
             "--zero", "1", "--recompute", "none,full", "--json"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "sim", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, cwd=Path(__file__).parents[3], start_new_session=True,
        # Which tests in the background of a shell ignore, and what they start, too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        for _ in range(600):
            if path.exists() and len(path.read_text().splitlines()) > 20:
                break
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all its processes
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    found = json.loads(out)
    assert process.returncode == 0
    *bar, last = err.splitlines()  # of the bar a line every ten seconds, where that takes so long
    assert last == "interrupted: these are the configurations done so far"
    assert all(line.startswith("configurations, ") for line in bar)
    assert found["interrupted"]
    kept = path.read_text().splitlines()[1:]
    counts = found["counts"]
    assert counts.get("simulated", 0) + counts.get("memory", 0) >= len(kept) > 10


def test_other_processes_give_the_same_plan(here: pd.DataFrame) -> None:
    pytest.importorskip("joblib")
    there = plan(SMALL, MACHINE, **ASKED, jobs=2)
    pd.testing.assert_frame_equal(there, here)


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_plan(here: pd.DataFrame) -> None:
    joblib = pytest.importorskip("joblib")
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    )
    with cluster, distributed.Client(cluster), joblib.parallel_config(backend="dask"):
        there = plan(SMALL, MACHINE, **ASKED)
    pd.testing.assert_frame_equal(there, here)
