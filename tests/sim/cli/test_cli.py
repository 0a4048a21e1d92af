"""The command line: its JSON, its files, and one sentence for every error."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import sim
from sim.cli.commands import main

TIMES = ["--forward", "10", "--backward", "12", "--weight", "8", "--send", "1"]
KEYS = {
    "schedule", "devices", "microbatches", "stages", "makespan", "longest_stage",
    "bubble_makespan", "bubble_longest_stage", "peak_activations", "lower_bound",
}  # fmt: skip


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """The JSON on stdout, strictly read."""
    assert main([*arguments, "--json"]) == 0

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    return json.loads(capsys.readouterr().out, parse_constant=refuse)


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and stderr; stdout must be silent."""
    code = main(list(arguments))
    out, err = capsys.readouterr()
    assert out == ""
    return code, err


# -- simulate and compare -----------------------------------------------------------------------


def test_simulate_tells_both_clocks_peaks_and_the_bound(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "simulate", "1f1b", "-p", "4", "-m", "8")
    assert set(found) >= KEYS
    assert found["schedule"] == "1f1b"
    assert (found["devices"], found["microbatches"], found["stages"]) == (4, 8, 4)
    assert found["makespan"] == found["longest_stage"] == 33
    assert isinstance(found["makespan"], int)
    assert found["bubble_makespan"] == found["bubble_longest_stage"] == pytest.approx(3 / 11)
    assert found["peak_activations"] == [4, 3, 2, 1]
    assert found["lower_bound"] == 33


def test_the_two_clocks_differ_where_they_should(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "simulate", "zb-h2", "-p", "8", "-m", "32")
    assert (found["makespan"], found["longest_stage"]) == (103, 96)
    assert found["bubble_longest_stage"] == 0
    bound = answer(capsys, "simulate", "zb-h2", "-p", "8", "-m", "32", "--clock", "longest-stage")
    assert bound["clock"] == "longest_stage"
    assert bound["lower_bound"] == 96


def test_every_number_is_exactly_the_one_typed(capsys: pytest.CaptureFixture[str]) -> None:
    thirds = answer(capsys, "simulate", "1f1b", "-p", "2", "-m", "3", "--forward", "1/3",
                    "--backward", "1/3", "--weight", "1/3")  # fmt: skip
    assert thirds["makespan"] == 4
    tenths = answer(capsys, "simulate", "1f1b", "-p", "2", "-m", "3", "--forward", "0.1",
                    "--backward", "0.2", "--weight", "0.3", "--send", "0.1")  # fmt: skip
    # device 1 runs its last F from 1.6 on and its last BW until 2.2; device 0 has it at 2.3
    assert tenths["makespan"] == 2.8


def test_the_command_line_says_what_python_says(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "simulate", "v-half", "-p", "4", "-m", "12", *TIMES)
    schedule = sim.FAMILIES["v-half"](4, 12)
    costs = sim.Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
    trace = sim.simulate(schedule, costs)
    assert found["makespan"] == sim.makespan(trace)
    assert found["longest_stage"] == sim.longest_stage(trace)
    assert tuple(found["peak_activations"]) == sim.peak_activations(schedule)
    assert found["lower_bound"] <= found["makespan"]


def test_options_of_a_family_reach_it(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "simulate", "interleaved", "-p", "4", "-m", "12", "-v", "3",
                   "--group-size", "6")  # fmt: skip
    assert found["stages"] == 12
    assert (
        found["peak_activations"][0]
        == sim.peak_activations(sim.FAMILIES["interleaved"](4, 12, v=3, group_size=6))[0]
    )
    assert (
        answer(capsys, "simulate", "seq1f1b", "-p", "4", "-m", "8", "--slices", "4")["slices"] == 4
    )
    assert answer(capsys, "simulate", "zb-v", "-p", "4", "-m", "8", "-v", "2")["stages"] == 8


