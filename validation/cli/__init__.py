"""`python -m validation`: measure this machine, and hold the simulator against what others did."""

from __future__ import annotations

from .commands import main

__all__ = ["main"]
