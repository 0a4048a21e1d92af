"""What is raised when ranks fail, in one line that names the cause; the end of such a process."""

from __future__ import annotations

import os
import sys
import traceback
from types import TracebackType
from typing import Any

import torch

from .notes import farewell


class PipelineFault(RuntimeError):
    """A rank failed while a schedule was played. original: what was raised, on that rank only."""

    original: BaseException | None = None


class Mismatch(ValueError):
    """Ranks that cannot play a schedule together, or were given what does not fit."""


def cause(error: BaseException) -> str:
    """What was raised first, in one line, and where in the user's code."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split()) or "without a word"
    shown = text if len(text) <= 300 else f"{text[:297]}..."
    place = _place(error)
    return f"{type(error).__name__}: {shown}{f' ({place})' if place else ''}"


def report_briefly() -> None:
    """From now on, a fault or a mismatch that ends this process is one line, not a traceback.

    Everything else ends it as before, but the other ranks can read why.
    """
    before = sys.excepthook
    if getattr(before, "brief", False):
        return

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, PipelineFault | Mismatch):
            print(f"pipebubble: {error}", file=sys.stderr, flush=True)
        else:
            before(kind, error, trace)
            farewell(cause(error))

    hook.brief = True  # type: ignore[attr-defined]
    sys.excepthook = hook


def of_connections(error: BaseException) -> bool:
    """Whether an error says that another process did not answer, not what went wrong here."""
    said = f"{type(error).__name__} {error}".lower()
    return any(word in said for word in _CONNECTIONS)


def of_timeouts(error: BaseException) -> bool:
    """Whether a wait for another process has ended by its limit."""
    return "timed out" in str(error).lower() or "timeout" in str(error).lower()


_CONNECTIONS = (
    "connection", "timed out", "timeout", "gloo", "nccl", "broken pipe", "socket", "disterror",
    "distbackenderror", "distnetworkerror", "diststoreerror",
)  # fmt: skip


def _place(error: BaseException) -> str:
    """File and line of the innermost frame that is neither torch's nor ours."""
    skipped = [os.path.dirname(torch.__file__), os.path.dirname(os.path.dirname(__file__))]
    frames: list[Any] = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not any(frame.filename.startswith(folder + os.sep) for folder in skipped)
    ]
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
