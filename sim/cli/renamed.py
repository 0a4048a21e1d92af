"""Options that have another name now; the old one still works, and says so."""

from __future__ import annotations

import sys
from typing import TypeVar

Value = TypeVar("Value")


def renamed(old: str, given: Value | None, new: str, value: Value | None) -> Value | None:
    """The value of an option, whichever name it was given by; ValueError for both at once."""
    if not given:
        return value
    if value:
        raise ValueError(f"{old} is the former name of {new}: give {new} alone")
    print(f"{old} is called {new} now; the old name still works", file=sys.stderr)
    return given
