"""Measures what the planner needs, and holds the planned run against the real one.

A profile is one run with one loader in the memory of one layer: loads and computations take turns
and do not disturb each other. Then several readers at once tell where the disk saturates.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from sim.pipeload import Disk, Layer, Strategy, StreamedModel, latency, stream

from .layer_files import CHUNK, StoredModel, drop_cache, open_model, read_part
from .pipeload import StreamedRun, run_streamed, streamed_model
from .throttle import Pacer, Throttle

LINEAR = 0.95
"""From this part of ideal on, more readers count as not disturbing each other."""


@dataclass(frozen=True)
class Profile:
    """Measured seconds per layer, and the disk: what `sim.pipeload.stream` and `plans` take."""

    model: StreamedModel
    disk: Disk


@dataclass(frozen=True)
class Measured:
    """A kind of run: latency in seconds of the fastest repeat, what the simulator says, the most
    bytes of any repeat, and the fastest run itself."""

    latency: float
    simulated: float
    peak_bytes: int
    run: StreamedRun


def profile_layers(
    directory: str | Path | StoredModel,
    skeletons: Sequence[nn.Module],
    inputs: Tensor,
    *,
    readers: int = 4,
    repeats: int = 3,
    throttle: Throttle | None = None,
) -> Profile:
    """Times of every layer (of the fastest of `repeats` runs from a cold cache) and the disk's
    saturation, seen with up to `readers` readers. What the resident modules compute after the last
    layer counts as its."""
    stored = directory if isinstance(directory, StoredModel) else open_model(directory)
    model = streamed_model(stored, skeletons, inputs)
    run = _fastest(
        stored, skeletons, inputs, repeats=repeats, memory_limit=int(model.smallest_limit),
        throttle=throttle,
    )[0]  # fmt: skip
    ops, reads = run.trace.ops, run.trace.transfers
    computing = (ops["end"] - ops["start"]).tolist()
    computing[-1] += run.latency - ops["end"].iloc[-1]
    layers = tuple(
        Layer(layer.bytes, load, compute, layer.name)
        for layer, load, compute in zip(
            model.layers, (reads["end"] - reads["start"]).tolist(), computing, strict=True
        )
    )
    return Profile(replace(model, layers=layers), Disk(_saturation(stored, readers, throttle)))


def measured_run(
    directory: str | Path | StoredModel,
    skeletons: Sequence[nn.Module],
    inputs: Tensor,
    *,
    profile: Profile,
    loaders: int = 1,
    memory_limit: int | None = None,
    strategy: Strategy = "pipeload",
    repeats: int = 3,
    throttle: Throttle | None = None,
) -> Measured:
    """The fastest of `repeats` runs from a cold cache, and what the simulator says of the same."""
    stored = directory if isinstance(directory, StoredModel) else open_model(directory)
    run, peak = _fastest(
        stored, skeletons, inputs, repeats=repeats, loaders=loaders, memory_limit=memory_limit,
        strategy=strategy, throttle=throttle,
    )  # fmt: skip
    trace = stream(
        profile.model,
        loaders=loaders,
        memory_limit=memory_limit,
        disk=profile.disk,
        strategy=strategy,
    )
    return Measured(run.latency, float(latency(trace)), peak, run)


def resident_output(
    directory: str | Path | StoredModel, skeletons: Sequence[nn.Module], inputs: Tensor
) -> Tensor:
    """What the model gives when all of it is in memory: every file read first, nothing streamed."""
    stored = directory if isinstance(directory, StoredModel) else open_model(directory)
    x = inputs
    with torch.inference_mode():
        weights = [read_part(stored, part) for part in stored.parts]
        for skeleton, tensors in zip(skeletons, weights, strict=True):
            x = torch.func.functional_call(skeleton, tensors, (x,))
    return x


def _fastest(
    stored: StoredModel,
    skeletons: Sequence[nn.Module],
    inputs: Tensor,
    *,
    repeats: int,
    **how: Any,
) -> tuple[StreamedRun, int]:
    """The fastest run, whatever else the machine was doing, and the most bytes of any."""
    runs = []
    for _ in range(max(repeats, 1)):
        drop_cache(stored)
        runs.append(run_streamed(stored, skeletons, inputs, **how))
    return min(runs, key=lambda run: run.latency), max(run.peak_bytes for run in runs)


def _saturation(stored: StoredModel, readers: int, throttle: Throttle | None) -> float:
    """How many readers at full speed the disk is worth: infinite where nothing is lost."""
    parts = [part for part in stored.parts if not part.resident]
    readers = min(readers, len(parts))
    alone = _reading_seconds(stored, 1, throttle)
    best = 1.0
    for n in sorted({2, readers} - {1}):
        if n > readers:
            continue
        # An uneven last round is no loss of the disk's.
        rounds = math.ceil(len(parts) / n) * n / len(parts)
        gained = alone / _reading_seconds(stored, n, throttle) * rounds
        if n == readers and gained >= LINEAR * n:
            return math.inf
        best = max(best, gained)
    return best


def _reading_seconds(stored: StoredModel, readers: int, throttle: Throttle | None) -> float:
    """Seconds to read all layers with that many readers, from a cold cache, and keep nothing."""
    parts = [part for part in stored.parts if not part.resident]
    pacer = Pacer(throttle) if throttle else None
    chunk = throttle.chunk if throttle else CHUNK
    failures: list[BaseException] = []

    def read(agent: int) -> None:
        try:
            for part in parts[agent::readers]:
                pacing = pacer.reading() if pacer else nullcontext(lambda _: None)
                with pacing as hold:
                    read_part(stored, part, between=hold, chunk=chunk)
        except BaseException as error:
            failures.append(error)

    drop_cache(stored)
    began = perf_counter()
    threads = [threading.Thread(target=read, args=(agent,)) for agent in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return perf_counter() - began
