"""Files to fill in: everything that reads them takes them, and every key is explained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sim import costs_from_json
from sim.cli.commands import main
from sim.planner.cost_model import read_profile
from sim.planner.hardware import machine_template, read_machine
from sim.planner.search import model_of


def keys(found: Any) -> set[str]:
    """Of all objects in it."""
    if not isinstance(found, dict):
        return set()
    return {*found}.union(*map(keys, found.values()))


def test_every_file_is_read_and_every_key_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    assert main(["init", str(folder), "--cluster", "16xh100", "--model", "llama-3-70b"]) == 0
    assert machine_template(read_machine(str(folder / "machine.json")))["devices"] == 16
    assert model_of(str(folder / "model.json")).name == "llama-3-70b"
    assert read_profile(folder / "efficiency.json").matmul > 0
    assert len(costs_from_json((folder / "costs.json").read_text()).forward) == 4
    explained = (folder / "README.md").read_text()
    for path in folder.glob("*.json"):
        section = explained.partition(f"## {path.name}")[2].partition("\n## ")[0]
        for key in keys(json.loads(path.read_text())) - {"name"}:
            assert f"`{key}`" in section, (path.name, key)
    profile = ["--profile", str(folder / "costs.json")]
    assert main(["simulate", "1f1b", "-p", "4", "-m", "8", *profile]) == 0


def test_nothing_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "machine.json").write_text("mine")
    assert main(["init", str(tmp_path)]) == 1
    assert "is not empty: name a new folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["machine.json"]


def test_efficiencies_have_one_name_and_the_former_one_still_works(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["init", str(tmp_path / "mine")]) == 0
    path = str(tmp_path / "mine" / "efficiency.json")
    asked = ["plan", "--model", "llama-3-8b", "--cluster", "8xh100", "--batch", "8", "--jobs", "1",
             "--schedules", "1f1b", "--tensor", "8", "--json"]  # fmt: skip
    capsys.readouterr()
    answers = []
    for flag in ("--efficiencies", "--profile"):
        assert main([*asked, flag, path]) == 0
        out, err = capsys.readouterr()
        answers.append(json.loads(out)["rows"])
        assert ("--profile is called --efficiencies now" in err) == (flag == "--profile")
    assert answers[0] == answers[1] != []
    assert main([*asked, "--efficiencies", path, "--profile", path]) == 1
    assert "give --efficiencies alone" in capsys.readouterr().err
