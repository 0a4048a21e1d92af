"""Pictures: every pass is there, where it ran, in colours everybody can tell apart."""

from __future__ import annotations

import math
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sim
import sim.search
from sim.metrics.metrics import Idle
from sim.show.bars import DIGIT_WIDTH, bars, fitting_labels, hovers
from sim.show.palette import (
    ALL_ALIKE,
    DARK_PAPER,
    IDLE_TONES,
    PAPER,
    SUM_TONE,
    TONES,
    contrast,
    mixed,
    shade,
)
from sim.show.svg_chart import APART


def played(family: str, p: int, m: int, **costs: Any) -> sim.Trace:
    schedule = sim.FAMILIES[family](p, m)
    times = {"forward": 10, "backward": 12, "weight": 8, "send": 1}
    return sim.simulate(schedule, sim.Costs.uniform(schedule, **{**times, **costs}))


def drawn(figure: Any) -> set[tuple[int, float, float]]:
    """(device, start, end) of every bar."""
    return {
        (int(y), float(base), float(base + x))
        for trace in figure.data
        for y, base, x in zip(trace.y, trace.base, trace.x, strict=True)
    }


# -- time line ----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["1f1b", "zb-h1", "v-half", "interleaved", "dualpipe-v"])
def test_a_bar_lies_where_its_pass_ran(family: str) -> None:
    trace = played(family, 4, 8)
    ran = {
        (int(device), float(start), float(end))
        for device, start, end in zip(
            *(trace.ops[name] for name in ("device", "start", "end")), strict=True
        )
    }
    figure = sim.gantt(trace)
    assert drawn(figure) == ran
    assert sum(len(part.y) for part in figure.data) == len(trace.ops)


def test_one_bar_trace_per_kind_and_chunk_carries_thousands_of_passes() -> None:
    figure = sim.gantt(played("zb-v", 16, 64))
    assert [part.name for part in figure.data] == [
        "forward 0", "forward 1", "input gradient 0", "input gradient 1",
        "weight gradient 0", "weight gradient 1",
    ]  # fmt: skip
    assert sum(len(part.y) for part in figure.data) == 16 * 64 * 2 * 3


def test_fused_passes_share_the_height_of_their_row() -> None:
    trace = played("dualpipe-v", 4, 10)
    rows = bars(trace)
    steps = trace.ops.groupby(["device", "step"]).size()
    assert (rows["height"] == 0.5).sum() == 2 * (steps == 2).sum() > 0
    halves = rows[rows["height"] == 0.5].groupby(["device", "start"])["offset"]
    assert {tuple(sorted(offsets)) for _, offsets in halves} == {(0.0, 0.5)}


def test_passes_of_one_kind_in_one_kernel_are_a_single_bar() -> None:
    rows = bars(played("2bp-gpipe", 3, 4))
    weights = rows[rows["kind"] == "W"]
    assert weights["label"].tolist() == ["0-3"] * 3
    assert "3 more in one kernel" in hovers(weights, several=False)[0]


def test_slices_are_part_of_the_label() -> None:
    assert set(bars(played("seq1f1b", 2, 2))["label"]) == {"0.0", "0.1", "1.0", "1.1"}


def test_hovering_tells_what_a_pass_waited_for() -> None:
    rows = bars(played("1f1b", 2, 2))
    first_backward = rows[(rows["device"] == 0) & (rows["kind"] == "BW")].iloc[:1]
    assert hovers(first_backward, several=False)[0] == (
        "<b>BW0@0</b> full backward on device 0<br>42 to 62, takes 20"
        "<br>waited 22 for BW0@1 (written 41, here 42)"
    )


def test_a_window_in_which_nothing_runs_is_an_empty_picture() -> None:
    assert drawn(sim.gantt(played("1f1b", 4, 8), window=(10_000, 10_001))) == set()


@pytest.mark.parametrize("window", [(5, 1), (5, 5), (0, math.nan), (5,), 5, "ab"])
def test_a_window_that_is_none_gets_a_sentence(window: Any) -> None:
    with pytest.raises(ValueError, match=r"window is .*: it must be \(from, to\), from < to"):
        sim.gantt(played("1f1b", 1, 1), window=window)


