"""`python -m backend pipeload`: a model that does not fit, run from disk, held against the plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from sim.cli.as_typed import as_typed
from sim.cli.command_line import UsageError
from sim.cli.text_files import check_writable, write_text
from sim.pipeload.sizes import typed_bytes

EXAMPLE = """Run a model from disk under a memory limit, layer by layer.

Example: `python -m backend pipeload demo --make-demo`, then
`python -m backend pipeload demo --memory-limit 60MB --loaders 2`.

A checkpoint of Llama, Mistral, Qwen2 or Qwen3 (config.json and safetensors) is converted first, one
layer at a time: `python -m backend pipeload my-model --from CHECKPOINT_DIR`.
"""

FACTS = ("model", "layers", "model_bytes", "memory_limit", "loaders", "output_identical")
"""What the page tells above its picture."""


def pipeload_command(
    model_dir: Annotated[Path, typer.Argument(help="Directory of a stored model.")],
    memory_limit: Annotated[
        str, typer.Option(help="Bytes that weights and activations may take; 64MB, 1GiB work too.")
    ] = "",
    loaders: Annotated[
        int, typer.Option(help="Loading agents; 0 lets the planner choose from a profile.")
    ] = 0,
    make_demo: Annotated[
        bool, typer.Option("--make-demo", help="First store a transformer in MODEL_DIR.")
    ] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--from", help="First convert the checkpoint in this directory."),
    ] = None,
    layers: Annotated[int, typer.Option(help="Blocks of the demo.")] = 12,
    width: Annotated[int, typer.Option(help="Width of the demo.")] = 512,
    heads: Annotated[int, typer.Option(help="Heads of the demo.")] = 8,
    vocabulary: Annotated[int, typer.Option(help="Vocabulary of the demo.")] = 8192,
    sequence: Annotated[
        int, typer.Option(help="Tokens of a sequence; a stored demo has its own.")
    ] = 128,
    seed: Annotated[int, typer.Option(help="Of the demo's weights and the input.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Sequences to compute at once.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each kind; the fastest counts.")] = 3,
    compare: Annotated[
        bool, typer.Option(help="Also run from memory, load-all and one loader that keeps all.")
    ] = True,
    disk: Annotated[
        str, typer.Option(help="Hold reads back to this many bytes per second, all readers.")
    ] = "",
    per_reader: Annotated[
        str, typer.Option(help="Hold each reader back to this many bytes per second.")
    ] = "",
    html: Annotated[Path | None, typer.Option(help="Write the time line there.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    # Everything that can be wrong in what was typed is found before torch is loaded.
    limit = _bytes(memory_limit, "--memory-limit")
    throttle = _bytes(disk, "--disk"), _bytes(per_reader, "--per-reader")
    for option, rate in {"--disk": throttle[0], "--per-reader": throttle[1]}.items():
        if rate is not None and rate <= 0:
            raise UsageError(f"{option} is {rate} bytes per second: it must be above 0")
    if loaders < 0:
        raise UsageError(f"--loaders is {loaders}: 1 or more, or 0 to let the planner choose")
    if html is not None:
        check_writable(str(html))
    if make_demo and checkpoint:
        raise UsageError("--make-demo and --from both say what MODEL_DIR is to hold: give one")
    if sequence < 1:
        raise UsageError(f"--sequence is {sequence}: it must be at least 1")
    from .demo import make_demo as store_demo

    if checkpoint:
        from .checkpoints.convert import convert_checkpoint

        convert_checkpoint(checkpoint, model_dir, progress=not as_json)
    if make_demo:
        store_demo(
            model_dir, layers=layers, width=width, heads=heads, vocabulary=vocabulary,
            sequence=sequence, seed=seed,
        )  # fmt: skip
    found = _measured(
        model_dir,
        limit=limit,
        loaders=loaders,
        batch=batch,
        sequence=sequence,
        seed=seed,
        repeats=repeats,
        compare=compare,
        throttle=throttle,
        html=html,
        only_made=bool(make_demo or checkpoint) and not memory_limit,
    )
    if as_json:
        print(json.dumps(found))
    else:
        width_of_names = max(map(len, found))
        for name, value in found.items():
            print(f"{name.replace('_', ' '):{width_of_names}}  {value}")


def _measured(
    directory: Path,
    *,
    limit: int | None,
    loaders: int,
    batch: int,
    sequence: int,
    seed: int,
    repeats: int,
    compare: bool,
    throttle: tuple[int | None, int | None],
    html: Path | None,
    only_made: bool,
) -> dict[str, Any]:
    import math

    import torch

    from sim.pipeload import MemoryLimitTooSmall, plans, require_room

    from .layer_files import open_model
    from .profile import StreamOptions, measured_runs, profile_layers, resident_output
    from .recipes import inputs_for, skeletons
    from .run import streamed_model
    from .throttle import Throttle

    stored = open_model(directory)
    modules = skeletons(stored)
    inputs = inputs_for(stored, batch=batch, sequence=sequence, seed=seed)
    model = streamed_model(stored, modules, inputs)
    about: dict[str, Any] = {
        "model": str(directory),
        "layers": len(model.layers),
        "layer_bytes": max(int(layer.bytes) for layer in model.layers),
        "resident_bytes": int(model.resident_bytes),
        "model_bytes": int(model.bytes),
        "smallest_limit": int(model.smallest_limit),
    }
    if only_made:
        return about
    if limit is None:
        raise UsageError(
            f"--memory-limit is missing: this model needs at least {about['smallest_limit']} bytes"
        )
    require_room(model, limit)
    slow = None
    if throttle != (None, None):
        total, each = throttle
        slow = Throttle(total or math.inf, each or total or math.inf)
    profile = profile_layers(
        stored,
        modules,
        inputs,
        readers=max(loaders, 4),
        repeats=repeats,
        memory_limit=limit,
        throttle=slow,
    )
    if not loaders:
        try:
            table = plans(profile.model, [limit], disk=profile.disk)
        except MemoryLimitTooSmall as error:
            raise ValueError(str(error)) from None
        loaders = int(table["loaders"].iloc[0])

    options = {"streamed": StreamOptions(loaders, limit)}
    if compare:
        options |= {
            "load_all": StreamOptions(strategy="load-all"),
            "one_loader": StreamOptions(strategy="keep"),
        }
    runs = measured_runs(
        stored, modules, inputs, options=options, disk=profile.disk, repeats=repeats, throttle=slow
    )
    streamed = runs.pop("streamed")
    found = about | {
        "memory_limit": limit,
        "loaders": loaders,
        "latency": streamed.latency,
        "peak_bytes": streamed.peak_bytes,
        "simulated_latency": streamed.simulated,
        "simulated_error": streamed.simulated / streamed.latency - 1,
        "disk_saturation": None if profile.disk.saturation == math.inf else profile.disk.saturation,
    }
    if compare:
        reference = resident_output(stored, modules, inputs)
        found["output_identical"] = torch.equal(streamed.run.output, reference)
    for name, measured in runs.items():
        found[f"{name}_latency"] = measured.latency
        found[f"{name}_simulated"] = measured.simulated
        found[f"{name}_peak_bytes"] = measured.peak_bytes
    if html:
        from .page import pipeload_page

        kept = {name: found[name] for name in FACTS if name in found}
        write_text(
            str(html), pipeload_page({"streamed": streamed, **runs}, kept, command=as_typed())
        )
    return found


def _bytes(text: str, option: str) -> int | None:
    """A number of bytes such as 4096, 64MB or 1.5GiB; None where nothing was given."""
    return typed_bytes(text, option) if text else None


pipeload_command.__doc__ = EXAMPLE
