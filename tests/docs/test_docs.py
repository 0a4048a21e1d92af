"""What the documentation says is what the code does."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import sim
from sim.base.extras import EXTRAS
from sim.cli.commands import main

ROOT = Path(__file__).parents[2]
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


@pytest.mark.parametrize(
    ("page", "least"),
    [
        ("questions.md", 20),
        ("slot-grid.md", 3),
        ("cookbook.md", 15),
        ("getting-started.md", 2),
        ("varying-times.md", 3),
    ],
)
def test_examples_on_pages_run(page: str, least: int) -> None:
    found = doctest.testfile(str(ROOT / "docs" / page), module_relative=False)
    assert found.attempted > least
    assert found.failed == 0


def test_the_page_of_real_runs_tells_what_its_commands_play(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (ROOT / "docs" / "real-runs.md").read_text(encoding="utf-8")
    sections = text.split("\n## ")[1:]
    for section, words in zip(
        sections, commands(ROOT / "docs" / "real-runs.md", "python -m sim"), strict=True
    ):
        assert main([*words, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        told = " ".join(section.split())
        assert f"Makespan {found['makespan']} " in told
        if "activations at most" in told:
            assert f"activations at most {max(found['peak_activations'])} " in told
        for share in re.findall(r"([\d.]+) % of", told):
            assert share == f"{100 * found['bubble_makespan']:.2f}"


def test_pictures_of_real_runs_are_what_the_code_makes_now() -> None:
    spec = importlib.util.spec_from_file_location("real_runs", ROOT / "docs" / "real_runs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for path, text in module.pictures().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale: run make gallery"


def test_an_example_in_a_docstring_is_fenced_for_the_pages() -> None:
    spec = importlib.util.spec_from_file_location("doctests", ROOT / "docs" / "doctests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    pytest.importorskip("griffe", reason="griffe is not installed")
    spec.loader.exec_module(module)
    text = "What.\n\n>>> f(\n...     1)\n2\n\nMore.\n    >>> g()"
    assert module.fenced(text) == (
        "What.\n\n```python\n>>> f(\n...     1)\n2\n```\n\nMore.\n```python\n>>> g()\n```"
    )


SMALLER = {"plan": ["--schedules", "1f1b", "--jobs", "1"], "search": ["--time-limit", "0.5"]}
"""Options that give a command on a page less to do here; the last one of a name holds."""


@pytest.mark.slow
def test_commands_among_the_questions_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = commands(ROOT / "docs" / "questions.md", "python -m sim")
    assert len(lines) > 8
    for words in lines:
        assert main([*words, *SMALLER.get(words[0], [])]) == 0, words


@pytest.mark.slow
def test_commands_with_tensors_among_the_questions_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    from backend.cli.commands import main as run

    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "questions.md"
    peaks = []
    for words in commands(page, "python -m backend"):
        assert run(words) == 0
        peaks.append(json.loads(capsys.readouterr().out)["peak_bytes"][-1])
    native, deferred = peaks
    if torch.__version__.startswith("2.13.0"):
        assert f"\n{native / deferred:.2f} (torch 2.13.0, CPU)" in page.read_text()
    (words,) = commands(page, "torchrun")  # under it, others run: test_cli_backend.py
    assert run(words[words.index("backend") + 1 :]) == 1
    assert "start it with torchrun" in capsys.readouterr().err


def test_commands_in_the_texts_exist(capsys: pytest.CaptureFixture[str]) -> None:
    texts = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "docs/findings.md")]
    for text in texts:
        for words in commands(text, "python -m sim"):
            assert main([words[0], "--help"]) == 0
            said = capsys.readouterr().out
            for word in words:
                assert not word.startswith("-") or word in said, words
    targets = {line.partition(":")[0] for line in (ROOT / "Makefile").read_text().splitlines()}
    for text in texts:
        for name in re.findall(r"(?:^|`)make ([a-z]+)", text.read_text(), flags=re.MULTILINE):
            assert name in targets


def commands(page: Path, program: str) -> list[list[str]]:
    """The words after `program` of every command in a text, on its own line or in backticks."""
    found = re.findall(rf"(?:^|`){program} ([^`#\n]+)", page.read_text(), flags=re.MULTILINE)
    return [shlex.split(line) for line in found]


def test_the_findings_tell_the_errors_that_were_measured() -> None:
    findings = (ROOT / "docs" / "findings.md").read_text()
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
        assert sentence.replace("%", " %") in findings
    assert f"--rounds {rounds}`" in findings
    assert not summary["misranked"]
    assert not summary["misranked_by_means"]
    assert summary["worst_error_peak_bytes"] == 0


def test_the_readme_has_five_findings_with_their_commands_and_figures() -> None:
    readme = (ROOT / "README.md").read_text()
    part = readme.partition("## Five findings\n")[2].partition("\n## ")[0]
    items = part.split("\n- ")[1:]
    assert len(items) == 5
    findings = (ROOT / "docs" / "findings.md").read_text()
    for item in items:
        (command,) = re.findall(r"`(python -m [^`]+)`", item)
        assert f"`{command}`" in findings
        for figure in re.findall(r"\*\*(.+?)\*\*", item):
            assert figure in findings


def test_pictures_gallery_and_table_are_what_the_code_makes_now() -> None:
    for path, text in gallery().everything().items():
        there = path.read_text() if path.exists() else ""
        assert there == text, f"{path.name} is stale: run make gallery"


def test_every_family_has_its_row_and_its_picture() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in sim.FAMILIES:
        assert f"| `{name}` |" in readme
        assert (ROOT / "docs" / "pictures" / f"{name}.svg").exists()


def test_import_sim_is_light() -> None:
    heavy = [*EXTRAS, "plotly", "numpy", "pandas", "typer", "rich", "jinja2"]
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


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed (make docs brings it)")
    run = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", tmp_path],
        cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "DOCS_SHOW_SOURCE": "false"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    for page in (
        "index",
        "gallery",
        "questions",
        "planning",
        "relatives",
        "api/sim/simulate",
        "api/sim/Costs",
    ):
        assert (tmp_path / f"{page}.html").stat().st_size > 10_000
    html = (tmp_path / "api/sim/simulate.html").read_text()
    heading = html[html.index("<h1") : html.index("</h1>")]
    for argument in ("schedule", "iterations", "jitter", "progress"):
        assert argument in heading, "a function's page has its signature"
