"""Pauses Python's cycle collector while millions of small tuples are made and kept."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_pause() -> Iterator[None]:
    """No cycle collection inside; it is switched on again if it was on before.

    Tuples of tuples hold no cycles, but the collector walks them again and again: with it a play of
    131,072 passes takes more than twice as long.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
