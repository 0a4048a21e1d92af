"""`python -m validation`: calibrate a machine, compare one schedule, run the whole experiment."""

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
from sim.cli.command_line import CommandLine, UsageError

Devices = Annotated[int, typer.Option("-p", "--devices", min=1, help="Pipeline devices.")]
Microbatches = Annotated[int, typer.Option("-m", "--microbatches", min=1, help="Microbatches.")]
Layers = Annotated[int, typer.Option(min=1, help="Transformer blocks in all.")]
Width = Annotated[int, typer.Option(min=1, help="Hidden size.")]
Sequence_ = Annotated[int, typer.Option("--sequence", min=1, help="Tokens per sequence.")]
Rows = Annotated[int, typer.Option(min=1, help="Sequences per microbatch.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]


def calibrate_command(
    devices: Devices = 2,
    stages: Annotated[int, typer.Option(min=1, help="Stages the model is cut into.")] = 4,
    slices: Annotated[int, typer.Option(min=1, help="Slices per sequence.")] = 1,
    layers: Layers = 8,
    width: Width = 256,
    sequence: Sequence_ = 128,
    rows: Rows = 1,
    device: Device = "cpu",
    output: Annotated[str, typer.Option("-o", "--output", help="Write the profile here.")] = "",
) -> None:
    """Measure passes and transfers, and print (or write) a profile for `sim --profile`.

    Example: python -m validation calibrate -p 2 --stages 4 -o profile.json
    """
    from .calibrate import Workload, calibrate
    from .profile import profile_to_json

    work = Workload(layers, width, sequence=sequence, rows=rows, device=device)
    text = profile_to_json(calibrate(work, n_devices=devices, n_stages=stages, n_slices=slices))
    if output:
        write_text_atomically(output, text)
        print(f"wrote {output}", file=sys.stderr)
    else:
        print(text)


def compare_command(
    family: Annotated[
        str, typer.Argument(help="A family, or a measured trace (.json).")
    ] = "v-half",
    profile: Annotated[str, typer.Option(help="A profile made by calibrate; else made now.")] = "",
    devices: Devices = 2,
    microbatches: Microbatches = 8,
    layers: Layers = 8,
    width: Width = 256,
    sequence: Sequence_ = 128,
    rows: Rows = 1,
    device: Device = "cpu",
    steps: Annotated[int, typer.Option(min=1, help="Iterations timed.")] = 5,
    trace: Annotated[str, typer.Option(help="Write the measured trace here.")] = "",
    as_json: Json = False,
) -> None:
    """Run one schedule, simulate it with measured costs, and compare.

    Example: python -m validation compare v-half -p 2 -m 8
    """
    from sim import FAMILIES

    from .calibrate import Workload, calibrate
    from .compare import compare
    from .profile import profile_from_json
    from .traces import trace_from_json, trace_to_json

    work = Workload(layers, width, sequence=sequence, rows=rows, device=device)
    if family.endswith(".json"):
        measured = trace_from_json(Path(family).read_text())
        schedule = measured.schedule
    else:
        if family not in FAMILIES:
            raise UsageError(f"unknown family {family!r}: there are {', '.join(FAMILIES)}")
        schedule = FAMILIES[family](devices, microbatches)
        measured = None
    found = (
        profile_from_json(Path(profile).read_text())
        if profile
        else calibrate(
            work, n_devices=schedule.n_devices, n_stages=schedule.n_stages,
            n_slices=schedule.n_slices,
        )
    )  # fmt: skip
    if measured is None:
        from backend import run

        batch, targets = work.batch(schedule.n_microbatches, schedule.n_stages)
        measured = run(
            schedule, work.stages(schedule.n_stages), batch, targets=targets, device=device,
            steps=steps, warmup=1,
        ).trace  # fmt: skip
    if trace:
        write_text_atomically(trace, trace_to_json(measured))
    told = compare(found.predict(schedule), measured)
    if as_json:
        frames = {name: getattr(told, name) for name in ("clocks", "devices", "passes")}
        print(json.dumps({"schedule": schedule.name} | {
            name: json.loads(frame.to_json(orient="records")) for name, frame in frames.items()
        }))  # fmt: skip
        return
    for frame in (told.clocks, told.devices, told.passes):
        print(frame.to_string(index=False, float_format=lambda x: f"{x:,.4g}"), end="\n\n")


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

    from .calibrate import Workload
    from .experiment import experiment
    from .page import report_page

    names = tuple(families or FAMILIES)
    if unknown := [name for name in names if name not in FAMILIES]:
        raise UsageError(f"unknown family {unknown[0]!r}: there are {', '.join(FAMILIES)}")
    streams, parts = None, []
    if device.startswith("cuda"):
        from backend.threads.sm_groups import sm_groups

        parts = sm_groups(devices)
        streams = [part.stream for part in parts]
    found = experiment(
        Workload(layers, width, sequence=sequence, rows=rows, device=device),
        n_devices=devices, n_microbatches=microbatches, families=names, rounds=rounds,
        partitions=streams, tell=lambda line: print(line, file=sys.stderr),
    )  # fmt: skip
    if parts:
        found = replace(found, provenance={**found.provenance, **_partition_facts(parts)})
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
    columns = ["family", "simulated_makespan", "measured_makespan", "uncertainty_makespan",
               "error_makespan", "error_replay", "error_peak_bytes"]  # fmt: skip
    print(found.table()[columns].to_string(index=False, float_format=lambda x: f"{x:.4g}"))
    print(json.dumps(found.summary(), indent=1))


def _partition_facts(parts: Sequence[Any]) -> dict[str, Any]:
    """What the GPU was divided into, and what its parts still share."""
    from backend.threads.sm_groups import disjoint, neighbour_slowdown

    return {
        "multiprocessors": [part.multiprocessors for part in parts],
        "disjoint": all(part.green for part in parts) and disjoint(parts),
        "neighbour_slowdown": neighbour_slowdown(parts),
    }


def facts(found: Any) -> dict[str, Any]:
    """An experiment as plain objects: what is committed under validation/data."""
    from .profile import profile_to_json

    return {
        "provenance": dict(found.provenance),
        "summary": _finite(found.summary()),
        "families": [_finite(row) for row in found.table().to_dict("records")],
        "profiles": [json.loads(profile_to_json(profile)) for profile in found.profiles.values()],
    }


def _finite(row: Mapping[Any, Any]) -> dict[str, Any]:
    """The row with None for what is no number: strict JSON knows no NaN."""
    return {
        str(key): None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }


COMMANDS = {
    "calibrate": ("validation.cli", "calibrate_command"),
    "compare": ("validation.cli", "compare_command"),
    "report": ("validation.cli", "report_command"),
}

main = CommandLine(
    "validation",
    "Measures this machine, and says how far the simulator is from it.",
    COMMANDS,
).run
"""Run one command; the exit code: 0 fine, 1 bad data, 2 bad usage."""
