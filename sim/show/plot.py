"""Pictures of a trace: time line, memory, idle time.

Every function returns a plotly figure: show it in a notebook, `write_image` it, or put it on a page
(see `report`). A time line is one bar trace per kind of pass and chunk, so that thousands of passes
stay quick, and a label is drawn only where it fits its bar. Backgrounds are transparent: figures
work on light and dark paper.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from ..base.numbers import Number, checked_type, checked_whole
from ..engine.columns import HOST
from ..engine.trace import Trace, checked_trace
from ..schedule.ir import Schedule
from .bars import LABEL_SIZE, bars, equal_labels, fitting_labels, hovers, last_end, picture_rows
from .palette import ALL_ALIKE, GREY, IDLE_TONES, KIND_NAMES, device_tones, shade
from .style import (
    ALARM,
    USUAL_WIDTH,
    byte_unit,
    device_axis,
    layout,
    marker,
    room_for_legend,
    rows_height,
    thinned,
    with_unit,
)

if TYPE_CHECKING:
    import pandas as pd


def gantt(
    trace: Trace,
    *,
    unit: str = "",
    window: tuple[Number, Number] | None = None,
    width: int | None = None,
    title: str = "",
) -> go.Figure:
    """The time line: a row per device or copy queue, a bar per pass, labelled with its microbatch.

    Colour tells the kind of pass, shade the chunk (light: first stage of the device). Passes fused
    into one step lie above each other in one row. Hovering tells the pass, its times and what it
    waited for. Bare background is idle time.

    unit: of the times, for the axis. window: (from, to) to show; passes outside are left out.
    width: of the picture in pixels, if it is going to be a still one: then labels are chosen for
        it. Without it plotly shows those that fit, and more of them as one zooms in. All bars of
        a kind that are of one length are numbered, or none.
    """
    if width is not None:
        checked_whole(width, "width")
    rows, schedule = bars(trace, window), trace.schedule
    low, high = window or (0, last_end(trace) or 1)
    per_unit = (width - 110) / max(float(high) - float(low), 1e-300) if width else math.inf
    rows = rows.assign(hover=hovers(rows, several=trace.iterations > 1))
    rows = rows.assign(text=fitting_labels(rows, per_unit) if width else equal_labels(rows))
    n_chunks = max((len(stages) for stages in schedule.stages_of), default=1)
    many = n_chunks > 1
    edge = 0.5 if len(rows) < 200 * schedule.n_devices else 0
    figure = go.Figure(layout=layout(title, height=rows_height(len(picture_rows(schedule)))))
    for kind in KIND_NAMES:
        for chunk in range(n_chunks):
            mine = rows[(rows["kind"] == kind) & (rows["chunk"] == chunk)]
            if len(mine):
                fill, text = shade(kind, chunk, n_chunks)
                figure.add_bar(
                    base=mine["start"].to_numpy(),
                    x=mine["length"].to_numpy(),
                    y=mine["row"].to_numpy(),
                    width=0.9 * mine["height"].to_numpy(),
                    offset=0.9 * mine["offset"].to_numpy() - 0.45,
                    text=mine["text"].to_numpy(),
                    customdata=mine["hover"].to_numpy(),
                    name=KIND_NAMES[kind] + (f" {chunk}" if many and kind not in ALL_ALIKE else ""),
                    marker=marker(fill, edge),
                    insidetextfont={"color": text, "size": LABEL_SIZE if width else 12},
                )
    figure.update_traces(
        orientation="h",
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        constraintext="none" if width else "inside",
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure.update_layout(
        barmode="overlay",
        uniformtext={} if width else {"minsize": 9, "mode": "hide"},
        xaxis={"title": {"text": with_unit("time", unit)}, "range": [float(low), float(high)]},
        yaxis=device_axis(schedule.n_devices) if not schedule.copies else _queue_axis(schedule),
    )
    return _with_room(figure, width or USUAL_WIDTH)


def _queue_axis(schedule: Schedule) -> dict[str, Any]:
    """Devices from the top down, each with its copy queues."""
    rows = picture_rows(schedule)
    names = [f"device {d}" if queue == "compute" else queue for d, queue in rows]
    return {**device_axis(len(rows)), "tickvals": [*range(len(rows))], "ticktext": names}


def memory_curve(trace: Trace, *, unit: str = "", title: str = "") -> go.Figure:
    """What each device holds over time, with its capacity dashed.

    In bytes where the costs tell bytes; otherwise live activations, in shares of what one
    microbatch keeps on a whole device.
    """
    checked_trace(trace)
    frame, n = trace.memory, trace.schedule.n_devices
    devices = frame["device"].to_numpy()
    times, live = frame["time"].to_numpy(dtype=float), frame["live"].to_numpy(dtype=float)
    in_bytes = bool(live.any())
    name, scale = byte_unit(live.max()) if in_bytes else ("shares", 1.0)
    held = live / scale if in_bytes else frame["activations"].to_numpy(dtype=float)
    end = float(trace.ops["end"].max()) if len(trace.ops) else 0.0
    every = -(-n // 16)  # a longer legend would be larger than the picture
    figure = go.Figure(layout=layout(title, height=340))
    for device, tone in enumerate(device_tones(n)):
        mine = devices == device
        moments, curve = thinned(times[mine], held[mine])
        figure.add_scatter(
            x=np.append(moments, end),
            y=np.append(curve, curve[-1:] if len(curve) else 0.0),
            name=f"device {device}",
            showlegend=device % every == 0,
            mode="lines",
            line={"shape": "hv", "width": 1.6, "color": tone},
            hovertemplate=f"device {device}: %{{y:,.4~r}} {name} at %{{x:,.6~r}}<extra></extra>",
        )
    host = devices == HOST
    if host.any():
        figure.add_scatter(
            x=np.append(times[host], end),
            y=np.append(held[host], held[host][-1:]),
            name="host",
            mode="lines",
            line={"shape": "hv", "width": 1.6, "color": GREY, "dash": "dot"},
            hovertemplate=f"host: %{{y:,.4~r}} {name} at %{{x:,.6~r}}<extra></extra>",
        )
    limits = {float(limit) / scale for limit in trace.capacity if limit is not None}
    for limit in sorted(limits) if in_bytes else ():
        figure.add_hline(
            y=limit,
            line={"dash": "dash", "width": 1.4, "color": ALARM},
            annotation={"text": "capacity", "font": {"size": 11}},
            annotation_position="top left",
        )
    what = "memory" if in_bytes else "live activations"
    figure.update_layout(
        xaxis={"title": {"text": with_unit("time", unit)}, "range": [0, end or 1]},
        yaxis={"title": {"text": with_unit(what, name)}, "rangemode": "tozero"},
    )
    return _with_room(figure, USUAL_WIDTH)


def idle(account: pd.DataFrame, *, unit: str = "", title: str = "") -> go.Figure:
    """Where each device's idle time goes, as stacked bars: a row per device, a colour per reason.

    account: a row per device and a column per reason, as `idle_account` gives it; reasons
        that take no time are left out.
    """
    import pandas as pd

    checked_type(account, pd.DataFrame, "idle_account(trace) makes one")
    reasons = [name for name in account.columns if name not in ("device", "idle", "busy")]
    figure = go.Figure(layout=layout(title, height=rows_height(len(account))))
    for reason, tone in zip(reasons, IDLE_TONES, strict=False):
        if not account[reason].any():
            continue
        words = str(reason).replace("_", " ")
        figure.add_bar(
            x=account[reason].to_numpy(dtype=float),
            y=list(range(len(account))),
            orientation="h",
            name=words,
            marker=marker(tone),
            hovertemplate=f"device %{{y}}: {words} %{{x:,.6~r}}<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        bargap=0.25,
        xaxis={"title": {"text": with_unit("idle time", unit)}, "rangemode": "tozero"},
        yaxis=device_axis(len(account)),
    )
    return figure


def _with_room(figure: go.Figure, width: int) -> go.Figure:
    names = [part.name for part in figure.data if part.showlegend is not False]
    start = {"margin": {"t": figure.layout.margin.t}, "height": figure.layout.height}
    return figure.update_layout(room_for_legend(start, names, width))


def figure_json(figure: go.Figure) -> str:
    """The figure as JSON with `data` and `layout`; arrays of numbers are packed."""
    return str(figure.to_json(engine="json"))


def plotly_script() -> str:
    """plotly.js, to be embedded in a page once."""
    return str(get_plotlyjs())
