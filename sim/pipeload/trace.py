"""A streamed run, simulated or measured, as a `Trace`: the pictures and metrics of all others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from ..base.numbers import Number, exact, plain
from ..engine.columns import MEMORY, OPS, TRANSFERS
from ..engine.trace import Trace
from ..schedule.ir import Op, Schedule
from .layers import StreamedModel


class Read(NamedTuple):
    """One load: by which agent, when it asked for memory, when the read started and ended."""

    layer: int
    agent: int
    asked: Number
    start: Number
    end: Number


class Compute(NamedTuple):
    """The computation of one layer."""

    layer: int
    start: Number
    end: Number


class MemoryChange(NamedTuple):
    """Bytes taken or given back, and why: "load 3", or the pass that ended."""

    time: Number
    change: Number
    reason: str


def streaming_trace(
    model: StreamedModel,
    reads: Iterable[Read],
    computes: Iterable[Compute],
    changes: Iterable[MemoryChange],
    *,
    capacity: Number | None = None,
    origin: str = "simulated",
    notes: Mapping[str, Any] | None = None,
) -> Trace:
    """A trace of one device: a pass per layer, a transfer per load from the loading agents.

    Agent a appears as source 1 + a of its transfers, with link "loader a". Times count from the
    start of the first load.
    """
    import pandas as pd

    n = len(model.layers)
    by_layer = {read.layer: read for read in reads}
    order = tuple(Op("F", i, 0) for i in range(n))
    schedule = Schedule((0,) * n, (order,), 1, name="pipeload")
    ops = [
        (0, i, "F", i, 0, 0, 0, i, _time(start), _time(end), _time(by_layer[i].end),
         _time(by_layer[i].end), f"loader {by_layer[i].agent}")
        for i, start, end in sorted(computes)
    ]  # fmt: skip
    transfers = [
        ("layer", read.layer, 0, 0, 0, 1 + read.agent, 0, f"loader {read.agent}",
         _time(model.layers[read.layer].bytes), _time(read.asked), _time(read.start),
         _time(read.end))
        for read in sorted(by_layer.values())
    ]  # fmt: skip
    live = exact(model.resident_bytes)
    memory: list[tuple[Any, ...]] = [(0, 0, _time(live), _time(live), 0, "static")]
    for time, change, reason in changes:
        live += exact(change)
        memory.append((0, _time(time), _time(change), _time(live), 0, reason))
    return Trace(
        schedule,
        ops=pd.DataFrame(ops, columns=list(OPS)),
        transfers=pd.DataFrame(transfers, columns=list(TRANSFERS)),
        memory=pd.DataFrame(memory, columns=list(MEMORY)),
        origin=origin,
        capacity=(capacity,),
        notes=dict(notes or {}),
    )


def latency(trace: Trace) -> Number:
    """From the start of the first load to the end of the last computation."""
    end: Number = _scalar(trace.ops["end"].max())
    return end


def waiting_peak(trace: Trace) -> Number:
    """The most bytes of the resident part and of layers that are loaded and wait for their turn.

    The paper's account: a layer counts from the end of its load, and no more once the inference
    agent has it. The hard account, from the start of its load to the end of its computation, is
    `peak_bytes`.
    """
    static = trace.memory[trace.memory["reason"] == "static"]["change"]
    starts = dict(zip(trace.ops["stage"], trace.ops["start"], strict=True))
    changes = []
    for layer, size, end in zip(
        trace.transfers["stage"], trace.transfers["bytes"], trace.transfers["end"], strict=True
    ):
        if starts[layer] > end:
            changes += [(end, size), (starts[layer], -size)]
    live: Number = _scalar(static.sum())
    peak = live
    for _, change in sorted(changes):
        live += _scalar(change)
        peak = max(peak, live)
    return peak


def _time(number: Number) -> int | float:
    found = plain(exact(number))
    return float(found) if isinstance(found, Fraction) else found


def _scalar(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
