"""The clock that a search goes by: wall time, or counted work that is the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass

from ...base.interrupts import poll
from .compile_time import COMPILE_TIME

PASSES_PER_SECOND = 25_000_000
"""How many played passes count as a second of work: about what one core does."""


@dataclass
class Effort:
    """How far a search has got, in seconds. Whoever asks or reports meets Ctrl-C there (`poll`).

    Wall time is that of `compile_time`, which leaves out what numba compiles.
    counted: the clock stands still but for the work that is reported to it, so that equal searches
        do the same on every machine, however busy it is. spent: seconds' worth of reported work.
    """

    counted: bool = False
    spent: float = 0.0

    def now(self) -> float:
        """The moment, to compare with others of the same clock."""
        poll()
        return self.spent if self.counted else COMPILE_TIME.clock()

    def played(self, passes: int) -> None:
        """Report so many passes played, or an equal amount of other work."""
        poll()
        self.spent += passes / PASSES_PER_SECOND

    def worked(self, seconds: float) -> None:
        """Report work that is measured in seconds of its own, as a solver's deterministic time."""
        poll()
        self.spent += seconds
