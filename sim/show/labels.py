"""Many named points in one picture: which axes show most of them, and where every name fits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

Point = tuple[float, float]
Ranges = tuple[tuple[float, float], tuple[float, float]]
"""Where the axes begin and end: x, then y."""
Box = tuple[float, float, float, float]
"""Left, lower, right and upper edge in pixels."""

PLACES: dict[str, tuple[float, float, float]] = {
    "top center": (-0.5, 0, 6),
    "bottom center": (-0.5, 0, -21),
    "middle right": (0, 7, -7),
    "middle left": (-1, -7, -7),
    "top right": (0, 3, 4),
    "top left": (-1, -3, 4),
    "bottom right": (0, 3, -19),
    "bottom left": (-1, -3, -19),
}
"""plotly's text positions: shift in label widths, in pixels sideways, and upwards."""
LETTER_WIDTH, LINE_HEIGHT, DOT_RADIUS = 6.4, 14, 6
RINGS, TURNS = range(26, 420, 14), 24
"""How far from its point a label may go that a line leads to (pixels), in how many directions."""
PIECE = 4
"""Pixels of a slanted line, sideways or upwards, that one box may cover."""
MOST_NAMES = 3
"""In one label, or one more than that; a label of more schedules says how many are left out."""


def merged_labels(x: Sequence[float], y: Sequence[float], names: Sequence[str]) -> list[str]:
    """One label per spot: schedules that coincide share the first one's, the others have "".

    >>> merged_labels([1, 1, 2], [5, 5, 6], ["a", "b", "c"])
    ['a, b', '', 'c']
    >>> merged_labels([1] * 6, [5] * 6, ["a", "b", "c", "d", "e", "f"])[0]
    'a, b, c and 3 more'
    """
    spots: dict[Point, list[int]] = {}
    for i, spot in enumerate(zip(x, y, strict=True)):
        spots.setdefault((round(spot[0], 9), round(spot[1], 9)), []).append(i)
    labels = [""] * len(names)
    for members in spots.values():
        shown = members[: MOST_NAMES if len(members) > MOST_NAMES + 1 else None]
        rest = len(members) - len(shown)
        labels[members[0]] = ", ".join(names[i] for i in shown) + f" and {rest} more" * bool(rest)
    return labels


def in_pixels(
    points: Iterable[tuple[float, float]], ranges: Ranges, size: tuple[int, int]
) -> list[Point]:
    """Where points lie on a plot of `size` pixels whose axes show `ranges`.

    >>> in_pixels([(5, 1)], ((0, 10), (0, 2)), (600, 300))
    [(300.0, 150.0)]
    """
    (left, right), (low, high) = ranges
    return [
        ((x - left) / (right - left) * size[0], (y - low) / (high - low) * size[1])
        for x, y in points
    ]


def label_places(
    points: Sequence[Point],
    labels: Sequence[str],
    size: tuple[int, int],
    *,
    order: Sequence[int] | None = None,
    curves: Sequence[Sequence[Point]] = (),
) -> list[str]:
    """Where each label goes so that it covers no other label or point; "" where it fits nowhere.

    points: in pixels from the lower left corner of the plot (see `in_pixels`). size: of the plot.
    order: indices of the labels, the most important one first; without it they are served as they
        come. curves: corners of the lines that labels keep off if they can.
    Greedy: every label takes the first free one of `PLACES`.
    """
    near = [{place: _box(point, len(label), place) for place in PLACES}
            for point, label in zip(points, labels, strict=True)]  # fmt: skip
    return [
        found or "" for found in _placed(points, labels, near, size, order=order, curves=curves)
    ]


def label_boxes(
    points: Sequence[Point],
    labels: Sequence[str],
    size: tuple[int, int],
    *,
    order: Sequence[int] | None = None,
    curves: Sequence[Sequence[Point]] = (),
) -> list[Box | None]:
    """The same for pictures that draw a line from a point to a label far away from it: the place of
    every label; None for an empty one, and where the whole picture is full."""
    boxes: list[dict[int, Box]] = []
    for point, label in zip(points, labels, strict=True):
        near = [_box(point, len(label), place) for place in PLACES]
        far = [_beside(point, len(label), r, turn) for r in RINGS for turn in range(TURNS)]
        boxes.append(dict(enumerate(near + far)))
    found = _placed(points, labels, boxes, size, order=order, curves=curves)
    return [None if at is None else box[at] for box, at in zip(boxes, found, strict=True)]