def test_devices_links_and_iterations_reach_the_engine(capsys: pytest.CaptureFixture[str]) -> None:
    plain = ("simulate", "1f1b", "-p", "4", "-m", "8")
    assert answer(capsys, *plain, "--straggler", "2=2")["makespan"] > 33
    assert answer(capsys, *plain, "--neighbour-slowdown", "1.5")["makespan"] > 33
    assert answer(capsys, *plain, "--bandwidth", "2", "--boundary-bytes", "1")["makespan"] > 33
    assert answer(capsys, *plain, "--transfers", "blocking", "--send", "1")["makespan"] > 33
    twice = answer(capsys, *plain, "--iterations", "2", "--optimizer", "5")
    assert twice["iteration_times"] == [33, 38]
    assert twice["lower_bound"] is None
    zero_bubble = ("simulate", "zb-h2", "-p", "4", "-m", "8", "--iterations", "3")
    waiting = answer(capsys, *zero_bubble)["iteration_times"]
    going_on = answer(capsys, *zero_bubble, "--no-barrier")["iteration_times"]
    assert waiting == [27, 27, 27]
    assert going_on == [27, 24, 24]
    jitter = [answer(capsys, *plain, "--jitter", "0.1", "--seed", seed)["makespan"]
              for seed in ("1", "1", "2")]  # fmt: skip
    assert jitter[0] == jitter[1] != jitter[2]
    held = answer(capsys, *plain, "--activation-bytes", "10", "--static-bytes", "7")
    assert held["peak_bytes"] == [47, 37, 27, 17]


def test_a_profile_gives_the_costs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    costs = sim.Costs.of(2, forward=[1, 2], backward=[3, 1], weight=1, send=0)
    profile = tmp_path / "costs.json"
    profile.write_text(sim.costs_to_json(costs))
    found = answer(capsys, "simulate", "zb-h1", "-p", "2", "-m", "4", "--profile", str(profile))
    assert found["makespan"] == sim.makespan(sim.simulate(sim.FAMILIES["zb-h1"](2, 4), costs))
    rows = answer(capsys, "compare", "-p", "2", "-m", "4", "--profile", str(profile))
    reasons = {row["schedule"]: row["error"] for row in rows if "error" in row}
    assert "costs describe 2 stages" in reasons["zb-v"]


def test_compare_plays_every_family_and_gives_reasons_for_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = answer(capsys, "compare", "-p", "3", "-m", "1", *TIMES)
    assert [row["schedule"] for row in rows] == list(sim.FAMILIES)
    for row in rows:
        assert "error" in row or set(row) >= KEYS
    rows = answer(
        capsys, "compare", "interleaved", "1f1b", "-p", "4", "-m", "8", "--group-size", "2"
    )
    assert "group_size" in rows[0]["error"]
    assert rows[1]["makespan"] == 33


def test_compare_uses_an_option_only_where_it_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    rows = answer(capsys, "compare", "1f1b", "interleaved", "-p", "2", "-m", "4", "-v", "3")
    assert [row["stages"] for row in rows] == [2, 6]


def test_a_schedule_that_is_named_twice_is_played_once_and_needs_no_progress_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for names, shown in ((["1f1b", "1f1b"], False), (["1f1b", "gpipe"], True)):
        screen = Screen()
        monkeypatch.setattr(sys, "stderr", screen)
        rows = answer(capsys, "compare", *names, "-p", "2", "-m", "2")
        assert [row["schedule"] for row in rows] == list(dict.fromkeys(names))
        assert ("comparing" in screen.text()) is shown


