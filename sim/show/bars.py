"""The bars of a time line: where each one lies, its label, and what hovering over it tells."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.numbers import Number
from ..base.text import number_text
from ..engine.columns import OPS
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
Columns = dict[str, Any]
"""Columns of passes, each of shape `(n,)`."""


def bars(trace: Trace, window: tuple[Number, Number] | None = None) -> pd.DataFrame:
    """The bars, a row each: kind, chunk, device, row (see `picture_rows`); start, length, offset,
    height; labels; stage, slice, iteration, first and last microbatch, and many, the passes it
    shows; before, the idle time before it; written and arrived, when the input that came last was
    there, cause, the pass that wrote it, and source, the number of the bar that shows that pass: ""
    and -1 where nothing came from elsewhere, -1 also where it is not drawn.

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
    ops: Columns = {name: trace.ops[name].to_numpy() for name in OPS}
    codes, kinds = pd.factorize(ops["kind"])
    row_of = np.array([[number.get((device, queue_of(kind)), -1) for kind in kinds]
                       for device in range(trace.schedule.n_devices)])  # fmt: skip
    ops["row"], ops["code"] = row_of[ops["device"], codes], codes
    order = np.lexsort((ops["position"], ops["iteration"], ops["row"]))
    ops = {name: column[order] for name, column in ops.items()}
    step = _steps(ops)
    names = _names(ops)
    # A bar for the passes of one kind in one step, in the order of the first of each.
    which = step * len(kinds) + ops["code"]
    _, first, bar, many = np.unique(
        which, return_index=True, return_inverse=True, return_counts=True
    )
    last = np.zeros(len(first), dtype=np.int64)
    last[bar] = ops["microbatch"]  # the last one that is written stays
    by_place = np.argsort(first)
    first, last, many = first[by_place], last[by_place], many[by_place]
    place = np.empty(len(first), dtype=np.int64)
    place[by_place] = np.arange(len(first))
    of_step = step[first]
    lanes = np.bincount(of_step, minlength=1)[of_step]
    lane = np.arange(len(first)) - np.searchsorted(of_step, of_step)
    before = _idle_before(ops, step)[first]
    one = {name: column[first] for name, column in ops.items()}
    start, end = (one[name].astype(float) for name in ("start", "end"))
    bar_of = dict(zip(zip(ops["iteration"].tolist(), names, strict=True), place[bar], strict=True))
    causes = zip(one["iteration"].tolist(), one["source"].tolist(), strict=True)
    passes = pd.DataFrame(
        {
            "kind": one["kind"],
            "chunk": _chunks(trace.schedule, one),
            "device": one["device"],
            "row": one["row"],
            "start": start,
            "length": end - start,
            "offset": lane / lanes,
            "height": 1 / lanes,
            "label": _labels(one, last, many, sliced=trace.schedule.n_slices > 1),
            "short": [
                str(m) if n == 1 else "" for m, n in zip(one["microbatch"], many, strict=True)
            ],
            "first": one["microbatch"],
            "last": last,
            "stage": one["stage"],
            "slice": one["slice"],
            "iteration": one["iteration"],
            "many": many,
            "before": before,
            "written": one["written"].astype(float),
            "arrived": one["arrived"].astype(float),
            "cause": one["source"],
            "source": np.array([bar_of.get(cause, -1) for cause in causes], dtype=np.int64),
        }
    )
    sums = [
        (SUM, 0, device, number[device, "compute"], start, end - start, 0.0, 1.0, "sum", "",
         -1, -1, -1, 0, 0, 1, 0.0, math.nan, math.nan, "", -1)
        for device, start, end in waits_for_sums(trace)
    ]  # fmt: skip
    if sums:
        drawn = pd.DataFrame(sums, columns=passes.columns)
        passes = pd.concat([passes, drawn], ignore_index=True)
    return passes if window is None else _within(passes, window)


