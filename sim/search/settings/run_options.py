"""What all parts of a search go by."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from .effort import Effort


@dataclass(frozen=True)
class RunOptions:
    """The clock, where random numbers start, how many threads, and which methods not to use.

    effort: what seconds are counted by, and where work is reported. without: see `methods`.
    """

    effort: Effort = field(default_factory=Effort)
    seed: int = 0
    workers: int = 2
    without: Collection[str] = ()

    def use(self, method: str) -> bool:
        """Whether a method of the table may be used."""
        return method not in self.without
