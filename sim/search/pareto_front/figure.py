"""The picture of a Pareto front: bubble and interval against the memory limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...schedule.clock import Clock
from ...show.labels import axis_range, in_pixels, label_places, merged_labels, outside_note
from ...show.style import (
    ACCENT,
    CLOCK_NAMES,
    GREY,
    corner,
    layout,
    room_for_legend,
    with_unit,
)

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

BEST, WITH_LEVERS = "#2f6fd6", "#7a3fb8"
HEIGHT, UPPER, BETWEEN, MARGINS = 680, 0.62, 0.08, (80, 110)
"""Pixels of all, the upper picture's share, the gap's, and pixels beside and above the plots."""


def pareto_figure(
    found: pd.DataFrame, *, clock: Clock = "makespan", unit: str = "", width: int = 1000
) -> go.Figure:
    """Bubble against memory limit, and below it the interval; named families are marked points.

    width: of the picture in pixels, for which names are placed so that none covers another.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    searched, named = found[~found["family"]], found[found["family"]]
    levers = searched.iloc[:0]
    if "levers" in found:
        levers, searched = searched[searched["levers"] != ""], searched[searched["levers"] == ""]
    bubble, limits = _percent(searched[f"bubble_{clock}"]), _floats(searched["limit"])
    gaps = _floats(searched["gap"])
    bound = [max(0.0, 100 - (100 - y) * (gap + 1)) for y, gap in zip(bubble, gaps, strict=True)]
    x, y = _floats(named["peak"]), _percent(named[f"bubble_{clock}"])
    more_x, more_y = _floats(levers["limit"]), _percent(levers[f"bubble_{clock}"])
    across, up = axis_range(limits + more_x + x), axis_range(bubble + more_y + bound + y)
    ranges = across, (0.0, up[1])
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=BETWEEN,
        row_heights=[UPPER, 1 - UPPER],
    )  # fmt: skip
    methods = list(searched["method"])
    best, proof = {"color": BEST, "width": 2.5}, {"color": GREY, "dash": "dot"}
    for name, values, row, line in (
        ("best found", bubble, 1, best),
        ("cannot be lower", bound, 1, proof),
        ("best found", _floats(searched["interval"]), 2, best),
        ("cannot be lower", _floats(searched["interval_bound"]), 2, proof),
    ):
        figure.add_trace(
            go.Scatter(
                x=limits, y=values, name=name, mode="lines+markers", line=line, customdata=methods,
                legendgroup=name, showlegend=row == 1,
                hovertemplate="limit %{x}: %{y:.4~g}<br>%{customdata}<extra>" + name + "</extra>",
            ),
            row=row, col=1,
        )  # fmt: skip
    for ys, row in ((more_y, 1), (_floats(levers["interval"]), 2)):
        told = "limit %{x}: %{y:.4~g}<br>%{customdata}<extra>with levers</extra>"
        if len(levers):
            figure.add_trace(
                go.Scatter(
                    x=more_x, y=ys, name="with levers", mode="lines+markers",
                    line={"color": WITH_LEVERS, "width": 2.5}, legendgroup="with levers",
                    showlegend=row == 1, customdata=_what_is_done(levers),
                    hovertemplate=told,
                ),
                row=row, col=1,
            )  # fmt: skip
    size = width - MARGINS[0], round((HEIGHT - MARGINS[1]) * UPPER * (1 - BETWEEN))
    labels = merged_labels(x, y, list(named["method"]))
    drawn = [(limits, bubble), (limits, bound), (more_x, more_y)]
    curves = [in_pixels(zip(xs, ys, strict=True), ranges, size) for xs, ys in drawn if xs]
    dots = [spot for curve in curves for spot in curve]  # covered as little as named points
    spots = in_pixels(zip(x, y, strict=True), ranges, size)
    nearby = label_places(spots + dots, labels + [""] * len(dots), size, curves=curves)
    places = nearby[: len(spots)]
    figure.add_trace(
        go.Scatter(
            x=x, y=y, name="named schedules", mode="markers+text", customdata=list(named["method"]),
            text=[label if place else "" for label, place in zip(labels, places, strict=True)],
            textposition=[place or "top center" for place in places], textfont={"size": 11},
            marker={"color": ACCENT, "size": 9, "symbol": "diamond"},
            hovertemplate="%{customdata}: peak %{x}, bubble %{y:.4~g} %<extra></extra>",
        ),
        row=1, col=1,
    )  # fmt: skip
    figure.update_layout(layout("", height=HEIGHT))
    legend = [line.name for line in figure.data if line.showlegend is not False]
    room = room_for_legend({"margin": {"t": 40}, "height": HEIGHT}, legend, width)
    figure.update_layout(room)
    titles = f"bubble on the {CLOCK_NAMES[clock]} clock (%)", with_unit("time per microbatch", unit)
    figure.update_yaxes(title_text=titles[0], range=ranges[1], row=1)
    figure.update_yaxes(title_text=titles[1], row=2)
    figure.update_xaxes(range=ranges[0])
    figure.update_xaxes(title_text="memory limit (shares)", row=2)
    if text := outside_note(list(named["method"]), x, y, ranges):
        figure.add_annotation(corner(text))
    return figure


def _what_is_done(levers: pd.DataFrame) -> list[str]:
    """Of each point with levers the activations for which something is done."""
    pairs = zip(_floats(levers["recomputed"]), _floats(levers["offloaded"]), strict=True)
    return [f"{again:.0%} recomputed, {away:.0%} offloaded" for again, away in pairs]


def _floats(values: pd.Series[Any]) -> list[float]:
    return [float(value) for value in values]


def _percent(values: pd.Series[Any]) -> list[float]:
    return [100 * float(value) for value in values]
