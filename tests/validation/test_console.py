"""`pipebubble` reaches every command of the three packages, and says how each is called."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from backend.cli.commands import COMMANDS as BACKEND
from sim.cli.commands import COMMANDS as SIM
from sim.cli.commands import main as sim_main
from validation.cli.commands import COMMANDS as VALIDATION
from validation.console import commands_by_package, main

ROOT = Path(__file__).parents[2]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_every_command_of_every_package_has_one_name() -> None:
    found = commands_by_package()
    for package, commands in {"sim": SIM, "backend": BACKEND, "validation": VALIDATION}.items():
        assert list(found[package].values()) == list(commands.values())
    names = [name for commands in found.values() for name in commands]
    assert len(names) == len(set(names))


def test_where_two_packages_have_a_command_of_one_name_the_simulator_keeps_it() -> None:
    found = commands_by_package()
    for package, name in (("backend", "pipeload"), ("validation", "compare")):
        assert found["sim"][name] == SIM[name]
        assert name not in found[package]
        assert f"{package}-{name}" in found[package]
    assert set(SIM) == set(found["sim"])
    assert "run" in found["backend"]
    assert "report" in found["validation"]


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_the_help_lists_all_commands_by_package_with_a_sentence_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = said(capsys, *words)
    assert max(map(len, text.splitlines())) <= 80
    sections = re.split(r"^.*\(python -m (\w+)\):$", text, flags=re.MULTILINE)
    assert sections[1::2] == ["sim", "backend", "validation"]
    for package, section in zip(sections[1::2], sections[2::2], strict=True):
        listed = re.findall(r"^  ([a-z][\w-]*) +[A-Z]\w+", section, flags=re.MULTILINE)
        assert listed == list(commands_by_package()[package])
    assert "comes first: backend-pipeload, validation-compare." in " ".join(text.split())


def test_a_command_does_here_what_it_does_in_its_package(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["simulate", "1f1b", "-p", "4", "-m", "8", "--json"]
    here = json.loads(said(capsys, *words))
    assert sim_main(words) == 0
    assert here == json.loads(capsys.readouterr().out)
    for name in ("run", "backend-pipeload", "validation-compare", "pareto"):
        assert said(capsys, name, "--help").startswith(f"Usage: pipebubble {name} ")


def test_the_version_is_what_every_other_program_says(capsys: pytest.CaptureFixture[str]) -> None:
    version = said(capsys, "--version")
    assert sim_main(["--version"]) == 0
    assert version == capsys.readouterr().out != ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["backend-pipelod"],
            "unknown command 'backend-pipelod': did you mean backend-pipeload or pipeload?",
        ),
        (["simulate", "1f1b", "-p", "0", "-m", "8"], "-p is '0': it must be at least 1"),
        (["run", "1f1b", "-p", "x", "-m", "8"], "-p is 'x': it must be a whole number, 1 or more"),
    ],
)
def test_a_mistake_gets_one_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(words) == 2
    assert capsys.readouterr() == ("", f"error: {sentence}\n")


WITHOUT_EXTRAS = """
import sys
sys.modules.update(dict.fromkeys(("numba", "ortools", "torch", "safetensors", "joblib")))
from validation.console import main
print(main(["--help"]))
for words in ("run 1f1b -p 2 -m 2", "backend-pipeload x", "report 1f1b"):
    print(main(words.split()))
"""


def test_without_extras_commands_are_listed_and_say_what_they_need() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS], capture_output=True, text=True, check=True,
        timeout=120,
    )  # fmt: skip
    for commands in commands_by_package().values():
        for name in commands:
            assert re.search(rf"^  {name} ", done.stdout, flags=re.MULTILINE)
    assert done.stdout.split()[-4:] == ["0", "1", "1", "1"]
    assert done.stderr.splitlines() == [
        f"error: {name} needs torch, which is not installed: pip install 'pipebubble[torch]'"
        for name in ("run", "backend-pipeload", "report")
    ]


def test_installing_the_project_makes_the_program() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, function = project["scripts"]["pipebubble"].partition(":")
    assert getattr(importlib.import_module(module), function) is main
