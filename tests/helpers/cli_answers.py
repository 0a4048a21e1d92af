"""What a command says when it is called in this process: its JSON, its one sentence, its table."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest

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


class Screen(io.StringIO):
    """A terminal, and what was written on it."""

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;]*m", "", self.getvalue())

    def words(self) -> list[str]:
        return self.text().split()
