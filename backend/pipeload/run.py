"""Runs a model that does not fit: its layers come from disk while it computes, and leave again.

    loader 0   | part 0 | part 2 |  ...     threads; the daemon grants memory in layer order
    loader 1   | part 1 | part 3 |  ...
    caller              | F0 | F1 | F2 |    computes in order; a layer is freed when it is done

`sim.pipeload` plays the same run on paper, and the trace of this one has the same shape. The output
is that of the model in memory, bit for bit: the same kernels get the same weights.

Source: Han et al. 2024, Hermes, arXiv 2409.04249. Where we differ: memory is a hard limit, so a
layer counts from the start of its load, and activations count too.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sim import Trace
from sim.pipeload import (
    STRATEGIES,
    Layer,
    Strategy,
    StreamedModel,
    require_room,
    streaming_trace,
)

from ..live_bytes import LiveBytes
from .agents import Agents, PipeloadError
from .layer_files import LayerFileError, StoredModel, open_model
from .layer_memory import fresh_memory
from .throttle import Throttle


@dataclass(frozen=True)
class StreamedRun:
    """output: of the last module. latency: seconds from the start of the first load to the output.
    peak_bytes: of weights and activations alive at once, counted storage by storage.
    model: bytes of the layers and of what stays (resident weights and activations). trace: who did
    what when."""

    output: Tensor
    latency: float
    peak_bytes: int
    model: StreamedModel
    trace: Trace


def run_streamed(
    directory: str | Path | StoredModel,
    skeletons: Sequence[nn.Module],
    inputs: Tensor,
    *,
    loaders: int = 1,
    memory_limit: int | None = None,
    strategy: Strategy = "pipeload",
    throttle: Throttle | None = None,
    live_bytes: LiveBytes | None = None,
) -> StreamedRun:
    """The output of a stored model for `inputs`, in at most `memory_limit` bytes.

    skeletons: the modules that were stored, for their code alone; their weights are not used and
        may be on the meta device.
    loaders, memory_limit, strategy: as in `sim.pipeload.stream`.
    throttle: a slower disk than there is. live_bytes: to see afterwards that nothing is alive.

    Resident parts are loaded before the clock starts. Raises MemoryLimitTooSmall, LayerFileError or
    PipeloadError.
    """
    stored = directory if isinstance(directory, StoredModel) else open_model(directory)
    if loaders < 1:
        raise ValueError(f"loaders is {loaders}: it must be a whole number >= 1")
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy is {strategy!r}: use one of {', '.join(STRATEGIES)}")
    if inputs.device.type != "cpu":
        raise ValueError(f"the input is on {inputs.device}: layers are streamed to the CPU only")
    model = streamed_model(stored, skeletons, inputs)
    require_room(model, memory_limit, whole=strategy != "pipeload")
    run = Agents(stored, model, strategy, memory_limit, throttle, live_bytes or LiveBytes())
    try:
        output, latency = run.play(skeletons, inputs, loaders)
        peak = run.live.peak
        if memory_limit is not None and peak > memory_limit:
            raise PipeloadError(
                f"the run took {peak} bytes under a limit of {memory_limit}: a module needs more "
                "for its activations than modules of its shape did before"
            )
        trace = streaming_trace(
            model, run.reads, run.computes, run.changes, capacity=memory_limit,
            origin="measured", notes={"strategy": strategy, "loaders": loaders},
        )  # fmt: skip
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)  # they hold weights
        raise
    finally:
        run.forget()
        run.live.remove([inputs])  # the caller's, whatever happened
    return StreamedRun(output, latency, peak, model, trace)


def streamed_model(
    stored: StoredModel, skeletons: Sequence[nn.Module], inputs: Tensor
) -> StreamedModel:
    """Bytes of the layers, and of what stays: resident parts, and the most activations at once.

    The times of its layers are 0; `profile_layers` measures them.
    """
    if len(skeletons) != len(stored.parts):
        raise LayerFileError(
            f"{stored.directory} holds {len(stored.parts)} parts, but {len(skeletons)} modules "
            "are to be filled with them"
        )
    layers = [Layer(part.bytes, 0, 0, part.file) for part in stored.parts if not part.resident]
    # Tied weights are one file, and once in memory.
    stays = sum({part.file: part.bytes for part in stored.parts if part.resident}.values())
    return StreamedModel(
        tuple(layers), stays + _activation_peak(skeletons, inputs), stored.directory.name
    )


def _activation_peak(skeletons: Sequence[nn.Module], inputs: Tensor) -> int:
    """The most bytes of activations at once, input included: found by running every kind of module
    once, at the real sizes, on weights that are all zero."""
    seen: dict[object, tuple[int, torch.Size, torch.dtype]] = {}
    peak, shape, dtype = 0, inputs.shape, inputs.dtype
    for skeleton in skeletons:
        state = skeleton.state_dict()
        kinds = tuple((name, t.shape, t.dtype) for name, t in state.items())
        key = str(skeleton), kinds, shape, dtype
        if key not in seen:
            zeros = {
                name: fresh_memory(t.nbytes)[1].view(t.dtype).view(t.shape)
                for name, t in state.items()
            }
            live = LiveBytes(zeros.values())
            given = torch.zeros(shape, dtype=dtype)
            with torch.inference_mode(), live.counting():
                live.add([given])
                made = functional_call(skeleton, zeros, (given,))
            seen[key] = live.peak, made.shape, made.dtype
        more, shape, dtype = seen[key]
        peak = max(peak, more)
    return peak + inputs.untyped_storage().nbytes()  # the caller keeps the input throughout
