"""`python -m sim`: the commands of the simulator, and how all commands run, fail and end."""

from __future__ import annotations

from .commands import main

__all__ = ["main"]
