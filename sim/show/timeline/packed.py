"""What `timeline.js` draws of a trace, as plain lists and words for JSON."""

from __future__ import annotations

import base64
import gzip
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...base.numbers import Number
from ...engine.columns import HOST
from ...engine.trace import Trace
from ...metrics.idle_gaps import idle_gaps
from ...metrics.metrics import Idle
from ...schedule.ir import Schedule
from ..bars import bars, last_end, picture_rows
from ..palette import GREY, IDLE_TONES, KIND_NAMES, device_tones, shade
from ..style import byte_unit, thinned

if TYPE_CHECKING:
    import pandas as pd

DIGITS = 12
"""Significant digits of the longest time: a pixel of a picture needs six."""
MOST_DECIMALS = 300
"""Beyond it a power of ten is no number."""
MOST_NAMED = 16
"""Curves that a legend names: a longer one would be larger than the picture."""
BARS = ("row", "start", "length", "offset", "height", "first", "last", "stage", "slice",
        "iteration", "many", "before", "written", "arrived", "source")  # fmt: skip


def packed(
    trace: Trace,
    *,
    title: str = "",
    unit: str = "",
    window: tuple[Number, Number] | None = None,
    limit: Number | None = None,
) -> dict[str, Any]:
    """A time line for `timeline.js`.

    title: over it where there are several. unit: of the times. window: (from, to); what lies
    outside is left out. limit: in shares, a dashed line in the picture of live activations.
    """
    rows = bars(trace, window)
    begin = float(trace.ops["start"].min()) if len(trace.ops) else 0.0
    end = last_end(trace) or 1.0
    whole = [float(edge) for edge in window] if window else [min(begin, 0.0), end]
    used, shades = _shades(rows, trace.schedule)
    memory, idle = _memory(trace, whole, limit), _idle(trace, whole)
    return {
        "title": title,
        "unit": unit,
        "whole": whole,
        "rows": _row_names(trace.schedule),
        "devices": [device for device, _ in picture_rows(trace.schedule)],
        "shades": shades,
        "sliced": trace.schedule.n_slices > 1,
        "several": trace.iterations > 1,
        "bars": {"shade": _column(used), **_bars(rows)},
        "phases": _phases(trace, whole),
        "links": _links(trace, whole),
        "memory": memory,
        "idle": idle,
        "legends": {
            "passes": _kinds(shades, used[rows["length"].to_numpy() > 0]),
            "memory": [[each["name"], [each["tone"]]] for each in _some(memory["curves"])],
            "idle": [[each["name"], [each["tone"]]] for each in idle["reasons"]],
        },
    }


