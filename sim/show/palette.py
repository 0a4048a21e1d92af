"""The colours of all pictures: a hue per kind of pass, a shade per chunk, text that reads on it.

Hues follow Okabe and Ito's palette for colour-blind readers (2008, Color Universal Design), moved
apart until every two kinds differ under protanopia, deuteranopia and tritanopia too. Each runs
from a light tone (the first chunk of a device) to a deep one (the last).
"""

from __future__ import annotations

from typing import NamedTuple

INK, PAPER = "#000000", "#ffffff"
"""Dark and light text."""

SUM = "sum"
"""In place of a kind of pass: a device that waits for the sum of its gradients at the end."""

SUM_TONE = "#b3b1eb"
"""Of such a wait, in which nothing runs."""
TONES: dict[str, tuple[str, str]] = {
    "F": ("#5aa0f2", "#0d3c8c"),
    "B": ("#ffc83d", "#8f5f00"),
    "W": ("#74e8b4", "#0c846c"),
    "BW": ("#e27fab", "#701343"),
    "R": ("#fd686e", "#7c0412"),
    "O": ("#7961ad", "#230b4a"),
    "L": ("#b6fb84", "#77874c"),
    "S": ("#fad0f8", "#713d77"),
    "T": ("#594759", "#2d0324"),
}
"""Lightest and deepest shade of every kind of pass."""

KIND_NAMES: dict[str, str] = {
    "F": "forward",
    "B": "input gradient",
    "W": "weight gradient",
    "BW": "full backward",
    "R": "recompute",
    "O": "offload",
    "L": "load back",
    "S": "vocabulary scores",
    "T": "vocabulary gradients",
    SUM: "sum of gradients",
}

ALL_ALIKE = ("S", "T", SUM)
"""Kinds of which there is one shade, as they are of no stage."""

GREY, PALE_GREY = "#586270", "#a6b0bb"
"""Words beside a picture, on light and on dark paper."""
DARK_PAPER = "#0d1117"

IDLE_TONES = ("#88ccee", "#cc6677", "#ddcc77", "#8a7fc7", "#a9b4bf", "#44aa99")
"""For the reasons of idleness, in the order of an idle account (Paul Tol's muted scheme)."""


class Shade(NamedTuple):
    """A fill and the colour of text on it."""

    fill: str
    text: str


def shade(kind: str, chunk: int, n_chunks: int) -> Shade:
    """The fill of `kind` on the chunk-th stage of a device that holds `n_chunks`.

    >>> shade("F", 0, 1)
    Shade(fill='#5aa0f2', text='#000000')
    """
    if kind == SUM:
        return Shade(SUM_TONE, INK)
    light, deep = TONES[kind]
    fill = mixed(light, deep, chunk / (n_chunks - 1) if n_chunks > 1 else 0.0)
    return Shade(fill, readable_on(fill))


def readable_on(fill: str) -> str:
    """Dark or light text, whichever stands out more on `fill`."""
    return max((INK, PAPER), key=lambda text: contrast(text, fill))


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.1, 1.4.3); 4.5 is what small text needs."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def mixed(one: str, other: str, weight: float) -> str:
    """The colour `weight` (0 to 1) of the way from `one` to `other`."""
    pairs = zip(_channels(one), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * weight):02x}" for a, b in pairs)


def device_tones(n_devices: int) -> tuple[str, ...]:
    """Colours from the first device to the last that show on light and on dark paper."""
    stops = ("#e07b39", "#c2558f", "#6f6fd6", "#2f9fb5")
    if n_devices == 1:
        return (stops[2],)
    places = [d * (len(stops) - 1) / (n_devices - 1) for d in range(n_devices)]
    return tuple(
        mixed(stops[min(int(x), 2)], stops[min(int(x), 2) + 1], x - min(int(x), 2)) for x in places
    )


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (channel / 255 for channel in _channels(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
