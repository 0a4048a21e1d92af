"""The visit to a GPU, played on a CPU at the smallest size, and what is done when a step fails."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

import sim

torch = pytest.importorskip("torch")
from backend.torch_private.process_group import fake_group  # noqa: E402
from backend.torch_private.runtime import pipeline_runtime  # noqa: E402
from validation.cli.commands import main  # noqa: E402
from validation.gpu import STEPS, Outcome, gpu_page, outcomes, setting_for  # noqa: E402
from validation.gpu.cuda_tests import counts  # noqa: E402
from validation.gpu.ready_gaps import Timed, ready_gaps  # noqa: E402
from validation.gpu.setting import CLASSES, Place, Setting  # noqa: E402
from validation.gpu.torch_classes import torchs_own  # noqa: E402
from validation.workload import Workload  # noqa: E402

LONG = 3000.0
"""Seconds: nothing here is to be ended by its limit, however busy the machine is."""


def fails(setting: Setting, place: Place) -> Any:
    raise RuntimeError("no such kernel")


def ends(setting: Setting, place: Place) -> Any:
    os._exit(7)


def hangs(setting: Setting, place: Place) -> Any:
    time.sleep(60)


def answers(setting: Setting, place: Place) -> Any:
    return {"rank": place.rank}


@pytest.mark.slow
def test_the_whole_visit_is_played_on_a_cpu(tmp_path: Path) -> None:
    page, figures = tmp_path / "gpu.html", tmp_path / "gpu.json"
    asked = ["gpu", "--device", "cpu", "--quick", "--seconds", str(LONG)]
    assert main([*asked, "--html", str(page), "-o", str(figures)]) == 0
    told = json.loads(figures.read_text())
    steps = told["steps"]
    assert list(steps) == [step.name for step in STEPS]
    assert [step["error"] for step in steps.values()] == [None] * len(STEPS)
    found = {name: step["found"] for name, step in steps.items()}
    assert (found["tests"]["passed"], found["tests"]["failed"]) == (0, [])
    assert found["tests"]["skipped"] >= 6  # no GPU here
    assert found["partitions"]["kind"] == "threads"
    assert [len(found["partitions"]["neighbour_slowdown"][k]) for k in ("product", "copy")] == [
        2,
        2,
    ]
    for way in ("to_host", "to_device", "to_host_both", "to_device_both"):
        assert len(found["copies"][way]["seconds"]) == len(found["copies"]["sizes"]) == 2
        assert all(second > 0 for second in found["copies"][way]["seconds"])
    families = found["families"]["families"]
    assert [row["family"] for row in families] == ["1f1b", "v-half"]
    assert all(row["error_peak_bytes"] == 0 for row in families)
    assert all("error_makespan" in row for row in families)
    classes, alone = found["classes"], found["alone"]
    assert [row["class"] for row in classes] == ["Schedule1F1B", "ScheduleZBVZeroBubble"]
    assert [(row["ranks"], row["rank"]) for row in alone] == [(2, 0), (2, 1)] * 2
    for row in (*classes, *alone):
        assert "error" not in row, row
        assert row["low"] <= row["ratio"] <= row["high"]
    shown = page.read_text()
    assert "All 6 steps came through." in shown
    assert told["provenance"]["date"] in shown
    for name in ("1f1b", "v-half", "copies"):
        assert f">{name}</button>" in shown
    told = f"ZBVZeroBubble, rank 1 of 2: torch&#39;s seconds over ours {alone[3]['ratio']:.3f}"
    assert told in shown


@pytest.mark.slow
def test_a_step_that_fails_loses_no_other() -> None:
    setting = setting_for("cpu", quick=True)
    names = {"tests": fails, "partitions": ends, "copies": hangs, "classes": answers}
    chosen = [
        step._replace(find=names[step.name], share=0.5 if step.name == "copies" else LONG)
        for step in STEPS
        if step.name in names
    ]
    found = {outcome.name: outcome for outcome in outcomes(setting, seconds=1, steps=chosen)}
    assert found["tests"].error == "RuntimeError: no such kernel"
    assert found["partitions"].error == "its process ended without an answer, exit code 7"
    assert found["copies"].error == "no answer within 0.5 s: it was killed"
    assert (found["classes"].found, found["classes"].error) == ({"rank": 0}, "")
    page = gpu_page([found["tests"], found["partitions"]], {"torch": "2.0"})
    assert "2 steps of 2 failed: tests that need a GPU, parts of the GPU" in page
    assert "Tests that need a GPU: failed: RuntimeError: no such kernel, after" in page


@pytest.mark.parametrize(
    "name", [name for name, chunks in CLASSES.items() if chunks == 2], ids=lambda name: name[8:]
)
def test_messages_come_in_the_order_of_torchs_own_class(name: str) -> None:
    """Sends and receives too, and the pairs of a forward and a backward that DualPipeV overlaps."""
    tiny = Workload(4, 8, heads=2, vocabulary=8, sequence=4)
    with fake_group(0, 2):
        theirs, *_ = torchs_own(name, tiny, 4)
        ours = pipeline_runtime(theirs.stages, theirs.schedule, loss=None)
    expected = theirs.runtime.pipeline_order_with_comms
    assert {*expected} == {0, 1}
    assert ours.pipeline_order_with_comms == expected


def test_gaps_are_those_of_passes_that_could_have_run() -> None:
    schedule = sim.FAMILIES["1f1b"](2, 1)
    first = [Timed(sim.Op("F", 0, 0), 1.0, 2.0), Timed(sim.Op("BW", 0, 0), 9.0, 10.0)]
    last = [Timed(sim.Op("F", 1, 0), 2.5, 4.0), Timed(sim.Op("BW", 1, 0), 4.25, 8.0)]
    # After its input, after the pass before, and after the gradient; F@0 waits for nobody.
    assert ready_gaps(schedule, [first, last]) == [1.0, 0.5, 0.25]


def test_a_report_of_pytest_is_counted() -> None:
    case = '<testcase classname="tests.test_a" name="{}">{}</testcase>'
    cases = [("a", ""), ("b", "<failure/>"), ("c", "<skipped/>"), ("d", "<error/>")]
    text = "".join(case.format(*one) for one in cases)
    told = counts(f"<testsuites><testsuite>{text}</testsuite></testsuites>")
    assert told == {"passed": 1, "failed": ["test_a::b", "test_a::d"], "skipped": 1}


def test_a_page_tells_what_the_driver_gave() -> None:
    found = {
        "kind": "green contexts", "multiprocessors": [16, 16], "ran_on": [[0, 1], [1, 2, 3]],
        "disjoint": False, "neighbour_slowdown": {"copy": [1.5, 2.0], "product": [0.0, 1.1]},
        "warnings": [],
    }  # fmt: skip
    page = gpu_page([Outcome("partitions", "parts", 1.0, found)], {})
    assert "Multiprocessors of each: 16, 16; a kernel was seen on 2, 3 of them, some in two" in page
    assert "A copy takes 1.50, 2.00 times as long while all others are busy.<" in page
    assert "while all others are busy. Less than 1 is noise: too short to measure here." in page


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_one_sentence_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gpu"]) == 1
    said = capsys.readouterr().err
    assert "torch sees no GPU here" in said
    assert said.count("\n") == 1


def test_a_visit_that_is_not_quick_has_every_family() -> None:
    assert setting_for("cpu").families == tuple(sim.FAMILIES)
