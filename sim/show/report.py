"""One HTML page about one schedule or many; it needs no network, and works from a file.

The page holds the table as plain HTML, the comparison as SVG, and the time line of every schedule
gzipped, to be opened when a schedule is picked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..base.numbers import Number
from ..base.text import number_text, plural
from ..engine.trace import Trace
from .pages import TableCell, page_text
from .scatter_svg import address, scatter_svg
from .style import CLOCK_NAMES, byte_unit, with_unit
from .templates import rendered, trusted
from .timeline import SCRIPTS, packed, zipped

Summary = Mapping[str, Any]
"""What `sim.metrics.summary.summary` gives of one play, or `schedule` and `error`."""
MOST_BARS = 12_000
"""Passes in one time line; of a longer one the page shows the beginning, and says so."""


def page(
    rows: Sequence[tuple[Summary, Trace | None]],
    *,
    title: str = "",
    facts: Mapping[str, str] | None = None,
    unit: str = "",
    note: str = "",
    command: str = "",
    tables: Mapping[str, Sequence[Sequence[TableCell]]] | None = None,
) -> str:
    """The page, as text.

    rows: (summary, trace) of every schedule; the trace is None, and the summary holds `error`, for
        one that could not be played. title: instead of one that tells the sizes. facts: what was
        asked, by name. unit: of the times. note: a sentence under the title. command: what makes
        this page again. tables: more about one schedule, by heading: the heads, then the rows.
    """
    good = [(found, trace) for found, trace in rows if trace is not None]
    if not good:
        raise ValueError("a page needs at least one schedule that could be played")
    clock = good[0][0]["clock"]
    good.sort(key=lambda row: (row[0][clock], max(row[0]["peak_activations"])))
    several = len(rows) > 1
    first = good[0][0]
    played = [found for found, _ in good]
    sizes = plural(first["devices"], "device"), plural(first["microbatches"], "microbatch")
    where = ", ".join(sizes)
    choices = [_choice(found, trace, unit=unit) for found, trace in good]
    return page_text(
        "page/report.html",
        scripts=[*SCRIPTS, "page/choice.js"],
        plotly=False,
        data={"first": 0, "choices": choices},
        title=title
        or (f"Pipeline schedules on {where}" if several else f"{first['schedule']}: {where}"),
        facts=facts,
        note=note,
        command=command,
        several=several,
        failed=[found for found, trace in rows if trace is None],
        clocks=CLOCK_NAMES,
        clock=clock,
        scatters=_scatters(played) if several else {},
        bounded=_bounded(played),
        tables=tables or {},
        **_table(choices, played, unit),
    )


def _choice(found: Summary, trace: Trace, *, unit: str) -> dict[str, Any]:
    """What the page needs to show one schedule."""
    window, cut = _window(trace)
    line = packed(trace, title=found["schedule"], unit=unit, window=window)
    return {
        "name": found["schedule"],
        "hash": address(found["schedule"]),
        "html": {"cards": rendered("page/cards.html", facts=_cards(found, unit)), "cut": cut},
        "packed": zipped({"line": line}),
    }


def _cards(found: Summary, unit: str) -> list[tuple[str, str, str]]:
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


def _bounded(found: Iterable[Summary]) -> bool:
    return any(row["gap"] is not None for row in found)


def _window(trace: Trace) -> tuple[tuple[Number, Number] | None, str]:
    """What part of a very long time line to show, and the sentence that says so."""
    n = len(trace.ops)
    if n <= MOST_BARS:
        return None, ""
    starts = trace.ops["start"].sort_values()
    until = starts.iloc[MOST_BARS]
    return (0, until), f"Shown are the first {MOST_BARS:,} of {n:,} passes."


def _scatters(found: Sequence[Summary]) -> dict[str, list[Any]]:
    """The bubble of each against its peak memory, by clock, for a wide page and for a phone."""
    peaks = [float(max(row["peak_activations"])) for row in found]
    names = [row["schedule"] for row in found]
    return {
        clock: [
            trusted(
                scatter_svg(
                    names, peaks, [100 * float(row[f"bubble_{clock}"]) for row in found],
                    y=f"bubble on the {CLOCK_NAMES[clock]} clock (%)", width=width,
                )
            )
            for width in (680, 350)
        ]
        for clock in CLOCK_NAMES
    }  # fmt: skip


def _table(
    choices: Sequence[Mapping[str, Any]], found: Sequence[Summary], unit: str
) -> dict[str, Any]:
    """The heads of the table of all schedules, and its rows: the choice and the other cells."""
    in_bytes, bounded = any(any(row["peak_bytes"]) for row in found), _bounded(found)
    heads = ["schedule"]
    for name in CLOCK_NAMES.values():
        heads += [with_unit(name, unit), "its bubble"]
    heads += ["peak activations"]
    heads += ["peak bytes"] * in_bytes + ["above bound"] * bounded
    shares = sorted(row[f"bubble_{clock}"] for row in found for clock in CLOCK_NAMES)
    most = 2 * shares[len(shares) * 3 // 4] or 1.0  # full bars for the few far beyond
    rows = []
    for choice, row in zip(choices, found, strict=True):
        cells = []
        for clock in CLOCK_NAMES:
            bubble = row[f"bubble_{clock}"]
            meter = max(0.0, min(1.0, bubble / most)) * 100
            cells += [_number_cell(row[clock]), TableCell(f"{bubble:.2%}", float(bubble), meter)]
        cells.append(_number_cell(max(row["peak_activations"])))
        if in_bytes:
            cells.append(_number_cell(max(row["peak_bytes"])))
        if bounded:
            gap = row["gap"]
            cells.append(
                TableCell("-", 1e9) if gap is None else TableCell(f"{gap:.2%}", float(gap))
            )
        rows.append((choice, cells))
    return {"heads": heads, "rows": rows}


def _number_cell(value: Any) -> TableCell:
    return TableCell(number_text(value), float(value))
