"""The commands `export` and `check`: write schedules and traces to files, and check a file."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from fractions import Fraction
from typing import Annotated, Any

import typer

from .options import PipelineOptions, with_pipeline_options
from .schedule import schedule_of
from .schedule_file import file_in
from .simulate import Json, Name, played
from .text_files import check_writable, write_text

MICROSECONDS: dict[str, int | Fraction] = {"s": 10**6, "ms": 1000, "us": 1, "ns": Fraction(1, 1000)}


def _file(flag: str, text: str) -> Any:
    return typer.Option(flag, metavar="FILE", help=text, show_default=False)


@with_pipeline_options
def export(
    name: Name,
    options: PipelineOptions,
    torch_csv: Annotated[
        str | None, _file("--torch-csv", "For torch.distributed.pipelining: compute_only CSV.")
    ] = None,
    perfetto: Annotated[
        str | None, _file("--perfetto", "The played schedule, for ui.perfetto.dev (see --unit).")
    ] = None,
    schedule_json: Annotated[
        str | None, _file("--schedule-json", "The schedule itself; other commands read it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a schedule for torch, for Perfetto, or as JSON.

    Example:  python -m sim export zb-h1 -p 4 -m 8 --torch-csv zb-h1.csv --perfetto zb-h1.trace.json

    Without a file the schedule is printed: as a grid, or as JSON with --json.
    """
    from ..schedule.json_form import to_json
    from ..schedule.torch_csv import left_out, to_torch_csv

    targets = [path for path in (torch_csv, perfetto, schedule_json) if path is not None]
    real = [os.path.realpath(path) for path in targets]
    for path in targets:
        check_writable(path)
        if real.count(os.path.realpath(path)) > 1:
            raise typer.BadParameter(f"{path} is named for two files: give each its own name")
    schedule = schedule_of(name, options)
    texts = {}
    if torch_csv:
        texts[torch_csv] = to_torch_csv(schedule)
    if perfetto:
        from ..metrics.perfetto import perfetto as events

        _, trace = played(name, options, strict=True)
        found = events(trace, microseconds=MICROSECONDS[options.unit or "s"])
        texts[perfetto] = json.dumps(found, allow_nan=False, separators=(",", ":"))
    if schedule_json:
        texts[schedule_json] = to_json(schedule)
    for path, text in texts.items():
        write_text(path, text)
    if torch_csv and (lost := left_out(schedule)):
        print(f"note: {lost}", file=sys.stderr)
    if as_json:
        print(to_json(schedule))
    elif not texts:
        print(schedule)


def check(
    path: Annotated[
        str,
        typer.Argument(metavar="FILE", help="What torch writes or prints, or a schedule as JSON."),
    ],
    as_json: Json = False,
) -> None:
    """Say whether a schedule file can run, or why not.

    The reason is the first broken rule, and where it is broken. Files of torch may be CSVs, with
    or without messages, lists of passes as it prints them, or its tables of steps and ranks.

    Example:  python -m sim check schedule.csv

    Exit code 0 and a summary, or 1 and the reason.
    """
    from ..base.text import plural
    from ..metrics.metrics import peak_activations
    from ..metrics.summary import plain_numbers
    from ..schedule.ir import mechanisms

    schedule, notes = file_in(path)
    kinds = Counter(op.kind for order in schedule.orders for op in order)
    found = plain_numbers(
        {
            "schedule": schedule.name,
            "devices": schedule.n_devices,
            "microbatches": schedule.n_microbatches,
            "stages": schedule.n_stages,
            "slices": schedule.n_slices,
            "passes": dict(kinds),
            "placement": schedule.placement,
            "peak_activations": None if schedule.copies else peak_activations(schedule),
            "notes": notes,
        }
    )
    if as_json:
        print(json.dumps(found, allow_nan=False))
        return
    passes = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    peaks = ", ".join(f"{peak:g}" for peak in found["peak_activations"] or ())
    sizes = (
        plural(schedule.n_devices, "device"),
        plural(schedule.n_stages, "stage"),
        plural(schedule.n_microbatches, "microbatch"),
    )
    print(f"{path} can run: {', '.join(sizes)}")
    print(f"passes: {passes}")
    print(f"stage on device: {', '.join(map(str, schedule.placement))}")
    print(f"peak activations of each device, in shares: {peaks or 'it depends on times'}")
    for clause in (*mechanisms(schedule), *notes):
        print(clause)
