"""What if? A schedule, its numbers and its pictures behind widgets, for Jupyter; and a page of some
of it that needs neither.

Only the widgets need ipywidgets (https://ipywidgets.readthedocs.io); `pip install
'pipebubble[notebooks]'` brings it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .setting import Facts, Played, Setting, code, played

if TYPE_CHECKING:
    from .widgets import Explorer, explore

__all__ = ["Explorer", "Facts", "Played", "Setting", "code", "explore", "played"]


def __getattr__(name: str) -> Any:
    if name not in ("Explorer", "explore"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import widgets

    return getattr(widgets, name)
