"""What if? A schedule, its numbers and its pictures behind widgets, for Jupyter.

The only part that needs ipywidgets (https://ipywidgets.readthedocs.io); `pip install
'pipebubble[notebooks]'` brings it.
"""

from __future__ import annotations

from .setting import Facts, Played, Setting, code, played
from .widgets import Explorer, explore

__all__ = ["Explorer", "Facts", "Played", "Setting", "code", "explore", "played"]
