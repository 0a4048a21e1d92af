"""The command `gpu`: everything that only a GPU can say, in one go."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.base.files import write_text_atomically
from sim.cli.as_typed import as_typed

from .options import Json, print_rows

if TYPE_CHECKING:
    from ..gpu import Outcome


def gpu_command(
    device: Annotated[str, typer.Option(help="cuda, or cpu to play it through.")] = "cuda",
    seconds: Annotated[
        float, typer.Option(min=1, help="It ends by then; every step has its share.")
    ] = 500,
    quick: Annotated[bool, typer.Option("--quick", help="The smallest sizes.")] = False,
    html: Annotated[str, typer.Option(help="Write the page here.")] = "out/gpu.html",
    output: Annotated[str, typer.Option("-o", "--output", help="Write the figures here.")] = "",
    as_json: Json = False,
) -> None:
    """Visit a GPU: tests, parts, copies, every family, torch's classes; one page, one JSON object.

    Every step runs in processes of its own and within its share of the time: one that fails or
    hangs loses nothing else, the page says why, and the command ends with 1.

    Example: python -m validation gpu --html out/gpu.html -o out/gpu.json
    """
    from ..gpu import gpu_page, outcomes, setting_for
    from ..provenance import provenance

    setting = setting_for(device, quick=quick)
    began = time.monotonic()
    watched = sys.stderr.isatty()  # a log gets a line for each step instead

    def tell(line: str) -> None:
        if not watched:
            print(line, file=sys.stderr, flush=True)

    found = outcomes(setting, seconds=seconds, tell=tell, progress=watched)
    facts = provenance(device, command=as_typed()) | {
        "devices": setting.n_devices,
        "microbatches": setting.n_microbatches,
        "workload": str(setting.workload),
        "seconds": round(time.monotonic() - began, 1),
    }
    told = {
        "provenance": facts,
        "setting": asdict(setting) | {"families": list(setting.families)},
        "steps": {outcome.name: _told(outcome) for outcome in found},
    }
    text = json.dumps(told, indent=1, allow_nan=False)
    if output:
        write_text_atomically(output, text)
    if html:
        write_text_atomically(html, gpu_page(found, facts, command=as_typed()))
        print(f"wrote {html}", file=sys.stderr)
    if as_json:
        print(text)
    else:
        _show(found)
    if any(outcome.error for outcome in found):
        raise typer.Exit(1)


def _told(outcome: Outcome) -> dict[str, Any]:
    from ..experiment_result import Experiment
    from .report import facts

    found = outcome.found
    return {
        "title": outcome.title,
        "seconds": outcome.seconds,
        "error": outcome.error or None,
        "found": facts(found) if isinstance(found, Experiment) else found,
    }


def _show(found: list[Outcome]) -> None:
    from ..experiment_result import Experiment

    for outcome in found:
        print(f"{outcome.title}: {outcome.error or 'came through'} ({outcome.seconds:.0f} s)")
        if isinstance(outcome.found, Experiment):
            columns = ["family", "simulated_makespan", "measured_makespan",
                       "error_makespan", "error_replay", "error_peak_bytes"]  # fmt: skip
            table = outcome.found.table()[columns]
            print_rows(table.to_dict("records"), shares=columns[3:])
