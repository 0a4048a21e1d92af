"""The picture of a trade-off between memory and time, and the page around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...base.text import plural
from ...schedule.clock import Clock
from ...show.labels import label_places, merged, outside, usual_range
from ...show.pages import Cell, chart_page, share
from ...show.style import ACCENT, GREY, corner, layout, room_for_legend, with_unit

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

FOUND = "#2f6fd6"
HEIGHT, UPPER, BETWEEN, MARGINS = 680, 0.62, 0.08, (80, 110)
"""Pixels of all, the upper picture's share, the gap's, and pixels beside and above the plots."""

READING = {
    "How to read it": (
        "A blue point is the best schedule found under a memory limit, a diamond a named schedule "
        "where its own peak is. Memory is counted in shares: one is what one microbatch keeps on a "
        "whole device until its last backward pass.",
        "No schedule of these passes can lie below the dotted line: it is a proof. Where the blue "
        "line meets it, nothing better exists; the gap tells how far apart they are.",
        "The interval is the time per microbatch in the steady state of a schedule that repeats "
        "for ever; fill and drain are not in it.",
        "Two clocks: the makespan runs from the first pass to the end of the last one on any "
        "device, the longest stage is the longest that any one device takes from its first to its "
        "last pass. A bubble is the idle share of a clock.",
    )
}


def pareto_page(
    found: pd.DataFrame,
    sizes: tuple[int, int],
    *,
    clock: Clock = "makespan",
    facts: Mapping[str, str] | None = None,
    note: str = "",
    command: str = "",
) -> str:
    """The page of what `pareto` found; sizes: devices and microbatches."""
    where = f"{plural(sizes[0], 'device')}, {plural(sizes[1], 'microbatch')}"
    heading = "Bubble and interval against the memory limit"
    return chart_page(
        f"Time against memory: {where}",
        {f"{heading}; the same numbers are in the table": pareto_figure(found, clock=clock)},
        heading=heading,
        table=[_told(row) for row in found.to_dict("records")],
        facts=facts,
        note=note,
        command=command,
        reading=READING,
    )


def pareto_figure(
    found: pd.DataFrame, *, clock: Clock = "makespan", unit: str = "", width: int = 1000
) -> go.Figure:
    """Bubble against memory limit, and below it the interval; named families are marked points.

    width: of the picture in pixels, for which names are placed so that none covers another.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    searched, named = found[~found["family"]], found[found["family"]]
    bubble, limits = _percent(searched[f"bubble_{clock}"]), _floats(searched["limit"])
    gaps = _floats(searched["gap"])
    bound = [max(0.0, 100 - (100 - y) * (gap + 1)) for y, gap in zip(bubble, gaps, strict=True)]
    x, y = _floats(named["peak"]), _percent(named[f"bubble_{clock}"])
    across, up = usual_range(limits + x), usual_range(bubble + bound + y)
    ranges = across, (0.0, up[1])
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=BETWEEN,
        row_heights=[UPPER, 1 - UPPER],
    )  # fmt: skip
    methods = list(searched["method"])
    best, proof = {"color": FOUND, "width": 2.5}, {"color": GREY, "dash": "dot"}
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
    size = width - MARGINS[0], round((HEIGHT - MARGINS[1]) * UPPER * (1 - BETWEEN))
    labels = merged(x, y, list(named["method"]))
    lines = [list(zip(limits, values, strict=True)) for values in (bubble, bound)]
    places = _places(list(zip(x, y, strict=True)), labels, lines, ranges=ranges, size=size)
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
    clock_name = clock.replace("_", " ")
    titles = f"bubble on the {clock_name} clock (%)", with_unit("time per microbatch", unit)
    figure.update_yaxes(title_text=titles[0], range=ranges[1], row=1)
    figure.update_yaxes(title_text=titles[1], row=2)
    figure.update_xaxes(range=ranges[0])
    figure.update_xaxes(title_text="memory limit (shares)", row=2)
    if text := outside(list(named["method"]), x, y, ranges):
        figure.add_annotation(corner(text))
    return figure


def _places(
    points: list[tuple[float, float]],
    labels: list[str],
    lines: list[list[tuple[float, float]]],
    *,
    ranges: tuple[tuple[float, float], tuple[float, float]],
    size: tuple[int, int],
) -> list[str]:
    """Where each name goes; points of lines are covered as little as named ones."""

    def at(spot: tuple[float, float]) -> tuple[float, float]:
        parts = zip(spot, ranges, size, strict=True)
        a, b = ((value - low) / (high - low) * pixels for value, (low, high), pixels in parts)
        return a, b

    curves = [[at(spot) for spot in line] for line in lines]
    dots = [spot for curve in curves for spot in curve]
    spots = [at(spot) for spot in points]
    return label_places(spots + dots, labels + [""] * len(dots), size, curves=curves)[: len(points)]


def _told(row: Mapping[Any, Any]) -> dict[str, Cell]:
    """A row of the table."""
    return {
        "by": str(row["method"]),
        "limit": _known(row["limit"]),
        "peak": _known(row["peak"]),
        "makespan": _known(row["makespan"]),
        "bubble (makespan)": share(row["bubble_makespan"]),
        "longest stage": _known(row["longest_stage"]),
        "bubble (longest stage)": share(row["bubble_longest_stage"]),
        "gap": None if _known(row["gap"]) is None else share(row["gap"]),
        "interval": _known(row["interval"]),
        "interval bound": _known(row["interval_bound"]),
    }


def _known(value: Any) -> float | None:
    return None if value is None or value != value else float(value)


def _floats(values: pd.Series[Any]) -> list[float]:
    return [float(value) for value in values]


def _percent(values: pd.Series[Any]) -> list[float]:
    return [100 * float(value) for value in values]
