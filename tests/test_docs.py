"""What the documentation says is what the code does."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import sim

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(sim.__path__, "sim.")
    if not info.name.endswith("__main__")
)


@pytest.mark.parametrize("name", ["sim", *MODULES])
def test_examples_in_docstrings_run(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


def test_examples_in_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert found.attempted > 5
    assert found.failed == 0


def test_the_readme_tells_the_errors_that_were_measured() -> None:
    readme = (ROOT / "README.md").read_text()
    told = json.loads((ROOT / "validation" / "data" / "measured_cpu.json").read_text())
    summary, rounds = told["summary"], told["provenance"]["rounds"]
    sentences = [
        f"median error **{summary['median_error_replay']:.1%}**, worst "
        f"{summary['worst_error_replay']:.1%}",
        f"median error **{summary['median_error_makespan']:.1%}**, worst "
        f"{summary['worst_error_makespan']:.1%}",
        f"measured means: {summary['median_uncertainty_makespan']:.1%}",
        f"of {summary['ranked_pairs']} pairs further apart than single rounds vary, and of "
        f"{summary['ranked_by_means']} further apart than the means are uncertain, **none wrong**",
    ]
    for sentence in sentences:
        assert sentence.replace("%", " %") in readme
    assert f"--rounds {rounds}`" in readme
    assert not summary["misranked"]
    assert not summary["misranked_by_means"]
    assert summary["worst_error_peak_bytes"] == 0


def test_pictures_gallery_and_table_are_what_the_code_makes_now() -> None:
    for path, text in gallery().everything().items():
        assert path.read_text() == text, f"{path.name} is stale: run python docs/gallery.py"


def test_every_family_has_its_row_and_its_picture() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in sim.FAMILIES:
        assert f"| `{name}` |" in readme
        assert (ROOT / "docs" / "pictures" / f"{name}.svg").exists()


def test_import_sim_is_light() -> None:
    heavy = ("torch", "plotly", "ortools", "numba", "pandas", "hypothesis", "typer", "rich")
    code = f"import sys, sim; print([name for name in {heavy!r} if name in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.strip() == "[]"


def gallery() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "docs" / "gallery.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