def _placed(
    points: Sequence[Point],
    labels: Sequence[str],
    boxes: Sequence[Mapping[Any, Box]],
    size: tuple[int, int],
    *,
    order: Sequence[int] | None,
    curves: Sequence[Sequence[Point]],
) -> list[Any]:
    """For each label the key of the first of its boxes that is free; None where there is none."""
    dots = [_around(point) for point in points]
    lines = [box for corners in curves for ends in pairwise(corners) for box in _along(*ends)]
    taken: list[Box] = []
    places: list[Any] = [None] * len(points)
    for i in range(len(points)) if order is None else order:
        if not labels[i]:
            continue
        solid = [*dots[:i], *dots[i + 1 :], *taken]
        free = [
            place
            for place, box in boxes[i].items()
            if _inside(box, size) and not any(_meet(box, other) for other in solid)
        ]
        clear = [place for place in free if not any(_meet(boxes[i][place], line) for line in lines)]
        places[i] = next(iter(clear or free), None)
        if places[i] is not None:
            taken.append(boxes[i][places[i]])
    return places


def stairs(points: Sequence[Point]) -> list[Point]:
    """The corners of a line that keeps its height until the next point.

    >>> stairs([(0, 5), (2, 3)])
    [(0, 5), (2, 5), (2, 3)]
    """
    found = list(points[:1])
    for (_, y), (to_x, to_y) in pairwise(points):
        found += [(to_x, y), (to_x, to_y)]
    return found


def axis_range(values: Any) -> tuple[float, float]:
    """Where an axis should begin and end to show most of `values` well.

    One more than four times as far out as three quarters of them stays outside.

    >>> axis_range([10, 11, 12, 13, 90])
    (9.64, 13.36)
    """
    values = np.sort(np.asarray(values, dtype=float))
    if not len(values):
        return 0.0, 1.0
    low, most = values[0], np.quantile(values, 0.75)
    inner = values[values <= low + 4 * (most - low)] if most > low else values
    pad = max((inner[-1] - low) * 0.12, abs(float(inner[-1])) * 0.02, 0.1)
    return round(float(low - pad), 9), round(float(inner[-1] + pad), 9)


def outside_note(
    names: Sequence[str],
    x: Any,
    y: Any,
    ranges: Ranges,
) -> str:
    """What lies beyond the upper ends of the axes, a line each; y is a bubble in percent.

    >>> outside_note(["a", "b"], [1, 9], [5, 6], ((0, 2), (0, 10)))
    'beyond the axes:<br>b (6 %, 9 shares)'
    """
    lines = [
        f"{name} ({b:.3g} %, {a:.3g} shares)"
        for name, a, b in zip(names, x, y, strict=True)
        if a > ranges[0][1] or b > ranges[1][1]
    ]
    return "<br>".join(["beyond the axes:", *lines]) if lines else ""


def _around(point: Point) -> Box:
    x, y = point
    return x - DOT_RADIUS, y - DOT_RADIUS, x + DOT_RADIUS, y + DOT_RADIUS


def _box(point: Point, letters: int, place: str) -> Box:
    widths, aside, up = PLACES[place]
    wide = LETTER_WIDTH * letters + 4
    left, low = point[0] + widths * wide + aside, point[1] + up
    return left, low, left + wide, low + LINE_HEIGHT


def _beside(point: Point, letters: int, radius: float, turn: int) -> Box:
    """A label at that distance from its point; on the right of it if it goes to the right."""
    angle = 2 * math.pi * turn / TURNS
    x, y = point[0] + radius * math.cos(angle), point[1] + radius * math.sin(angle)
    wide = LETTER_WIDTH * letters + 4
    left = x if math.cos(angle) > 0.1 else x - wide if math.cos(angle) < -0.1 else x - wide / 2
    return left, y - LINE_HEIGHT / 2, left + wide, y + LINE_HEIGHT / 2


def _along(start: Point, end: Point) -> list[Box]:
    """Small boxes that cover a straight line."""
    (x, y), (to_x, to_y) = start, end
    wide, high = to_x - x, to_y - y
    pieces = max(1, math.ceil(min(abs(wide), abs(high)) / PIECE))
    spots = [(x + wide * i / pieces, y + high * i / pieces) for i in range(pieces + 1)]
    return [
        (min(a, c) - 1, min(b, d) - 1, max(a, c) + 1, max(b, d) + 1)
        for (a, b), (c, d) in pairwise(spots)
    ]


def _inside(box: Box, size: tuple[int, int]) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= size[0] and box[3] <= size[1]


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
