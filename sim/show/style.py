"""How all pictures look: fonts, axes, heights and room for legends, as plain dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
GREY, GRID, ALARM, ACCENT = "#66707c", "rgba(128,138,150,0.28)", "#cf4a3c", "#b5367c"
CLOCK_NAMES = {"makespan": "makespan", "longest_stage": "longest stage"}
USUAL_WIDTH = 1000
"""Pixels for which legends are laid out where nobody says more."""


def layout(title: str, *, height: int) -> dict[str, Any]:
    """What every figure starts from: no background of its own, the legend above the plot."""
    axis = {
        "gridcolor": GRID, "linecolor": GRID, "zerolinecolor": GRID, "automargin": True,
        "exponentformat": "none", "separatethousands": True,
        "title": {"font": {"size": 12}, "standoff": 8},
    }  # fmt: skip
    found: dict[str, Any] = {
        "template": {"layout": {"xaxis": axis, "yaxis": axis}},
        "font": {"family": FONT, "size": 12, "color": GREY},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(128,138,150,0.08)",
        "height": height + (30 if title else 0),
        "margin": {"l": 8, "r": 14, "t": 70 if title else 40, "b": 8},
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom",
                   "traceorder": "normal"},
        "hoverlabel": {"align": "left", "font": {"family": FONT, "size": 12}},
        "hovermode": "closest",
    }  # fmt: skip
    if title:
        found["title"] = {
            "text": title, "font": {"size": 15}, "x": 0, "xref": "paper",
            "y": 1, "yref": "container", "yanchor": "top", "pad": {"t": 14},
        }  # fmt: skip
    return found


def room_for_legend(start: dict[str, Any], names: Sequence[str], width: int) -> dict[str, Any]:
    """Margin and height with as many lines above the plot as the legend takes at `width` pixels."""
    longest = max(map(len, names), default=0)
    in_a_line = max(1, (width - 100) // (7 * longest + 50))
    more = 20 * ((len(names) - 1) // in_a_line) if names else 0
    margin = {**start["margin"], "t": start["margin"]["t"] + more}
    return {"margin": margin, "height": start["height"] + more}


def corner(text: str) -> dict[str, Any]:
    """Words in the upper right corner of a plot."""
    return {
        "text": text, "showarrow": False, "align": "right", "font": {"size": 11}, "x": 1, "y": 1,
        "xref": "paper", "yref": "paper", "xanchor": "right", "yanchor": "top",
    }  # fmt: skip


def rows_height(rows: int) -> int:
    """Pixels for a picture with a row per device."""
    per_row = {4: 46, 8: 36, 16: 28, 64: 16}
    return 100 + max(rows, 1) * next((px for most, px in per_row.items() if rows <= most), 10)


def marker(fill: str, edge: float = 0.5) -> dict[str, Any]:
    """A bar's fill, with a thin light edge so that neighbours stay apart."""
    return {"color": fill, "line": {"width": edge, "color": "rgba(255,255,255,0.85)"}}


def with_unit(name: str, unit: str) -> str:
    """The title of an axis."""
    return f"{name} ({unit})" if unit else name


def device_axis(n_devices: int) -> dict[str, Any]:
    """Devices from the top down, named as far as there is room."""
    few = n_devices <= 8
    ticks = list(range(0, n_devices, -(-n_devices // 32) or 1))
    return {
        "tickvals": ticks,
        "ticktext": [f"device {device}" if few else str(device) for device in ticks],
        "title": {"text": "" if few else "device"},
        "ticklabelstandoff": 6,
        "range": [n_devices - 0.5, -0.5],
        "showgrid": False,
        "zeroline": False,
    }


def byte_unit(largest: float) -> tuple[str, float]:
    """The name of the unit that suits `largest` bytes, and how many bytes it is."""
    for name, scale in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if largest >= scale:
            return name, float(scale)
    return "bytes", 1.0


def thinned(times: Any, values: Any, *, most: int = 2000) -> tuple[Any, Any]:
    """At most about `most` points of a curve: of each stretch its ends, its low and its high."""
    if len(times) <= most:
        return times, values
    edges = np.linspace(0, len(times), most // 4 + 1, dtype=int)
    kept = {0, len(times) - 1}
    for low, high in pairwise(edges):
        part = values[low:high]
        kept |= {low, low + int(part.argmin()), low + int(part.argmax()), high - 1}
    rows = np.array(sorted(kept))
    return times[rows], values[rows]
