"""One sentence for every error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_answers import answer, complaint

from sim.cli.commands import main

BAD_OPTIONS = {
    "--forward -1": "must not be negative",
    "--forward nan": "must be a finite number",
    "--forward inf": "must be a finite number",
    "--forward 1e999999999": "must be a finite number",
    "--forward 1/0": "divided by 0",
    "--forward ''": "must be a finite number",
    "--send x": "must be a finite number",
    "--frozen 4": "there is no stage 4",
    "--frozen 2-1": "write stages as in 0,1 or 0-3",
    "--frozen-weights a": "write stages as in 0,1 or 0-3",
    "--frozen 0-99999999": "never more than 1000000 stages",
    "--host-latency 2": "--host-latency needs --offload, which stages do so",
    "--offload full": "--offload needs --host-bandwidth",
    "--offload 9 --host-bandwidth 1": "there is no stage 9",
    "--offload full --host-bandwidth 1 --host-memory 3": "--host-memory needs the bytes",
    "--recompute some": "write stages as in 0,1 or 0-3",
    "--recompute-place late": "--recompute-place needs --recompute",
    "--recompute full --recompute-keeps 1.5": "it must be at most 1",
    "--microbatch-scale 1,2": "has 2 numbers for 8 microbatches: give one for each",
    "--microbatch-scale 1,,2": "write numbers with one comma between each two",
    "-m 0": "must be at least 1",
    "-p 0": "must be at least 1",
    "-p -3": "must be at least 1",
    "-p 2.5": "must be a whole number",
    "-v two": "must be a whole number",
    "--clock fast": "use makespan or longest-stage",
    "--transfers none": "use overlapped or blocking",
    "--straggler 9": "write device=factor",
    "--straggler 9=1.5": "there are 4",
    "--straggler 0=0": "more than 0",
    "--neighbour-slowdown 0": "more than 0",
    "--bandwidth 0": "more than 0",
    "--jitter 1000": "at most 3",
    "--slices 2": "does not take --slices",
    "--group-size 4": "does not take --group-size",
    "-v 2": "does not take -v",
    "--nosuch 1": "no such option",
    "--memory 10 --activation-bytes 4": "out of memory on device 0",
    "--profile missing.json": "cannot read missing.json",
    "--html nowhere/at/all.html": "cannot write nowhere/at/all.html",
    "-m 100000000000": "more than",
    "--memory 10": "--memory needs the bytes that fill it",
    "--bandwidth 10": "--bandwidth needs the bytes that cross it",
    "--memory 10 --boundary-bytes 1": "--memory needs the bytes that fill it",
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_a_bad_option_gets_one_sentence(capsys: pytest.CaptureFixture[str], options: str) -> None:
    given = [entry.strip("'") for entry in options.split(" ")]
    code, err = complaint(capsys, "simulate", "1f1b", "-p", "4", "-m", "8", *given)
    assert code in (1, 2)
    assert BAD_OPTIONS[options] in err
    assert err.count("\n") == 1
    assert err.startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["simulate", "1f1c", "-p", "4", "-m", "8"], "did you mean 1f1b"),
        (["simulate", "ZB_H1", "-p", "4", "-m", "8"], "did you mean zb-h1"),
        (["compare", "1f1b", "vhalf", "-p", "4", "-m", "8"], "did you mean v-half"),
        (["simulat", "1f1b"], "did you mean simulate"),
        (["simulate", "1f1b", "-m", "8"], "1f1b needs -p"),
        (["compare", "-p", "8"], "needs -m"),
        (["simulate"], "missing argument"),
        (["simulate", "1f1b", "gpipe", "-p", "4", "-m", "8"], "unexpected extra argument"),
        (["simulate", "1f1b", "-p"], "requires an argument"),
        (["simulate", "ZBVZeroBubble", "-p", "4", "-m", "8"], "did you mean zb-v"),
        (["simulate", "Interleaved1F1B", "-p", "4", "-m", "8"], "did you mean interleaved?"),
        (["simulate", "zb-1p", "-p", "4", "-m", "8"], "with the number of devices as --memory-lim"),
        (["simulate", "ZB_2P", "-p", "4", "-m", "8"], "with twice the number of devices as --mem"),
        (["simulate", "DualPipe", "-p", "4", "-m", "8"], "did you mean dualpipe or dualpipe-v?"),
    ],
)
def test_bad_usage_exits_2_with_a_hint(
    capsys: pytest.CaptureFixture[str], arguments: list[str], hint: str
) -> None:
    code, err = complaint(capsys, *arguments)
    assert code == 2
    assert hint in err
    assert err.count("\n") == 1


BAD_FILES = {
    "truncated.csv": ("0F0,0F1,0B0\n1F0,1B0,1F1,1B", "row 2, column 4"),
    "short.csv": ("0F0,0F1\n1F0,1F1\n", "is missing"),
    "cyclic.csv": ("0F0,0B0\n1B0,1F0\n", "device 1"),
    "empty.csv": ("", "empty"),
    "other.json": ('{"a": 1}', "not a schedule"),
    "list.json": ("[1, 2]", "not a schedule"),
    "half.json": ('{"format": "pipebubble.schedule/1", "name"', "not JSON"),
    "fields.json": ('{"format": "pipebubble.schedule/1", "name": 3}', "'name' is 3: it must be"),
    "binary.csv": ("\x00\x01\x02", "row 1"),
}


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.parametrize("command", ["check", "simulate", "export"])
def test_a_bad_file_gets_a_reason(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, command: str
) -> None:
    text, reason = BAD_FILES[name]
    path = tmp_path / name
    path.write_text(text)
    code, err = complaint(capsys, command, str(path))
    assert code == 1
    assert reason in err
    assert "Traceback" not in err


def test_a_profile_of_another_shape_gets_a_reason(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "profile.json"
    for text in (
        "{}", "[]", "3", '{"forward": 1}', '{"forward": [1]}', "no json",
        '{"forward": [1, 1], "backward": [1], "weight": 1}',
        '{"forward": [1, 1], "backward": "x", "weight": 1}',
        '{"forward": [1, -1], "backward": 1, "weight": 1}',
        '{"forward": [1, NaN], "backward": 1, "weight": 1}',
        '{"forward": [1, 1], "backward": {"a": 1}, "weight": 1}',
        '{"forward": [[[1]], 1], "backward": 1, "weight": 1}',
        '{"forward": [null, 1], "backward": 1, "weight": 1}',
    ):  # fmt: skip
        path.write_text(text)
        code, err = complaint(
            capsys, "simulate", "1f1b", "-p", "2", "-m", "2", "--profile", str(path)
        )
        assert code == 1, text
        assert err.count("\n") == 1, text
    path.write_text('{"forward": [1, 1], "backward": 1, "weight": 1}')
    code, err = complaint(capsys, "simulate", "1f1b", "-p", "2", "-m", "2", "--profile", str(path),
                          "--forward", "3")  # fmt: skip
    assert "leave one of them out" in err


def test_a_file_and_an_option_that_disagree_are_an_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "s.csv"
    path.write_text("0F0,0B0\n1F0,1B0\n")
    code, err = complaint(capsys, "simulate", str(path), "-p", "4")
    assert code == 1
    assert "has 2" in err


def test_what_cannot_be_exported_leaves_no_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    code, err = complaint(
        capsys, "export", "seq1f1b", "-p", "4", "-m", "8", "--torch-csv", str(path)
    )
    assert code == 1
    assert "slices" in err
    page = tmp_path / "a.html"
    code, _ = complaint(capsys, "simulate", "1f1b", "-p", "4", "-m", "8", "--memory", "1",
                        "--activation-bytes", "2", "--html", str(page))  # fmt: skip
    assert code == 1
    assert list(tmp_path.iterdir()) == []


def test_one_file_under_two_names_is_not_written_twice(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, same = tmp_path / "a.csv", tmp_path / "." / "." / "a.csv"
    code, err = complaint(capsys, "export", "1f1b", "-p", "2", "-m", "2", "--torch-csv", str(path),
                          "--perfetto", f"{tmp_path}/./{same.name}")  # fmt: skip
    assert code == 2
    assert "named for two files" in err
    assert list(tmp_path.iterdir()) == []


def test_compare_fails_when_nothing_can_be_played(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["compare", "1f1b", "gpipe", "-p", "4", "-m", "8", "--memory", "1",
                 "--activation-bytes", "2", "--json"])  # fmt: skip
    out, err = capsys.readouterr()
    assert code == 1
    assert [row["error"][:13] for row in json.loads(out)] == ["out of memory"] * 2
    assert "none of 2 schedules" in err


def test_a_pipeline_that_takes_no_time_is_no_division_by_zero(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    nothing = ["simulate", "v-half", "-p", "3", "-m", "5", "--forward", "0", "--backward", "0",
               "--weight", "0", "--html", str(tmp_path / "a.html")]  # fmt: skip
    found = answer(capsys, *nothing)
    assert (found["makespan"], found["bubble_makespan"], found["gap"]) == (0, 0, None)
    assert main(nothing) == 0


def test_nothing_is_offloaded_of_a_microbatch_of_no_length(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = "simulate 1f1b -p 1 -m 2 --offload 0 --host-bandwidth 0.1 --microbatch-scale 2,0"
    assert main(asked.split()) == 1
    said = capsys.readouterr().err
    assert said == (
        "error: microbatch_scale of microbatch 1 is 0: where activations are offloaded, every "
        "microbatch needs a length\n"
    )
