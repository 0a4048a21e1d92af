"""`python -m sim plan`: ranked configurations for a model on a machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ..base.interrupts import deferred_sigint
from ..cli.page_file import PlotlyOption, write_page
from ..cli.renamed import renamed
from ..cli.text_files import check_writable
from .cli_export import exports, write_exports
from .configurations import Space
from .cost_model import PROGRAMS, efficiency_of, read_profile
from .explanation import taken_apart
from .hardware import Machine, machine_of, read_machine
from .models import images_told, with_images
from .orders import DEFAULT_SCHEDULES
from .plan_json import plan_object, records
from .plan_text import plan_text
from .problem import Problem
from .read_times import read_pass_times
from .robustness import robustness
from .rows import configuration_of
from .search import model_of, plan
from .timeline import replayed

if TYPE_CHECKING:
    import pandas as pd

MORE = {
    "robustness": "samples per second when devices differ",
    "replay": "seconds in the engine, where sends queue for wires",
}


def plan_command(
    model: Annotated[str, typer.Option(help="A preset, or the path of a config.json.")],
    cluster: Annotated[str, typer.Option(help="Devices, e.g. 64xh100, or a machine's JSON file.")],
    sequence: Annotated[int, typer.Option(help="Tokens of a sequence.")] = 4096,
    batch: Annotated[int, typer.Option(help="Sequences of one iteration.")] = 256,
    devices: Annotated[int | None, typer.Option(help="How many devices.")] = None,
    per_node: Annotated[int | None, typer.Option(help="Devices in a node.")] = None,
    inside: Annotated[str | None, typer.Option(help="The wire in a node, e.g. nvlink4.")] = None,
    between: Annotated[str | None, typer.Option(help="The wire between nodes.")] = None,
    per_rack: Annotated[int, typer.Option(help="Devices in a rack; 0: no racks.")] = 0,
    across: Annotated[str | None, typer.Option(help="The wire between racks.")] = None,
    schedules: Annotated[str, typer.Option(help="Families, separated by commas.")] = ",".join(
        DEFAULT_SCHEDULES
    ),
    tensor: Annotated[str, typer.Option(help="Tensor parallel sizes to look at.")] = "",
    pipeline: Annotated[str, typer.Option(help="Pipeline sizes to look at.")] = "",
    data: Annotated[str, typer.Option(help="Data parallel sizes to look at.")] = "",
    microbatch: Annotated[str, typer.Option(help="Microbatch sizes to look at.")] = "",
    virtual: Annotated[str, typer.Option(help="Stages per device to look at.")] = "",
    expert: Annotated[str, typer.Option(help="Expert parallel sizes to look at.")] = "",
    context: Annotated[str, typer.Option(help="Context parallel sizes to look at.")] = "",
    context_by: Annotated[str, typer.Option(help="ring, all-to-all or all-gather.")] = "ring",
    precision: Annotated[str, typer.Option(help="bf16, fp8, mxfp8 or nvfp4.")] = "bf16",
    vocabulary: Annotated[
        str, typer.Option(help="Embedding and head: ends, vocab-1, vocab-2 or interlaced.")
    ] = "ends",
    recompute: Annotated[
        str, typer.Option(help="none, elementwise, selective, experts, full.")
    ] = "none,selective,full",
    frozen: Annotated[
        int,
        typer.Option(help="So many first layers, and the embedding, are not trained.", min=0),
    ] = 0,
    lora: Annotated[
        int, typer.Option(help="Train adapters of this rank alone; 0: all weights.", min=0)
    ] = 0,
    optimizer: Annotated[str, typer.Option(help="adam or muon.")] = "adam",
    capacity: Annotated[
        float, typer.Option(help="Experts drop tokens beyond so many even shares; 0: none.")
    ] = 0.0,
    program: Annotated[
        str, typer.Option(help=f"Whose habits: {', '.join(PROGRAMS)}.")
    ] = "megatron",
    tensor_overlap: Annotated[
        str,
        typer.Option(
            help="Collectives of tensor parallelism beside multiplications: none, weights (those "
            "of the backward that Megatron-LM hides) or all (in pieces: user buffers)."
        ),
    ] = "weights",
    recompute_layers: Annotated[
        int, typer.Option(help="Compute again only so many layers of each stage; 0: all.", min=0)
    ] = 0,
    zero: Annotated[str, typer.Option(help="ZeRO stages 0 to 3.")] = "1,2,3",
    attention: Annotated[str, typer.Option(help="flash or plain.")] = "flash",
    clock: Annotated[str, typer.Option(help="makespan or longest-stage.")] = "makespan",
    images: Annotated[
        str, typer.Option(help="Pictures per sequence for a vision tower: 2, or 2x1024 patches.")
    ] = "",
    cut: Annotated[
        str, typer.Option(help="balanced, even, one-less, or a layout: Ett|ttL.")
    ] = "balanced",
    reserve: Annotated[float, typer.Option(help="GB per device kept free.")] = 4.0,
    efficiencies: Annotated[str | None, typer.Option(help="Measured efficiencies, JSON.")] = None,
    profile: Annotated[str | None, typer.Option(hidden=True)] = None,
    pass_times: Annotated[str | None, typer.Option(help="Measured pass times, JSON.")] = None,
    top: Annotated[int, typer.Option(help="Certainly simulate so many of the fastest.")] = 50,
    rows: Annotated[int, typer.Option(help="Rows to show.")] = 10,
    jobs: Annotated[int | None, typer.Option(help="Processes.")] = None,
    results: Annotated[str | None, typer.Option(help="Stream rows here; resume from it.")] = None,
    robust: Annotated[int, typer.Option(help="Monte Carlo draws for the rows shown.")] = 0,
    replay: Annotated[int, typer.Option(help="Play so many rows in the engine.")] = 0,
    row: Annotated[int, typer.Option(help="The row that exports and pictures show.")] = 1,
    html: Annotated[str | None, typer.Option(help="The plan as a page, that row first.")] = None,
    plotly: PlotlyOption = "embed",
    torchtitan_dir: Annotated[
        str | None, typer.Option(help="Command line and CSV of that row.")
    ] = None,
    megatron_flags: Annotated[bool, typer.Option(help="Print that row's flags.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Ranked ways to train a model on a machine, and why the rest was refused.

    Example: python -m sim plan --model llama-3-70b --cluster 64xh100 --sequence 8192 --batch 512
    """
    if clock.replace("-", "_") not in ("makespan", "longest_stage"):
        raise ValueError(f"clock is {clock!r}: use makespan or longest-stage")
    for name, number, least in [("rows", rows, 1), ("robust", robust, 0), ("replay", replay, 0)]:
        if number < least:
            raise ValueError(f"{name} is {number}: it must be a whole number >= {least}")
    if html is not None:
        check_writable(html)
    if torchtitan_dir:
        Path(torchtitan_dir).mkdir(parents=True, exist_ok=True)
    machine = _machine(
        cluster, devices, per_node=per_node, inside=inside, between=between, per_rack=per_rack,
        across=across,
    )  # fmt: skip
    measured = renamed("--profile", profile, "--efficiencies", efficiencies)
    efficiency = (
        read_profile(measured, machine.device.name)
        if measured
        else efficiency_of(machine.device.name)
    )
    shape = model_of(model)
    if images:
        shape = with_images(shape, *images_told(images))
    problem = Problem(
        shape, machine, efficiency, reserve=reserve * 1e9,
        clock=cast(Any, clock.replace("-", "_")), cut=cut,
        measured=read_pass_times(pass_times) if pass_times else None,
    )  # fmt: skip
    for note in (*problem.model.notes, *problem.machine.notes):
        print(f"note: {note}", file=sys.stderr)
    space = Space(
        tensor=_sizes(tensor, "tensor"), pipeline=_sizes(pipeline, "pipeline"),
        data=_sizes(data, "data"), microbatch=_sizes(microbatch, "microbatch"),
        virtual=_sizes(virtual, "virtual"), expert=_sizes(expert, "expert"),
        schedules=tuple(_words(schedules)), recompute=cast(Any, tuple(_words(recompute))),
        zero=_sizes(zero, "zero"), attention=cast(Any, attention),
        context=_sizes(context, "context"), context_by=cast(Any, context_by),
        precision=cast(Any, tuple(_words(precision))), vocabulary=cast(Any, vocabulary),
        recompute_layers=recompute_layers, frozen=frozen, lora=lora,
        optimizer=cast(Any, optimizer), capacity=capacity, program=program,
        tensor_overlap=cast(Any, tensor_overlap),
    )  # fmt: skip
    with deferred_sigint() as ctrl_c:  # what the search has found is shown, whenever Ctrl-C comes
        table = plan(
            problem.model, machine, sequence=sequence, batch=batch, space=space,
            efficiency=efficiency, top=top, clock=problem.clock, cut=problem.cut,
            reserve=problem.reserve, measured=problem.measured, results=results, jobs=jobs,
            progress=True,
        )  # fmt: skip
        done = table[table["status"] == "simulated"]
        there, go_on = 1 <= row <= max(len(done), 1), not table.attrs["interrupted"]
        if go_on and not there:
            raise ValueError(f"row is {row}: there are rows 1 to {len(done)}")
        more: dict[str, pd.DataFrame] = {}
        try:
            with ctrl_c.let_through():
                if robust and go_on:
                    more["robustness"] = robustness(problem, table, rows=rows, draws=robust)
                if replay and go_on:
                    more["replay"] = replayed(problem, table, rows=replay)
        except KeyboardInterrupt:
            print("interrupted: not everything that was asked for is here", file=sys.stderr)
        details = {} if not len(done) else taken_apart(problem, table, rows=rows, row=row)
        if as_json:
            found = plan_object(problem, table, details, rows=rows)
            found |= {name: records(extra) for name, extra in more.items()}
            print(json.dumps(found, allow_nan=False))
        else:
            print(plan_text(problem, table, details, rows=rows, row=row))
            for name, extra in more.items():
                print(MORE[name], _text(extra), sep="\n")
        sys.stdout.flush()
    if there and len(done):
        chosen = configuration_of(done.iloc[row - 1])
        if html:
            from ..cli.as_typed import as_typed
            from .page import plan_page

            page = plan_page(problem, table, details, row=row, command=as_typed())
            write_page(html, page, plotly)
        made = exports(
            problem, chosen, torchtitan_dir=torchtitan_dir, megatron_flags=megatron_flags
        )
        for sentence in made.refused:
            print(f"not written: {sentence}", file=sys.stderr)
        write_exports(made, torchtitan_dir, flags_to=sys.stderr if as_json else sys.stdout)
        if made.refused:
            raise typer.Exit(1)
    elif html:
        print(f"{html} is not written: there is no row to show", file=sys.stderr)


def _machine(cluster: str, devices: int | None, **wires: Any) -> Machine:
    if not cluster.endswith(".json"):
        return machine_of(cluster, devices, **wires)
    wires["per_rack"] = wires["per_rack"] or None
    return read_machine(cluster, devices=devices, **wires)


def _text(table: pd.DataFrame) -> str:
    """Columns as wide as they need: this is often read through a pipe."""
    return str(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")] if text.strip() else []


def _sizes(text: str, name: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in _words(text))
    except ValueError:
        raise ValueError(f"{name} is {text!r}: give whole numbers, e.g. 1,2,4") from None
