"""A widget that shows plotly figures below each other and redraws them in one message.

plotly's own FigureWidget sends a message per change of trace and layout, and hands its state to the
page only where it is displayed by itself; one that lies in a box and changes before, or appears
later, stays empty. This one holds the figures as one text.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import anywidget
import plotly.graph_objects as go
import traitlets

from ..plot import figure_json, plotly_script

_MODULE = """const Plotly = (() => {{
  const module = {{ exports: {{}} }}, exports = module.exports, define = undefined;
  {plotly}
  return module.exports;
}})();
{ours}"""


class Pictures(anywidget.AnyWidget):
    """figures: JSON list of figures, as `show` writes it."""

    _esm = _MODULE.format(
        plotly=plotly_script(),
        ours=(files(__package__) / "pictures.js").read_text(encoding="utf-8"),
    )
    figures = traitlets.Unicode("[]").tag(sync=True)


def show(pictures: Pictures, figures: Sequence[go.Figure]) -> None:
    """Makes the widget show these figures; where a reader has zoomed in, it stays so."""
    for figure in figures:
        figure.update_layout(uirevision="kept", autosize=True)
    pictures.figures = f"[{','.join(map(figure_json, figures))}]"
