"""The commands `simulate` and `compare`: one schedule in detail, or many beside each other."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import typer

from ..engine.cluster import least_slowdown
from ..engine.trace import Trace
from ..families import FAMILIES
from ..schedule.clock import Clock
from .cluster import cluster_of
from .costs import check_bytes, costs_of
from .family_names import UnknownFamily
from .options import PipelineOptions, with_pipeline_options
from .own_errors import raised_by_us
from .schedule import schedule_of
from .text_files import check_writable, write_text

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


@with_pipeline_options
def simulate(
    name: Name, options: PipelineOptions, html: Html = None, as_json: Json = False
) -> None:
    """Play one schedule: clocks, bubbles, memory, idle time.

    Example:  python -m sim simulate zb-h1 -p 4 -m 8 --forward 10 --backward 12 --weight 8 --send 1

    makespan: from the first pass to the end of the last one on any device.
    longest stage: the longest that any one device takes from its first to its last pass.
    Activations are counted in shares: what one microbatch keeps on a whole device.
    """
    if html is not None:
        check_writable(html)
    found, trace = played(name, options, strict=True)
    if html:
        _write_page(html, [(found, trace)], options)
    if as_json:
        _print_json(found)
    else:
        from ..show.table import print_table, schedule_table

        costs = _assumed(options, [trace])
        print_table(schedule_table(found, unit=options.unit or "", costs=costs))


@with_pipeline_options
def compare(
    options: PipelineOptions, names: Names = None, html: Html = None, as_json: Json = False
) -> None:
    """Play many schedules with the same costs.

    The result is a table, and with --html a page with pictures.

    Example:  python -m sim compare -p 8 -m 32 --forward 10 --backward 12 --weight 8 --html all.html

    Options that only some families take (-v, --group-size, --slices) are used by those; a family
    that cannot serve the numbers stands in the table with its reason.
    """
    if html is not None:
        check_writable(html)
    rows = _rows(names or list(FAMILIES), options)
    good = [found for found, trace in rows if trace is not None]
    if html and good:
        _write_page(html, rows, options)
    if as_json:
        _print_json([found for found, _ in rows])
    else:
        from ..show.table import comparison_table, print_table

        costs = _assumed(options, [trace for _, trace in rows if trace is not None])
        found = [found for found, _ in rows]
        print_table(comparison_table(found, unit=options.unit or "", costs=costs))
    if not good:
        raise ValueError(f"none of {len(rows)} schedules could be played: {rows[0][0]['error']}")


def played(name: str, options: PipelineOptions, *, strict: bool) -> tuple[dict[str, Any], Any]:
    """The summary and the trace of one schedule; ValueError if it cannot be played."""
    from ..engine.simulate import simulate as play
    from ..metrics.summary import summary

    schedule = schedule_of(name, options, strict=strict)
    costs = costs_of(options, schedule)
    check_bytes(vars(options), costs)
    cluster = cluster_of(options, schedule)
    trace = play(
        schedule,
        costs,
        cluster,
        iterations=options.iterations or 1,
        barrier=not options.no_barrier,
        optimizer=options.optimizer or 0,
        jitter=float(options.jitter or 0),
        seed=options.seed or 0,
        progress=strict,
    )
    clock: Clock = "longest_stage" if options.clock == "longest-stage" else "makespan"
    known = None if options.jitter else costs
    return summary(trace, clock=clock, costs=known, slowdown=least_slowdown(cluster)), trace


def _rows(names: Sequence[str], options: PipelineOptions) -> list[tuple[dict[str, Any], Any]]:
    """Outcome and trace of every schedule; an `error` and None for one that cannot be played."""
    from ..base.progress import bar

    rows: list[tuple[dict[str, Any], Any]] = []
    asked_for = list(dict.fromkeys(names))
    with bar("comparing", len(asked_for), shown=len(asked_for) > 1) as tell:
        for done, name in enumerate(asked_for, start=1):
            try:
                rows.append(played(name, options, strict=False))
            except UnknownFamily:
                raise
            except ValueError as error:
                if not raised_by_us(error):
                    raise
                reason = str(error).partition("\n")[0]
                asked = {"devices": options.devices, "microbatches": options.microbatches}
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


def _write_page(
    path: str, rows: Sequence[tuple[dict[str, Any], Any]], options: PipelineOptions
) -> None:
    from ..show.report import page
    from .as_typed import as_typed

    text = page(
        rows,
        facts=_facts(options, [trace for _, trace in rows if trace is not None]),
        unit=options.unit or "",
        note=options.note or "",
        command=as_typed(),
    )
    write_text(path, text)


def _facts(options: PipelineOptions, traces: Sequence[Trace]) -> dict[str, str]:
    """The options that were given, in words; a number just as it is."""
    from ..show.pages import facts_of

    given = {name: _text(value) for name, value in vars(options).items()}
    if not options.profile:
        given |= dict(_times(options, traces))
    return facts_of(given, leave=("note", "unit", "clock"))


def _times(options: PipelineOptions, traces: Sequence[Trace]) -> list[tuple[str, str]]:
    """The times of equal costs by name, those that nobody gave too."""
    usual = {"forward": 1, "backward": 1, "weight": 1, "send": 0}
    given = {name: getattr(options, name) for name in usual}
    found = [(name, str(usual[name] if value is None else value)) for name, value in given.items()]
    copies = [trace for trace in traces if trace.schedule.copies]
    if copies and not any(row.end > row.start for trace in copies for row in _copies_of(trace)):
        found.append(("copies", "0"))
    if options.boundary_bytes and options.bandwidth is None:
        found.append(("bandwidth", "unlimited (boundary bytes take no time)"))
    return found


def _assumed(options: PipelineOptions, traces: Sequence[Trace]) -> str:
    """The same in words; "" of measured costs."""
    return "" if options.profile else ", ".join(map(" ".join, _times(options, traces)))


def _copies_of(trace: Trace) -> Iterable[Any]:
    rows: Iterable[Any] = trace.ops[trace.ops["kind"].isin(["O", "L"])].itertuples()
    return rows


def _text(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{device}={factor}" for device, factor in value.items())
    return str(value)


def _print_json(found: Any) -> None:
    print(json.dumps(found, allow_nan=False, indent=1 if sys.stdout.isatty() else None))
