"""The facts beside the pictures, as a small HTML table."""

from __future__ import annotations

from html import escape

from ..timeline import number
from .setting import Facts, Played

CLOCKS = {"makespan": "makespan", "longest_stage": "longest stage"}
STYLE = (
    "<style>.pb-facts{border-collapse:collapse;font-size:13px}"
    ".pb-facts th,.pb-facts td{padding:2px 12px 2px 0;text-align:left;white-space:nowrap}"
    ".pb-facts td{font-variant-numeric:tabular-nums}"
    ".pb-message{color:#b3261e;font-weight:600}</style>"
)


def facts_html(now: Played, pinned: Played | None = None) -> str:
    """Both clocks, both bubbles, peak and bounds, with the pinned schedule's beside them."""
    columns = [now.facts] + ([pinned.facts] if pinned else [])
    heads = [now.setting.family] + ([f"pinned: {pinned.setting.family}"] if pinned else [])
    rows = [("", *heads, *(["now / pinned"] if pinned else []))]
    for clock, name in CLOCKS.items():
        times = [getattr(facts, clock) for facts in columns]
        ratio = [f"{float(times[0]) / float(times[1]):.4f}"] if pinned and times[1] else [""]
        rows.append((name, *map(number, times), *(ratio if pinned else [])))
        bubbles = [f"{getattr(facts, f'bubble_{clock}'):.2%}" for facts in columns]
        rows.append(("its bubble", *bubbles))
        rows.append(("its lower bound", *(_bound(facts, clock) for facts in columns)))
    rows.append(("peak, in shares", *(number(facts.peak) for facts in columns)))
    head, *body = rows
    return (
        STYLE
        + '<table class="pb-facts"><tr>'
        + "".join(f"<th>{escape(cell)}</th>" for cell in head)
        + "</tr>"
        + "".join(
            f"<tr><th>{escape(name)}</th>"
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            + "</tr>"
            for name, *cells in body
        )
        + "</table>"
    )


def message_html(sentence: str) -> str:
    """One sentence that cannot be overlooked; nothing for nothing."""
    return f'{STYLE}<p class="pb-message" role="alert">{escape(sentence)}</p>' if sentence else ""


def _bound(facts: Facts, clock: str) -> str:
    bound, time = getattr(facts, f"lower_bound_{clock}"), float(getattr(facts, clock))
    if bound is None:
        return "none fits the limit"
    if not bound:
        return number(bound)
    above = time / float(bound) - 1
    return number(bound) + (
        " (reached)"
        if time == bound
        else f" ({above:.2%} above)"
        if above > 0
        else " (limit broken)"
    )
