"""Many schedules in one picture: the bubble of each against its peak memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from ..metrics.pareto import pareto_front
from .labels import axis_range, in_pixels, label_places, merged_labels, outside_note, stairs
from .style import ACCENT, CLOCK_NAMES, corner, layout

if TYPE_CHECKING:
    import pandas as pd

HEIGHT, MARGINS = 460, (80, 110)
"""Pixels of the picture, and of those how many lie beside and above the plot."""


def comparison(
    frame: pd.DataFrame, *, clock: str = "makespan", title: str = "", width: int = 620
) -> go.Figure:
    """Bubble against peak memory, a point per schedule; the Pareto front is marked and joined.

    frame: a row per schedule with `schedule`, `bubble_makespan`, `bubble_longest_stage` and `peak`
        (the largest of its devices, in shares). clock: which of the two bubbles to draw.
    width: of the picture in pixels, for which labels are placed so that none covers another.
    """
    if clock not in CLOCK_NAMES:
        raise ValueError(f"clock is {clock!r}: it must be {' or '.join(CLOCK_NAMES)}")
    columns = ("schedule", "peak", f"bubble_{clock}")
    if missing := [name for name in columns if name not in frame]:
        raise ValueError(f"no column {missing[0]!r}: it needs {', '.join(columns)}")
    x = frame["peak"].to_numpy(dtype=float)
    y = 100 * frame[f"bubble_{clock}"].to_numpy(dtype=float)
    schedules = [str(name) for name in frame["schedule"]]
    labels = merged_labels(x.tolist(), y.tolist(), schedules)
    front = pareto_front(x, y)
    ranges = axis_range(x), axis_range(y)
    size = width - MARGINS[0], HEIGHT - MARGINS[1]
    spots = in_pixels(zip(x, y, strict=True), ranges, size)
    places = label_places(
        spots, labels, size,
        order=sorted(range(len(spots)), key=lambda i: (not front[i], *spots[i])),
        curves=[stairs(sorted(spots[i] for i in np.flatnonzero(front)))],
    )  # fmt: skip
    figure = go.Figure(layout=layout(title, height=HEIGHT))
    line = [i for i in np.lexsort((y, x)) if front[i]]
    figure.add_scatter(
        x=x[line], y=y[line], mode="lines", hoverinfo="skip", showlegend=False,
        line={"color": ACCENT, "width": 1.5, "dash": "dot", "shape": "hv"},
    )  # fmt: skip
    for chosen, name, dot in (
        (front, "on the Pareto front", {"color": ACCENT, "size": 11, "symbol": "diamond"}),
        (~front, "beaten by another", {"color": "#7f8b99", "size": 8}),
    ):
        mine = np.flatnonzero(chosen)
        figure.add_scatter(
            x=x[mine],
            y=y[mine],
            name=name,
            mode="markers+text",
            marker=dot,
            text=[labels[i] if places[i] else "" for i in mine],
            textposition=[places[i] or "top center" for i in mine],
            textfont={"size": 11},
            customdata=[schedules[i] for i in mine],
            hovertemplate="%{customdata}<br>bubble %{y:.4~g} %, peak %{x:.4~g}<extra></extra>",
        )
    figure.update_layout(
        xaxis={"title": {"text": "peak activations (shares)"}, "range": ranges[0]},
        yaxis={
            "title": {"text": f"bubble on the {CLOCK_NAMES[clock]} clock (%)"},
            "range": ranges[1],
        },
    )
    if text := outside_note(schedules, x, y, ranges):
        figure.add_annotation(corner(text))
    return figure
