"""The command `run`: one schedule on real tensors, held against a plain backward."""

from __future__ import annotations

import json
import os
import platform
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli.option_table import with_options

from .engines import ENGINES, Comparison
from .options import RunOptions
from .setting import model_of, schedule_of

if TYPE_CHECKING:
    from sim import Schedule


@with_options(RunOptions)
def run_command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="FAMILY|FILE",
            help="A family (see `python -m sim families`), a schedule as JSON, or a torch CSV.",
            show_default=False,
        ),
    ],
    options: RunOptions,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON on stdout, and nothing else.")
    ] = False,
) -> None:
    """Run one schedule on a small transformer and compare it with a plain backward.

    Example:  python -m backend run v-half -p 2 -m 8 --steps 5

    Times are seconds of the iteration of median makespan. peak_bytes: most that passes keep on each
    device, without weights, gradients and values in transit. host_peak_bytes: most that the host
    held of what was offloaded. max_gradient_error: largest deviation
    of any gradient entry, relative to the largest entry of the same parameter.
    """
    schedule = schedule_of(name, options)
    model = model_of(options, schedule.n_stages)
    found = ENGINES[options.engine](schedule, model, options)
    if found is None:  # another rank prints
        return
    summary = _summary(schedule, options, found)
    if as_json:
        print(json.dumps(summary))
    else:
        for key, value in summary.items():
            print(f"{key:20} {_text(value)}")


def _summary(schedule: Schedule, options: RunOptions, found: Comparison) -> dict[str, Any]:
    import torch

    from sim import longest_stage, makespan

    result = found.result
    times = sorted(float(makespan(trace)) for trace in result.traces)
    return {
        "schedule": schedule.name,
        "engine": options.engine,
        "device": options.device,
        "devices": schedule.n_devices,
        "microbatches": schedule.n_microbatches,
        "stages": schedule.n_stages,
        "slices": schedule.n_slices,
        "split": options.split,
        "dtype": options.dtype,
        "loss": result.loss,
        "reference_loss": found.reference_loss,
        "max_gradient_error": found.gradient_error,
        "makespan": float(makespan(result.trace)),
        "longest_stage": float(longest_stage(result.trace)),
        "fastest_makespan": times[0],
        "slowest_makespan": times[-1],
        "peak_bytes": list(result.peak_bytes),
        "most_bytes": list(result.most_bytes),
        "host_peak_bytes": result.host_peak_bytes,
        "transit_bytes": list(result.transit_bytes),
        "static_bytes": list(result.static_bytes),
        "torch": torch.__version__,
        "hardware": _hardware(options.device),
    }


def _hardware(device: str) -> str:
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    return f"{platform.machine()}, {os.cpu_count()} CPUs"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
