"""A progress bar in a terminal (on stderr) or a notebook, where somebody asked for one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Protocol


class Move(Protocol):
    """Moves a bar to so much of its total, perhaps under another label."""

    def __call__(self, done: float, label: str | None = None, /) -> None: ...


@contextmanager
def bar(label: str, total: float, *, shown: bool, alone: bool = False) -> Iterator[Move | None]:
    """A function that moves the bar to a number of `total`, or None where there is no bar.

    alone: draw only when moved, not from a thread, which would be in the way of what is timed.
    """
    if not shown or not (sys.stderr.isatty() or _in_notebook()):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, auto_refresh=not alone) as progress:
        line = progress.add_task(label, total=total)

        def move(done: float, label: str | None = None) -> None:
            progress.update(line, completed=done, description=label, refresh=alone)

        yield move


def _in_notebook() -> bool:
    """Whether rich would show a bar as a widget, below the cell."""
    if "ipykernel" not in sys.modules or not find_spec("ipywidgets"):
        return False
    from rich.console import Console

    return Console().is_jupyter
