"""What every command of the three packages prints on a terminal of 80 columns fits it."""

from __future__ import annotations

import csv
import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from validation.console import commands_by_package, main
from validation.vtrain import COLUMNS

ROOT = Path(__file__).parents[2]
FOR_MACHINES = {"init", "calibrate", "pipeload", "backend-pipeload", "explore"}
"""Which print what programs read, or a picture, or write a page."""
LONG = {"check-family", "gpu", "run", "report", "throughput"}
"""Which run things for long; their tables are made by what makes those of the others."""
SMALL = "-p 2 -m 2 --layers 2 --width 16 --sequence 8"
RUNS = {
    "simulate": ["v-half -p 8 -m 32"],
    "compare": ["-p 2 -m 4"],
    "search": ["-p 2 -m 3 --memory-limit 2 --moves 2000"],
    "pareto": ["-p 2 -m 4 --limits 2 --moves 2000"],
    "plan": ["--model llama-3-8b --cluster 8xh100 --batch 16 --sequence 4096 --top 2"],
    "model": ["llama-3-70b", "mixtral-8x7b"],
    "machine": ["h100", "64xh100"],
    "export": ["1f1b -p 2 -m 2 --torch-csv 1f1b.csv"],
    "check": ["1f1b.csv"],
    "families": [""],
    "validation-compare": [f"1f1b {SMALL} --steps 1"],
    "vtrain": ["measured.csv"],
    "published": ["published.csv"],
    "llm-foundry": [""],
    "trace": [f"{ROOT}/validation/data/profiled --schedule zb-v"],
    "searches": ["straight --every 9 --moves 1000"],
}


class Screen(io.StringIO):
    """A terminal, and what was written on it."""

    def isatty(self) -> bool:
        return True


def test_every_command_is_asked() -> None:
    known = {name for commands in commands_by_package().values() for name in commands}
    assert known == RUNS.keys() | FOR_MACHINES | LONG


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the files that commands read."""
    found = tmp_path_factory.mktemp("files")
    with (found / "measured.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerow([1, 16, 2, 1024, 16, 8, 1024, 1, 1, 2, "300", "single-node"])
    rows = (ROOT / "validation/data/published_runs.csv").read_text(encoding="utf-8").splitlines()
    few = "\n".join([rows[0], *rows[1::60]])
    (found / "published.csv").write_text(few, encoding="utf-8")
    return found


@pytest.mark.slow
def test_no_line_of_a_command_is_longer_than_80_characters(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(folder)
    for name, asked in RUNS.items():
        for words in asked:
            screen = Screen()
            monkeypatch.setattr(sys, "stdout", screen)
            assert main([name, *shlex.split(words)]) == 0, name
            lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()
            assert [line for line in lines if len(line) > 80] == [], name
            assert lines or name == "export", name  # which writes files
            assert "\u2026" not in screen.getvalue(), name