def test_a_progress_bar_is_full_when_every_schedule_is_played(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    answer(capsys, "compare", "1f1b", "gpipe", "1f1b", "-p", "2", "-m", "2")
    last = screen.text().split("comparing")[-1]
    assert "━" in last
    assert not {"╸", "╺"} & set(last)  # where the part that is done would meet the rest


def test_tables_tell_the_unit_of_their_times(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["-p", "4", "-m", "8", "--unit", "ms"]
    assert main(["simulate", "1f1b", *sizes]) == 0
    detail = capsys.readouterr().out
    assert "33 ms" in detail
    assert "busy (ms)" in detail
    assert main(["compare", "1f1b", *sizes]) == 0
    assert "makespan (ms)" in capsys.readouterr().out


def test_tables_name_both_clocks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "1f1b", "zb-h1", "-p", "4", "-m", "8"]) == 0
    table = capsys.readouterr().out
    assert "makespan" in table
    assert "longest stage" in table
    assert main(["simulate", "zb-h1", "-p", "4", "-m", "8"]) == 0
    detail = capsys.readouterr().out
    assert "makespan" in detail
    assert "longest stage" in detail


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_gets_whole_words_and_whole_numbers(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", str(columns))
    several = ["1f1b", "v-half", "interleaved", "dualpipe-v"]
    sizes = ["-p", "4", "-m", "8", "--activation-bytes", "5e9", "--static-bytes", "20123456789"]
    assert main(["compare", *several, *sizes, *TIMES]) == 0
    words = screen.words()
    for word in (*several, "makespan", "longest", "stage", "activations", "37.37", "GiB", "19.73%"):
        assert word in words
    assert main(["simulate", "1f1b", *sizes, *TIMES, "--boundary-bytes", "10", "--bandwidth", "9"]
                ) == 0  # fmt: skip
    assert {"device", "waiting", "input", "link", "activations", "37.37"} <= set(screen.words())
    assert main(["families"]) == 0
    words = screen.words()
    for family in sim.FAMILIES.values():
        placement = f"{family.placement},".split()
        assert {family.name, *placement, family.source.split()[-1]} <= set(words)
    assert max(map(len, screen.text().splitlines())) <= columns


@pytest.mark.slow
def test_a_terminal_of_80_columns_gets_searches_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["pareto", "-p", "2", "-m", "4", "--limits", "2", "--moves", "20000"]) == 0
    assert {"makespan", "interval", "dualpipe-v"} <= set(screen.words())
    assert main(["search", "-p", "2", "-m", "3", "--memory-limit", "2", "--moves", "20000"]) == 0
    assert max(map(len, screen.text().splitlines())) <= 80
    assert "\u2026" not in screen.text()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "forward 1, backward 1, weight 1, send 0"),
        (["--weight", "2", "--send", "0.5"], "forward 1, backward 1, weight 2, send 0.5"),
    ],
)
def test_times_that_nobody_gave_are_told_in_the_table_and_on_the_page(
    given: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert main(["simulate", "v-half", "-p", "2", "-m", "4", *given, "--html", str(page)]) == 0
    assert told in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    for fact in told.split(", "):
        name, value = fact.split()
        assert f"<dt>{name}</dt><dd>{value}</dd>" in text


@pytest.mark.parametrize("command", ["search", "pareto"])
def test_help_tells_how_long_a_search_takes(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main([command, "--help"])
    assert "[default: 30, of a front 60]" in " ".join(capsys.readouterr().out.split())


class Screen(io.StringIO):
    """A terminal, and what was written on it."""

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;]*m", "", self.getvalue())

    def words(self) -> list[str]:
        return self.text().split()


def test_families_lists_what_the_code_has(capsys: pytest.CaptureFixture[str]) -> None:
    rows = answer(capsys, "families")
    assert [row["name"] for row in rows] == list(sim.FAMILIES)
    assert {"placement", "passes", "bubble", "peak", "options", "source"} <= set(rows[0])
    assert main(["families"]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in sim.FAMILIES)


# -- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["1f1b", "zb-v", "interleaved"])
def test_exported_files_are_read_back(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, family: str
) -> None:
    csv, own, events = (tmp_path / name for name in ("a.csv", "b.json", "c.trace"))
    files = ["--torch-csv", str(csv), "--schedule-json", str(own), "--perfetto", str(events)]
    assert main(["export", family, "-p", "4", "-m", "8", *files, "--unit", "ms"]) == 0
    capsys.readouterr()
    schedule = sim.FAMILIES[family](4, 8)
    assert sim.read_torch_csv(csv).orders == schedule.orders
    assert sim.from_json(own.read_text()) == schedule
    assert json.loads(events.read_text())["traceEvents"]
    for path in (csv, own):
        assert main(["check", str(path)]) == 0
        assert "can run" in capsys.readouterr().out
        assert answer(capsys, "simulate", str(path), *TIMES)["makespan"] == sim.makespan(
            sim.simulate(
                schedule,
                sim.Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1),
            )
        )


def test_export_prints_the_grid_or_the_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "1f1b", "-p", "2", "-m", "2"]) == 0
    assert capsys.readouterr().out.strip() == str(sim.FAMILIES["1f1b"](2, 2))
    assert main(["export", "1f1b", "-p", "2", "-m", "2", "--json"]) == 0
    assert sim.from_json(capsys.readouterr().out) == sim.FAMILIES["1f1b"](2, 2)


