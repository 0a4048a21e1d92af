"""The frame of every HTML page, and the page of a figure with its table; they need no network.

A page holds its styles, its scripts, plotly.js once and its figures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base.text import number_text
from .plot import figure_json, plotly_script
from .templates import asset, rendered, trusted

if TYPE_CHECKING:
    import plotly.graph_objects as go

Cell = str | float | tuple[float, str] | None
"""Text, a number, a number with how it is written, or nothing."""


class TableCell(NamedTuple):
    """What a cell of a table shows, what its column sorts by if that is a number, and the percent
    of a small bar beside it, if there is one."""

    text: str
    value: float | None = None
    meter: float | None = None


def chart_page(
    title: str,
    figures: Mapping[str, go.Figure],
    *,
    heading: str = "",
    table: Sequence[Mapping[str, Cell]] = (),
    facts: Mapping[str, str] | None = None,
    note: str = "",
    command: str = "",
    reading: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """A page with a figure, or several to choose from, and a table.

    figures: by what each is called. heading: over them. table: rows, each by the heads of its
        columns; the first column stays in sight. facts, note, command: as in `page_text`. reading:
        paragraphs by the heading over them, at the end.

    >>> import plotly.graph_objects as go
    >>> page = chart_page("Mine", {"a & b": go.Figure(layout={"font": {}})}, table=[{"x": 1}])
    >>> page[:15], "<h1>Mine</h1>" in page, '<td data-value="1.0">1</td>' in page
    ('<!doctype html>', True, True)
    """
    if not figures:
        raise ValueError("a page needs at least one figure")
    first = next(iter(figures.values()))
    return page_text(
        "page/chart.html",
        scripts=["page/chart.js"],
        data=[[name, figure_data(figure)] for name, figure in figures.items()],
        title=title,
        facts=facts,
        note=note,
        command=command,
        heading=heading,
        names=list(figures),
        wide=any(part.type == "bar" for part in first.data),
        heads=list(table[0]) if table else [],
        rows=[[_table_cell(cell) for cell in row.values()] for row in table],
        reading=reading or {},
    )


def page_text(
    template: str,
    *,
    scripts: Sequence[str],
    data: Any,
    title: str,
    facts: Mapping[str, str] | None = None,
    note: str = "",
    command: str = "",
    plotly: bool = True,
    **values: Any,
) -> str:
    """A page from a template that extends shell.html.

    scripts: the files that bring it to life; they find `data` in `shell.data`. facts: what was
    asked, by name. note: a sentence under the title. command: what makes this page again. plotly:
    whether the page has figures of plotly's. values: what else the template needs.
    """
    return rendered(
        template,
        title=title,
        facts=facts or {},
        note=note,
        command=command,
        data=data,
        css=asset("page/shell.css") + asset("timeline/timeline.css"),
        plotly=trusted(plotly_script()) if plotly else "",
        shell=asset("page/shell.js"),
        scripts=[asset(script) for script in scripts],
        **values,
    )


def figure_data(figure: go.Figure) -> dict[str, Any]:
    """A figure as a page draws it: as wide as its place, in the colour of the page's words."""
    found: dict[str, Any] = json.loads(figure_json(figure))
    found["layout"]["autosize"] = True
    for name, axis in found["layout"].items():
        if name.startswith("xaxis"):
            axis["ticklabelstandoff"] = 4  # two zeros meet in the corner
    return found


def share(value: Any) -> tuple[float, str]:
    """A cell in percent."""
    return float(value), f"{float(value):.2%}"


def facts_of(options: Mapping[str, Any], *, leave: Sequence[str] = ()) -> dict[str, str]:
    """The options of a command as facts of its page, without those that were not given.

    >>> facts_of({"forward": "10", "time_limit": 2.0, "send": None, "json": True}, leave=["json"])
    {'forward': '10', 'time limit': '2'}
    """
    return {
        name.replace("_", " "): "yes" if value is True else _text(value)
        for name, value in options.items()
        if name not in leave and value is not None and value is not False and value != ""
    }


def _text(value: Any) -> str:
    return number_text(value) if isinstance(value, float) else str(value)


def _table_cell(cell: Cell) -> TableCell:
    if isinstance(cell, tuple):
        return TableCell(cell[1], float(cell[0]))
    if cell is None or isinstance(cell, str):
        return TableCell(cell or "")
    return TableCell(number_text(cell), float(cell))
