"""The facts beside the pictures, as a small HTML table."""

from __future__ import annotations

from html import escape

from ...base.numbers import Number
from ...base.text import number_text
from ..style import CLOCK_NAMES
from .setting import Facts, Played

STYLE = (
    "<style>.pb-facts{border-collapse:collapse;font-size:13px;line-height:1.5;width:290px}"
    ".pb-facts th,.pb-facts td{padding:1px 0 1px 10px;text-align:right;vertical-align:bottom;"
    "font-weight:400;font-variant-numeric:tabular-nums}"
    ".pb-facts th:first-child{padding-left:0;text-align:left;white-space:nowrap}"
    ".pb-facts thead th,.pb-facts .pb-main *{font-weight:600}"
    ".pb-facts .pb-main *{padding-top:6px}"
    ".pb-message{color:#b3261e;font-weight:600;line-height:1.4}"
    "body[data-jp-theme-light=false] .pb-message{color:#ff9a8f}"
    "</style>"
)
Row = tuple[str, list[str]]


def facts_html(now: Played, pinned: Played | None = None) -> str:
    """Both clocks, both bubbles, peak and bounds, with the pinned schedule's beside them."""
    columns = [now.facts] + ([pinned.facts] if pinned else [])
    heads = [now.setting.family] + ([f"pinned: {pinned.setting.family}"] if pinned else [])
    rows: list[Row] = []
    for clock, name in CLOCK_NAMES.items():
        rows.append((name, [*(number_text(getattr(one, clock)) for one in columns)]))
        rows.append(("its bubble", [f"{getattr(one, f'bubble_{clock}'):.2%}" for one in columns]))
        rows.append(("its lower bound", [_bound(one, clock) for one in columns]))
        rows.append(("above it", [_above(one, clock) for one in columns]))
        if pinned:
            rows.append(("now / pinned", [_ratio(*(getattr(one, clock) for one in columns))]))
    rows.append(("peak, in shares", [number_text(one.peak) for one in columns]))
    main = {*CLOCK_NAMES.values(), "peak, in shares"}
    return (
        STYLE
        + '<table class="pb-facts"><thead><tr><th></th>'
        + "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
        + "</tr></thead>"
        + "".join(
            f'<tr class="{"pb-main" if name in main else ""}"><th scope="row">{escape(name)}</th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            + "</tr>"
            for name, cells in rows
        )
        + "</table>"
    )


def message_html(sentence: str) -> str:
    """One sentence that cannot be overlooked; nothing for nothing."""
    return f'{STYLE}<p class="pb-message" role="alert">{escape(sentence)}</p>' if sentence else ""


def _bound(facts: Facts, clock: str) -> str:
    bound = getattr(facts, f"lower_bound_{clock}")
    return "nothing fits" if bound is None else number_text(bound)


def _above(facts: Facts, clock: str) -> str:
    """How far the time is above its bound, as a reader wants to know it."""
    bound, time = getattr(facts, f"lower_bound_{clock}"), getattr(facts, clock)
    if bound is None or time < bound:
        return "limit broken"
    if time == bound:
        return "reached"
    return f"{float(time) / float(bound) - 1:.2%}" if bound else "-"


def _ratio(now: Number, pinned: Number) -> str:
    return f"{float(now) / float(pinned):.4f}" if pinned else "-"
