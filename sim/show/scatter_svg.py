"""Bubble against memory as SVG for a page: a named point per schedule, to be clicked."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import quote

import numpy as np

from ..metrics.pareto import pareto_front
from .labels import axis_range, in_pixels, label_boxes, merged_labels, outside_note, stairs
from .style import ACCENT
from .svg_chart import round_ticks, tick_text

LEFT, RIGHT, TOP, BOTTOM = 44, 10, 10, 44
PLAIN = "#7f8b99"


def scatter_svg(
    names: Sequence[str], peaks: Sequence[float], bubbles: Sequence[float], *, y: str,
    width: int, height: int = 400, chosen: str = "", to: str = "",
) -> str:  # fmt: skip
    """peaks: in shares. bubbles: in percent. y: what they are.

    Every point is a link of class "dot" with its name in `data-name`, to the `address` of it on the
    same page, with `to` before the name; the Pareto front is joined, and `chosen` has a ring. What
    lies far beyond the others is named in a corner.
    """
    ranges = axis_range(peaks), axis_range(bubbles)
    size = width - LEFT - RIGHT, height - TOP - BOTTOM
    inside = [
        i for i in range(len(names))
        if peaks[i] <= ranges[0][1] and bubbles[i] <= ranges[1][1]
    ]  # fmt: skip
    x, z = ([column[i] for i in inside] for column in (peaks, bubbles))
    called = [names[i] for i in inside]
    labels = merged_labels(x, z, called)
    spots = in_pixels(zip(x, z, strict=True), ranges, size)
    front = pareto_front(np.array(x), np.array(z))
    corners = stairs(sorted(spots[i] for i in np.flatnonzero(front)))
    note = outside_note(names, peaks, bubbles, ranges).split("<br>")
    boxes = label_boxes(
        [*spots, (size[0] - 1.0, size[1] - 1.0)], [*labels, max(note, key=len)],
        (size[0], size[1]), curves=[corners],
        order=[len(spots), *sorted(range(len(spots)), key=lambda i: (not front[i], *spots[i]))],
    )  # fmt: skip
    parts = [_axes(ranges, size, y)]
    line = " ".join(f"{a:.1f},{size[1] - b:.1f}" for a, b in corners)
    parts.append(
        f"<polyline points='{line}' fill='none' stroke='{ACCENT}' stroke-dasharray='2 3'/>"
    )
    same: dict[tuple[float, float], list[str]] = {}
    for spot, name in zip(spots, called, strict=True):
        same.setdefault(spot, []).append(name)
    for i, (a, b) in enumerate(spots):
        words = f"{', '.join(same[a, b])}: bubble {z[i]:.4g} %, peak {x[i]:.4g} shares"
        dot = [
            f"<circle cx='{a:.1f}' cy='{size[1] - b:.1f}' r='{5.5 if front[i] else 4}' "
            f"fill='{ACCENT if front[i] else PLAIN}'/>"
        ]
        if called[i] == chosen:
            dot.append(
                f"<circle cx='{a:.1f}' cy='{size[1] - b:.1f}' r='9' fill='none' "
                f"stroke='{ACCENT}' stroke-width='2' class='chosen'/>"
            )
        if (box := boxes[i]) is not None:
            dot.append(_name((a, b), box, labels[i], size[1]))
        parts.append(
            f"<a class='dot' href='{address(called[i], to)}' data-name='{escape(called[i])}' "
            f"aria-label='{escape(words)}'><title>{escape(words)}</title>{''.join(dot)}</a>"
        )
    for row, text in enumerate(note if note[0] else ()):
        parts.append(_text(size[0] - 3, 12 + 14 * row, text, "end"))
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' "
        f"height='{height}' font-size='11' role='group' aria-label='{escape(y)}, "
        f"against peak activations'><g transform='translate({LEFT},{TOP})'>{''.join(parts)}</g>"
        "</svg>"
    )


def address(name: str, to: str = "") -> str:
    """What stands for `name` behind the address of a page.

    >>> address("a b"), address("zb-v", "family=")
    ('#a%20b', '#family=zb-v')
    """
    return f"#{to}{quote(name, safe='')}"


def _name(
    spot: tuple[float, float], box: tuple[float, float, float, float], label: str, high: int
) -> str:
    """The label in its box, with a line to its point where that is not next to it."""
    left, low, right, up = box
    near = min(max(spot[0], left), right), min(max(spot[1], low), up)
    line = ""
    if abs(near[0] - spot[0]) + abs(near[1] - spot[1]) > 12:
        line = (
            f"<path d='M{spot[0]:.1f} {high - spot[1]:.1f}L{near[0]:.1f} {high - near[1]:.1f}' "
            f"stroke='{PLAIN}' stroke-width='.7'/>"
        )
    return line + _text((left + right) / 2, high - low - 3, label, "middle")


def _axes(
    ranges: tuple[tuple[float, float], tuple[float, float]], size: tuple[int, int], y: str
) -> str:
    wide, high = size
    parts = [f"<rect width='{wide}' height='{high}' fill='#8a949e' fill-opacity='.1'/>"]
    for tick in round_ticks(*ranges[0], max(3, wide // 90)):
        if ranges[0][0] <= tick <= ranges[0][1]:
            ((a, _),) = in_pixels([(tick, 0)], ranges, size)
            parts.append(f"<path d='M{a:.1f} 0v{high}' class='g'/>")
            parts.append(_text(a, high + 15, tick_text(tick), "middle"))
    for tick in round_ticks(*ranges[1], 6):
        if ranges[1][0] <= tick <= ranges[1][1]:
            ((_, b),) = in_pixels([(0, tick)], ranges, size)
            parts.append(f"<path d='M0 {high - b:.1f}h{wide}' class='g'/>")
            parts.append(_text(-6, high - b + 4, tick_text(tick), "end"))
    parts.append(_text(wide / 2, high + 36, "peak activations (shares)", "middle"))
    parts.append(
        f"<text transform='translate(-34,{high / 2:.0f}) rotate(-90)' text-anchor='middle'>"
        f"{escape(y)}</text>"
    )
    return "".join(parts)


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'>{escape(words)}</text>"
