"""`python -m sim model`: what a model is made of, as plans count it."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from ..cli.simulate import Json
from .cost_model import model_flops
from .models import (
    Model,
    active_parameters,
    images_told,
    model_template,
    parameters,
    prediction_parameters,
    tower_parameters,
    with_images,
)
from .search import model_of


def model_command(
    name: Annotated[
        str, typer.Argument(metavar="NAME|PATH", help="A preset, or the path of a config.json.")
    ],
    sequence: Annotated[int, typer.Option(help="Tokens of a sequence.", min=1)] = 4096,
    images: Annotated[
        str, typer.Option(help="Pictures per sequence, e.g. 2, or 2x1024: of 1024 patches each.")
    ] = "",
    template: Annotated[
        bool, typer.Option("--template", help="The model as a config.json to fill in.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show a model's parameters, its work per token, its layers, and what is not counted.

    Work is that of the forward and both backward passes. Attention is counted over all pairs of
    tokens of a sequence, masked or not; a window of w tokens over w per token.

    Example:  python -m sim model llama-3-8b --sequence 8192
    """
    model = model_of(name)
    if images:
        model = with_images(model, *images_told(images))
    if template:
        print(json.dumps(model_template(model), indent=1))
        return
    found = facts_of_model(model, sequence)
    if as_json:
        print(json.dumps(found))
        return
    print(f"{found['name']}, sequence {sequence:,}")
    print(f"parameters         {found['parameters']:,}")
    print(f"active parameters  {found['active_parameters']:,}")
    if found["prediction_layers"]:
        layers, each = found["prediction_layers"], found["prediction_parameters"]
        rest = found["parameters"] - layers * each
        print(f"further tokens     {layers} x {each:,} of them (MTP); {rest:,} without")
    if found["tower_parameters"]:
        print(f"vision tower       {found['tower_parameters']:,} of them, on the first stage")
    print(f"FLOPs per token    {found['flops_per_token']:.4e} (forward and backward)")
    for layer in found["layers"]:
        print(f"layers             {layer['count']} x {layer['kind']}")
    for note in found["notes"]:
        print(f"note: {note}")


def facts_of_model(model: Model, sequence: int) -> dict[str, Any]:
    """What the command shows: sizes, FLOPs per token, and how many layers there are of each
    kind."""
    return {
        "name": model.name,
        "sequence": sequence,
        "parameters": parameters(model),
        "active_parameters": active_parameters(model),
        "tower_parameters": tower_parameters(model.tower) if model.tower else 0,
        "prediction_layers": model.mtp_layers,
        "prediction_parameters": prediction_parameters(model) if model.mtp_layers else 0,
        "flops_per_token": model_flops(model, sequence) / sequence,
        "layers": [{"kind": str(kind), "count": n} for kind, n in model.kinds().items()],
        "notes": list(model.notes),
    }
