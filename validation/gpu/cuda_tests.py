"""The tests that need a GPU, as `pytest -m cuda` runs them."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from .setting import Place, Setting

ROOT = Path(__file__).parents[2]


def cuda_tests(setting: Setting, place: Place) -> dict[str, Any]:
    """How many passed, failed and were skipped, and the names of those that failed.

    RuntimeError where there is no pytest, or no tests beside the code.
    """
    if find_spec("pytest") is None:
        raise RuntimeError("pytest is not installed: pip install pytest")
    files = [
        path
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if path != Path(__file__) and "mark.cuda" in path.read_text()
    ]
    if not files:
        raise RuntimeError(f"no tests in {ROOT / 'tests'}: run this in a copy of the repository")
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-m", "cuda", "-p", "no:cacheprovider",
             f"--junitxml={report}", *map(str, files)],
            cwd=ROOT, capture_output=True, text=True, timeout=0.95 * place.seconds, check=False,
        )  # fmt: skip
        if not report.exists():
            last = (ran.stderr or ran.stdout).strip().splitlines()[-1:]
            raise RuntimeError(f"pytest gave no report: {' '.join(last)}")
        return counts(report.read_text())


def counts(junit: str) -> dict[str, Any]:
    """What a JUnit report says, as numbers and as names of what failed."""
    cases = list(ElementTree.fromstring(junit).iter("testcase"))
    failed = [
        f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    skipped = sum(case.find("skipped") is not None for case in cases)
    return {
        "passed": len(cases) - len(failed) - skipped,
        "failed": failed,
        "skipped": skipped,
    }
