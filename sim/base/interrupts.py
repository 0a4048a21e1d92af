"""Ctrl-C at the right moment: it ends what takes long, and never loses what is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Held:
    """What `held` gives. came: whether there was a Ctrl-C that had to wait."""

    def __init__(self) -> None:
        self.came = False
        self._before: Any = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """The handler meanwhile."""
        self.came = True

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """Inside, Ctrl-C does what it did before `held`: usually it raises KeyboardInterrupt."""
        if self._before is None:
            yield
            return
        signal.signal(signal.SIGINT, self._before)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, self.note)


@contextmanager
def held() -> Iterator[Held]:
    """A block that Ctrl-C does not end, but for the parts in `let_through`.

    Only the main thread is ever interrupted; elsewhere this does nothing.
    """
    found = Held()
    if not _main_thread():
        yield found
        return
    before = signal.signal(signal.SIGINT, found.note)
    around = getattr(before, "__self__", None)  # one `held` in another lets through as one
    found._before = around._before if isinstance(around, Held) else before
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def deaf_children() -> Iterator[None]:
    """Processes that are started inside never hear a Ctrl-C in the terminal, which goes to all.

    What is ignored stays ignored in a child, from its first moment on. It is ignored here, too, so
    be quick inside.
    """
    if not _main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
