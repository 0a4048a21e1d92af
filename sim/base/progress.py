"""A progress bar on stderr, where stderr is a terminal and somebody asked for one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(
    label: str, total: float, *, shown: bool, alone: bool = False
) -> Iterator[Callable[[float], None] | None]:
    """A function that moves the bar to a number of `total`, or None where there is no bar.

    alone: draw only when moved, not from a thread, which would be in the way of what is timed.
    """
    if not shown or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, auto_refresh=not alone) as progress:
        line = progress.add_task(label, total=total)
        yield lambda done: progress.update(line, completed=done, refresh=alone)
