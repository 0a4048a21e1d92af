"""A progress bar on stderr, where stderr is a terminal and somebody asked for one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(label: str, total: float, *, shown: bool) -> Iterator[Callable[[float], None] | None]:
    """A function that moves the bar to a number of `total`, or None where there is no bar."""
    if not shown or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        line = progress.add_task(label, total=total)
        yield lambda done: progress.update(line, completed=done)
