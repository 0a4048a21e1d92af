"""How fast activations move to the host and back: one way, the other, and both at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..replay import fitted_line
from .at_once import medians
from .setting import Place, Setting

Pair = tuple[Tensor, Tensor]
"""Where a copy goes, and where it comes from."""


def copy_speeds(setting: Setting, place: Place) -> dict[str, Any]:
    """Median seconds of copies by size, and the line through them.

    sizes: bytes. to_host, to_device, and the two while the other one is under way (`..._both`):
    each `seconds` by size, `latency` (s) and `bandwidth` (bytes/s) such that seconds ~ latency +
    bytes / bandwidth; what `--host-latency` and `--host-bandwidth` of the simulator take. Host
    memory is pinned. On a CPU both ends are host memory.
    """
    device = torch.device(setting.device)
    ways: dict[str, list[float]] = {}
    for size in setting.copies:
        out, back = _pair(size, device, to_host=True), _pair(size, device, to_host=False)
        for names, pairs in (
            (("to_host",), [out]),
            (("to_device",), [back]),
            (("to_host_both", "to_device_both"), [out, back]),
        ):
            times = medians([_copy(pair) for pair in pairs], repeats=setting.repeats)
            for name, median in zip(names, times, strict=True):
                ways.setdefault(name, []).append(median)
    sizes = np.array(setting.copies, dtype=float)
    found: dict[str, Any] = {"sizes": list(setting.copies)}
    for name, seconds_by_size in ways.items():
        latency, bandwidth = fitted_line(sizes, np.array(seconds_by_size))
        found[name] = {
            "seconds": seconds_by_size,
            "latency": latency,
            "bandwidth": bandwidth if np.isfinite(bandwidth) else None,
        }
    return found


def _pair(size: int, device: torch.device, *, to_host: bool) -> Pair:
    there = torch.empty(size, dtype=torch.uint8, device=device)
    here = torch.empty(size, dtype=torch.uint8, pin_memory=device.type == "cuda")
    there.fill_(1)
    here.fill_(1)
    return (here, there) if to_host else (there, here)


def _copy(pair: Pair) -> Callable[[], None]:
    """A call that copies and waits for it, on a stream of its own where there are streams."""
    target, source = pair
    on_gpu = target.is_cuda or source.is_cuda
    where = target.device if target.is_cuda else source.device
    stream: Any = torch.cuda.Stream(where) if on_gpu else None  # type: ignore[no-untyped-call]

    def copy() -> None:
        with torch.cuda.stream(stream) if on_gpu else nullcontext():
            target.copy_(source, non_blocking=True)
        if on_gpu:
            stream.synchronize()

    return copy
