"""The picture of a streamed run: a row per agent, and the memory under it."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ..palette import IDLE_TONES, shade
from ..plot import FONT, GREY
from ..trace import Trace

LOADING, WAITING = IDLE_TONES[5], "rgba(128,138,150,0.35)"
LINE, ALARM = "rgba(128,138,150,0.28)", "#cf4a3c"
UNITS = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "bytes"))


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
    figure.update_layout(
        title={"text": title or f"{trace.schedule.name}: {trace.origin}"},
        font={"family": FONT, "size": 12, "color": GREY},
        barmode="overlay",
        height=260 + 34 * len(rows),
        margin={"l": 8, "r": 14, "t": 70, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        uniformtext={"minsize": 7, "mode": "hide"},
        legend={"orientation": "h", "y": 1.08, "x": 1, "xanchor": "right"},
    )
    figure.update_xaxes(gridcolor=LINE, zeroline=False)
    figure.update_yaxes(gridcolor=LINE, zeroline=False)
    upwards = [rows[0], *reversed(rows[1:])]
    figure.update_yaxes(categoryorder="array", categoryarray=upwards, row=1, col=1)
    label = "time" + (f" ({unit})" if unit else "")
    figure.update_xaxes(title={"text": label}, row=2, col=1)
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
    figure.add_bar(
        base=start,
        x=length,
        y=rows,
        text=layers,
        name=name,
        orientation="h",
        marker={"color": fill, "line": {"width": 0.5, "color": "rgba(255,255,255,0.6)"}},
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        hovertemplate=f"layer %{{text}}: {name} %{{x:,.6~r}} from %{{base:,.6~r}}<extra></extra>",
        row=1,
        col=1,
    )


def _memory(figure: go.Figure, trace: Trace) -> None:
    frame = trace.memory
    top = max(float(frame["live"].max()), float(trace.capacity[0] or 0) if trace.capacity else 0)
    scale, word = next((pair for pair in UNITS if top >= pair[0]), UNITS[-1])
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
            annotation={"text": "limit", "font": {"color": ALARM, "size": 11}},
            row=2,
            col=1,
        )
    figure.update_yaxes(title={"text": word}, rangemode="tozero", row=2, col=1)
