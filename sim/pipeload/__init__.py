"""Inference on one device with layers streamed from disk: PIPELOAD of Hermes, and what it replaces.

    loader 0   | load 0 ...... | load 2 ...... |            n agents read from one disk
    loader 1   | load 1 ...... | load 3 ...... |
    inference                  | F0 | F1 |     | F2 | F3 |  one agent computes in model order
    daemon                          ^ frees 0, 1 ...        and grants memory, in layer order

Source: Han et al. 2024, Hermes, arXiv 2409.04249.
"""

from __future__ import annotations

from .disk import Disk, disk_of
from .layers import (
    Layer,
    MemoryLimitTooSmall,
    StreamedModel,
    model_from_json,
    model_to_json,
    require_room,
)
from .plans import best_plan, plans
from .play import STRATEGIES, Strategy, stream
from .shapes import SHAPES, equal_layers, shaped
from .trace import Compute, MemoryChange, Read, latency, streaming_trace, waiting_peak

__all__ = [
    "SHAPES",
    "STRATEGIES",
    "Compute",
    "Disk",
    "Layer",
    "MemoryChange",
    "MemoryLimitTooSmall",
    "Read",
    "Strategy",
    "StreamedModel",
    "best_plan",
    "disk_of",
    "equal_layers",
    "latency",
    "model_from_json",
    "model_to_json",
    "plans",
    "require_room",
    "shaped",
    "stream",
    "streaming_trace",
    "waiting_peak",
]
