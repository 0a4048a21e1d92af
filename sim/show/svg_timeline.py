"""Time lines as plain SVG: small, still, and shown by code hosts where a plotly figure is not."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from ..base.numbers import checked_type
from ..engine.trace import Trace, checked_trace
from .bars import bars, fitting_labels, last_end, picture_rows, waits_for_sums
from .palette import ALL_ALIKE, DARK_PAPER, GREY, KIND_NAMES, PALE_GREY, PAPER, SUM, shade

LEFT, TOP, ROW, GAP, LABEL_SIZE = 20, 8, 20, 3, 11
FONT = "font-family='system-ui,-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif'"


def gantt_svg(traces: Mapping[str, Trace], *, width: int = 960) -> str:
    """Time lines below each other on one axis of time, with the title of each as its key.

    A row per device, a bar per pass, labelled with its microbatch where the label fits; colours as
    in `gantt`. The picture has its own background, dark for readers who prefer dark pages.
    """
    if not checked_type(traces, Mapping, "write {title: trace}"):  # type: ignore[type-abstract]
        raise ValueError("no trace to draw")
    for trace in traces.values():
        checked_trace(trace)
    panels, y = svg_panels(traces, width)
    return svg(panels + _legend(traces, y + 6), width, round(y + 28))


def svg_panels(traces: Mapping[str, Trace], width: int) -> tuple[str, float]:
    """The time lines alone, without what the colours mean, and where the lowest ends."""
    end = max((last_end(trace) for trace in traces.values()), default=1.0) or 1.0
    scale = (width - LEFT - 8) / end
    parts: list[str] = []
    y = float(TOP)
    for title, trace in traces.items():
        y += 18
        parts.append(f"<text x='{LEFT}' y='{y - 6:.0f}' class='t'>{escape(title)}</text>")
        parts.append(_panel(trace, y, scale))
        y += len(picture_rows(trace.schedule)) * ROW + 8
    return "".join(parts), y


def svg(content: str, width: int, height: int) -> str:
    """A picture of words (class t: title, l: label, b: on a bar) and shapes.

    A browser tells a picture whether its reader prefers dark pages, not which page it is on: so the
    background is part of the picture. Light colours are attributes, which remain where a page
    removes styles.
    """
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' "
        f"height='{height}' {FONT} font-size='11' fill='{GREY}' role='img'><style>"
        f".t{{font-size:13px;font-weight:600}}.b{{font-size:{LABEL_SIZE}px;text-anchor:middle}}"
        ".c{fill:none;stroke-width:1.8}.g{stroke:#8a949e;stroke-opacity:.25}"
        f"@media(prefers-color-scheme:dark){{.p{{fill:{DARK_PAPER}}}.t,.l{{fill:{PALE_GREY}}}}}"
        f"</style><rect width='{width}' height='{height}' rx='6' fill='{PAPER}' class='p'/>"
        f"{content}</svg>"
    )


def _panel(trace: Trace, top: float, scale: float) -> str:
    """One time line: a pale ground for the idle time, and the bars on it."""
    rows = bars(trace)
    rows = rows.assign(text=fitting_labels(rows, scale))
    n_chunks = max((len(stages) for stages in trace.schedule.stages_of), default=1)
    end = last_end(trace) * scale
    found = []
    for row, (device, queue) in enumerate(picture_rows(trace.schedule)):
        y = top + row * ROW
        label, gap = (str(device), 5) if queue == "compute" else (queue, 2)
        found.append(
            f"<rect x='{LEFT}' y='{y:.1f}' width='{end:.1f}' height='{ROW - GAP}' fill='#8a949e' "
            f"fill-opacity='.15'/><text x='{LEFT - gap}' y='{y + 13:.1f}' class='l' "
            f"text-anchor='end'>{label}</text>"
        )
    for bar in rows.itertuples(index=False):
        fill, ink = shade(bar.kind, int(bar.chunk), n_chunks)  # type: ignore[arg-type]
        x, wide = LEFT + float(bar.start) * scale, float(bar.length) * scale  # type: ignore[arg-type]
        high = (ROW - GAP) * float(bar.height)  # type: ignore[arg-type]
        y = top + int(bar.row) * ROW + (ROW - GAP) * float(bar.offset)  # type: ignore[arg-type]
        found.append(
            f"<rect x='{x:.2f}' y='{y:.1f}' width='{max(wide - 0.4, 0.1):.2f}' "
            f"height='{high:.1f}' fill='{fill}'/>"
        )
        if bar.text and high >= LABEL_SIZE:
            found.append(
                f"<text x='{x + wide / 2:.2f}' y='{y + high / 2 + 4:.1f}' class='b' "
                f"fill='{ink}'>{bar.text!s}</text>"
            )
    return "".join(found)


def _legend(traces: Mapping[str, Trace], y: float) -> str:
    """Every kind that is drawn, in its lightest and deepest shade."""
    kinds = {kind for trace in traces.values() for kind in trace.ops["kind"].unique()}
    kinds |= {SUM for trace in traces.values() if waits_for_sums(trace)}
    most = max(len(held) for trace in traces.values() for held in trace.schedule.stages_of)
    found, x = [], float(LEFT)
    for kind, name in KIND_NAMES.items():
        if kind not in kinds:
            continue
        for chunk in range(min(most, 2) if kind not in ALL_ALIKE else 1):
            fill = shade(kind, chunk * (most - 1), most).fill
            found.append(f"<rect x='{x:.0f}' y='{y:.0f}' width='11' height='11' fill='{fill}'/>")
            x += 11
        found.append(f"<text x='{x + 5:.0f}' y='{y + 10:.0f}' class='l'>{escape(name)}</text>")
        x += 22 + 6.1 * len(name)
    if most > 1:
        note = f"light: first stage of a device, dark: {'second' if most == 2 else 'last'}"
        if all(trace.schedule.routes for trace in traces.values()):
            note = "light: first route, dark: second"
        found.append(f"<text x='{x:.0f}' y='{y + 10:.0f}' class='l'>{note}</text>")
    return "".join(found)
