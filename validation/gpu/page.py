"""The page of a visit to a GPU: what every step found, or why it found nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from sim.base.text import plural
from sim.show.pages import Cell, chart_page
from sim.show.style import layout

from ..experiment_result import Experiment
from ..page import experiment_reading, experiment_row, overlay
from .steps import Outcome


def gpu_page(found: Sequence[Outcome], facts: Mapping[str, Any], *, command: str = "") -> str:
    """The page as text: self-contained, no network.

    facts: where and with what it was measured. command: what makes this page again.
    """
    by_name = {outcome.name: outcome for outcome in found}
    figures = _figures({name: outcome.found for name, outcome in by_name.items() if outcome.found})
    families = by_name["families"].found if "families" in by_name else None
    table: list[dict[str, Cell]] = []
    reading: dict[str, list[str]] = {"Steps": [_step(outcome) for outcome in found]}
    for name, tell in _TELLERS.items():
        if name in by_name and by_name[name].found is not None:
            reading[_capital(by_name[name].title)] = tell(by_name[name].found)
    if isinstance(families, Experiment):
        rows = families.table().sort_values("measured_makespan")
        table = [experiment_row(row) for row in rows.itertuples()]
        reading |= experiment_reading(families)
    failed = [outcome for outcome in found if outcome.error]
    return chart_page(
        "What this machine says",
        {**figures, "seconds of every step": _bars(
            {outcome.title: outcome.seconds for outcome in found}, "seconds"
        )},
        heading="Both time lines of every family, copies, and torch's classes",
        table=table,
        facts={str(name): str(value) for name, value in facts.items()},
        command=command,
        note=f"{plural(len(failed), 'step')} of {len(found)} failed: "
        f"{', '.join(outcome.title for outcome in failed)}."
        if failed
        else f"All {len(found)} steps came through.",
        reading=reading,
    )  # fmt: skip


def _figures(found: Mapping[str, Any]) -> dict[str, go.Figure]:
    figures: dict[str, go.Figure] = {}
    if families := found.get("families"):
        for name in families.table().sort_values("measured_makespan")["family"]:
            figures[str(name)] = overlay(*families.cases[name].middle)
    if copies := found.get("copies"):
        figure = go.Figure(layout=layout("", height=420))
        for name in _WAYS:
            figure.add_scatter(
                x=copies["sizes"], name=_WAYS[name], mode="lines+markers",
                y=[size / s / 1e9 for size, s in
                   zip(copies["sizes"], copies[name]["seconds"], strict=True)],
            )  # fmt: skip
        figure.update_layout(
            xaxis={"title": {"text": "bytes"}, "type": "log"},
            yaxis={"title": {"text": "GB/s"}, "rangemode": "tozero"},
        )
        figures["copies"] = figure
    for name, title in (("classes", "torch's classes"), ("alone", "torch's classes, by rank")):
        rows = [row for row in found.get(name) or () if "ratio" in row]
        if rows:
            figures[title] = _bars(
                {_row_name(row): row["ratio"] for row in rows}, "torch's seconds over ours",
                spread={_row_name(row): (row["low"], row["high"]) for row in rows},
            )  # fmt: skip
    return figures


def _bars(
    values: Mapping[str, float],
    unit: str,
    *,
    spread: Mapping[str, tuple[float, float]] | None = None,
) -> go.Figure:
    error = None
    if spread:
        pairs = [(values[name], *spread[name]) for name in values]
        error = {
            "type": "data", "symmetric": False, "array": [high - mid for mid, _, high in pairs],
            "arrayminus": [mid - low for mid, low, _ in pairs],
        }  # fmt: skip
    bars = go.Bar(y=list(values), x=list(values.values()), orientation="h", error_x=error)
    figure = go.Figure(bars, layout=layout("", height=140 + 28 * len(values)))
    figure.update_layout(
        xaxis={"title": {"text": unit}}, yaxis={"autorange": "reversed", "automargin": True}
    )
    return figure


def _step(outcome: Outcome) -> str:
    said = f"failed: {outcome.error}" if outcome.error else "came through"
    return f"{_capital(outcome.title)}: {said}, after {outcome.seconds:.0f} s."


def _tests(found: Mapping[str, Any]) -> list[str]:
    failed = found["failed"]
    text = f"{found['passed']} passed, {len(failed)} failed, {found['skipped']} were skipped."
    return [text, *(f"Failed: {name}." for name in failed)]


def _partitions(found: Mapping[str, Any]) -> list[str]:
    told = [f"Pipeline devices are {found['kind']}."]
    if found["multiprocessors"]:
        ran = ", ".join(str(len(some)) for some in found["ran_on"])
        told.append(
            f"Multiprocessors of each: {', '.join(map(str, found['multiprocessors']))}; a kernel "
            f"was seen on {ran} of them, "
            + ("none in two parts." if found["disjoint"] else "some in two parts.")
        )
    for what, values in found["neighbour_slowdown"].items():
        told.append(
            f"A {what} takes {', '.join(f'{value:.2f}' for value in values)} times as long while "
            "all others are busy."
            + (" Less than 1 is noise: too short to measure here." if min(values) < NOISE else "")
        )
    return [*told, *found["warnings"]]


NOISE = 0.95
"""Nothing runs faster beside others: what comes out below this was not measured well."""
_WAYS = {
    "to_host": "to the host",
    "to_device": "to the device",
    "to_host_both": "to the host, both ways at once",
    "to_device_both": "to the device, both ways at once",
}


def _copies(found: Mapping[str, Any]) -> list[str]:
    return [
        f"{_capital(text)}: {found[name]['latency'] * 1e6:,.0f} us + bytes at "
        + (
            f"{found[name]['bandwidth'] / 1e9:,.1f} GB/s."
            if found[name]["bandwidth"]
            else "a speed too high to see."
        )
        for name, text in _WAYS.items()
    ]


def _classes(found: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"{_row_name(row)}: {row['error']}"
        if "error" in row
        else f"{_row_name(row)}: torch's seconds over ours {row['ratio']:.3f} (quartiles "
        f"{row['low']:.3f} and {row['high']:.3f}), ours {row['ours'] * 1e3:,.1f} ms."
        for row in found
    ]


def _row_name(row: Mapping[str, Any]) -> str:
    ranks = plural(row["ranks"], "rank")
    where = f"{ranks}" if row["rank"] is None else f"rank {row['rank']} of {row['ranks']}"
    return f"{str(row['class']).removeprefix('Schedule')}, {where}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_TELLERS: dict[str, Callable[[Any], list[str]]] = {
    "tests": _tests,
    "partitions": _partitions,
    "copies": _copies,
    "classes": _classes,
    "alone": _classes,
}
"""What a step found, in sentences."""
