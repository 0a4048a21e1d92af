"""Progress is told to a terminal and to nobody else, and never from inside a timed pass."""

from __future__ import annotations

import io
import re
import sys
import threading
import time

import pytest

import sim
from backend.stages.transformer import Model, tokens, transformer_stages
from backend.threads.board import Board
from backend.threads.run import run
from sim.base.progress import bar
from sim.search.settings.compile_time import COMPILE_TIME, WORDS, told_of_compiling
from sim.search.settings.effort import Effort


class _Screen(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_a_real_run_shows_its_progress_on_a_terminal_alone(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = _Screen(terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    schedule = sim.FAMILIES["1f1b"](2, 2)
    model = Model((1, 1), width=16, heads=2, vocabulary=17, sequence=8)
    batch, targets = tokens(model, 2)
    run(schedule, transformer_stages(model), batch, targets=targets, progress=True)
    assert ("running 1f1b" in screen.getvalue()) == terminal


def test_the_board_tells_how_many_passes_all_devices_have_begun() -> None:
    told: list[float] = []
    board = Board(2)

    def work() -> None:
        for device in range(2):
            for microbatch in range(3):
                board.runs(device, sim.Op("F", device, microbatch))
            board.ends(device)

    later = threading.Timer(0.1, work)
    later.start()
    board.watch(5.0, lambda: None, told.append)
    later.join()
    assert told[-1] == 6


@pytest.mark.slow
def test_a_notebook_gets_a_bar_as_a_widget() -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    client = pytest.importorskip("nbclient", reason="nbclient is not installed")
    play = "import sim; s = sim.FAMILIES['1f1b'](2, 2); sim.simulate(s, sim.Costs.uniform(s)"
    cells = [nbformat.v4.new_code_cell(play + more) for more in (", progress=True);", ");")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client.NotebookClient(notebook, kernel_name="python3").execute()
    asked, quiet = (cell.outputs for cell in notebook.cells)
    assert any("application/vnd.jupyter.widget-view+json" in each["data"] for each in asked)
    assert quiet == []


def test_a_log_gets_a_plain_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    log = _Screen(terminal=False)
    monkeypatch.setattr(sys, "stderr", log)
    for every, said in ((0.0, "reading, 25%\nreading more, 50%\n"), (3600.0, "")):
        monkeypatch.setattr("sim.base.progress.EVERY", every)
        with bar("reading", 8, shown=True) as move:
            assert move is not None
            move(2)
            move(4, "reading more")
        assert log.getvalue() == said
        log.seek(0)
        log.truncate()
    with bar("reading", 8, shown=False) as none:
        assert none is None


def test_a_bar_within_another_moves_it_and_speaks_through_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = _Screen(terminal=False)
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr("sim.base.progress.EVERY", 0.0)
    with bar("limits", 4, shown=True) as outer:
        assert outer is not None
        outer(1, "limit 2")
        with bar("search", 10, shown=True) as inner:
            assert inner is not None
            inner(5, "best 3")
            with bar("even deeper", 2, shown=True) as deeper:
                assert deeper is not None
                deeper(1, "")
        outer(2)
    said = log.getvalue().splitlines()
    assert said == ["limit 2, 25%", "limit 2: best 3, 38%", "limit 2: best 3, 39%", "limit 2, 50%"]


def test_a_front_tells_limit_best_bound_and_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    log = _Screen(terminal=False)
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr("sim.base.progress.EVERY", 0.0)
    ones = ((1,),) * 4
    costs = sim.Costs(ones, ones, ones)
    sim.search.pareto(2, 4, costs, limits=[1, 2], moves=2000)
    said = log.getvalue()
    assert re.search(r"limit 2 \(2 of 2\): best \d+, bound \d+, gap [\d.]+%, \d+%\n", said)


def test_what_is_compiled_is_told_and_takes_no_time_of_a_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numba = pytest.importorskip("numba")
    said: list[str] = []
    with bar("search", 9, shown=True) as move:
        assert move is not None
        monkeypatch.setattr(move, "show", lambda done, words: said.append(f"{words} at {done}"))
        move(3)
        with told_of_compiling(move):
            wall, effort, spent = time.monotonic(), Effort().now(), COMPILE_TIME.spent
            assert numba.njit(lambda x: x + 1)(1) == 2
            left_out = COMPILE_TIME.spent - spent
            took = Effort().now() - effort
            assert took <= time.monotonic() - wall - left_out
            assert left_out > 0
        numba.njit(lambda x: x + 2)(1)
    assert said == ["search at 3", f"{WORDS} at 3"]
