"""One HTML page about one schedule or many; it needs no network, and works from a file.

The page holds plotly.js once, the table as plain HTML, and the figures of every schedule gzipped,
to be opened when a schedule is picked.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from ..base.numbers import Number
from ..base.text import number_text, plural
from ..engine.trace import Trace
from ..metrics.metrics import idle_account
from .comparison import comparison
from .pages import cell, filled, head, picker, scrolled, shell
from .plot import figure_json, gantt, idle, memory_curve
from .style import CLOCK_NAMES, byte_unit

Found = Mapping[str, Any]
MOST_BARS = 12_000
"""Passes in one time line; of a longer one the page shows the beginning, and says so."""

BOUND = (
    "<p><b>The bound</b> is a proof, not a schedule: no order of the same passes, with no more "
    "activations alive, is faster on the {}.</p>"
)


def page(
    rows: Sequence[tuple[Found, Trace | None]],
    *,
    title: str = "",
    facts: Mapping[str, str] | None = None,
    unit: str = "",
    note: str = "",
    command: str = "",
) -> str:
    """The page, as text.

    rows: (outcome, trace) of every schedule; the trace is None, and the outcome holds `error`, for
        one that could not be played. title: instead of one that tells the sizes. facts: what was
        asked, by name. unit: of the times. note: a sentence under the title. command: what makes
        this page again.
    """
    good = [(found, trace) for found, trace in rows if trace is not None]
    if not good:
        raise ValueError("a page needs at least one schedule that could be played")
    clock = good[0][0]["clock"]
    good.sort(key=lambda row: (row[0][clock], max(row[0]["peak_activations"])))
    several = len(rows) > 1
    first = good[0][0]
    data = {
        "first": 0,
        "comparison": _comparison_figures([found for found, _ in good]) if several else {},
        "schedules": [_schedule(found, trace, unit=unit) for found, trace in good],
    }
    sizes = plural(first["devices"], "device"), plural(first["microbatches"], "microbatch")
    where = ", ".join(sizes)
    main = filled(
        "page.html",
        comparison=_comparison_section(rows, good) if several else "",
        schedule_heading="One schedule in detail" if several else "In detail",
        picker=picker([found["schedule"] for found, _ in good], "schedule") if several else "",
        bound=BOUND.format(CLOCK_NAMES[clock]) if _bounded(found for found, _ in good) else "",
    )
    return shell(
        title or (f"Pipeline schedules on {where}" if several else f"{first['schedule']}: {where}"),
        main,
        data=data,
        script="page.js",
        facts=facts,
        note=note,
        command=command,
    )


def _schedule(found: Found, trace: Trace, *, unit: str) -> dict[str, Any]:
    """What the page needs to show one schedule."""
    window, cut = _window(trace)
    figures = {
        "gantt": gantt(trace, unit=unit, window=window),
        "memory": memory_curve(trace, unit=unit),
        "idle": idle(idle_account(trace), unit=unit),
    }
    text = "{" + ",".join(f'"{name}":{figure_json(fig)}' for name, fig in figures.items()) + "}"
    packed = gzip.compress(text.encode(), compresslevel=6, mtime=0)
    return {
        "name": found["schedule"],
        "cards": _cards(found, unit),
        "cut": cut,
        "figures": base64.b64encode(packed).decode(),
    }


def _cards(found: Found, unit: str) -> list[tuple[str, str, str]]:
    """(name, value, more) of every fact beside a time line."""
    ends = f" {unit}" if unit else ""
    cards = [
        (
            CLOCK_NAMES[clock],
            number_text(found[clock]) + ends,
            f"bubble {found[f'bubble_{clock}']:.2%}",
        )
        for clock in CLOCK_NAMES
    ]
    peaks = found["peak_activations"]
    cards.append(
        ("peak activations", number_text(max(peaks)), f"shares; least {number_text(min(peaks))}")
    )
    if any(found["peak_bytes"]):
        most = max(found["peak_bytes"])
        name, scale = byte_unit(most)
        more = f"{number_text(most)} bytes" if scale > 1 else ""
        cards.append(("peak memory", f"{number_text(most / scale)} {name}", more))
    if found["gap"] is not None:
        name = f"lower bound, {CLOCK_NAMES[found['clock']]}"
        cards.append(
            (name, number_text(found["lower_bound"]) + ends, f"{found['gap']:.2%} above it")
        )
    return cards


def _bounded(found: Iterable[Found]) -> bool:
    return any(row["gap"] is not None for row in found)


def _window(trace: Trace) -> tuple[tuple[Number, Number] | None, str]:
    """What part of a very long time line to show, and the sentence that says so."""
    n = len(trace.ops)
    if n <= MOST_BARS:
        return None, ""
    starts = trace.ops["start"].sort_values()
    until = starts.iloc[MOST_BARS]
    return (0, until), f"Shown are the first {MOST_BARS:,} of {n:,} passes."


def _comparison_figures(found: Sequence[Found]) -> dict[str, Any]:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "schedule": [row["schedule"] for row in found],
            "bubble_makespan": [row["bubble_makespan"] for row in found],
            "bubble_longest_stage": [row["bubble_longest_stage"] for row in found],
            "peak": [max(row["peak_activations"]) for row in found],
        }
    )
    return {
        f"comparison-{clock}": json.loads(figure_json(comparison(frame, clock=clock)))
        for clock in CLOCK_NAMES
    }


def _comparison_section(
    rows: Sequence[tuple[Found, Trace | None]], good: Sequence[tuple[Found, Trace | None]]
) -> str:
    failed = [found for found, trace in rows if trace is None]
    reasons = "".join(
        f"<li><b>{escape(row['schedule'])}</b>: {escape(row['error'])}</li>" for row in failed
    )
    figures = "".join(
        f"<div><h3>Bubble on the {name} clock against memory</h3>"
        f'<div class="figure" id="comparison-{clock}"></div></div>'
        for clock, name in CLOCK_NAMES.items()
    )
    return (
        '<section id="comparison"><h2>All schedules</h2>'
        '<p class="hint">Click a heading to sort, a row to see the schedule below.</p>'
        + scrolled(_table([found for found, _ in good]), "All schedules")
        + (
            f'<details class="failed"><summary>{len(failed)} cannot serve these numbers</summary>'
            f"<ul>{reasons}</ul></details>"
            if failed
            else ""
        )
        + f'<div class="pair">{figures}</div></section>'
    )


def _table(found: Sequence[Found]) -> str:
    in_bytes = any(any(row["peak_bytes"]) for row in found)
    bounded = _bounded(found)
    heads = ["schedule", "makespan", "its bubble", "longest stage", "its bubble"]
    heads += ["peak activations"]
    heads += ["peak bytes"] * in_bytes + ["above bound"] * bounded
    shares = sorted(row[f"bubble_{clock}"] for row in found for clock in CLOCK_NAMES)
    most = 2 * shares[len(shares) * 3 // 4] or 1.0  # full bars for the few far beyond
    body = ""
    for index, row in enumerate(found):
        cells = f"<td><button>{escape(row['schedule'])}</button></td>"
        for clock in CLOCK_NAMES:
            share = row[f"bubble_{clock}"]
            cells += cell(row[clock], number_text(row[clock]))
            width = max(0.0, min(1.0, share / most)) * 100
            meter = f'<span class="meter"><i style="width:{width:.1f}%"></i></span>'
            cells += cell(share, f"{share:.2%}{meter}")
        peak = max(row["peak_activations"])
        cells += cell(peak, number_text(peak))
        if in_bytes:
            cells += cell(max(row["peak_bytes"]), number_text(max(row["peak_bytes"])))
        if bounded:
            gap = row["gap"]
            cells += cell(1e9 if gap is None else gap, "-" if gap is None else f"{gap:.2%}")
        body += f'<tr data-index="{index}">{cells}</tr>'
    return f'<table class="sortable">{head(heads)}<tbody>{body}</tbody></table>'