def test_check_summarises(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "good.csv"
    path.write_text("0F0,0I0,0W0\n1F0,1B0\n")
    found = answer(capsys, "check", str(path))
    assert found["passes"] == {"F": 2, "B": 1, "W": 1, "BW": 1}
    assert found["placement"] == [0, 1]


# -- errors -------------------------------------------------------------------------------------

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


# -- the process --------------------------------------------------------------------------------


def run(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sim", *arguments],
        capture_output=True, text=True, timeout=60, check=False, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "unused"),
    [
        (["families", "--json"], {"plotly", "jinja2", "ortools", "numba", "torch", "pandas"}),
        (
            ["simulate", "1f1b", "-p", "2", "-m", "2", "--json"],
            {"plotly", "jinja2", "ortools", "numba", "torch"},
        ),
    ],
)
def test_a_command_loads_neither_pictures_nor_pages_nor_solvers_that_it_does_not_use(
    words: list[str], unused: set[str]
) -> None:
    code = (
        f"import sys; from sim.cli import main; main({words!r}); "
        f"print(sorted({unused!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.strip() == "[]"


def test_json_goes_to_stdout_and_nothing_else_does(tmp_path: Path) -> None:
    done = run(
        "simulate", "1f1b", "-p", "2", "-m", "2", "--json", "--html", str(tmp_path / "a.html")
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["makespan"] == 9
    assert (tmp_path / "a.html").exists()


@pytest.mark.parametrize("command", ["check", "simulate", "export"])
def test_a_name_that_the_terminal_cannot_spell_is_escaped(tmp_path: Path, command: str) -> None:
    path = tmp_path / "\u2603.csv"
    path.write_text("0F0,0B0\n")
    done = run(command, str(path), env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u2603" in done.stdout


def test_a_reader_that_leaves_early_is_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "sim", "families"],
            stdout=gone, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_ctrl_c_is_one_word() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sim", "simulate", "1f1b", "-p", "64", "-m", "4096"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # Which tests in the background of a shell ignore, and what they start, too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    # Well past its imports, however busy the machine is: counted in processor time.
    spent = Path(f"/proc/{process.pid}/stat")
    while sum(map(int, spent.read_text().rpartition(")")[2].split()[11:13])) < 300:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "error: interrupted\n")


def test_help_explains_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    for command in ("simulate", "compare", "export", "check", "families"):
        assert command in overview
        assert main([command, "-h"]) == 0
        short = capsys.readouterr().out
        assert main([command, "--help"]) == 0
        said = capsys.readouterr().out
        assert short == said
        assert f"Example: python -m sim {command}" in " ".join(said.split())


def test_two_files_of_one_name_are_told_apart_by_their_paths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(tmp_path / folder / "x.json") for folder in ("a", "b")]
    for path, family in zip(paths, ("1f1b", "zb-h1"), strict=True):
        Path(path).parent.mkdir()
        Path(path).write_text(sim.to_json(sim.FAMILIES[family](2, 4)).replace(family, "x"))
    assert main(["compare", *paths, "gpipe", "-p", "2", "-m", "4", "--json"]) == 0
    found = [row["schedule"] for row in json.loads(capsys.readouterr().out)]
    assert found == [*paths, "gpipe"]


def test_frozen_stages_and_unequal_microbatches_reach_the_simulation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """44: 1 + send + 1F1B on three devices. 14 on one device: (1+1+1) * (1 + 2/3 + 3)."""
    eight = ("1f1b", "-p", "4", "-m", "8")
    found = answer(capsys, "simulate", *eight, "--send", "1", "--frozen", "0")
    assert found["makespan"] == 44
    assert answer(capsys, "simulate", *eight, "--forward-only")["makespan"] == 11
    three = ("gpipe", "-p", "1", "-m", "3")
    found = answer(capsys, "simulate", *three, "--microbatch-scale", "1,2/3,3")
    assert found["makespan"] == 14
    rows = answer(capsys, "compare", "zb-h1", *eight, "--frozen-weights", "0-3")
    assert [row["makespan"] for row in rows] == [22, 22]  # (m + p - 1) (F + B)


