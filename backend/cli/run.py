"""The command `run`: one schedule on real tensors, held against a plain backward."""

from __future__ import annotations

import json
import os
import platform
from typing import Annotated, Any

import typer

from .engines import ENGINES, Found, Request
from .setting import Asked, count, layers_of, schedule_of, seconds, word

DTYPES = ("float32", "float64", "bfloat16")


def _option(*flags: str, value: str, help: str) -> Any:
    return typer.Option(*flags, metavar=value, help=help, show_default=False)


def run_command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="FAMILY|FILE",
            help="A family (see `python -m sim families`), a schedule as JSON, or a torch CSV.",
            show_default=False,
        ),
    ],
    devices: Annotated[
        str | None, _option("-p", "--devices", value="P", help="Pipeline devices.")
    ] = None,
    microbatches: Annotated[
        str | None, _option("-m", "--microbatches", value="M", help="Microbatches in the batch.")
    ] = None,
    stages: Annotated[
        str | None,
        _option("-v", "--stages-per-device", value="V", help="For families that take it."),
    ] = None,
    group_size: Annotated[
        str | None, _option("--group-size", value="N", help="For interleaved families.")
    ] = None,
    slices: Annotated[
        str | None, _option("--slices", value="K", help="Slices of every sequence.")
    ] = None,
    engine: Annotated[
        str,
        _option(
            "--engine",
            value="NAME",
            help="local: one process, a thread per device. torch: torch's own runtime, a process "
            "per device under torchrun. [default: local]",
        ),
    ] = "local",
    device: Annotated[
        str, _option("--device", value="NAME", help="cpu or cuda. [default: cpu]")
    ] = "cpu",
    split: Annotated[
        str,
        _option(
            "--split",
            value="HOW",
            help="deferred: weight gradients put aside. native: torch's own. [default: deferred]",
        ),
    ] = "deferred",
    layers: Annotated[
        str | None,
        _option(
            "--layers", value="N|a,b,..", help="Blocks in all, or per stage. [default: 1 per stage]"
        ),
    ] = None,
    width: Annotated[str, _option("--width", value="N", help="[default: 64]")] = "64",
    heads: Annotated[str, _option("--heads", value="N", help="[default: 4]")] = "4",
    vocabulary: Annotated[str, _option("--vocabulary", value="N", help="[default: 128]")] = "128",
    sequence: Annotated[str, _option("--sequence", value="N", help="Tokens. [default: 32]")] = "32",
    rows: Annotated[
        str, _option("--rows", value="N", help="Sequences in a microbatch. [default: 2]")
    ] = "2",
    dtype: Annotated[
        str, _option("--dtype", value="TYPE", help=f"{', '.join(DTYPES)}. [default: float32]")
    ] = "float32",
    checkpoint: Annotated[
        bool, typer.Option("--checkpoint", help="Blocks recompute their forward in B.")
    ] = False,
    seed: Annotated[
        str, _option("--seed", value="N", help="Of weights and data. [default: 0]")
    ] = "0",
    steps: Annotated[
        str, _option("--steps", value="N", help="Timed iterations. [default: 1]")
    ] = "1",
    warmup: Annotated[
        str, _option("--warmup", value="N", help="Iterations before them. [default: 1]")
    ] = "1",
    delay: Annotated[
        str | None,
        _option("--delay", value="SECONDS", help="Added to every transfer (local engine)."),
    ] = None,
    partitions: Annotated[
        str,
        _option(
            "--partitions",
            value="HOW",
            help="On cuda (local engine): streams, or green: disjoint parts of the GPU. "
            "[default: streams]",
        ),
    ] = "streams",
    timeout: Annotated[
        str,
        _option("--timeout", value="SECONDS", help="Without progress: give up. [default: 120]"),
    ] = "120",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON on stdout, and nothing else.")
    ] = False,
) -> None:
    """Run one schedule on a small transformer and compare it with a plain backward.

    Example:  python -m backend run v-half -p 2 -m 8 --steps 5

    Times are seconds of the iteration of median makespan. peak_bytes: most that passes keep on each
    device, without weights, gradients and values in transit. max_gradient_error: largest deviation
    of any gradient entry, relative to the largest entry of the same parameter.
    """
    asked = Asked(
        count(devices, "-p"),
        count(microbatches, "-m"),
        count(stages, "-v"),
        count(group_size, "--group-size"),
        count(slices, "--slices"),
    )
    word(engine, "--engine", ("local", "torch"))
    word(device, "--device", ("cpu", "cuda"))
    word(split, "--split", ("deferred", "native"))
    word(dtype, "--dtype", DTYPES)
    word(partitions, "--partitions", ("streams", "green"))
    whole = {
        "width": count(width, "--width"),
        "heads": count(heads, "--heads"),
        "vocabulary": count(vocabulary, "--vocabulary"),
        "sequence": count(sequence, "--sequence"),
    }
    numbers = {
        "rows": count(rows, "--rows"),
        "seed": count(seed, "--seed", least=0),
        "steps": count(steps, "--steps"),
        "warmup": count(warmup, "--warmup", least=0),
    }
    waits, limit = seconds(delay, "--delay"), seconds(timeout, "--timeout")
    schedule = schedule_of(name, asked)
    shape = layers_of(layers, schedule.n_stages)

    import torch

    from ..stages.transformer import Model

    model = Model(shape, **whole, dtype=getattr(torch, dtype), checkpointed=checkpoint)  # type: ignore[arg-type]
    request = Request(
        schedule, model, engine=engine, device=device, split=split, delay=waits,
        partitions=partitions, timeout=limit, **numbers,  # type: ignore[arg-type]
    )  # fmt: skip
    found = ENGINES[engine](request)
    if found is None:  # another rank prints
        return
    summary = _summary(request, found)
    if as_json:
        print(json.dumps(summary))
    else:
        for key, value in summary.items():
            print(f"{key:20} {_shown(value)}")


def _summary(request: Request, found: Found) -> dict[str, Any]:
    import torch

    from sim import longest_stage, makespan

    schedule, result = request.schedule, found.result
    times = sorted(float(makespan(trace)) for trace in result.traces)
    return {
        "schedule": schedule.name,
        "engine": request.engine,
        "device": request.device,
        "devices": schedule.n_devices,
        "microbatches": schedule.n_microbatches,
        "stages": schedule.n_stages,
        "slices": schedule.n_slices,
        "split": request.split,
        "dtype": str(request.model.dtype).removeprefix("torch."),
        "loss": result.loss,
        "reference_loss": found.reference_loss,
        "max_gradient_error": found.error,
        "makespan": float(makespan(result.trace)),
        "longest_stage": float(longest_stage(result.trace)),
        "fastest_makespan": times[0],
        "slowest_makespan": times[-1],
        "peak_bytes": list(result.peak_bytes),
        "most_bytes": list(result.most_bytes),
        "transit_bytes": list(result.transit_bytes),
        "static_bytes": list(result.static_bytes),
        "torch": torch.__version__,
        "hardware": _hardware(request.device),
    }


def _hardware(device: str) -> str:
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    return f"{platform.machine()}, {os.cpu_count()} CPUs"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
