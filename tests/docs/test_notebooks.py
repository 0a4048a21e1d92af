"""Every notebook asks one question, answers it, and runs from top to bottom."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
QUESTIONS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
NAMES = [path.stem for path in QUESTIONS]
SHORTER = {
    "03_which_schedule_for_mine": {
        "time_limit=8": "moves=1_000_000",
        "limits=[2, 2.5, 3, 4, 5], time_limit=9": "limits=[2, 4], moves=2_000_000",
    },
    "05_run_it_for_real": {
        "rounds=8": "rounds=2",
        "layers=4, width=192, sequence=96": "layers=2, width=32, sequence=16",
    },
    "07_plan_a_training_run": {
        '("8xa100-40g", "16xa100-40g", "16xa100-80g")': '("8xa100-40g",)',
        '"batch": 64': '"batch": 16',
        "draws=60": "draws=6",
    },
    "08_streamed_inference": {
        "repeats=3": "repeats=1",
        "width=256, heads=4, vocabulary=512, sequence=64": "width=64, heads=4, vocabulary=64, "
        "sequence=16",
    },
}
"""What is smaller, measured less often or searched for less long than in the notebook as kept."""
LARGEST = 1_000_000
"""Bytes: what a code host still shows at once."""


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def test_there_is_one_for_every_question() -> None:
    assert [name[:2] for name in NAMES] == ["01", "02", "03", "04", "05", "06", "07", "08", "09"]


@pytest.mark.slow
@pytest.mark.parametrize("path", QUESTIONS, ids=NAMES)
def test_it_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    notebook = read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for longer, shorter in SHORTER.get(path.stem, {}).items():
        assert any(longer in cell.source for cell in code), longer
        for cell in code:
            cell.source = cell.source.replace(longer, shorter)
    for cell in code:
        cell.outputs = []
    NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    assert any(output_of(cell) for cell in notebook.cells)


@pytest.mark.parametrize("path", QUESTIONS, ids=NAMES)
def test_its_first_cell_asks_and_its_last_one_answers(path: Path) -> None:
    first, *_, last = read(path).cells
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert first.source.strip().endswith("?")
    assert last.cell_type == "markdown"
    assert last.source.startswith("**Answer.**")


@pytest.mark.parametrize("path", QUESTIONS, ids=NAMES)
def test_it_is_committed_executed_with_a_picture_that_shows_on_a_code_host(path: Path) -> None:
    code = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = {kind for cell in code for output in cell.outputs for kind in output.get("data", {})}
    assert kinds & {"image/svg+xml", "image/png"}
    assert not kinds & {"application/vnd.plotly.v1+json", "text/html-script"}
    assert all(output.output_type != "error" for cell in code for output in cell.outputs)
    assert path.stat().st_size < LARGEST


@pytest.mark.parametrize("path", QUESTIONS, ids=NAMES)
def test_it_defines_nothing(path: Path) -> None:
    for cell in read(path).cells:
        if cell.cell_type == "code":
            kinds = {type(node) for node in ast.walk(ast.parse(cell.source))}
            assert not kinds & {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef}


def test_every_link_of_the_texts_leads_to_a_page_of_the_documentation() -> None:
    home, pages = FOLDER.parent, documentation()
    have = {path.relative_to(home / "docs").as_posix() for path in (home / "docs").rglob("*.*")}
    have |= {*pages.TEXTS.values(), *pages.notebooks()}
    have |= {f"validation/data/{path.name}" for path in (home / "validation/data").glob("*.json")}
    for name in pages.TEXTS:
        links = re.findall(r"\]\((?!https?:)([\w/-]+\.\w+)[)#]", pages.text_page(home / name))
        assert {link for link in links if link not in have} == set(), name


@pytest.mark.parametrize("path", QUESTIONS, ids=NAMES)
def test_its_page_shows_all_its_texts_and_pictures(path: Path) -> None:
    pages = documentation()
    page, cells = pages.notebook_page(path), read(path).cells
    assert all(cell.source in page for cell in cells)
    pictures = [1 for cell in cells for output in output_of(cell) if "image/svg+xml" in
                output.get("data", {})]  # fmt: skip
    assert page.count("<div data-search-exclude><svg") == len(pictures) > 0


def output_of(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return list(cell.get("outputs", []))


def documentation() -> ModuleType:
    """docs/pages.py, which makes the pages."""
    pytest.importorskip("mkdocs", reason="mkdocs is not installed (make docs brings it)")
    spec = importlib.util.spec_from_file_location("pages", FOLDER.parent / "docs" / "pages.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