def test_a_torch_file_cannot_hold_frozen_stages(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    csv = tmp_path / "frozen.csv"
    assert main(["export", "1f1b", "-p", "2", "-m", "2", "--frozen", "0", "--torch-csv", str(csv)])
    assert "stage 0 trains nothing, which a torch CSV cannot do" in capsys.readouterr().err
    assert not csv.exists()
    path = tmp_path / "frozen.json"
    main(["export", "1f1b", "-p", "2", "-m", "2", "--frozen", "0", "--schedule-json", str(path)])
    assert not main(["check", str(path)])


def test_recompute_reaches_the_simulation(capsys: pytest.CaptureFixture[str]) -> None:
    """GPipe: (m+p-1) (2F+BW) and m inputs with one activation; 1F1B: 441 where it is free."""
    found = answer(capsys, "simulate", "gpipe", "-p", "4", "-m", "8", "--recompute", "full",
                   "--recompute-keeps", "0.05")  # fmt: skip
    assert found["makespan"] == 11 * 4
    assert found["peak_activations"] == [8 * 0.05 + 0.95] * 4
    assert found["lower_bound"] <= 44
    free = answer(capsys, "simulate", "1f1b", "-p", "8", "-m", "24", "--forward", "3", "--backward",
                  "4", "--weight", "2", "--send", "3", "--recompute", "0-6",
                  "--recompute-place", "in-waits")  # fmt: skip
    assert free["makespan"] == 441


def test_offload_reaches_the_simulation(capsys: pytest.CaptureFixture[str]) -> None:
    """A quarter of a share per unit of time: 4 per copy, as long as a forward; 40 bytes at 10."""
    times = ("--forward", "4", "--backward", "4", "--weight", "4", "--offload", "full")
    eight = ("simulate", "1f1b", "-p", "8", "-m", "16", *times)
    for link in (["0.25"], ["10", "--activation-bytes", "40"]):
        found = answer(capsys, *eight, "--host-bandwidth", *link)
        assert found["makespan"] == found["lower_bound"] == (16 + 7) * 12
        assert found["peak_activations"] == [2] * 7 + [1]
    assert found["peak_bytes"] == [80] * 7 + [40]
    assert found["host_peak_bytes"] > 0
    late = answer(capsys, *eight, "--host-bandwidth", "0.25", "--host-latency", "2")
    assert late["makespan"] == (16 + 7) * 12


def test_a_file_of_a_schedule_that_offloads_is_checked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = str(tmp_path / "away.json")
    main(["export", "1f1b", "-p", "2", "-m", "6", "--offload", "0", "--host-bandwidth", "1",
          "--schedule-json", path])  # fmt: skip
    capsys.readouterr()
    assert main(["check", path]) == 0
    told = capsys.readouterr().out
    assert "stage 0 offloads activations to host memory" in told
    assert "in shares: it depends on times" in told
    assert answer(capsys, "simulate", path)["makespan"] == 21  # copies take no time, as sends do
    profile = tmp_path / "costs.json"
    profile.write_text(sim.costs_to_json(sim.Costs.of(2, forward=1, backward=1, weight=1)))
    assert main(["simulate", path, "--profile", str(profile)]) != 0
    assert "1f1b offloads: add --host-bandwidth" in capsys.readouterr().err
    assert main(["simulate", path, "--host-bandwidth", "2"]) == 0


def test_check_reads_what_people_paste(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pasted = tmp_path / "pasted.txt"
    pasted.write_text("[0F0, 0F1, None, 0I0, 0W0, 0B1]\n[None, 1F0, 1B0, 1F1, 1B1]\n")
    found = answer(capsys, "check", str(pasted))
    assert (found["devices"], found["passes"]) == (2, {"F": 4, "B": 1, "W": 1, "BW": 3})
    assert found["notes"] == []
    older = tmp_path / "older.csv"
    older.write_text("0F0,0B0,0W0\n")
    assert "older versions of torch" in answer(capsys, "check", str(older))["notes"][0]
    assert main(["simulate", str(older), "--json"]) == 0
    assert "older versions of torch" in capsys.readouterr().err


def test_families_of_two_directions_are_played_and_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = answer(capsys, "simulate", "dualpipe", "-p", "4", "-m", "8")
    assert found["makespan"] == 24 + 2
    assert found["peak_activations"] == [5] * 4
    path = str(tmp_path / "chimera.json")
    main(["export", "chimera", "-p", "4", "-m", "4", "--schedule-json", path])
    capsys.readouterr()
    assert answer(capsys, "check", path)["microbatches"] == 4
    code, err = complaint(capsys, "export", "dualpipe", "-p", "4", "-m", "8", "--torch-csv",
                          str(tmp_path / "x.csv"))  # fmt: skip
    assert code
    assert "microbatches take 2 routes, which a torch CSV cannot do" in err


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
