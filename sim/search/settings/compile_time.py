"""A clock that stands still while numba compiles, which the first search on a machine waits for.

`sim.search.compiled` says when it does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ...base.progress import Move

WORDS = "compiling, once (not counted)"


@dataclass(eq=False)
class CompileTime:
    """spent: seconds until the last compilation ended. depth: how many are under way, one within
    another. bars: they say when one begins."""

    spent: float = 0.0
    depth: int = 0
    began: float = 0.0
    bars: list[Move] = field(default_factory=list)

    def begin(self) -> None:
        if not self.depth:
            self.began = time.monotonic()
            for move in self.bars:
                move(move.done, WORDS)
        self.depth += 1

    def end(self) -> None:
        self.depth -= 1
        if not self.depth:
            self.spent += time.monotonic() - self.began

    def clock(self) -> float:
        """Seconds, those of compilations left out."""
        return (self.began if self.depth else time.monotonic()) - self.spent


COMPILE_TIME = CompileTime()
"""Of this process: numba compiles one function at a time."""


@contextmanager
def told_of_compiling(move: Move | None) -> Iterator[None]:
    """A bar that says meanwhile when something is compiled."""
    if move is None:
        yield
        return
    COMPILE_TIME.bars.append(move)
    try:
        yield
    finally:
        COMPILE_TIME.bars.remove(move)
