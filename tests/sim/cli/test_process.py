"""What only a process of its own shows: what it loads, what it writes where, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest


def run(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sim", *arguments],
        capture_output=True, text=True, timeout=60, check=False, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "unused"),
    [
        (["families", "--json"], {"plotly", "jinja2", "ortools", "numba", "torch", "pandas"}),
        (
            ["simulate", "1f1b", "-p", "2", "-m", "2", "--json"],
            {"plotly", "jinja2", "ortools", "numba", "torch"},
        ),
    ],
)
def test_a_command_loads_neither_pictures_nor_pages_nor_solvers_that_it_does_not_use(
    words: list[str], unused: set[str]
) -> None:
    code = (
        f"import sys; from sim.cli import main; main({words!r}); "
        f"print(sorted({unused!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.strip() == "[]"


def test_json_goes_to_stdout_and_nothing_else_does(tmp_path: Path) -> None:
    done = run(
        "simulate", "1f1b", "-p", "2", "-m", "2", "--json", "--html", str(tmp_path / "a.html")
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["makespan"] == 9
    assert (tmp_path / "a.html").exists()


@pytest.mark.parametrize("command", ["check", "simulate", "export"])
def test_a_name_that_the_terminal_cannot_spell_is_escaped(tmp_path: Path, command: str) -> None:
    path = tmp_path / "\u2603.csv"
    path.write_text("0F0,0B0\n")
    done = run(command, str(path), env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u2603" in done.stdout


def test_a_reader_that_leaves_early_is_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "sim", "families"],
            stdout=gone, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_ctrl_c_is_one_word() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sim", "simulate", "1f1b", "-p", "64", "-m", "4096"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # Which tests in the background of a shell ignore, and what they start, too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    # Well past its imports, however busy the machine is: counted in processor time.
    spent = Path(f"/proc/{process.pid}/stat")
    while sum(map(int, spent.read_text().rpartition(")")[2].split()[11:13])) < 300:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "error: interrupted\n")
