"""Progress is told to a terminal and to nobody else, and never from inside a timed pass."""

from __future__ import annotations

import io
import sys
import threading

import pytest

import sim
from backend.stages.transformer import Model, tokens, transformer_stages
from backend.threads.board import Board
from backend.threads.run import run


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
