"""The report of an experiment: one HTML page with errors, and both time lines above each other."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from sim import Trace, gantt

from .experiment import Experiment


def overlay(simulated: Trace, measured: Trace) -> go.Figure:
    """Both time lines above each other, on one axis of seconds."""
    both = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09,
        subplot_titles=("simulated", "measured"),
    )  # fmt: skip
    end = max(float(trace.ops["end"].max()) for trace in (simulated, measured))
    for row, trace in ((1, simulated), (2, measured)):
        figure = gantt(trace, unit="s", window=(0, end))
        for bars in figure.data:
            both.add_trace(bars, row=row, col=1)
        both.update_yaxes(figure.layout.yaxis, row=row, col=1)
        if row == 2:
            both.for_each_trace(lambda bars: bars.update(showlegend=False), row=2)
    devices = simulated.schedule.n_devices
    both.update_layout(
        barmode="overlay", height=170 + 2 * max(34 * devices, 90), bargap=0.1,
        uniformtext={"minsize": 9, "mode": "hide"}, paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(128,128,128,0.08)", font={"family": FONT, "color": "#66707c"},
        legend={"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0},
        margin={"l": 80, "r": 20, "t": 70, "b": 45},
        xaxis2={"title": {"text": "time (s)"}},
    )  # fmt: skip
    both.update_annotations(x=0, xanchor="left")
    both.update_xaxes(range=[0, end])
    return both


def report_page(found: Experiment) -> str:
    """The page as text: self-contained, no network."""
    table, summary = found.table(), found.summary()
    order = table.sort_values("measured_makespan")["family"]
    figures = {name: overlay(*found.cases[name].middle).to_json() for name in order}
    picks = "".join(
        f"<button data-name='{html.escape(n)}'>{html.escape(n)}</button>" for n in order
    )
    data = ",".join(f"{n!r}:{figure}" for n, figure in figures.items()).replace("</", "<\\/")
    return _PAGE.format(
        facts=_facts(found.provenance, found),
        summary=_summary(summary),
        table=_table(table),
        profiles=_profiles(found),
        picks=picks,
        data=data,
        plotly=get_plotlyjs(),
    )


FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


def _facts(facts: Mapping[str, Any], found: Experiment) -> str:
    told = dict(facts) | {"workload": str(found.workload)}
    rows = "".join(
        f"<tr><th>{html.escape(str(key))}</th><td>{html.escape(str(value))}</td></tr>"
        for key, value in told.items()
    )
    return f"<table class='facts'>{rows}</table>"


def _summary(summary: Mapping[str, Any]) -> str:
    lines = [
        f"Makespan: median error {summary['median_error_makespan']:.1%}, worst "
        f"{summary['worst_error_makespan']:.1%}, over {summary['families']} families; two standard "
        f"errors of what was measured are {summary['median_uncertainty_makespan']:.1%} (median).",
        f"Longest stage: median error {summary['median_error_longest_stage']:.1%}, worst "
        f"{summary['worst_error_longest_stage']:.1%}.",
        f"Makespan simulated with the run's own pass times: median error "
        f"{summary['median_error_replay']:.1%}, worst {summary['worst_error_replay']:.1%}. "
        "The rest is pass times that differ between calibration and run.",
        f"Peak bytes of any device of any family: worst error "
        f"{summary['worst_error_peak_bytes']:.2%}.",
        "Ranking, where simulated makespans differ by more than single rounds vary: "
        + _ranked(summary["ranked_pairs"], summary["misranked"]),
        "Ranking, where they differ by more than two standard errors of the measured means: "
        + _ranked(summary["ranked_by_means"], summary["misranked_by_means"]),
    ]
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)


def _ranked(pairs: int, wrong: Sequence[str]) -> str:
    told = f"of {pairs} pairs {len(wrong) or 'none'} came out the other way"
    return told + (f": {'; '.join(wrong)}." if wrong else ".")


def _table(table: pd.DataFrame) -> str:
    heads = (
        "family",
        "simulated (s)",
        "measured (s)",
        "two standard errors",
        "error",
        "own pass times",
        "peak bytes, error",
    )
    rows = "".join(
        f"<tr><td>{html.escape(str(r.family))}</td><td>{r.simulated_makespan:.3f}</td>"
        f"<td>{r.measured_makespan:.3f}</td><td>{r.uncertainty_makespan:.1%}</td>"
        f"<td>{r.error_makespan:+.1%}</td><td>{r.error_replay:+.1%}</td>"
        f"<td>{r.error_peak_bytes:.2%}</td></tr>"
        for r in table.sort_values("measured_makespan").itertuples()
    )
    head = "".join(f"<th>{text}</th>" for text in heads)
    return f"<table class='rows'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _profiles(found: Experiment) -> str:
    lines = [
        f"{stages} stages, {slices} slice{'s' * (slices > 1)}: a transfer takes "
        f"{p.latency * 1e6:,.0f} us + bytes at {p.bandwidth / 1e9:,.1f} GB/s; "
        f"{p.overhead * 1e6:,.0f} us between two passes; a pass takes "
        f"{p.neighbour_slowdown:.2f} times as long with busy neighbours as alone."
        for (stages, slices), p in found.profiles.items()
    ]
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)


_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Simulated against measured</title><style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;
color:#1c232b;background:#fff}}
table{{border-collapse:collapse;font-variant-numeric:tabular-nums}}
.wide{{overflow-x:auto}}
#figure{{min-width:760px}}
td,th{{padding:.25rem .8rem;text-align:right;border-bottom:1px solid #8884}}
td:first-child,th:first-child{{text-align:left}}
.facts td,.facts th{{text-align:left;font-size:.9rem}}
button{{font:inherit;margin:.15rem;padding:.2rem .6rem;border:1px solid #8886;border-radius:.4rem;
background:none;color:inherit;cursor:pointer}}
button[aria-pressed=true]{{background:#b5367c;color:#fff;border-color:#b5367c}}
@media(prefers-color-scheme:dark){{body{{background:#14181d;color:#e6e9ed}}}}
</style></head><body><h1>Simulated against measured</h1>{facts}
<h2>How far off</h2>{summary}<div class="wide">{table}</div>
<h2>Both time lines</h2><div id="picks" role="group" aria-label="family">{picks}</div>
<div class="wide" tabindex="0" role="region" aria-label="Both time lines">
<div id="figure" role="img"></div></div>
<h2>What was calibrated</h2>{profiles}
<script>{plotly}</script><script>
const figures={{{data}}};const buttons=[...document.querySelectorAll('#picks button')];
const figure=document.getElementById('figure');
const ink=()=>matchMedia('(prefers-color-scheme:dark)').matches?'#a6b0bb':'#586270';
function show(name){{const f=figures[name];f.layout.font.color=ink();
figure.style.height=f.layout.height+'px';  // lest it be lost when the window changes
figure.setAttribute('aria-label','Time lines of '+name+', simulated above measured');
Plotly.react(figure,f.data,f.layout,{{responsive:true,displayModeBar:false}});
buttons.forEach(b=>b.setAttribute('aria-pressed',b.dataset.name===name));}}
buttons.forEach(b=>b.addEventListener('click',()=>show(b.dataset.name)));
show(buttons[0].dataset.name);
</script></body></html>"""
