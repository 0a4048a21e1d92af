"""The shell of every HTML page, and the page of a figure with its table; they need no network.

A page holds its styles, its scripts, plotly.js once and its figures. Everything that comes from
outside is escaped, once, where it is put in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ..base.text import number_text
from .plot import figure_json, plotly_script

if TYPE_CHECKING:
    import plotly.graph_objects as go

Cell = str | float | tuple[float, str] | None
"""Text, a number, a number with how it is written, or nothing."""


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
        columns; the first column stays in sight. facts, note, command: as in `shell`. reading:
        paragraphs by the heading over them, at the end.

    >>> import plotly.graph_objects as go
    >>> page = chart_page("Mine", {"a & b": go.Figure(layout={"font": {}})}, table=[{"x": 1}])
    >>> page[:15], "<h1>Mine</h1>" in page, '<td data-value="1.0">1</td>' in page
    ('<!doctype html>', True, True)
    """
    if not figures:
        raise ValueError("a page needs at least one figure")
    parts = [[name, json.loads(figure_json(figure))] for name, figure in figures.items()]
    main = filled(
        "chart.html",
        heading=f"<h2>{escape(heading)}</h2>" if heading else "",
        picker=picker(list(figures), "figure") if len(figures) > 1 else "",
        figure=_place(next(iter(figures.values())), heading or title),
        table=f"<section>{scrolled(_table(table), 'Table')}</section>" if table else "",
        reading="".join(
            f"<section><h2>{escape(name)}</h2>"
            + "".join(f"<p>{escape(words)}</p>" for words in paragraphs)
            + "</section>"
            for name, paragraphs in (reading or {}).items()
        ),
    )
    return shell(title, main, data=parts, script="chart.js", facts=facts, note=note,
                 command=command)  # fmt: skip


def shell(
    title: str,
    main: str,
    *,
    data: Any,
    script: str,
    facts: Mapping[str, str] | None = None,
    note: str = "",
    command: str = "",
) -> str:
    """The page around `main`, which is HTML already.

    data: what its script finds in `shell.data`. script: the name of that file. facts: what was
    asked, by name. note: a sentence under the title. command: what makes this page again.
    """
    return filled(
        "shell.html",
        title=escape(title),
        css=asset("page.css"),
        note=f'<p class="note">{escape(note)}</p>' if note else "",
        facts="".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
            for name, value in (facts or {}).items()
        ),
        main=main,
        footer="Made with pipebubble" + (f": <code>{escape(command)}</code>" if command else "."),
        plotly=plotly_script(),
        data=in_script(json.dumps(data, allow_nan=False, separators=(",", ":"))),
        shell=asset("shell.js"),
        script=asset(script),
    )


def picker(names: Sequence[str], label: str) -> str:
    """A button per name."""
    buttons = "".join(
        f'<button data-index="{index}" aria-pressed="false">{escape(name)}</button>'
        for index, name in enumerate(names)
    )
    return f'<div class="picker" role="group" aria-label="{escape(label)}">{buttons}</div>'


def head(names: Sequence[str]) -> str:
    """The head of a table that sorts."""
    cells = "".join(f'<th scope="col"><button>{escape(name)}</button></th>' for name in names)
    return f"<thead><tr>{cells}</tr></thead>"


def cell(value: float, html: str) -> str:
    """A number's cell: what it sorts by, and what it shows."""
    return f'<td data-value="{float(value)!r}">{html}</td>'


def scrolled(html: str, label: str) -> str:
    """What may be wider than a phone, within reach of the keyboard."""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">{html}</div>'
    )


def share(value: Any) -> tuple[float, str]:
    """A cell in percent."""
    return float(value), f"{float(value):.2%}"


def facts_of(options: Mapping[str, Any], *, leave: Sequence[str] = ()) -> dict[str, str]:
    """Facts from the options of a command: those that say something, in words.

    >>> facts_of({"forward": "10", "time_limit": 2.0, "send": None, "json": True}, leave=["json"])
    {'forward': '10', 'time limit': '2'}
    """
    return {
        name.replace("_", " "): "yes" if value is True else _words(value)
        for name, value in options.items()
        if name not in leave and value is not None and value is not False and value != ""
    }


def filled(template: str, **parts: str) -> str:
    """The template with every {{name}} replaced; what is put in is not looked at again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], asset(template))


def asset(name: str) -> str:
    return (files(__package__) / "page" / name).read_text(encoding="utf-8")


def in_script(text: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return text.replace("<", "\\u003c")


def _words(value: Any) -> str:
    return number_text(value) if isinstance(value, float) else str(value)


def _place(figure: go.Figure, label: str) -> str:
    """Where the figure is drawn: a time line keeps a width at which its bars can be told apart."""
    if all(part.type != "bar" for part in figure.data):
        return '<div class="figure" id="figure"></div>'
    return scrolled('<div class="figure wide" id="figure"></div>', label)


def _table(rows: Sequence[Mapping[str, Cell]]) -> str:
    body = "".join(f"<tr>{''.join(map(_cell, row.values()))}</tr>" for row in rows)
    return f'<table class="sortable">{head(list(rows[0]))}<tbody>{body}</tbody></table>'


def _cell(value: Cell) -> str:
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    if isinstance(value, tuple):
        return cell(value[0], escape(value[1]))
    return "<td></td>" if value is None else cell(value, number_text(value))
