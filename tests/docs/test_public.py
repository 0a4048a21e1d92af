"""What is public is written down, and what a release says of itself agrees."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import sim

ROOT = Path(__file__).parents[2]


def public() -> ModuleType:
    spec = importlib.util.spec_from_file_location("public", ROOT / "docs" / "public.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_public_is_what_is_written_down() -> None:
    for package in ("torch", "numba", "ortools"):
        pytest.importorskip(package)
    there = (ROOT / "docs" / "public.txt").read_text(encoding="utf-8")
    assert public().listing() == there, "the public API changed: run make api, and say so"


def test_packages_ship_their_types() -> None:
    for package in public().PROGRAMS:
        assert (ROOT / package / "py.typed").exists()


def test_a_release_has_one_version_and_one_date() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (version,) = re.findall(r"^version: (\S+)$", citation, flags=re.MULTILINE)
    (date,) = re.findall(r"^date-released: (\S+)$", citation, flags=re.MULTILINE)
    assert version == sim.__version__
    sections = re.findall(r"^## (.*)$", changelog, flags=re.MULTILINE)
    assert sections[:2] == ["Unreleased", f"{version} ({date})"]


def test_the_notice_names_every_file_of_figures() -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for path in (ROOT / "validation" / "data").iterdir():
        assert re.search(rf"\b{re.escape(path.name)}\b", notice), path.name


def test_the_lock_covers_what_the_project_asks_for() -> None:
    """Whoever adds a package runs `make lock`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = sum((extras[name] for name in extras if name != "lab"), project["dependencies"])
    lock = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    locked = {name.lower() for name in re.findall(r"^([\w.-]+)==", lock, flags=re.MULTILINE)}
    for line in asked:
        name = re.match(r"[\w.-]+", line)
        assert name
        assert name[0].lower() in locked, f"{line} is not in constraints.txt: run make lock"
