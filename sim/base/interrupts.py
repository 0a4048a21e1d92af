"""Ctrl-C at the right moment: it ends what takes long, and never loses what is done.

Code in C that calls back into Python may lose an exception that a signal raises there, or crash:
numba does while it builds a named tuple, and a weak reference's callback swallows everything. Where
much of the time is spent in such code, Ctrl-C is noted at once and raised at the next `poll`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class DeferredSigint:
    """What `deferred_sigint` yields. came: whether there was a Ctrl-C that had to wait."""

    def __init__(self) -> None:
        self.came = False
        self._before: Any = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """The signal handler while Ctrl-C is deferred."""
        self.came = True

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """Inside, Ctrl-C does what it did before it was deferred: usually KeyboardInterrupt."""
        if self._before is None:
            yield
            return
        signal.signal(signal.SIGINT, self._before)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, self.note)


@contextmanager
def deferred_sigint() -> Iterator[DeferredSigint]:
    """A block that Ctrl-C does not end, except for the parts inside `let_through`.

    Python delivers signals to the main thread only; in any other thread this does nothing.
    """
    found = DeferredSigint()
    if not _main_thread():
        yield found
        return
    before = signal.signal(signal.SIGINT, found.note)
    around = getattr(before, "__self__", None)  # of nested blocks, the outer one's handler counts
    found._before = around._before if isinstance(around, DeferredSigint) else before
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, before)


_here = threading.local()
"""polled: the innermost block of `polled_sigint` that this thread is in."""


@contextmanager
def polled_sigint() -> Iterator[DeferredSigint]:
    """A block in which Ctrl-C raises KeyboardInterrupt at the next `poll`, or at its end."""
    around = getattr(_here, "polled", None)
    with deferred_sigint() as found:
        _here.polled = found
        try:
            yield found
        finally:
            _here.polled = around
    if found.came:
        raise KeyboardInterrupt


def poll() -> None:
    """Raise the KeyboardInterrupt of a Ctrl-C since the last call, inside `polled_sigint`."""
    found = getattr(_here, "polled", None)
    if found is not None and found.came:
        found.came = False
        raise KeyboardInterrupt


@contextmanager
def children_ignore_sigint() -> Iterator[None]:
    """Processes that are started inside ignore Ctrl-C, which a terminal sends to all of them.

    A child inherits that a signal is ignored, from its first moment on. This process ignores it
    inside, too, so the block should be short.
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
