"""The picture of a streamed run: a row per agent, and the memory under it."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ..engine.trace import Trace
from ..show.palette import IDLE_TONES, readable_on, shade
from ..show.style import ALARM, byte_unit, layout, marker, with_unit

LOADING, WAITING = IDLE_TONES[5], "rgba(128,138,150,0.35)"


def streaming_figure(trace: Trace, *, unit: str = "", title: str = "") -> go.Figure:
    """Agents over time, and live bytes with the limit dashed; `trace` simulated or measured.

    Every bar is a layer, labelled with its number. A loader's pale bar before it is the time it
    waited for the daemon to grant memory. unit: of the times, for the axis.
    """
    loads = trace.transfers
    agents = sorted(loads["source"].unique())
    rows = ["inference", *(f"loader {agent - 1}" for agent in agents)]
    figure = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.08, row_heights=[0.64, 0.36])
    names = loads["link"].tolist()
    waited = (loads["start"] - loads["ready"]).astype(float)
    _bars(figure, "waiting for memory", WAITING, loads["ready"], waited, names, loads["stage"])
    length = (loads["end"] - loads["start"]).astype(float)
    _bars(figure, "loading", LOADING, loads["start"], length, names, loads["stage"])
    ops = trace.ops
    length = (ops["end"] - ops["start"]).astype(float)
    fill = shade("F", 0, 1).fill
    _bars(figure, "computing", fill, ops["start"], length, ["inference"] * len(ops), ops["stage"])
    _memory(figure, trace)
    base = layout(title, height=260 + 44 * len(rows))
    figure.update_layout(**base, barmode="overlay", uniformtext={"minsize": 9, "mode": "hide"})
    upwards = [rows[0], *reversed(rows[1:])]
    figure.update_yaxes(categoryorder="array", categoryarray=upwards, row=1, col=1)
    end = max(float(ops["end"].max()), float(loads["end"].max()))
    figure.update_xaxes(range=[0, end or 1])
    figure.update_xaxes(title={"text": with_unit("time", unit)}, row=2, col=1)
    return figure


def _bars(
    figure: go.Figure,
    name: str,
    fill: str,
    start: object,
    length: object,
    rows: list[str],
    layers: object,
) -> None:
    label = {} if fill == WAITING else {
        "text": layers, "insidetextfont": {"color": readable_on(fill)},
    }  # fmt: skip
    figure.add_bar(
        base=start,
        x=length,
        y=rows,
        customdata=layers,
        name=name,
        orientation="h",
        marker=marker(fill),
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        **label,
        hovertemplate=f"layer %{{customdata}}: {name} %{{x:,.6~r}} from %{{base:,.6~r}}"
        "<extra></extra>",
        row=1,
        col=1,
    )


def _memory(figure: go.Figure, trace: Trace) -> None:
    frame = trace.memory
    top = max(float(frame["live"].max()), float(trace.capacity[0] or 0) if trace.capacity else 0)
    word, scale = byte_unit(top)
    end = float(trace.ops["end"].max())
    figure.add_scatter(
        x=[*frame["time"].astype(float), end],
        y=[*(frame["live"].astype(float) / scale), float(frame["live"].iloc[-1]) / scale],
        mode="lines",
        line={"shape": "hv", "color": IDLE_TONES[3], "width": 1.6},
        fill="tozeroy",
        name="memory",
        hovertemplate=f"%{{y:,.4~r}} {word} at %{{x:,.6~r}}<extra></extra>",
        row=2,
        col=1,
    )
    if trace.capacity and trace.capacity[0] is not None:
        figure.add_hline(
            y=float(trace.capacity[0]) / scale,
            line={"dash": "dash", "width": 1.4, "color": ALARM},
            annotation={"text": "limit", "font": {"size": 11}},
            row=2,
            col=1,
        )
    figure.update_yaxes(title={"text": with_unit("memory", word)}, rangemode="tozero", row=2, col=1)
