"""The commands `simulate` and `compare`: one schedule in detail, or many beside each other."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from ..families import FAMILIES
from ..schedule.clock import Clock
from .options import Question, asks
from .setting import (
    UnknownFamily,
    check_writable,
    cluster_of,
    costs_of,
    schedule_of,
    write_text,
)

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FAMILY|FILE",
        help="Which schedules; all families if none is named (see `families`).",
        show_default=False,
    ),
]
Name = Annotated[
    str,
    typer.Argument(
        metavar="FAMILY|FILE",
        help="A family (see `families`), a schedule as JSON, or a torch compute_only CSV.",
        show_default=False,
    ),
]
Html = Annotated[
    str | None,
    typer.Option(
        "--html",
        metavar="FILE",
        help="Write one page with all pictures; it needs no network.",
        show_default=False,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON on stdout, and nothing else.", show_default=False)
]


@asks
def simulate(name: Name, question: Question, html: Html = None, as_json: Json = False) -> None:
    """Play one schedule: clocks, bubbles, memory, idle time.

    Example:  python -m sim simulate zb-h1 -p 4 -m 8 --forward 10 --backward 12 --weight 8 --send 1

    makespan: from the first pass to the end of the last one on any device.
    longest stage: the longest that any one device takes from its first to its last pass.
    Activations are counted in shares: what one microbatch keeps on a whole device.
    """
    if html is not None:
        check_writable(html)
    found, trace = played(name, question, strict=True)
    if html:
        _write_page(html, [(found, trace)], question)
    if as_json:
        _print_json(found)
    else:
        from ..show.table import show, simulated

        show(simulated(found, unit=question.unit or ""))


@asks
def compare(
    question: Question, names: Names = None, html: Html = None, as_json: Json = False
) -> None:
    """Play many schedules with the same costs.

    The result is a table, and with --html a page with pictures.

    Example:  python -m sim compare -p 8 -m 32 --forward 10 --backward 12 --weight 8 --html all.html

    Options that only some families take (-v, --group-size, --slices) are used by those; a family
    that cannot serve the numbers stands in the table with its reason.
    """
    if html is not None:
        check_writable(html)
    rows = _rows(names or list(FAMILIES), question)
    good = [found for found, trace in rows if trace is not None]
    if html and good:
        _write_page(html, rows, question)
    if as_json:
        _print_json([found for found, _ in rows])
    else:
        from ..show.table import compared, show

        show(compared([found for found, _ in rows], unit=question.unit or ""))
    if not good:
        raise ValueError(f"none of {len(rows)} schedules could be played: {rows[0][0]['error']}")


def played(name: str, question: Question, *, strict: bool) -> tuple[dict[str, Any], Any]:
    """The outcome and the trace of one schedule; ValueError if it cannot be played."""
    from ..engine.simulate import simulate as play
    from ..metrics.summary import outcome

    schedule = schedule_of(name, question, strict=strict)
    costs, cluster = costs_of(question, schedule), cluster_of(question, schedule)
    trace = play(
        schedule,
        costs,
        cluster,
        iterations=question.iterations or 1,
        barrier=not question.no_barrier,
        optimizer=question.optimizer or 0,
        jitter=float(question.jitter or 0),
        seed=question.seed or 0,
        progress=strict,
    )
    clock: Clock = "longest_stage" if question.clock == "longest-stage" else "makespan"
    known = None if question.jitter else costs
    return outcome(trace, clock=clock, costs=known, slowdown=cluster.slowdown), trace


def _rows(names: Sequence[str], question: Question) -> list[tuple[dict[str, Any], Any]]:
    """Outcome and trace of every schedule; an `error` and None for one that cannot be played."""
    from ..base.progress import bar

    rows: list[tuple[dict[str, Any], Any]] = []
    asked_for = list(dict.fromkeys(names))
    with bar("comparing", len(names), shown=len(names) > 1) as tell:
        for done, name in enumerate(asked_for, start=1):
            try:
                rows.append(played(name, question, strict=False))
            except UnknownFamily:
                raise
            except ValueError as error:
                reason = str(error).partition("\n")[0]
                asked = {"devices": question.devices, "microbatches": question.microbatches}
                rows.append(({"schedule": name, **asked, "error": reason}, None))
            _tell(tell, done)
    called = Counter(found["schedule"] for found, _ in rows)
    return [  # two files of one name are told apart by their paths
        ({**found, "schedule": name} if called[found["schedule"]] > 1 else found, trace)
        for name, (found, trace) in zip(asked_for, rows, strict=True)
    ]


def _tell(tell: Callable[[float], None] | None, done: int) -> None:
    if tell:
        tell(done)


def _write_page(path: str, rows: Sequence[tuple[dict[str, Any], Any]], question: Question) -> None:
    from ..show.pages import typed
    from ..show.report import page

    text = page(
        rows,
        facts=_facts(question),
        unit=question.unit or "",
        note=question.note or "",
        command=typed(),
    )
    write_text(path, text)


def _facts(question: Question) -> dict[str, str]:
    """What was asked, as the page tells it."""
    from .options import OPTIONS

    facts = {}
    for name in OPTIONS:
        value = getattr(question, name)
        if value is None or value is False or name in ("note", "unit", "clock"):
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{device}={factor}" for device, factor in value.items())
        facts[name.replace("_", " ")] = "yes" if value is True else str(value)
    return facts


def _print_json(found: Any) -> None:
    print(json.dumps(found, allow_nan=False, indent=1 if sys.stdout.isatty() else None))
