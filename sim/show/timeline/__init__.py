"""The time line of pages and of the explorer: rows of passes, memory and idle time on one axis.

Drawn on canvases by scripts that need no library: plotly keeps an element per pass, so that a
thousand passes per device take seconds to appear and to move.
"""

from .packed import packed, zipped

__all__ = ["SCRIPTS", "packed", "zipped"]

SCRIPTS = tuple(
    f"timeline/{name}.js" for name in ("drawing", "words", "passes", "curves", "files", "timeline")
)
"""In the order in which a page has to have them, for `sim.show.templates.asset`."""
