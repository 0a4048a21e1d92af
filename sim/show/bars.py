"""The bars of a time line: where each one lies, its label, and what hovering over it tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.numbers import Number
from ..base.text import number_text
from ..engine.device_steps import device_steps, device_sums
from ..engine.trace import Trace, checked_trace, in_time
from ..schedule.ir import PARTS, Op, Queue, Schedule, queue_of
from ..schedule.lanes import lanes
from .palette import KIND_NAMES, SUM

if TYPE_CHECKING:
    import pandas as pd

LABEL_SIZE, DIGIT_WIDTH = 10, 6
"""Height of a label, and width of one of its digits, in pixels."""
HALF_DIGIT = "\u2005"


def bars(trace: Trace, window: tuple[Number, Number] | None = None) -> pd.DataFrame:
    """The bars, a row each: kind, chunk, device, row (see `picture_rows`); start, length, offset,
    height; labels, hover; first and last microbatch; source, the number of the bar that wrote the
    input that came last, -1 where nothing came from elsewhere or it is not drawn.

    A pass on its own fills its row (height 1). Passes of different kinds fused into one step share
    the row, one above the other; passes of one kind fused into one kernel are a single bar. What a
    device waits for the sum of its gradients after its last pass is a bar of the kind `SUM`.
    window: (from, to); bars outside are left out.
    """
    import pandas as pd

    checked_trace(trace)
    if window is not None and not _is_window(window):
        raise ValueError(f"window is {window!r}: it must be (from, to), from < to")
    number = {row: n for n, row in enumerate(picture_rows(trace.schedule))}
    queues = zip(trace.ops["device"], map(queue_of, trace.ops["kind"]), strict=True)
    ops = trace.ops.assign(row=[number[spot] for spot in queues])
    ops = ops.sort_values(["row", "iteration", "position"], kind="stable")
    ops = ops.assign(before=_idle_before(ops))
    keys = ["device", "iteration", "step"]
    kinds = ops.groupby([*keys, "kind"], sort=False)
    ops = ops.assign(
        last=kinds["microbatch"].transform("last"), many=kinds["kind"].transform("size")
    )
    step_of = dict(zip(_names(ops), _keys(ops), strict=True))
    ops = ops[~ops.duplicated([*keys, "kind"])]
    if window is not None:
        ops = ops[(ops["end"] > window[0]) & (ops["start"] < window[1])]
    number_of = {key: n for n, key in enumerate(_keys(ops))}
    by_step = ops.groupby(keys, sort=False)["kind"]
    lanes = by_step.transform("size").to_numpy()
    start, end = (ops[name].to_numpy(dtype=float) for name in ("start", "end"))
    passes = pd.DataFrame(
        {
            "kind": ops["kind"].to_numpy(),
            "chunk": _chunks(trace.schedule, ops),
            "device": ops["device"].to_numpy(),
            "row": ops["row"].to_numpy(),
            "start": start,
            "length": end - start,
            "offset": by_step.cumcount().to_numpy() / lanes,
            "height": 1 / lanes,
            "label": _labels(ops, sliced=trace.schedule.n_slices > 1),
            "short": ops["microbatch"].astype(str).where(ops["many"] == 1, "").to_numpy(),
            "hover": _hovers(ops, several=trace.iterations > 1),
            "first": ops["microbatch"].to_numpy(),
            "last": ops["last"].to_numpy(),
            "source": [
                number_of.get(step_of.get((iteration, name), ()), -1)
                for iteration, name in zip(
                    ops["iteration"].tolist(), ops["source"].tolist(), strict=True
                )
            ],
        }
    )
    sums = [
        (SUM, 0, device, number[device, "compute"], start, end - start, 0.0, 1.0, "sum", "",
         f"<b>sum of gradients</b> on device {device}<br>{number_text(start)} to "
         f"{number_text(end)}, after its last pass", -1, -1, -1)
        for device, start, end in waits_for_sums(trace)
        if window is None or (end > window[0] and start < window[1])
    ]  # fmt: skip
    if not sums:
        return passes
    return pd.concat([passes, pd.DataFrame(sums, columns=passes.columns)], ignore_index=True)


def waits_for_sums(trace: Trace) -> list[tuple[int, float, float]]:
    """Device, start and end of every time that a device waits for the sum of its gradients after
    its last pass of an iteration."""
    steps = device_steps(trace)
    found = []
    for device, sums in device_sums(trace).items():
        last = dict(zip(steps[device].iteration, steps[device].end, strict=True))
        for iteration, arrived in enumerate(sums.arrived):
            if arrived > last[iteration]:
                times = (float(in_time(trace, t)) for t in (last[iteration], arrived))
                found.append((device, *times))
    return found  # type: ignore[return-value]


def last_end(trace: Trace) -> float:
    """When everything is over: the last pass, and the last sum of gradients; 0 if nothing ran."""
    ends = [float(trace.ops["end"].max())] if len(trace.ops) else [0.0]
    return max(ends + [end for _, _, end in waits_for_sums(trace)])


def _keys(ops: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Of every pass the bar that shows it: passes of one kind in one kernel share it."""
    columns = (ops[name].tolist() for name in ("device", "iteration", "step", "kind"))
    return zip(*columns, strict=True)


