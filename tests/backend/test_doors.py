"""The doors of sim: what backend may import of it is listed in pyproject.toml, and checked."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("importlinter")

ROOT = Path(__file__).parents[2]
CONTRACT = "backend sees sim's front door, and these doors behind it"


def lint(directory: Path) -> tuple[int, str]:
    """The exit code and output of the linter of imports in a copy of the tree, all in one line."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=directory, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, " ".join(done.stdout.split())


@pytest.mark.parametrize("room", ["search", "engine.simulate", "a_room_of_tomorrow"])
def test_the_linter_refuses_an_import_of_sim_that_is_no_stated_door(
    tmp_path: Path, room: str
) -> None:
    for package in ("sim", "backend", "validation"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("data"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "sim" / "a_room_of_tomorrow.py").touch()
    module = tmp_path / "backend" / "live_bytes.py"
    module.write_text(module.read_text() + f"\nimport sim.{room}\n")
    code, said = lint(tmp_path)
    assert code == 1
    assert f"{CONTRACT} BROKEN" in said
    assert f"backend.live_bytes -> sim.{room}" in said
