"""A widget that shows time lines below each other and redraws them in one message."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import anywidget
import traitlets

from ..show.templates import asset
from ..show.timeline import SCRIPTS


class Pictures(anywidget.AnyWidget):
    """lines: a JSON list of time lines, as `sim.show.timeline.packed` makes them, in bytes: text
    would be quoted and read twice. stale: they are not what the numbers beside them say. address:
    the setting, kept behind the # of the page's address; asked: what stood there when the page was
    opened."""

    _esm = "".join(asset(name) for name in (*SCRIPTS, "explorer/pictures.js"))
    _css = str(asset("timeline/timeline.css"))
    lines = traitlets.Bytes(b"[]").tag(sync=True)
    stale = traitlets.Bool(False).tag(sync=True)
    address = traitlets.Unicode("").tag(sync=True)
    asked = traitlets.Unicode("").tag(sync=True)


def show(pictures: Pictures, lines: Sequence[Mapping[str, Any]]) -> None:
    """Makes the widget show these; a part that a reader looks at stays while it exists."""
    pictures.lines = json.dumps(lines, separators=(",", ":"), allow_nan=False).encode()
