"""Pictures of plans: speed against memory, seconds by part, bytes by kind. They know no planner:
what they are given are numbers and names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from .palette import readable_on
from .style import ALARM, device_axis, layout, room_for_legend, rows_height
from .svg_chart import APART

GREY = "#7f8b99"
TONES = (*APART, "#c9a227", "#4c9be8", "#e0559a", GREY)
"""One for every schedule or part; more than ten begin again."""
WORK = "#4b6a88"


def speed_against_memory(
    points: Mapping[str, Sequence[tuple[float, float, int, str, bool]]],
) -> go.Figure:
    """GiB on the fullest device against sequences per second.

    points: (GiB, sequences per second, rank, words, whether it is large) by schedule.
    """
    figure = go.Figure(layout=layout("", height=420))
    for i, (name, spots) in enumerate(points.items()):
        figure.add_scatter(
            x=[spot[0] for spot in spots],
            y=[spot[1] for spot in spots],
            name=name,
            mode="markers",
            customdata=[(spot[2], spot[3]) for spot in spots],
            marker={
                "color": TONES[i % len(TONES)],
                "size": [11 if spot[4] else 6 for spot in spots],
                "opacity": [1 if spot[4] else 0.45 for spot in spots],
                "line": {"width": 0},
            },
            hovertemplate="%{customdata[1]}<br>row %{customdata[0]}: %{y:.4~g} sequences/s, "
            "%{x:.4~g} GiB<extra></extra>",
        )
    figure.update_layout(
        xaxis={"title": {"text": "memory of the fullest device (GiB)"}},
        yaxis={"title": {"text": "sequences per second"}},
        legend={"itemsizing": "constant"},
        **room_for_legend(layout("", height=420), list(points), 620),
    )
    return figure


def seconds_by_part(parts: Mapping[str, float]) -> go.Figure:
    """One bar of an iteration's seconds, from work on, with the share of each part."""
    whole = sum(parts.values())
    shown = {name: seconds for name, seconds in parts.items() if seconds > 0.0005 * whole}
    figure = go.Figure(layout=layout("", height=150))
    for i, (name, seconds) in enumerate(shown.items()):
        share = 100 * seconds / whole
        colour = TONES[(i - 1) % len(TONES)] if i else WORK
        figure.add_bar(
            x=[seconds], y=["iteration"], orientation="h", name=name, text=[f"{share:.1f} %"],
            textposition="inside", insidetextanchor="middle", textangle=0,
            marker={"color": colour}, insidetextfont={"color": readable_on(colour)},
            hovertemplate=f"{name}: %{{x:.4~g}} s, {share:.1f} %<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        barmode="stack",
        uniformtext={"minsize": 9, "mode": "hide"},
        xaxis={"title": {"text": "seconds"}},
        yaxis={"visible": False},
        **room_for_legend(layout("", height=150), list(shown), 620),
    )
    return figure


def bytes_by_kind(kinds: Mapping[str, Sequence[float]], *, free: float) -> go.Figure:
    """A bar per device of GiB by kind; the dashed line is what is free of a device's memory."""
    n = len(next(iter(kinds.values())))
    height = rows_height(n)
    figure = go.Figure(layout=layout("", height=height))
    for i, (name, values) in enumerate(kinds.items()):
        figure.add_bar(
            x=list(values), y=list(range(n)), orientation="h", name=name,
            marker={"color": TONES[i]},
            hovertemplate=f"device %{{y}}, {name}: %{{x:.4~g}} GiB<extra></extra>",
        )  # fmt: skip
    figure.add_vline(x=free, line={"color": ALARM, "dash": "dash", "width": 1.5})
    figure.update_layout(
        barmode="stack",
        xaxis={"title": {"text": "GiB; dashed: what is free of a device's memory"}},
        yaxis=device_axis(n),
        **room_for_legend(layout("", height=height), list(kinds), 620),
    )
    return figure