def hovers(rows: pd.DataFrame, *, several: bool) -> list[str]:
    """What hovering over each bar tells, shape `(n,)`; several: iterations, of which it is one."""
    columns = ("kind", "stage", "first", "slice", "device", "iteration", "many", "start",
               "length", "before", "written", "arrived", "cause")  # fmt: skip
    texts = []
    for (
        kind, stage, microbatch, part, device, iteration, many, start, length,
        before, written, arrived, cause,
    ) in zip(*(rows[name].to_list() for name in columns), strict=True):  # fmt: skip
        times = f"{number_text(start)} to {number_text(start + length)}"
        if kind == SUM:
            text = f"<b>{KIND_NAMES[SUM]}</b> on device {device}<br>{times}, after its last pass"
            texts.append(text)
            continue
        text = f"<b>{Op(kind, stage, microbatch, part)}</b> {KIND_NAMES[kind]} on device {device}"
        text += f" and {many - 1} more in one kernel" if many > 1 else ""
        text += f", iteration {iteration}" if several else ""
        text += f"<br>{times}, takes {number_text(length)}"
        if cause and arrived > start - before:
            text += f"<br>waited {number_text(before)} for {cause}" + _way(written, arrived)
        elif cause:
            text += f"<br>input {cause}" + _way(written, arrived)
        elif before:
            text += f"<br>idle {number_text(before)} before"
        texts.append(text)
    return texts


def waits_for_sums(trace: Trace) -> list[tuple[int, float, float]]:
    """Device, start and end of every time that a device waits for the sum of its gradients after
    its last pass of an iteration."""
    found: list[tuple[int, float, float]] = []
    if not (summed := device_sums(trace)):
        return found
    steps = device_steps(trace)
    for device, sums in summed.items():
        last = dict(zip(steps[device].iteration, steps[device].end, strict=True))
        for iteration, arrived in enumerate(sums.arrived):
            if arrived > last[iteration]:
                start, end = (float(in_time(trace, t)) for t in (last[iteration], arrived))
                found.append((device, start, end))
    return found


def last_end(trace: Trace) -> float:
    """When everything is over: the last pass, and the last sum of gradients; 0 if nothing ran."""
    ends = [float(trace.ops["end"].max())] if len(trace.ops) else [0.0]
    return max(ends + [end for _, _, end in waits_for_sums(trace)])


def _within(rows: pd.DataFrame, window: tuple[Number, Number]) -> pd.DataFrame:
    """The bars that can be seen in a window, with `source` counted among them."""
    seen = (rows["start"] + rows["length"] > window[0]) & (rows["start"] < window[1])
    place = np.append(np.where(seen, np.cumsum(seen) - 1, -1), -1)  # -1 stays -1
    return rows.assign(source=place[rows["source"]])[seen].reset_index(drop=True)


def _steps(ops: Columns) -> Any:
    """The number of the step of every pass, shape `(n,)`, counted from 0 down the rows."""
    step = np.zeros(len(ops["row"]), dtype=np.int64)
    new = [ops[name][1:] != ops[name][:-1] for name in ("row", "iteration", "step")]
    step[1:] = np.cumsum(np.logical_or.reduce(new))
    return step


def _names(ops: Columns) -> list[str]:
    """The text of every pass, as the column `source` names it."""
    columns = (ops[name].tolist() for name in ("kind", "stage", "microbatch", "slice"))
    return [str(Op(*each)) for each in zip(*columns, strict=True)]


def _chunks(schedule: Schedule, ops: Columns) -> Any:
    """Which of a device's stages each pass is of; or of which direction, where there are two."""
    if schedule.routes:
        return np.array(schedule.follows)[ops["microbatch"]]
    chunk_of = np.zeros(max(schedule.n_stages, schedule.n_devices), dtype=np.int64)
    for stages in schedule.stages_of:
        chunk_of[list(stages)] = range(len(stages))
    return np.where(np.isin(ops["kind"], PARTS), 0, chunk_of[ops["stage"]])  # one part a device


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


def _idle_before(ops: Columns, step: Any) -> Any:
    """Idle time of the device before the step of each pass, shape `(n,)`; rows in its order."""
    start, end = (ops[name].astype(float) for name in ("start", "end"))
    first = np.searchsorted(step, step)  # of its step
    same = ops["row"][first] == ops["row"][first - 1]
    return np.where(same & (first > 0), start[first] - end[first - 1], 0.0)


def _labels(ops: Columns, last: Any, many: Any, *, sliced: bool) -> list[str]:
    columns = (column.tolist() for column in (ops["microbatch"], ops["slice"], last, many))
    return [
        f"{first}-{last}"
        if many > 1 and last != first
        else f"{first}.{part}"
        if sliced
        else str(first)
        for first, part, last, many in zip(*columns, strict=True)
    ]


def _way(written: float, arrived: float) -> str:
    if written == arrived:
        return f" (here at {number_text(arrived)})"
    return f" (written {number_text(written)}, here {number_text(arrived)})"
