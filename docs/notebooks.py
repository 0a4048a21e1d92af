"""Runs the notebooks again and keeps what they show: python docs/notebooks.py [notebooks/01_...]

All of them, if none is named. Times of execution are left out, so that a second run of the same
code changes nothing but what was measured.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import nbformat
from nbclient import NotebookClient

HOME = Path(__file__).resolve().parents[1] / "notebooks"


def main() -> None:
    named = [Path(name).resolve() for name in sys.argv[1:]]
    for path in named or sorted(HOME.glob("[0-9][0-9]_*.ipynb")):
        begin = perf_counter()
        executed(path)
        print(f"{path.name}: {perf_counter() - begin:.1f} s")


def executed(path: Path) -> None:
    """Runs one notebook in an empty folder and writes it back; a failing cell leaves it alone."""
    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=300,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": folder}},
        ).execute()
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
