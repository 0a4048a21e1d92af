"""Tables, progress bars and help, as a terminal shows them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cli_answers import TIMES, Screen, answer

import sim
from sim.cli.commands import main


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


def test_families_lists_what_the_code_has(capsys: pytest.CaptureFixture[str]) -> None:
    rows = answer(capsys, "families")
    assert [row["name"] for row in rows] == list(sim.FAMILIES)
    assert {"placement", "passes", "bubble", "peak", "options", "source"} <= set(rows[0])
    assert main(["families"]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in sim.FAMILIES)


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
