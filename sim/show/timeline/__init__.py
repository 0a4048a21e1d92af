"""The time line of pages and of the explorer: rows of passes, memory and idle time on one axis.

Drawn on canvases by `timeline.js`, which needs no library: plotly keeps an element per pass, so
that a thousand passes per device take seconds to appear and to move.
"""

from .packed import packed, zipped

__all__ = ["packed", "zipped"]