def zipped(what: Any) -> str:
    """As JSON, gzipped, in base64: a tenth of the size, and text for a page."""
    text = json.dumps(what, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()


def _bars(rows: pd.DataFrame) -> dict[str, Any]:
    """What `words.js` needs to draw bars and to say what they are: a list per column, or the one
    number that stands everywhere in it; `cause` only where no bar tells it, by the bar's number."""
    found = {name: _column(rows[name].fillna(0)) for name in BARS}
    source, many = rows["source"].to_numpy(), rows["many"].to_numpy()
    told = (source >= 0) & (np.append(many, 0)[source] == 1)
    unseen = np.flatnonzero(~told & (rows["cause"] != "").to_numpy())
    return (
        {"n": len(rows)}
        | found
        | {"cause": {i: str(rows["cause"].iat[i]) for i in unseen.tolist()}}
    )


def _column(column: Any) -> list[float] | float:
    """`_short`, or the number that stands in all places; a list where there is none."""
    values = _short(column)
    return values[0] if values and (np.asarray(values) == values[0]).all() else values


def _shades(rows: pd.DataFrame, schedule: Schedule) -> tuple[Any, list[dict[str, Any]]]:
    """The colour of every bar as a place in the list of those that are used."""
    n = max((len(stages) for stages in schedule.stages_of), default=1)
    kinds = [*KIND_NAMES]
    number = rows["kind"].map(kinds.index).to_numpy(dtype=int) * n + rows["chunk"].to_numpy(
        dtype=int
    )
    numbers, used = np.unique(number, return_inverse=True)
    shades = []
    for kind, chunk in ((kinds[both // n], both % n) for both in numbers.tolist()):
        fill, ink = shade(kind, chunk, n)
        shades.append({"kind": kind, "name": KIND_NAMES[kind], "fill": fill, "ink": ink})
    return used, shades


def _kinds(shades: list[dict[str, Any]], used: Any) -> list[list[Any]]:
    """The colours of every kind of pass that takes time."""
    found: dict[str, list[str]] = {}
    for number in sorted({*used.tolist()}):
        found.setdefault(shades[number]["name"], []).append(shades[number]["fill"])
    return [list(item) for item in found.items()]


def _some(curves: list[Any]) -> list[Any]:
    """At most `MOST_NAMED` of them, evenly."""
    return curves[:: -(-len(curves) // MOST_NAMED) or 1]


def _row_names(schedule: Schedule) -> list[str]:
    return [f"device {d}" if queue == "compute" else queue for d, queue in picture_rows(schedule)]


def _phases(trace: Trace, whole: list[float]) -> dict[str, list[float]]:
    """Warm-up until every device has begun its first backward pass, cool-down from the last forward
    pass of the first device that has no more; what lies between, if anything, is steady."""
    ops = trace.ops
    first = ops[ops["kind"].isin(["B", "BW"])].groupby("device")["start"].min()
    last = ops[ops["kind"] == "F"].groupby("device")["end"].max()
    if trace.iterations > 1 or not len(first) or not len(last):
        return {}
    begin, end = float(first.max()), float(last.min())
    found = {"warm-up": [whole[0], begin], "cool-down": [end, whole[1]]}
    if begin < end:
        found["steady state"] = [begin, end]
    return {name: list(span) for name, span in found.items() if span[0] < span[1]}


def _links(trace: Trace, whole: list[float]) -> dict[str, list[Any]]:
    """What is on every link, from the time a wire is granted until it arrives."""
    sent = trace.transfers
    sent = sent[(sent["end"] > sent["start"]) & (sent["start"] < whole[1])]
    names = [
        link or f"{source}\u2192{to}"
        for link, source, to in zip(
            *(sent[name].tolist() for name in ("link", "source", "destination")), strict=True
        )
    ]
    rows = sorted(set(names), key=_numbers)
    place = {name: i for i, name in enumerate(rows)}
    kinds = sent["value"].tolist()
    values = sorted({*kinds})
    return {
        "names": rows,
        "row": [place[name] for name in names],
        "start": _short(sent["start"]),
        "length": _short(sent["end"] - sent["start"]),
        "values": values,
        "value": [values.index(kind) for kind in kinds],
        "stage": sent["stage"].tolist(),
        "microbatch": sent["microbatch"].tolist(),
    }


def _numbers(name: str) -> tuple[Any, ...]:
    """Sorts device 2 before device 10."""
    digits = "".join(c if c.isdigit() else " " for c in name).split()
    return (*map(int, digits), name) if digits else (1 << 30, name)


def _memory(trace: Trace, whole: list[float], limit: Number | None) -> dict[str, Any]:
    """What each device holds, a curve each, and the host; in bytes where the costs tell them."""
    frame, n = trace.memory, trace.schedule.n_devices
    devices = frame["device"].to_numpy()
    times, live = (frame[name].to_numpy(dtype=float) for name in ("time", "live"))
    in_bytes = bool(live.any())
    unit, scale = byte_unit(live.max()) if in_bytes else ("shares", 1.0)
    held = live / scale if in_bytes else frame["activations"].to_numpy(dtype=float)
    curves = []
    tones = [(d, f"device {d}", tone) for d, tone in enumerate(device_tones(n))]
    for device, name, tone in [*tones, (HOST, "host", GREY)]:
        mine = (devices == device) & (times <= whole[1])
        if device != HOST or mine.any():
            x, y = thinned(times[mine], held[mine])
            curves.append({"name": name, "tone": tone, "x": _short(x), "y": _short(y)})
    limits = [*{float(each) / scale for each in trace.capacity if each is not None}]
    return {
        "what": "memory" if in_bytes else "live activations",
        "unit": unit,
        "curves": curves,
        "limits": sorted(limits) if in_bytes else [] if limit is None else [float(limit)],
    }


def _idle(trace: Trace, whole: list[float]) -> dict[str, Any]:
    """Every idle stretch of every device with its reason."""
    gaps = [gap for gap in idle_gaps(trace) if gap.start < whole[1]]
    reasons = list(dict.fromkeys(gap.reason for gap in gaps))
    tones = dict(zip(Idle._fields, IDLE_TONES, strict=False))
    reasons.sort(key=Idle._fields.index)
    return {
        "reasons": [{"name": name.replace("_", " "), "tone": tones[name]} for name in reasons],
        "device": [gap.device for gap in gaps],
        "reason": [reasons.index(gap.reason) for gap in gaps],
        "start": _short([gap.start for gap in gaps]),
        "end": _short([gap.end for gap in gaps]),
    }


def _short(column: Any) -> list[float]:
    """Numbers as JSON writes them in few characters: whole ones without a point."""
    values = np.asarray(column, dtype=float)
    if not len(values) or (values == np.floor(values)).all():
        return [*map(int, values.tolist())]  # of any size
    digits = DIGITS - math.ceil(math.log10(np.abs(values).max()))
    rounded = np.round(values, digits) if digits < MOST_DECIMALS else values
    return [int(value) if value.is_integer() else value for value in rounded.tolist()]
