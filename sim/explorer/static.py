"""The explorer without a Python behind it: a few settings of every family, played beforehand, on
one page that can be hosted anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple
from urllib.parse import urlencode

from ..base.numbers import Number
from ..base.progress import bar
from ..show.pages import page_text
from ..show.timeline import SCRIPTS, packed, zipped
from .about import family_html
from .facts import facts_html
from .setting import Played, Setting, played, title


class Times(NamedTuple):
    """What a reader calls them, and the arguments of `Setting`."""

    label: str
    times: Mapping[str, Any]


def _times(label: str, *times: Number) -> Times:
    names = ("forward", "backward", "weight", "send")
    return Times(label, dict(zip(names, times, strict=True)))


DEVICES, MICROBATCHES = (4, 8), (8, 16)
TIMES = {
    "usual": _times("F 10, B 12, W 8, send 1", 10, 12, 8, 1),
    "equal": _times("F = B = W = 10, send 0", 10, 10, 10, 0),
    "gpt": _times("1.5B GPT on 8 A100s, in ms", 18.522, 18.086, 9.337, 0.601),
}
"""The last one: arXiv 2401.10241, behind its Table 5."""
KNOWN = ("gpipe", "1f1b", "interleaved", "zb-h1", "zb-h2", "zb-v", "v-min", "v-half", "v-zb",
         "gis", "hanayo", "chimera", "dualpipe", "dualpipe-v", "seq1f1b")  # fmt: skip
"""Families that most readers have met: a page of them takes less than 2 MB, of all four."""
FIRST = {"family": "v-half", "p": 8, "m": 16, "times": "usual"}
"""What the page opens with."""


def settings(family: str) -> Iterator[tuple[dict[str, Any], Setting]]:
    """Every setting of a family, and its address."""
    for p, m, times in product(DEVICES, MICROBATCHES, TIMES):
        address = {"family": family, "p": p, "m": m, "times": times}
        yield address, Setting(family, p, m, **TIMES[times].times)


def static_page(families: Sequence[str], *, command: str = "", progress: bool = False) -> str:
    """The page, as text: knobs that are lists, and what each says of a family as `explore` does.

    families: their names. command: what makes this page again. progress: a bar.
    """
    asked = [each for name in families for each in settings(name)]
    choices: list[dict[str, Any]] = []
    with bar("playing", len(asked), shown=progress) as move:
        for address, setting in asked:
            choices.append(_choice(address, played(setting)))
            if move:
                move(len(choices), setting.family)
    knobs = {
        "family": {name: name for name in families},
        "p": {p: f"{p} devices" for p in DEVICES},
        "m": {m: f"{m} microbatches" for m in MICROBATCHES},
        "times": {name: times.label for name, times in TIMES.items()},
    }
    addresses = [choice["hash"] for choice in choices]
    first = _address(FIRST if FIRST["family"] in families else asked[0][0])
    return page_text(
        "page/what_if.html",
        scripts=[*SCRIPTS, "page/choice.js", "page/knobs.js"],
        plotly=False,
        data={"first": addresses.index(first), "choices": choices},
        title="What if?",
        note="A few settings, played beforehand; sim.explore in a notebook has every knob.",
        command=command,
        knobs=knobs,
    )


def _choice(address: Mapping[str, Any], now: Played) -> dict[str, Any]:
    about = {"about": family_html(now.setting.family, now), "facts": facts_html(now)}
    line = packed(now.trace, title=title(now.setting))
    return {
        "name": title(now.setting),
        "hash": _address(address),
        "html": {},
        "packed": zipped({"line": line, "html": about}),
    }


def _address(values: Mapping[str, Any]) -> str:
    return f"#{urlencode(values)}"
