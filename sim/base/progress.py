"""A progress bar on stderr or in a notebook, where somebody asked for one.

A terminal gets a bar that vanishes when it is full, a notebook a widget, anything else (a log) a
plain line now and then. A bar within another one moves that one and speaks through it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Protocol

Show = Callable[[float, str], None]
EVERY = 10.0
"""Seconds between two lines where there is no terminal: what takes less says nothing there."""


class Move(Protocol):
    """Moves a bar to so much of its total, perhaps under another label; done: where it is."""

    @property
    def done(self) -> float: ...

    def __call__(self, done: float, label: str | None = None, /) -> None: ...


@contextmanager
def bar(label: str, total: float, *, shown: bool, alone: bool = False) -> Iterator[Move | None]:
    """A function that moves the bar to a number of `total`, or None where none was asked for.

    alone: draw only when moved, not from a thread, which would be in the way of what is timed.
    """
    if not shown:
        yield None
        return
    outer = _outer.get()
    on_screen = sys.stderr.isatty() or _in_notebook()
    shown_by = (
        _within(outer, total)
        if outer
        else (_drawn if on_screen else _in_lines)(label, total, alone)
    )
    with shown_by as show:
        inner = _Bar(label, show)
        token = _outer.set(inner)
        try:
            yield inner
        finally:
            _outer.reset(token)


class _Bar:
    """How far it is and what it says, for those within it; show: draws that."""

    def __init__(self, label: str, show: Show) -> None:
        self.done, self.label, self.show = 0.0, label, show

    def __call__(self, done: float, label: str | None = None, /) -> None:
        self.done, self.label = done, self.label if label is None else label
        self.show(self.done, self.label)


_outer: ContextVar[_Bar | None] = ContextVar("bar", default=None)


@contextmanager
def _within(outer: _Bar, total: float) -> Iterator[Show]:
    """One unit of the total of the outer bar is the whole of this one."""

    def show(done: float, words: str) -> None:
        said = ": ".join(filter(None, (outer.label, words)))
        outer.show(outer.done + (min(done / total, 1.0) if total else 1.0), said)

    yield show


@contextmanager
def _drawn(label: str, total: float, alone: bool) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    columns = (
        TextColumn("{task.description}", markup=False, table_column=Column(overflow="ellipsis",
                   no_wrap=True, ratio=1)),
        BarColumn(16), TaskProgressColumn(), TimeRemainingColumn(compact=True),
    )  # fmt: skip
    with Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        auto_refresh=not alone,
        expand=True,
        redirect_stdout=sys.stdout.isatty(),  # else what goes into a file would go to the screen
    ) as progress:
        line = progress.add_task(label, total=total)
        yield lambda done, words: progress.update(
            line, completed=done, description=words, refresh=alone
        )


@contextmanager
def _in_lines(label: str, total: float, alone: bool) -> Iterator[Show]:
    last = time.monotonic()

    def show(done: float, words: str) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY:
            last = time.monotonic()
            share = min(done / total, 1.0) if total else 1.0
            print(f"{words}, {share:.0%}", file=sys.stderr, flush=True)

    yield show


def _in_notebook() -> bool:
    """Whether rich would show a bar as a widget, below the cell."""
    if "ipykernel" not in sys.modules or not find_spec("ipywidgets"):
        return False
    from rich.console import Console

    return Console().is_jupyter
