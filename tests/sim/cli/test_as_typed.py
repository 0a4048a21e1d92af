"""The command line that a page shows is the one that was typed."""

from __future__ import annotations

import sys

import pytest

from sim.cli.as_typed import as_typed


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("/home/me/sim/__main__.py", "python -m sim simulate 1f1b --note 'a b'"),
        ("/x/backend/__main__.py", "python -m backend simulate 1f1b --note 'a b'"),
        ("/venv/bin/pipebubble", "pipebubble simulate 1f1b --note 'a b'"),
        ("C:/venv/Scripts/pipebubble.exe", "pipebubble simulate 1f1b --note 'a b'"),
        ("/home/me/other/__main__.py", ""),
        ("/usr/bin/pytest", ""),
        ("-c", ""),
    ],
)
def test_a_command_is_shown_as_it_was_typed_if_it_is_one_of_ours(
    monkeypatch: pytest.MonkeyPatch, program: str, shown: str
) -> None:
    monkeypatch.setattr(sys, "argv", [program, "simulate", "1f1b", "--note", "a b"])
    assert as_typed() == shown
