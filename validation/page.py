"""The report of an experiment: one HTML page with errors, and both time lines above each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sim import Trace, gantt
from sim.base.text import plural
from sim.show.pages import Cell, chart_page, share
from sim.show.style import layout

from .experiment_result import Experiment


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
    both.update_layout(layout("", height=170 + 2 * max(34 * devices, 90)))
    both.update_layout(
        barmode="overlay", bargap=0.1, uniformtext={"minsize": 9, "mode": "hide"},
        legend={"yref": "container", "y": 1, "yanchor": "top"}, margin={"l": 80, "t": 70},
        xaxis2={"title": {"text": "time (s)"}},
    )  # fmt: skip
    both.update_annotations(x=0, xanchor="left")
    both.update_xaxes(range=[0, end])
    return both


def report_page(found: Experiment, *, command: str = "") -> str:
    """The page as text: self-contained, no network. command: what makes this page again."""
    table = found.table().sort_values("measured_makespan")
    first, *_ = _summary(found.summary())
    return chart_page(
        "Simulated against measured",
        {str(name): overlay(*found.cases[name].middle) for name in table["family"]},
        heading="Both time lines",
        table=[experiment_row(row) for row in table.itertuples()],
        facts={str(name): str(value) for name, value in found.provenance.items()}
        | {"workload": str(found.workload)},
        command=command,
        note=first,
        reading=experiment_reading(found),
    )


def experiment_reading(found: Experiment) -> dict[str, list[str]]:
    """What an experiment says in sentences, by the heading over them."""
    told = {"How far off": _summary(found.summary()), "What was calibrated": _profiles(found)}
    failed = [f"{name} failed: {why}." for name, why in found.failed.items()]
    return {**told, "What did not run": failed} if failed else told


def _summary(summary: Mapping[str, Any]) -> list[str]:
    return [
        f"Makespan: median error {summary['median_error_makespan']:.1%}, worst "
        f"{summary['worst_error_makespan']:.1%}, over {summary['families']} families"
        + (
            "; of one round nobody knows how much it varies."
            if isnan(unsure := summary["median_uncertainty_makespan"])
            else f"; two standard errors of what was measured are {unsure:.1%} (median)."
        ),
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


def _ranked(pairs: int, wrong: Sequence[str]) -> str:
    answer = f"of {plural(pairs, 'pair')} {len(wrong) or 'none'} came out the other way"
    return answer + (f": {'; '.join(wrong)}." if wrong else ".")


def experiment_row(row: Any) -> dict[str, Cell]:
    """A row of `Experiment.table` as a row of a page."""
    return {
        "family": str(row.family),
        "simulated (s)": (row.simulated_makespan, f"{row.simulated_makespan:.3f}"),
        "measured (s)": (row.measured_makespan, f"{row.measured_makespan:.3f}"),
        "two standard errors": None
        if isnan(row.uncertainty_makespan)  # one round has none
        else (row.uncertainty_makespan, f"{row.uncertainty_makespan:.1%}"),
        "error": (row.error_makespan, f"{row.error_makespan:+.1%}"),
        "own pass times": (row.error_replay, f"{row.error_replay:+.1%}"),
        "peak bytes, error": share(row.error_peak_bytes),
    }


def _profiles(found: Experiment) -> list[str]:
    return [
        f"{plural(stages, 'stage')}, {plural(slices, 'slice')}: a transfer takes "
        f"{p.latency * 1e6:,.0f} us + bytes at {p.bandwidth / 1e9:,.1f} GB/s; "
        f"{p.overhead * 1e6:,.0f} us between two passes; a pass takes "
        f"{p.neighbour_slowdown:.2f} times as long with busy neighbours as alone."
        for (stages, slices), p in found.profiles.items()
    ]
