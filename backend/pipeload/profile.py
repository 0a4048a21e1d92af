"""Measures what the planner needs, and holds the planned run against the real one.

A profile is one run with one loader in the memory of one layer: loads and computations take turns
and do not disturb each other. Then several readers at once tell where the disk saturates.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sim.pipeload import Disk, Layer, Strategy, StreamedModel, latency, stream

from .layer_files import CHUNK, StoredModel, drop_page_cache, open_model, read_part
from .run import StreamedRun, run_streamed, streamed_model
from .throttle import RateLimiter, Throttle

UNSATURATED = 0.95
"""From this part of the ideal gain on, readers count as not disturbing each other."""


@dataclass(frozen=True)
class Profile:
    """Measured seconds per layer, and the disk: what `sim.pipeload.stream` and `plans` take."""

    model: StreamedModel
    disk: Disk


class StreamOptions(NamedTuple):
    """How to run a model: see `sim.pipeload.stream`."""

    loaders: int = 1
    memory_limit: int | None = None
    strategy: Strategy = "pipeload"


@dataclass(frozen=True)
class Measured:
    """Runs with the same options: latency in seconds of the fastest, what the simulator says of it,
    the most bytes of any, and the fastest run itself."""

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
    memory_limit: int | None = None,
    throttle: Throttle | None = None,
) -> Profile:
    """Times of every layer (its fastest in `repeats` runs from a cold cache) and the disk's
    saturation, seen with up to `readers` readers. What the resident modules compute after the last
    layer counts as its.

    memory_limit: of the run to come; there are never more readers at once than have room in it.
    """
    stored = directory if isinstance(directory, StoredModel) else open_model(directory)
    setting = _Setting(stored, skeletons, inputs, throttle)
    if memory_limit is not None:
        model = streamed_model(stored, skeletons, inputs)
        largest = model.smallest_limit - model.resident_bytes
        readers = min(readers, int((memory_limit - model.resident_bytes) // max(largest, 1)))
    disk = Disk(_saturation(stored, max(readers, 1), throttle))
    apart = _one_layer_at_a_time(setting)
    return Profile(_timed([setting.run(apart) for _ in range(max(repeats, 1))]), disk)


def measured_runs(
    directory: str | Path | StoredModel,
    skeletons: Sequence[nn.Module],
    inputs: Tensor,
    *,
    options: Mapping[str, StreamOptions],
    disk: Disk,
    repeats: int = 3,
    throttle: Throttle | None = None,
) -> dict[str, Measured]:
    """Every run of `options` from a cold cache, and what the simulator says of it on such a `disk`.

    They and a profile take turns, `repeats` times, so that what else the machine is doing
    meets all of them alike; of each the fastest counts.
    """
    stored = directory if isinstance(directory, StoredModel) else open_model(directory)
    setting = _Setting(stored, skeletons, inputs, throttle)
    apart = _one_layer_at_a_time(setting)
    profiles: list[StreamedRun] = []
    runs: dict[str, list[StreamedRun]] = {name: [] for name in options}
    for _ in range(max(repeats, 1)):
        profiles.append(setting.run(apart))
        for name, chosen in options.items():
            runs[name].append(setting.run(chosen))
    model = _timed(profiles)
    found = {}
    for name, chosen in options.items():
        best = min(runs[name], key=_latency)
        simulated = float(latency(stream(model, disk=disk, **chosen._asdict())))
        peak = max(run.peak_bytes for run in runs[name])
        found[name] = Measured(best.latency, simulated, peak, best)
    return found


def resident_output(
    directory: str | Path | StoredModel, skeletons: Sequence[nn.Module], inputs: Tensor
) -> Tensor:
    """What the model gives when all of it is in memory: every file read first, nothing streamed."""
    stored = directory if isinstance(directory, StoredModel) else open_model(directory)
    x = inputs
    with torch.inference_mode():
        weights = {part.file: read_part(stored, part) for part in set(stored.parts)}
        for skeleton, part in zip(skeletons, stored.parts, strict=True):
            x = torch.func.functional_call(skeleton, weights[part.file], (x,))
    return x


class _Setting(NamedTuple):
    stored: StoredModel
    skeletons: Sequence[nn.Module]
    inputs: Tensor
    throttle: Throttle | None

    def run(self, options: StreamOptions) -> StreamedRun:
        drop_page_cache(self.stored)
        return run_streamed(
            self.stored, self.skeletons, self.inputs, throttle=self.throttle, **options._asdict()
        )


def _one_layer_at_a_time(setting: _Setting) -> StreamOptions:
    """One loader in the memory of one layer."""
    return StreamOptions(
        memory_limit=int(
            streamed_model(setting.stored, setting.skeletons, setting.inputs).smallest_limit
        )
    )


def _latency(run: StreamedRun) -> float:
    return run.latency


def _timed(runs: Sequence[StreamedRun]) -> StreamedModel:
    """The model with the times of runs in which nothing overlapped: of each layer the fastest, as
    of whole runs the fastest counts. What else the machine does only ever adds to a layer's time.
    """
    loading, computing = [], []
    for run in runs:
        ops, reads = run.trace.ops, run.trace.transfers
        seconds = (ops["end"] - ops["start"]).tolist()
        seconds[-1] += run.latency - ops["end"].iloc[-1]
        computing.append(seconds)
        loading.append((reads["end"] - reads["start"]).tolist())
    layers = tuple(
        Layer(layer.bytes, min(loads), min(computes), layer.name)
        for layer, loads, computes in zip(
            runs[0].model.layers,
            zip(*loading, strict=True),
            zip(*computing, strict=True),
            strict=True,
        )
    )
    return replace(runs[0].model, layers=layers)


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
        if n == readers and gained >= UNSATURATED * n:
            return math.inf
        best = max(best, gained)
    return best


def _reading_seconds(stored: StoredModel, readers: int, throttle: Throttle | None) -> float:
    """Seconds to read all layers with that many readers, from a cold cache, and keep nothing."""
    parts = [part for part in stored.parts if not part.resident]
    limiter = RateLimiter(throttle) if throttle else None
    chunk = throttle.chunk if throttle else CHUNK
    failures: list[BaseException] = []

    def read(agent: int) -> None:
        try:
            for part in parts[agent::readers]:
                limited = limiter.reading() if limiter else nullcontext(lambda _: None)
                with limited as slow_down:
                    read_part(stored, part, between=slow_down, chunk=chunk)
        except BaseException as error:
            failures.append(error)

    drop_page_cache(stored)
    began = perf_counter()
    threads = [threading.Thread(target=read, args=(agent,)) for agent in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return perf_counter() - began
