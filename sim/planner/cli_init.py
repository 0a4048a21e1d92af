"""The command `init`: files to fill in for a machine, a model, efficiencies and costs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..cli.text_files import write_text
from ..engine.costs import Costs
from ..engine.costs_json import costs_to_json
from ..families import FAMILIES
from .cost_model import efficiency_of
from .hardware import machine_of, machine_template
from .models import model_template
from .search import model_of

COMMENTS = """# Files for pipebubble

Started from {cluster} and {model}. Change the numbers, leave the keys; every file can be used
alone.

    python -m sim plan --model {folder}/model.json --cluster {folder}/machine.json \\\\
      --efficiencies {folder}/efficiency.json
    python -m sim simulate 1f1b -p 4 -m 8 --profile {folder}/costs.json

## machine.json

`name`; `devices` in all, `per_node` in a node. `device`: its name, `flops` (dense 16-bit
operations per second; `fp8` and `fp4` the same in fewer bits), `memory` (bytes), `bandwidth`
(bytes per second to that memory), `source` of the numbers. `inside` (a node) and `between`
(nodes): `bandwidth` of a device in bytes per second and direction, `latency` in seconds.
`per_rack`: devices of one NVLink domain beyond a node, 0 for none; `across`: the wire between
racks, or null.

## model.json

A `config.json` as published with checkpoints. `_name_or_path` is its name, `model_type` how it is
read. `num_hidden_layers`, `hidden_size`, `intermediate_size` (of the MLP), `num_attention_heads`
of width `head_dim`, `num_key_value_heads`, `vocab_size`; `tie_word_embeddings`: one matrix for
embedding and output; `attention_dropout` counts no time.

## efficiency.json

Fractions of what the device can do at best: `matmul`, `fused_attention`, `fp8`, `fp4`; `memory`
and `wire` of their bandwidth; `grouped` of matmul where experts are multiplied together,
`misaligned` where a width is odd, `unaligned` where heads are; `overlap` of communication that
hides behind backward. Seconds: `ramp` of a kernel on the device, `launch` on the host,
`collective` at least, `dispatch` for which experts wait. `source` says where you have them from.

## costs.json

Times in any unit, one row per stage, one number per slice in it: `forward`, `backward` (of the
input), `weight` (gradient); `fused_backward` (both in one; null: their sum); `send` is the
latency behind each stage but the last. Bytes: `activation_bytes` that F keeps, `backward_bytes`
that B adds (or frees, below 0), `boundary_bytes` that a stage sends, `static_bytes` of
parameters, gradients and optimizer. `pair_scale`, `group_scale`: factors on passes that run as
one step. `format` stays.
"""


def init_command(
    folder: Annotated[
        Path, typer.Argument(help="A new or empty folder for the files.", show_default=False)
    ],
    cluster: Annotated[str, typer.Option(help="The machine to start from.")] = "64xh100",
    model: Annotated[str, typer.Option(help="The model to start from.")] = "llama-3-8b",
) -> None:
    """Write files to fill in: machine, model, efficiencies, costs; README.md explains every key.

    Example:  python -m sim init mine --cluster 64xh100 --model llama-3-70b
    """
    machine, shape = machine_of(cluster), model_of(model)
    one = FAMILIES["1f1b"](4, 8)
    files = {
        "machine.json": json.dumps(machine_template(machine), indent=1),
        "model.json": json.dumps(model_template(shape), indent=1),
        "efficiency.json": json.dumps(asdict(efficiency_of(machine.device.name)), indent=1),
        "costs.json": costs_to_json(Costs.uniform(one)),
        "README.md": COMMENTS.format(cluster=cluster, model=model, folder=folder),
    }
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not empty: name a new folder, so that nothing is lost")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ValueError(f"cannot make {folder}: {reason}") from None
    for name, text in files.items():
        write_text(str(folder / name), text.rstrip("\n") + "\n")
