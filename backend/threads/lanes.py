"""Where a pipeline device runs: a CPU thread, or a stream of one GPU; with its clock and copies."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

BoundaryTensors = tuple[Tensor | None, ...]
"""What crosses a stage boundary; None stands for a gradient that there is none of."""
Timestamp = Any
"""A moment on a lane's clock: seconds on a CPU, an event on a GPU."""


class Copied(NamedTuple):
    """Tensors copied for another device, and when the copy began and ended."""

    tensors: BoundaryTensors
    start: Timestamp
    end: Timestamp


class Lane(Protocol):
    """What a worker asks of the hardware under it."""

    def active(self) -> AbstractContextManager[Any]:
        """The context all passes of the worker run in."""

    def timestamp(self) -> Timestamp:
        """Now, in the order of the passes."""

    def copied(self, tensors: BoundaryTensors) -> Copied:
        """Real copies of `tensors`, for another device."""

    def accept(self, copied: Copied, delay: float) -> None:
        """Waits until `copied` is there, `delay` seconds after its end."""

    def stored(self, data: Tensor, *, host: bool) -> Tensor:
        """A copy of bytes on the host, or else in the memory of another device."""

    def loaded(self, data: Tensor) -> Tensor:
        """A copy of those here, for passes to come."""

    def finish(self) -> None:
        """Waits until everything this lane was given to do is done."""

    def seconds(self, origin: Timestamp, moment: Timestamp) -> float:
        """From `origin` to `moment`; after `finish`."""


class CpuLane:
    """A thread; copies are made by the sender, between two of its passes."""

    def active(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def timestamp(self) -> Timestamp:
        return time.perf_counter()

    def copied(self, tensors: BoundaryTensors) -> Copied:
        start = time.perf_counter()
        found = tuple(tensor if tensor is None else tensor.clone() for tensor in tensors)
        return Copied(found, start, time.perf_counter())

    def accept(self, copied: Copied, delay: float) -> None:
        if delay:
            sleep_until(copied.end + delay)

    def stored(self, data: Tensor, *, host: bool) -> Tensor:
        return data.clone()

    def loaded(self, data: Tensor) -> Tensor:
        return data.clone()

    def finish(self) -> None:
        pass

    def seconds(self, origin: Timestamp, moment: Timestamp) -> float:
        return float(moment - origin)


class CudaLane:
    """A stream for passes and another for what leaves the device, so that copies overlap passes.

    The worker only issues work: a pass is timed by events on its stream. No GPU has confirmed
    this class yet.
    """

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self.stream = stream
        self._copies = new_stream(stream.device)

    def active(self) -> AbstractContextManager[Any]:
        return torch.cuda.stream(self.stream)

    def timestamp(self) -> Timestamp:
        event = new_event()
        event.record(self.stream)
        return event

    def copied(self, tensors: BoundaryTensors) -> Copied:
        self._copies.wait_stream(self.stream)
        start, end = new_event(), new_event()
        with torch.cuda.stream(self._copies):
            start.record(self._copies)
            found = tuple(tensor if tensor is None else tensor.clone() for tensor in tensors)
            end.record(self._copies)
        for tensor in tensors:
            if tensor is not None:
                tensor.record_stream(self._copies)  # not to be reused before the copy is made
        return Copied(found, start, end)

    def accept(self, copied: Copied, delay: float) -> None:
        if delay:
            copied.end.synchronize()
            time.sleep(delay)
        self.stream.wait_event(copied.end)
        for tensor in copied.tensors:
            if tensor is not None:
                tensor.record_stream(self.stream)

    def stored(self, data: Tensor, *, host: bool) -> Tensor:
        data.record_stream(torch.cuda.current_stream(self.stream.device))
        if not host:
            return data.clone()
        pinned = torch.empty(data.shape, dtype=data.dtype, pin_memory=True)
        return pinned.copy_(data, non_blocking=True)

    def loaded(self, data: Tensor) -> Tensor:
        found = torch.empty(data.shape, dtype=data.dtype, device=self.stream.device)
        found.copy_(data, non_blocking=True)
        if data.device.type == "cuda":
            data.record_stream(torch.cuda.current_stream(self.stream.device))
        found.record_stream(self.stream)
        return found

    def finish(self) -> None:
        self._copies.synchronize()
        self.stream.synchronize()

    def seconds(self, origin: Timestamp, moment: Timestamp) -> float:
        return float(origin.elapsed_time(moment)) / 1e3


def make_lanes(
    device: str | torch.device, n_devices: int, streams: Sequence[torch.cuda.Stream] | None = None
) -> list[Lane]:
    """One lane per pipeline device, on CPU threads or on streams of one GPU.

    streams: on cuda, one per pipeline device instead of new ones. Raises ValueError for another
    number of them, and for a device that is not there.
    """
    kind = device_kind(device)
    if streams is not None and (kind != "cuda" or len(streams) != n_devices):
        raise ValueError(
            f"partitions has {len(streams)} entries for {n_devices} devices on {device}: give one "
            "per pipeline device, and only on cuda"
        )
    if kind == "cpu":
        return [CpuLane() for _ in range(n_devices)]
    return [
        CudaLane(stream) for stream in streams or [new_stream(device) for _ in range(n_devices)]
    ]


def device_kind(device: str | torch.device) -> str:
    """ "cpu" or "cuda"; ValueError for anything else, and for a GPU that is not there."""
    kind = str(device).partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"device is {str(device)!r}: the engines run on cpu or cuda")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {str(device)!r}, but torch sees no GPU here: use cpu")
    return kind


def new_stream(device: str | torch.device) -> torch.cuda.Stream:
    """A stream of its own on a GPU."""
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return stream


def new_event() -> torch.cuda.Event:
    """An event that knows its time."""
    event: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    return event


BUSY_WAIT = 3e-4
"""Seconds at the end of a wait that are spent asking the clock: sleeping is not exact to that."""


def sleep_until(moment: float) -> None:
    """Returns at `moment` on the clock `time.perf_counter`, some microseconds late at most."""
    while (left := moment - time.perf_counter()) > 0:
        time.sleep(left - BUSY_WAIT if left > BUSY_WAIT else 0)
