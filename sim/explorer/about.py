"""What a family is, and all families at the same numbers, as HTML beside the knobs."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache

from ..base.text import number_text
from ..families import FAMILIES
from ..show.palette import KIND_NAMES
from ..show.scatter_svg import scatter_svg
from ..show.templates import rendered, trusted
from .here import here
from .setting import Played, Setting, played

PLACEMENTS = {
    "straight": "a stage per device, one after the other",
    "loop": "several stages per device: round the devices again and again",
    "V": "two stages per device: down the devices and back up",
    "wave": "several stages per device: down and up again and again",
    "both ways": "two copies of the model, the second in the opposite direction",
    "V both ways": "two copies of the model, each down the devices and back up",
}
"""Where a family puts stages, for who has not met the word."""


def family_html(name: str, now: Played | None) -> str:
    """A paragraph on the family and one on how fast it is here, if it can serve these numbers; the
    formulas, the source, and the building block of those that repeat one."""
    family = FAMILIES[name]
    text = sys.modules[family.build.__module__].__doc__ or ""
    when = "" if family.exact_when == "True" else f"exact when {family.exact_when}"
    facts = {
        "placement": f"{family.placement}: {PLACEMENTS[family.placement]}",
        "passes": ", ".join(f"{kind} {KIND_NAMES[kind]}" for kind in family.passes.split()),
        "bubble": family.bubble and f"{family.bubble}, on the {family.clock.replace('_', ' ')}",
        "peak": family.peak and f"{family.peak} shares",
        "": when,
        "source": family.source,
    }
    return rendered(
        "explorer/about.html",
        text=text.split("\n\n")[0].replace("\n", " "),
        here=here(now) if now else "",
        facts={key: value for key, value in facts.items() if value},
        block=trusted(_block_svg(name)),
    )


@cache
def _block_svg(name: str) -> str:
    """One building block, in its cells; "" for a family that has none."""
    rule = FAMILIES[name].build
    block = getattr(sys.modules[rule.__module__], f"{rule.__name__}_block", None)
    if block is None:
        return ""
    from ..show.as_drawn import as_drawn
    from ..show.svg_timeline import svg, svg_panels

    panels, high = svg_panels({"its building block on 4 devices": as_drawn(block(4))}, 290)
    return svg(panels, 290, round(high))


def front_html(now: Played) -> str:
    """Bubble against memory of every family that can serve these numbers, with the one shown."""
    names, peaks, bubbles = [], [], []
    for name in FAMILIES:
        try:
            one = now if name == now.setting.family else _at(now.setting, name)
        except (ValueError, ArithmeticError):
            continue
        names.append(name)
        peaks.append(float(one.facts.peak))
        bubbles.append(100 * one.facts.bubble_makespan)
    picture = scatter_svg(
        names, peaks, bubbles, y="bubble on the makespan clock (%)", width=620,
        chosen=now.setting.family, to="family=",
    )  # fmt: skip
    left_out = len(FAMILIES) - len(names)
    return rendered(
        "explorer/front.html",
        picture=trusted(picture),
        note=f"{number_text(left_out)} cannot serve these numbers." if left_out else "",
    )


def _at(setting: Setting, name: str) -> Played:
    return played(replace(setting, family=name))
