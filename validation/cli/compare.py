"""The command `compare`: one schedule, simulated and run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sim.base.files import write_text_atomically
from sim.base.progress import bar

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
    print_rows,
)


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

    from ..calibrate import calibrate
    from ..compare import compare
    from ..profile import profile_from_json
    from ..traces import trace_from_json, trace_to_json
    from ..workload import Workload

    work = Workload(layers, width, sequence=sequence, rows=rows, device=device)
    if family.endswith(".json"):
        measured = trace_from_json(Path(family).read_text())
        schedule = measured.schedule
    else:
        known_families([family])
        schedule = FAMILIES[family](devices, microbatches)
        measured = None
    steps_left = (not profile) + (measured is None)
    with bar("comparing", steps_left, shown=steps_left > 0, alone=True) as move:
        found = (
            profile_from_json(Path(profile).read_text())
            if profile
            else calibrate(
                work, n_devices=schedule.n_devices, n_stages=schedule.n_stages,
                n_slices=schedule.n_slices, progress=True,
            )
        )  # fmt: skip
        if measured is None:
            from backend import run

            if move:
                move(steps_left - 1, "measuring")
            batch, targets = work.batch(schedule.n_microbatches, schedule.n_stages)
            measured = run(
                schedule, work.stages(schedule.n_stages), batch, targets=targets, device=device,
                steps=steps, warmup=1, progress=True,
            ).trace  # fmt: skip
    if trace:
        write_text_atomically(trace, trace_to_json(measured))
    comparison = compare(found.predict(schedule), measured)
    if as_json:
        frames = {name: getattr(comparison, name) for name in ("clocks", "devices", "passes")}
        print(json.dumps({"schedule": schedule.name} | {
            name: json.loads(frame.to_json(orient="records")) for name, frame in frames.items()
        }))  # fmt: skip
        return
    for frame in (comparison.clocks, comparison.devices, comparison.passes):
        print_rows(frame.to_dict("records"), ",.4g", shares=("error", "busy_error", "bytes_error"))