def test_a_picture_of_something_else_gets_a_sentence(tmp_path: Path) -> None:
    schedule = sim.FAMILIES["1f1b"](2, 2)
    wrong: Any = schedule
    said = r"expected a Trace, got a Schedule: simulate\(schedule, costs\) makes one"
    for draw in (sim.gantt, sim.memory_curve, lambda trace: sim.gantt_svg({"one": trace})):
        with pytest.raises(ValueError, match=said):
            draw(wrong)
    with pytest.raises(ValueError, match=said):
        sim.write_perfetto(wrong, tmp_path / "trace.json")
    with pytest.raises(
        ValueError, match=r"expected a Mapping, got a Trace: write \{title: trace\}"
    ):
        sim.gantt_svg(played("1f1b", 1, 1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"got a Trace: idle_account\(trace\) makes one"):
        sim.idle(played("1f1b", 1, 1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"width is -5: it must be a whole number >= 1"):
        sim.gantt(played("1f1b", 1, 1), width=-5)
    frame = pd.DataFrame({"schedule": ["a"], "peak": [1.0], "bubble_makespan": [0.1]})
    with pytest.raises(ValueError, match=r"clock is 'bubble': it must be makespan or longest_st"):
        sim.comparison(frame, clock="bubble")
    with pytest.raises(ValueError, match=r"no column 'bubble_longest_stage': it needs schedule, "):
        sim.comparison(frame, clock="longest_stage")
    assert list(tmp_path.iterdir()) == []


def test_a_window_leaves_out_what_lies_outside() -> None:
    figure = sim.gantt(played("1f1b", 4, 8), window=(100, 150))
    assert drawn(figure)
    assert all(start < 150 and end > 100 for _, start, end in drawn(figure))


@pytest.mark.parametrize(("width", "kinds"), [(700, {"F", "B"}), (900, {"F", "B", "W"}), (300, {})])
def test_a_still_picture_numbers_all_bars_of_a_kind_or_none(width: int, kinds: set[str]) -> None:
    trace = played("zb-h1", 4, 12)
    rows, figure = bars(trace), sim.gantt(trace, width=width)
    fitting = fitting_labels(rows, (width - 110) / float(trace.ops["end"].max()))
    assert set(rows["kind"][fitting != ""]) == set(kinds)
    assert list(rows["label"][rows["kind"].isin(kinds)]) == list(fitting[fitting != ""])
    shown = sorted(text for part in figure.data for text in part.text if text)
    assert shown == sorted(text for text in fitting if text)


def test_a_slice_too_narrow_for_both_numbers_shows_its_microbatch() -> None:
    rows = bars(played("seq1f1b", 4, 8))
    lengths = sorted(set(rows["length"]))
    for length, digits, text in ((lengths[0], 3, "0.1"), (lengths[0], 1, "0"), (lengths[0], 0, "")):
        pixels = (digits * DIGIT_WIDTH + 1) / length
        mine = (rows["length"] == length) & (rows["label"] == "0.1")
        assert set(fitting_labels(rows, pixels)[mine]) == {text}
    assert set(fitting_labels(rows, math.inf)) == set(rows["label"])
    merged = bars(played("2bp-gpipe", 3, 4))
    assert (
        "0"
        not in fitting_labels(merged, 2 * DIGIT_WIDTH / merged["length"].max())[
            merged["kind"] == "W"
        ]
    )
    for k, m in ((2, 8), (4, 6)):
        schedule = sim.FAMILIES["seq1f1b"](4, m, slices=k)
        figure = sim.gantt(sim.simulate(schedule, sim.Costs.uniform(schedule)), width=1000)
        assert all(text for part in figure.data for text in part.text)


def test_a_trace_without_transfers_or_arrivals_can_be_drawn() -> None:
    trace = played("1f1b", 2, 2)
    measured = trace.ops.assign(written=np.nan, arrived=np.nan, source="")
    figure = sim.gantt(
        sim.Trace(trace.schedule, measured, trace.transfers, trace.memory, origin="measured")
    )
    assert sum(len(part.y) for part in figure.data) == 8


# -- memory, idle time, comparison --------------------------------------------------------------


def test_the_memory_curve_peaks_where_the_count_says() -> None:
    trace = played("v-half", 4, 8)
    peaks = [max(curve.y) for curve in sim.memory_curve(trace).data]
    assert peaks == list(map(float, sim.peak_activations(trace.schedule)))


def test_the_memory_curve_is_in_bytes_where_costs_tell_bytes_with_the_capacity_dashed() -> None:
    schedule = sim.FAMILIES["1f1b"](2, 4)
    costs = sim.Costs.uniform(schedule, activation_bytes=2**30, static_bytes=2**31)
    trace = sim.simulate(schedule, costs, sim.Cluster(2, memory=(2**33, 2**33)))
    figure = sim.memory_curve(trace)
    assert figure.layout.yaxis.title.text == "memory (GiB)"
    assert [max(curve.y) for curve in figure.data] == [4.0, 3.0]
    assert [shape.y0 for shape in figure.layout.shapes] == [8.0]
    (word,) = figure.layout.annotations
    assert (word.text, word.font.color) == ("capacity", None)


def test_idle_bars_add_up_to_the_idle_time() -> None:
    account = sim.idle_account(played("1f1b", 4, 8))
    figure = sim.idle(account)
    total = np.sum([part.x for part in figure.data], axis=0)
    assert total.tolist() == account["idle"].to_list()


def test_the_comparison_marks_the_front_on_the_clock_asked_for() -> None:
    frame = pd.DataFrame(
        {
            "schedule": ["a", "b", "c"],
            "bubble_makespan": [0.3, 0.2, 0.25],
            "bubble_longest_stage": [0.3, 0.2, 0.1],
            "peak": [1.0, 2.0, 2.0],
        }
    )
    for clock, front in (("makespan", ["a", "b"]), ("longest_stage", ["a", "c"])):
        figure = sim.comparison(frame, clock=clock)
        marked = next(part for part in figure.data if part.name == "on the Pareto front")
        assert list(marked.customdata) == front
        assert clock.replace("_", " ") in figure.layout.yaxis.title.text


def test_a_trade_off_names_coincident_schedules_together_and_writes_no_name_over_another() -> None:
    schedule = sim.FAMILIES["v-half"](4, 8)
    costs = sim.Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
    frame = sim.search.pareto(4, 8, costs, limits=[2, 4], moves=4_000_000, progress=False)
    named = frame[frame["family"]]
    twins = named.assign(method="twin-of-" + named["method"])
    figure = sim.search.pareto_figure(pd.concat([frame, twins], ignore_index=True))
    texts = [text for text in figure.data[-1].text if text]
    assert "v-half, twin-of-v-half" in texts
    assert len(texts) <= len(named)
    assert all(part.name for part in figure.data)


def test_schedules_that_all_coincide_still_get_a_label() -> None:
    names = list(sim.FAMILIES)
    frame = pd.DataFrame({"schedule": names, "peak": 1.0, "bubble_makespan": 0.0,
                          "bubble_longest_stage": 0.0})  # fmt: skip
    texts = [text for part in sim.comparison(frame).data[1:] for text in part.text if text]
    assert texts == [f"{', '.join(names[:3])} and {len(names) - 3} more"]


# -- colours ------------------------------------------------------------------------------------

# Machado, Oliveira and Fernandes 2009: what full protanopia, deuteranopia, tritanopia leave.
SEEN = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


def lab(colour: str, seen: Any) -> Any:
    """CIE Lab of what somebody sees of an sRGB colour."""
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ np.clip(np.array(seen) @ linear, 0, 1) / np.array([0.9505, 1, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SEEN)
@pytest.mark.parametrize(("chunk", "n_chunks"), [(0, 1), (0, 2), (1, 2), (1, 3), (7, 8)])
def test_kinds_of_passes_differ_for_the_colour_blind(sight: str, chunk: int, n_chunks: int) -> None:
    for one, other in combinations(TONES, 2):
        apart = lab(shade(one, chunk, n_chunks).fill, SEEN[sight]) - lab(
            shade(other, chunk, n_chunks).fill, SEEN[sight]
        )
        assert np.linalg.norm(apart) > 14, (one, other)


@pytest.mark.parametrize("sight", [*SEEN, "usual"])
def test_bars_differ_from_idle_time_behind_them_and_from_each_other(sight: str) -> None:
    seen = {**SEEN, "usual": np.eye(3).tolist()}[sight]
    behind = [mixed(paper, "#808a96", 0.12) for paper in ("#ffffff", "#14171c")]
    lightest = [shade(kind, 0, 2).fill for kind in TONES]
    deepest = [shade(kind, 1, 2).fill for kind in TONES if kind not in ALL_ALIKE]
    reasons = IDLE_TONES[: len(Idle._fields)]
    for bars_, least in ((lightest, 13), ([SUM_TONE, *deepest], 10), (reasons, 14)):
        for one, other in product(bars_, behind):
            assert np.linalg.norm(lab(one, seen) - lab(other, seen)) > least, (one, other)
    for one, other in [*product([SUM_TONE], lightest), *combinations(reasons, 2)]:
        assert np.linalg.norm(lab(one, seen) - lab(other, seen)) > 14, (one, other)


@pytest.mark.parametrize("sight", SEEN)
def test_any_two_of_a_few_curves_differ_for_the_colour_blind(sight: str) -> None:
    for one, other in combinations(APART, 2):
        apart = lab(one, SEEN[sight]) - lab(other, SEEN[sight])
        assert np.linalg.norm(apart) > 20, (one, other)


def test_curves_show_on_light_and_on_dark_paper() -> None:
    assert min(contrast(tone, paper) for tone in APART for paper in (PAPER, DARK_PAPER)) >= 3


@pytest.mark.parametrize("n_chunks", [1, 2, 3, 4, 8])
def test_labels_read_on_every_shade(n_chunks: int) -> None:
    for kind in TONES:
        for chunk in range(n_chunks):
            assert contrast(*shade(kind, chunk, n_chunks)) >= 4.5


def test_a_long_curve_is_thinned_without_losing_its_peak() -> None:
    trace = played("1f1b", 2, 4000)
    figure = sim.memory_curve(trace)
    assert all(len(curve.x) < 2100 for curve in figure.data)
    assert [max(curve.y) for curve in figure.data] == [2.0, 1.0]
    assert all(curve.x[-1] == sim.makespan(trace) and curve.y[-1] == 0 for curve in figure.data)
