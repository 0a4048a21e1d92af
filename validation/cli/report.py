"""The command `report`: every family, simulated and run, as a page and a JSON file."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from sim.base.files import write_text_atomically
from sim.cli.as_typed import as_typed

from .options import (
    Device,
    Devices,
    Json,
    Layers,
    Microbatches,
    Rows,
    Sequence_,
    Width,
    known_families,
)


def report_command(
    families: Annotated[list[str] | None, typer.Argument(help="Families; all by default.")] = None,
    devices: Devices = 2,
    microbatches: Microbatches = 8,
    layers: Layers = 8,
    width: Width = 256,
    sequence: Sequence_ = 128,
    rows: Rows = 1,
    device: Device = "cpu",
    rounds: Annotated[int, typer.Option(min=1, help="Times everything is measured.")] = 8,
    html: Annotated[str, typer.Option(help="Write the page here.")] = "out/validation.html",
    output: Annotated[str, typer.Option("-o", "--output", help="Write the figures here.")] = "",
    as_json: Json = False,
) -> None:
    """Calibrate, simulate every family, run every family, compare: a page and a JSON file.

    Example: python -m validation report -p 2 -m 8 -o validation/data/measured.json
    """
    from sim import FAMILIES
    from sim.show.table import print_table, table_of

    from ..experiment import experiment
    from ..page import report_page
    from ..workload import Workload

    names = tuple(families or FAMILIES)
    known_families(names)
    streams, parts = None, []
    if device.startswith("cuda"):
        from backend.threads.sm_groups import sm_groups

        parts = sm_groups(devices)
        streams = [part.stream for part in parts]
    found = experiment(
        Workload(layers, width, sequence=sequence, rows=rows, device=device),
        n_devices=devices, n_microbatches=microbatches, families=names, rounds=rounds,
        partitions=streams, progress=True,
    )  # fmt: skip
    for name, why in found.failed.items():
        print(f"{name} failed: {why}", file=sys.stderr)
    if parts:
        found = replace(found, provenance={**found.provenance, **_sm_group_facts(parts)})
    text = json.dumps(facts(found), indent=1)
    if output:
        write_text_atomically(output, text)
    if html:
        Path(html).parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(html, report_page(found, command=as_typed()))
        print(f"wrote {html}", file=sys.stderr)
    if as_json:
        print(text)
        return
    columns = ["simulated_makespan", "measured_makespan", "uncertainty_makespan",
               "error_makespan", "error_replay", "error_peak_bytes"]  # fmt: skip
    table = table_of(*(name.replace("_", " ") for name in ["family", *(f">{n}" for n in columns)]))
    for name, *numbers in found.table()[["family", *columns]].itertuples(index=False):
        table.add_row(name, *map(_cell, columns, numbers))
    print_table(table)
    print(json.dumps(found.summary(), indent=1))


def _cell(column: str, value: float) -> str:
    """Errors and what is uncertain are shares, told in percent."""
    if column.startswith("error"):
        return f"{value:+.2%}"
    return f"{value:.2%}" if column.startswith("uncertainty") else f"{value:.4g}"


def _sm_group_facts(parts: Sequence[Any]) -> dict[str, Any]:
    """What the GPU was divided into, and what its parts still share."""
    from backend.threads.sm_groups import disjoint, neighbour_slowdown

    return {
        "multiprocessors": [part.multiprocessors for part in parts],
        "disjoint": all(part.green for part in parts) and disjoint(parts),
        "neighbour_slowdown": neighbour_slowdown(parts),
    }


def facts(found: Any) -> dict[str, Any]:
    """An experiment as plain objects: what is committed under validation/data."""
    from ..profile import profile_to_json

    return {
        "provenance": dict(found.provenance),
        "summary": _finite(found.summary()),
        **({"failed": dict(found.failed)} if found.failed else {}),
        "families": [_finite(row) for row in found.table().to_dict("records")],
        "profiles": [json.loads(profile_to_json(profile)) for profile in found.profiles.values()],
    }


def _finite(row: Mapping[Any, Any]) -> dict[str, Any]:
    """The row with None for what is no number: strict JSON knows no NaN."""
    return {
        str(key): None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }
