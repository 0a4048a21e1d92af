"""`python -m backend`: the commands of the backend."""

from __future__ import annotations

from .commands import main

__all__ = ["main"]
