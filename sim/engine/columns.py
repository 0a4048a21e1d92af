"""The columns of the frames of a `Trace`: what they hold, `Trace` says."""

from __future__ import annotations

OPS = ("device", "position", "kind", "stage", "microbatch", "slice", "iteration", "step",
       "start", "end", "written", "arrived", "source")  # fmt: skip
TRANSFERS = ("value", "stage", "microbatch", "slice", "iteration", "source", "destination",
             "link", "bytes", "ready", "start", "end")  # fmt: skip
HOST = -1
"""In place of a device: the memory of the host."""
MEMORY = ("device", "time", "change", "live", "activations", "reason")
