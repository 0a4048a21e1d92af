"""A streamed run as plain SVG, for pages that show no plotly figure."""

from __future__ import annotations

from html import escape

from ..engine.trace import Trace
from ..show.palette import IDLE_TONES, INK, shade
from ..show.svg_timeline import svg

WIDTH, LEFT, TOP, ROW, MEMORY = 960, 78, 30, 22, 60
LOADING, WAITING = IDLE_TONES[5], "#80808a"


def streaming_svg(trace: Trace, *, title: str = "") -> str:
    """Agents over time, a bar per layer with its number, and below them the live memory with the
    limit dashed. A loader's pale bar is the time it waits for memory."""
    loads, ops, memory = trace.transfers, trace.ops, trace.memory
    agents = sorted(loads["source"].unique())
    end = float(max(ops["end"].max(), loads["end"].max())) or 1.0
    scale = (WIDTH - LEFT - 8) / end
    rows = {agent: TOP + i * ROW for i, agent in enumerate(agents)}
    parts = [f"<text x='{LEFT}' y='18' class='t'>{escape(title)}</text>"]
    parts += [_label(f"loader {agent - 1}", y) for agent, y in rows.items()]
    for load in loads.itertuples(index=False):
        y = rows[load.source]
        parts.append(_bar(load.ready, load.start, y, scale, WAITING, "", opacity=0.35))
        parts.append(_bar(load.start, load.end, y, scale, LOADING, str(load.stage)))
    y = TOP + len(agents) * ROW
    parts.append(_label("inference", y))
    for op in ops.itertuples(index=False):
        parts.append(_bar(op.start, op.end, y, scale, shade("F", 0, 1).fill, str(op.stage)))
    limit = trace.capacity[0] if trace.capacity else None
    most = max(float(memory["live"].max()), float(limit or 0)) or 1.0
    ground = y + ROW + 12 + MEMORY
    parts.append(_label("memory", ground - MEMORY / 2 - 8))
    path, height = f"M{LEFT} {ground}", 0.0
    for change in memory.drop_duplicates("time", keep="last").itertuples(index=False):
        x = LEFT + float(change.time) * scale  # type: ignore[arg-type]
        height = MEMORY * float(change.live) / most  # type: ignore[arg-type]
        path += f"H{x:.1f}V{ground - height:.1f}"
    path += f"H{LEFT + end * scale:.1f}V{ground}Z"
    parts.append(f"<path d='{path}' fill='#8a949e' fill-opacity='.35' stroke='#8a949e'/>")
    if limit is not None:
        top = ground - MEMORY * float(limit) / most
        parts.append(
            f"<path d='M{LEFT} {top:.1f}H{LEFT + end * scale:.1f}' stroke='#cc6677' "
            "stroke-dasharray='5 4' fill='none'/>"
        )
    return svg("".join(parts), WIDTH, ground + 8)


def _label(text: str, y: float) -> str:
    return f"<text x='{LEFT - 6}' y='{y + 14:.0f}' class='l' text-anchor='end'>{text}</text>"


def _bar(
    start: object, end: object, y: float, scale: float, fill: str, text: str, *, opacity: float = 1
) -> str:
    x = LEFT + float(start) * scale  # type: ignore[arg-type]
    wide = LEFT + float(end) * scale - x  # type: ignore[arg-type]
    if wide <= 0:
        return ""
    pale = f" fill-opacity='{opacity}'" if opacity < 1 else ""
    found = f"<rect x='{x:.1f}' y='{y}' width='{max(wide - 1, 0.3):.1f}' height='18' fill='{fill}'"
    found += f"{pale}/>"
    if text and wide > 7 * len(text) + 2:
        found += f"<text x='{x + wide / 2:.1f}' y='{y + 13}' class='b' fill='{INK}'>{text}</text>"
    return found
