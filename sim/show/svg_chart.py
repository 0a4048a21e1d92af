"""Curves and points as plain SVG, for where a plotly figure does not show (see `svg`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Literal

from .labels import label_places, stairs
from .palette import device_tones
from .svg_timeline import svg

Curve = tuple[Sequence[Any], Sequence[Any]]
"""Where a curve goes: x and y of its corners."""

APART = ("#dd7711", "#1450ff", "#009977", "#bb66ee", "#885522", "#6b5a8c")
"""Colours of a few curves, which everybody can tell apart on light and on dark paper; of more,
neighbours look alike."""
BOTTOM, RIGHT, LINE_HEIGHT = 44, 26, 18


def chart_svg(
    curves: Mapping[str, Curve] | None = None,
    *,
    points: Mapping[str, tuple[Any, Any]] | None = None,
    x: str = "",
    y: str = "",
    shape: Literal["straight", "steps"] = "straight",
    title: str = "",
    width: int = 760,
    height: int = 320,
) -> str:
    """A chart of named curves and named points, with the names of the axes.

    shape: how a curve goes from one corner to the next; "steps" keeps its value until then. Colours
    and greys read on light and on dark paper. With curves the y axis starts at zero, unless
    there is something below.

    >>> chart_svg({"1f1b": ([1, 2], [3, 4])}, x="send", y="makespan")[:4]
    '<svg'
    """
    curves, points = curves or {}, points or {}
    xs = [float(value) for curve in curves.values() for value in curve[0]]
    ys = [float(value) for curve in curves.values() for value in curve[1]]
    xs += [float(spot[0]) for spot in points.values()]
    ys += [float(spot[1]) for spot in points.values()]
    if not xs:
        raise ValueError("nothing to draw: give curves or points")
    if any(not math.isfinite(value) for value in xs + ys):
        raise ValueError("a chart has no place for infinite numbers: leave them out")
    x_ticks = round_ticks(min(xs), max(xs), 8)
    y_ticks = round_ticks(min([*ys, 0.0] if curves else ys), max(ys), 6)
    left = 34 + 7 * max(len(tick_text(tick)) for tick in y_ticks)
    rows = _legend_rows(list(curves), width - left - RIGHT)
    top = 10 + (22 if title else 0) + LINE_HEIGHT * len(rows)
    wide, high = width - left - RIGHT, height - top - BOTTOM

    def at(a: Any, b: Any) -> tuple[float, float]:
        return (
            left + (float(a) - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * wide,
            top + high - (float(b) - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * high,
        )

    parts = [f"<text x='{left}' y='20' class='t'>{escape(title)}</text>"] if title else []
    few = len(curves) <= len(APART)
    tones = dict(zip(curves, APART if few else device_tones(len(curves)), strict=False))
    parts += _legend(rows, tones, left, top - LINE_HEIGHT * len(rows) + 6)
    for tick in x_ticks:
        a, _ = at(tick, y_ticks[0])
        parts.append(
            f"<path d='M{a:.1f} {top}v{high}' class='g'/><text x='{a:.1f}' y='{top + high + 15}' "
            f"class='l' text-anchor='middle'>{tick_text(tick)}</text>"
        )
    for tick in y_ticks:
        _, b = at(x_ticks[0], tick)
        parts.append(
            f"<path d='M{left} {b:.1f}h{wide}' class='g'/><text x='{left - 6}' y='{b + 4:.1f}' "
            f"class='l' text-anchor='end'>{tick_text(tick)}</text>"
        )
    parts.append(
        f"<text x='{left + wide / 2:.0f}' y='{height - 8}' class='l' text-anchor='middle'>"
        f"{escape(x)}</text><text transform='translate(12,{top + high / 2:.0f}) rotate(-90)' "
        f"class='l' text-anchor='middle'>{escape(y)}</text>"
    )
    lines = []
    for name, (along, values) in curves.items():
        corners = [at(a, b) for a, b in zip(along, values, strict=True)]
        lines.append(stairs(corners) if shape == "steps" else corners)
        drawn, tone = _path(corners, shape), tones[name]
        parts.append(f"<path d='{drawn}' class='c' fill='none' stroke='{tone}'/>")
    spots = {name: at(*spot) for name, spot in points.items()}
    above = [[(a - left, top + high - b) for a, b in line] for line in [spots.values(), *lines]]
    places = label_places(above[0], list(points), (wide, high), curves=above[1:])
    for (name, (a, b)), place in zip(spots.items(), places, strict=True):
        parts.append(f"<circle cx='{a:.1f}' cy='{b:.1f}' r='4' fill='#b5367c'/>")
        parts.append(_label(name, a, b, place) if place else "")
    return svg("".join(parts), width, height)


def round_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers around low and high, at most about `most` steps."""
    span = (high - low) or abs(high) or 1.0
    rough = span / most
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil((high if high > low else low + span) / step - 1e-9), first + 1)
    return [round(n * step, 12) for n in range(first, last + 1)]


def tick_text(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.6g}"


def _path(corners: Sequence[tuple[float, float]], shape: str) -> str:
    found = "M" + " ".join(f"{value:.1f}" for value in corners[0]) if corners else ""
    for a, b in corners[1:]:
        found += f"H{a:.1f}V{b:.1f}" if shape == "steps" else f"L{a:.1f} {b:.1f}"
    return found


def _legend_rows(names: Sequence[str], wide: int) -> list[list[tuple[str, float]]]:
    """Names with their places, in as many rows as they need."""
    rows: list[list[tuple[str, float]]] = []
    used = math.inf
    for name in names:
        needs = 34 + 6.4 * len(name)
        if used + needs > wide:
            rows.append([])
            used = 0.0
        rows[-1].append((name, used))
        used += needs
    return rows


def _legend(
    rows: Sequence[Sequence[tuple[str, float]]], tones: Mapping[str, str], left: int, top: int
) -> list[str]:
    return [
        f"<path d='M{left + a:.0f} {top + LINE_HEIGHT * n}h14' class='c' fill='none' "
        f"stroke='{tones[name]}'/>"
        f"<text x='{left + a + 19:.0f}' y='{top + LINE_HEIGHT * n + 4}' class='l'>"
        f"{escape(name)}</text>"
        for n, row in enumerate(rows)
        for name, a in row
    ]


def _label(name: str, a: float, b: float, place: str) -> str:
    vertical, horizontal = place.split()
    anchor = {"left": "end", "right": "start", "center": "middle"}[horizontal]
    across = {"left": -7, "right": 7, "center": 0}[horizontal]
    down = {"top": -8, "middle": 4, "bottom": 17}[vertical]
    return (
        f"<text x='{a + across:.1f}' y='{b + down:.1f}' class='l' text-anchor='{anchor}'>"
        f"{escape(name)}</text>"
    )