def _names(ops: pd.DataFrame) -> Iterator[tuple[int, str]]:
    """Iteration and text of every pass, as the column `source` names it."""
    columns = (ops[name].tolist() for name in ("iteration", "kind", "stage", "microbatch", "slice"))
    for iteration, kind, stage, microbatch, part in zip(*columns, strict=True):
        yield iteration, str(Op(kind, stage, microbatch, part))


def _chunks(schedule: Schedule, ops: pd.DataFrame) -> Any:
    """Which of a device's stages each pass is of; or of which direction, where there are two."""
    if schedule.routes:
        return np.array(schedule.follows)[ops["microbatch"].to_numpy()]
    chunk_of = {s: c for stages in schedule.stages_of for c, s in enumerate(stages)}
    of_parts = ops["kind"].isin(PARTS)  # of which a device has one
    return ops["stage"].map(chunk_of).where(~of_parts, 0).to_numpy()


def picture_rows(schedule: Schedule) -> list[tuple[int, Queue]]:
    """The rows of a time line from the top down: each device computing, with its copies below."""
    order: list[Queue] = ["compute", "out", "in"]
    rows = [(lane.device, lane.queue) for lane in lanes(schedule)]
    return sorted(rows, key=lambda row: (row[0], order.index(row[1])))


def fitting_labels(rows: pd.DataFrame, pixels: float) -> Any:
    """What to write on each bar at `pixels` per unit of time; shape `(n,)`.

    All bars of a kind are labelled or none, for some without a number would seem to be others: with
    the label, if it fits everywhere; else with the microbatch alone; else not at all.
    """
    import pandas as pd

    wide = rows["length"].to_numpy() * pixels if np.isfinite(pixels) else np.inf
    found = np.full(len(rows), "", dtype=object)
    for name in ("short", "label"):
        text = rows[name].astype(str)
        letters = text.str.len().to_numpy()
        fits = pd.Series((letters > 0) & (letters * DIGIT_WIDTH + 1 <= wide), index=rows.index)
        whole = fits.groupby(rows["kind"]).transform("all").to_numpy()
        found = np.where(whole, text.to_numpy(), found)
    return found


def equal_labels(rows: pd.DataFrame) -> list[str]:
    """The labels, those of a kind equally wide, shape `(n,)`: whoever shows what fits shows all of
    them or none. Shorter ones have spaces of half a digit on both sides.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"kind": ["F", "F"], "label": ["7", "10"]})
    >>> [len(text) for text in equal_labels(rows)]
    [3, 2]
    """
    text = rows["label"].astype(str)
    missing = text.str.len().groupby(rows["kind"]).transform("max") - text.str.len()
    pads = [HALF_DIGIT * n for n in missing]
    return [pad + label + pad for pad, label in zip(pads, text, strict=True)]


def _is_window(window: Any) -> bool:
    """A pair of numbers, the first one smaller."""
    try:
        low, high = window
        return bool(float(low) < float(high))
    except (TypeError, ValueError):
        return False


def _idle_before(ops: pd.DataFrame) -> Any:
    """Idle time of the device before each pass, shape `(n,)`; rows must come in its order."""
    start, end = (ops[name].to_numpy(dtype=float) for name in ("start", "end"))
    device, step = ops["row"].to_numpy(), ops["step"].to_numpy()
    idle = np.zeros(len(ops))
    if len(ops) > 1:
        same = device[1:] == device[:-1]
        idle[1:] = np.where(same & (step[1:] != step[:-1]), start[1:] - end[:-1], 0)
        fused = same & (step[1:] == step[:-1])
        for row in np.flatnonzero(fused) + 1:
            idle[row] = idle[row - 1]
    return idle


def _labels(ops: pd.DataFrame, *, sliced: bool) -> list[str]:
    columns = (ops[name] for name in ("microbatch", "slice", "last", "many"))
    return [
        f"{first}-{last}"
        if many > 1 and last != first
        else f"{first}.{part}"
        if sliced
        else str(first)
        for first, part, last, many in zip(*columns, strict=True)
    ]


def _hovers(ops: pd.DataFrame, *, several: bool) -> list[str]:
    columns = ("kind", "stage", "microbatch", "slice", "device", "iteration", "many", "start",
               "end", "before", "written", "arrived", "source")  # fmt: skip
    texts = []
    for (
        kind, stage, microbatch, part, device, iteration, many, start, end,
        before, written, arrived, source,
    ) in zip(*(ops[name].to_list() for name in columns), strict=True):  # fmt: skip
        text = f"<b>{Op(kind, stage, microbatch, part)}</b> {KIND_NAMES[kind]} on device {device}"
        text += f" and {many - 1} more in one kernel" if many > 1 else ""
        text += f", iteration {iteration}" if several else ""
        text += f"<br>{number_text(start)} to {number_text(end)}, takes {number_text(end - start)}"
        if source and arrived > start - before:
            text += f"<br>waited {number_text(before)} for {source}" + _way(written, arrived)
        elif source:
            text += f"<br>input {source}" + _way(written, arrived)
        elif before:
            text += f"<br>idle {number_text(before)} before"
        texts.append(text)
    return texts


def _way(written: float, arrived: float) -> str:
    if written == arrived:
        return f" (here at {number_text(arrived)})"
    return f" (written {number_text(written)}, here {number_text(arrived)})"
