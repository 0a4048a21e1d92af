"""A trace in the form that HolisticTraceAnalysis reads: a file per device, passes as GPU kernels.

That tool (Meta, github.com/facebookresearch/HolisticTraceAnalysis) analyses torch profiler traces
of GPUs: per rank the time of computation, of communication and of neither, and why a rank idles.
For it every pass is a kernel on stream 7 and every transfer one of NCCL's on stream 20, each with
the launch that it looks for.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..base.files import write_text_atomically
from ..base.numbers import Number
from ..engine.trace import Trace
from .perfetto import perfetto

COMPUTE_STREAM, TRANSFER_STREAM = 7, 20


def hta(trace: Trace, *, microseconds: Number = 1_000_000) -> list[dict[str, Any]]:
    """The JSON-ready file of each device, `(n_devices,)`.

    microseconds: how many of them one unit of the trace's times is, as for `perfetto`.
    """
    n = trace.schedule.n_devices
    events: list[list[dict[str, Any]]] = [[] for _ in range(n)]
    slices = perfetto(trace, microseconds=microseconds)["traceEvents"]
    for number, event in enumerate(event for event in slices if event["ph"] == "X"):
        rank, transfer = event["pid"], event["tid"] != 0
        stream = TRANSFER_STREAM if transfer else COMPUTE_STREAM
        name = f"ncclDevKernel_SendRecv {event['name']}" if transfer else event["name"]
        link = {"correlation": number + 1, "External id": number + 1}
        events[rank] += [
            {
                "ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 1, "tid": 1,
                "ts": event["ts"], "dur": 0, "args": link,
            },
            {
                "ph": "X", "cat": "kernel", "name": name, "pid": rank, "tid": stream,
                "ts": event["ts"], "dur": event["dur"],
                "args": link | {"stream": stream, "device": rank},
            },
        ]  # fmt: skip
    return [
        {
            "schemaVersion": 1,
            "distributedInfo": {"backend": "nccl", "rank": rank, "world_size": n},
            "deviceProperties": [],
            "traceEvents": sorted(found, key=lambda event: event["ts"]),
        }
        for rank, found in enumerate(events)
    ]


def write_hta(
    trace: Trace, folder: str | os.PathLike[str], *, microseconds: Number = 1_000_000
) -> list[str]:
    """Write `rank0.json`, `rank1.json`, ... into `folder`, which is made; their paths."""
    os.makedirs(folder, exist_ok=True)
    paths = []
    for rank, found in enumerate(hta(trace, microseconds=microseconds)):
        path = Path(folder) / f"rank{rank}.json"
        write_text_atomically(path, json.dumps(found, allow_nan=False, separators=(",", ":")))
        paths.append(str(path))
    return paths
