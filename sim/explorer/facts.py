"""The facts beside the pictures, as a small HTML table."""

from __future__ import annotations

from ..base.numbers import Number
from ..base.text import number_text
from ..show.style import CLOCK_NAMES
from ..show.templates import rendered
from .setting import Facts, Played, Setting

WORDS = {
    "makespan": "from the first pass to the end of the last one on any device: what an iteration "
    "takes when all devices wait for each other at its end",
    "longest stage": "the longest that any one device takes from its first to its last pass: what "
    "an iteration takes when devices go on without waiting",
    "its bubble": "the share of the clock above in which devices are idle",
    "its lower bound": "proven: no order of the same passes with no more memory is faster",
    "above it": "how far the clock is above what no order can beat",
    "now / pinned": "the clock of this setting over that of the pinned one",
    "per microbatch": "the same, each clock divided by its number of microbatches",
    "peak, in shares": "the most activations alive on any device; a share is what one microbatch "
    "keeps on a whole device",
}
Row = tuple[str, list[str]]


def facts_html(now: Played, pinned: Played | None = None) -> str:
    """Both clocks, both bubbles, peak and bounds, with the pinned schedule's beside them."""
    plays = [now] + ([pinned] if pinned else [])
    columns = [one.facts for one in plays]
    heads = [now.setting.family] + ([f"pinned: {pinned.setting.family}"] if pinned else [])
    rows: list[Row] = []
    for clock, name in CLOCK_NAMES.items():
        rows.append((name, [*(number_text(getattr(one, clock)) for one in columns)]))
        rows.append(("its bubble", [f"{getattr(one, f'bubble_{clock}'):.2%}" for one in columns]))
        rows.append(("its lower bound", [_bound(one, clock) for one in plays]))
        rows.append(("above it", [_above(one, clock) for one in columns]))
        if pinned:
            rows.append(("now / pinned", [_ratio(*(getattr(one, clock) for one in columns))]))
            if now.setting.microbatches != pinned.setting.microbatches:
                each = [_per_microbatch(one, clock) for one in (now, pinned)]
                rows.append(("per microbatch", [_ratio(*each)]))
    rows.append(("peak, in shares", [number_text(one.peak) for one in columns]))
    main = {*CLOCK_NAMES.values(), "peak, in shares"}
    note = unequal_work(now.setting, pinned.setting) if pinned else ""
    return rendered(
        "explorer/facts.html", heads=heads, rows=rows, main=main, note=note, words=WORDS
    )


def unequal_work(now: Setting, pinned: Setting) -> str:
    """One sentence if the two do not do the same work; "" if they do.

    >>> unequal_work(Setting(microbatches=64), Setting(microbatches=32))
    'Not the same work: microbatches 64 against 32.'
    """
    names = ("devices", "microbatches", "forward", "backward", "weight")
    both = [(name, getattr(now, name), getattr(pinned, name)) for name in names]
    parts = [
        f"{name} {number_text(one)} against {number_text(other)}"
        for name, one, other in both
        if one != other
    ]
    return f"Not the same work: {', '.join(parts)}." if parts else ""


def message_html(sentence: str) -> str:
    """A sentence in the colour of a warning; "" where there is none."""
    return rendered("explorer/message.html", sentence=sentence)


def _bound(one: Played, clock: str) -> str:
    bound = getattr(one.facts, f"lower_bound_{clock}")
    if bound is None:
        return "none with jitter" if one.setting.conditions.jitter else "nothing fits"
    return number_text(bound)


def _above(facts: Facts, clock: str) -> str:
    """How far the time is above its bound, as a reader wants to know it."""
    bound, time = getattr(facts, f"lower_bound_{clock}"), getattr(facts, clock)
    if bound is None:
        return "-"
    if time < bound:
        return "limit broken"
    if time == bound:
        return "reached"
    return f"{float(time) / float(bound) - 1:.2%}" if bound else "-"


def _per_microbatch(one: Played, clock: str) -> float:
    return float(getattr(one.facts, clock)) / one.setting.microbatches


def _ratio(now: Number, pinned: Number) -> str:
    return f"{float(now) / float(pinned):.4f}" if pinned else "-"
