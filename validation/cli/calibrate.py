"""The command `calibrate`: what passes and transfers take on this machine."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sim.base.files import write_text_atomically

from .options import Device, Devices, Json, Layers, Rows, Sequence_, Width


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
    as_json: Json = False,
) -> None:
    """Measure passes and transfers, and print (or write) a profile for `sim --profile`.

    Example: python -m validation calibrate -p 2 --stages 4 -o profile.json
    """
    from ..calibrate import calibrate
    from ..profile import profile_to_json
    from ..workload import Workload

    work = Workload(layers, width, sequence=sequence, rows=rows, device=device)
    text = profile_to_json(
        calibrate(work, n_devices=devices, n_stages=stages, n_slices=slices, progress=True)
    )
    if output:
        write_text_atomically(output, text)
        print(f"wrote {output}", file=sys.stderr)
    if as_json or not output:
        print(text)
