"""`python -m sim pipeload`: how many loading agents for which memory, before anything is run."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..cli.page_file import PlotlyOption, write_page
from ..cli.text_files import check_writable
from ..metrics.metrics import peak_bytes
from .disk import Disk
from .layers import StreamedModel, model_from_json
from .plans import plans
from .play import stream
from .shapes import SHAPES, shaped
from .sizes import typed_bytes
from .trace import latency


def pipeload_command(
    model: Annotated[
        str, typer.Argument(help=f"{', '.join(SHAPES)}, or a JSON file with measured layers.")
    ],
    load: Annotated[float, typer.Option(help="Seconds to load a layer, disk to oneself.")] = 10,
    compute: Annotated[float, typer.Option(help="Seconds to compute a layer.")] = 1,
    memory_limit: Annotated[
        list[str] | None,
        typer.Option(help="Bytes, 400MB works too; give it several times for a table of plans."),
    ] = None,
    loaders: Annotated[int, typer.Option(help="Loading agents; 0 plans for every limit.")] = 0,
    max_loaders: Annotated[int, typer.Option(min=1, help="Most agents to plan with.")] = 8,
    saturation: Annotated[
        float, typer.Option(help="Readers that the disk serves at full speed.")
    ] = math.inf,
    html: Annotated[Path | None, typer.Option(help="Write the time line there.")] = None,
    plotly: PlotlyOption = "embed",
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON on stdout and nothing else.")
    ] = False,
) -> None:
    """Plan inference with layers streamed from disk.

    Example: `python -m sim pipeload bert-large --memory-limit 400000000`.
    """
    if html is not None:
        check_writable(str(html))
    limits = [typed_bytes(text, "--memory-limit") for text in memory_limit or ()]
    streamed, disk = _model(model, load, compute), Disk(saturation)
    limits = limits or [int(streamed.bytes)]
    rows: list[dict[str, Any]]
    if loaders:
        rows = []
        for limit in limits:
            trace = stream(streamed, loaders=loaders, memory_limit=limit, disk=disk)
            rows.append(
                {"memory_limit": limit, "loaders": loaders, "latency": latency(trace),
                 "peak_bytes": peak_bytes(trace)[0]}
            )  # fmt: skip
    else:
        table = plans(streamed, limits, max_loaders=max_loaders, disk=disk)
        rows = json.loads(table.to_json(orient="records"))
        for limit in sorted({*limits} - {row["memory_limit"] for row in rows}):
            least = streamed.smallest_limit
            print(f"no plan for {limit} bytes: {least} is the smallest limit", file=sys.stderr)
    if html:
        from ..cli.as_typed import as_typed
        from ..show.pages import facts_of
        from .page import pipeload_page

        asked = {"load": load, "compute": compute} if model in SHAPES else {}
        if saturation != math.inf:
            asked |= {"saturation": saturation}
        facts = facts_of({"model": streamed.name, "layers": len(streamed.layers), **asked})
        page = pipeload_page(streamed, rows, disk=disk, facts=facts, command=as_typed())
        write_page(str(html), page, plotly)
    if as_json:
        print(json.dumps(rows))
        return
    import pandas as pd

    print(pd.DataFrame(rows).to_string(index=False))


def _model(name: str, load: float, compute: float) -> StreamedModel:
    if name not in SHAPES and Path(name).is_file():
        return model_from_json(Path(name).read_text(encoding="utf-8"))
    if name not in SHAPES and name.endswith(".json"):
        raise ValueError(f"{name}: no such file; other than files there are {', '.join(SHAPES)}")
    return shaped(name, load=load, compute=compute)
