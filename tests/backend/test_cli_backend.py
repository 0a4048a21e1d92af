"""`python -m backend`: numbers that hold, and one sentence for every mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sim
from backend.cli.commands import main

Capture = pytest.CaptureFixture[str]
TINY = ["--width", "8", "--heads", "2", "--vocabulary", "11", "--sequence", "6"]
KEYS = {"schedule", "engine", "device", "loss", "reference_loss", "max_gradient_error", "makespan",
        "longest_stage", "peak_bytes"}  # fmt: skip


def found(capsys: Capture, *arguments: str) -> dict[str, Any]:
    assert main(["run", *arguments, *TINY, "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return json.loads(said.out)


def failed(capsys: Capture, *arguments: str) -> tuple[int, str]:
    code = main([*arguments])
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    return code, said.err.strip()


def test_json_has_the_promised_keys_and_the_gradients_agree(capsys: Capture) -> None:
    told = found(capsys, "v-half", "-p", "2", "-m", "3", "--dtype", "float64", "--steps", "2")
    assert set(told) >= KEYS
    assert (told["schedule"], told["engine"], told["device"]) == ("v-half", "local", "cpu")
    assert told["loss"] == pytest.approx(told["reference_loss"], rel=1e-12)
    assert told["max_gradient_error"] < 1e-12
    assert 0 < told["longest_stage"] <= told["makespan"]
    assert told["fastest_makespan"] <= told["makespan"] <= told["slowest_makespan"]
    assert len(told["peak_bytes"]) == 2
    assert all(size > 0 for size in told["peak_bytes"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("interleaved", "-p", "2", "-m", "4", "-v", "3", "--group-size", "2"),
        ("seq1f1b", "-p", "2", "-m", "3", "--slices", "3"),
        ("zb-h1", "-p", "2", "-m", "3", "--split", "native"),
        ("1f1b", "-p", "2", "-m", "3", "--layers", "3,0", "--checkpoint"),
        ("1f1b", "-p", "2", "-m", "3", "--layers", "5", "--delay", "0.001"),
        ("1f1b", "-p", "1", "-m", "1", "--warmup", "0"),
        ("v-half", "-p", "2", "-m", "3", "-v", "2"),  # which it has anyway
        ("zb-h1", "-p", "3", "-m", "3", "--frozen", "0", "--frozen-weights", "1-2"),
        ("v-half", "-p", "2", "-m", "2", "--forward-only"),
        ("1f1b", "-p", "2", "-m", "3", "--recompute", "full"),
        ("1f1b", "-p", "2", "-m", "4", "--offload", "full", "--host-bandwidth", "1e9"),
        ("chimera", "-p", "2", "-m", "3", "--microbatch-scale", "1,2,0.5"),
        ("dualpipe", "-p", "2", "-m", "4", "--recompute", "0", "--recompute-place", "in-waits"),
    ],
)
def test_options_reach_the_run(arguments: tuple[str, ...], capsys: Capture) -> None:
    told = found(capsys, *arguments)
    assert told["max_gradient_error"] < 1e-5
    assert told["loss"] == pytest.approx(told["reference_loss"], rel=1e-5)


def test_half_precision_runs(capsys: Capture) -> None:
    assert found(capsys, "1f1b", "-p", "2", "-m", "2", "--dtype", "bfloat16")["dtype"] == "bfloat16"


def test_schedules_come_from_files_too(tmp_path: Path, capsys: Capture) -> None:
    schedule = sim.FAMILIES["v-min"](2, 3)
    ours, torchs = tmp_path / "mine.json", tmp_path / "theirs.csv"
    ours.write_text(sim.to_json(schedule))
    sim.write_torch_csv(schedule, torchs)
    for path in (ours, torchs):
        told = found(capsys, str(path))
        assert (told["devices"], told["stages"], told["microbatches"]) == (2, 4, 3)
        assert told["max_gradient_error"] < 1e-5
    code, said = failed(capsys, "run", str(ours), "-m", "4")
    assert code == 2
    assert "-m is 4, but the schedule in" in said


def test_without_json_the_same_is_told_line_by_line(capsys: Capture) -> None:
    assert main(["run", "1f1b", "-p", "2", "-m", "2", *TINY]) == 0
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert set(told) >= KEYS


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["1f1b", "-p", "2"], 2, "1f1b needs -m, the number of microbatches"),
        (["1f1b", "-m", "2"], 2, "1f1b needs -p, the number of devices"),
        (["1f1b", "-p", "0", "-m", "2"], 2, "-p is '0': it must be at least 1"),
        (["1f1b", "-p", "2.5", "-m", "2"], 2, "-p is '2.5': it must be a whole number, 1 or more"),
        (["1f1b", "-p", "2", "-m", "2", "-v", "2"], 2, "1f1b does not take -v"),
        (["1f1b", "-p", "2", "-m", "10000000"], 1, "more than 1,000,000 passes"),
        (["1f1b", "-p", "1000", "-m", "2"], 1, "runs at most 256 devices"),
        (["1f2b", "-p", "2", "-m", "2"], 2, "unknown family '1f2b': did you mean"),
        (["1f1b", "-p", "2", "-m", "2", "--engine", "megatron"], 2, "use local or torch"),
        (["1f1b", "-p", "2", "-m", "2", "--device", "tpu"], 2, "use cpu or cuda"),
        (["1f1b", "-p", "2", "-m", "2", "--split", "x"], 2, "use deferred or native"),
        (["1f1b", "-p", "2", "-m", "2", "--dtype", "int8"], 2, "--dtype is 'int8'"),
        (["1f1b", "-p", "2", "-m", "2", "--delay", "-1"], 2, "it must be a time in seconds"),
        (["1f1b", "-p", "2", "-m", "2", "--timeout", "0"], 1, "timeout is 0.0: give seconds > 0"),
        (["1f1b", "-p", "2", "-m", "2", "--layers", "1,1,1"], 2, "--layers names 3 stages"),
        (["1f1b", "-p", "2", "-m", "2", "--width", "10"], 1, "width is 10: it must be a multiple"),
        (["1f1b", "-p", "2", "-m", "2", "--partitions", "green"], 2, "needs --device cuda"),
        (["seq1f1b", "-p", "2", "-m", "2", "--split", "native"], 1, "knows no slices"),
        (["seq1f1b", "-p", "2", "-m", "2", "--slices", "9", *TINY], 1, "at least 9 tokens"),
        (["1f1b", "-p", "2", "-m", "2", "--engine", "torch"], 1, "start it with torchrun"),
        (["1f1b", "-p", "2", "-m", "2", "--frozen", "2"], 1, "there is no stage 2"),
        (["1f1b", "-p", "2", "-m", "2", "--host-latency", "1"], 2, "needs --offload"),
        (["1f1b", "-p", "2", "-m", "2", "--host-bandwidth", "0"], 2, "--host-bandwidth is '0'"),
        (["1f1b", "-p", "2", "-m", "2", "--microbatch-scale", "1"], 1, "has 1 numbers for 2"),
        (["1f1b", "-p", "2", "-m", "2", "--microbatch-scale", "1,0.3"], 1, "of 2 rows is 0.6"),
        (["1f1b", "-p", "2", "-m", "2", "--recompute-place", "late"], 2, "needs --recompute"),
        (["missing.json"], 1, "cannot read missing.json: no such file"),
        (["1f1b", "-p", "2", "-m", "2", "--nonsense"], 2, "no such option: --nonsense"),
    ],
)
def test_every_mistake_gets_one_sentence(
    arguments: list[str], code: int, message: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    found_code, said = failed(capsys, "run", *arguments)
    assert message in said
    assert found_code == code


def test_unknown_commands_are_refused(capsys: Capture) -> None:
    assert failed(capsys, "rum") == (2, "error: unknown command 'rum': did you mean run?")


def test_a_broken_file_is_named(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "broken.json"
    path.write_text("{")
    code, said = failed(capsys, "run", str(path))
    assert code == 1
    assert "broken.json: not JSON" in said


def test_the_local_engine_refuses_torchrun(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    code, said = failed(capsys, "run", "1f1b", "-p", "2", "-m", "2")
    assert (code, said[:14]) == (2, "error: rank 1:")


@pytest.mark.slow
def test_under_torchrun_rank_0_alone_prints() -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    engine = ["--engine", "torch", "--json", "--dtype", "float64", *TINY]
    command = [*torchrun, "--nproc-per-node", "2", "-m", "backend", "run", "zb-h1", "-p", "2",
               "-m", "3", *engine]  # fmt: skip
    root = Path(__file__).parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=root, env=environment
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["engine"], told["schedule"]) == ("torch", "zb-h1")
    assert told["max_gradient_error"] < 1e-12
    assert told["loss"] == pytest.approx(told["reference_loss"], rel=1e-12)


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from backend.cli.commands import main; main(['run', '--help']); "
        "sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    assert "Example:" in done.stdout
