"""Cutting sequences: the published lengths, equal work, what slices cost and what they keep."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import FAMILIES, Costs, Schedule
from sim.engine.simulate import simulate
from sim.metrics.metrics import longest_stage, makespan, peak_bytes
from sim.planner.models import Model
from sim.planner.slices.costs import (
    SliceEfficiency,
    accumulator_bytes,
    measured_efficiency,
    predicted_peak,
    sequence_costs,
)
from sim.planner.slices.cut import attention_flops, computation_wise, even, slice_flops

PUBLISHED = json.loads((Path(__file__).parents[3] / "validation/data/relatives.json").read_text())[
    "seq1f1b"
]


def gpt(name: str) -> Model:
    layers, hidden, heads = PUBLISHED["models"][name]
    return Model(name, layers, hidden, heads, PUBLISHED["vocabulary"], gated=False)


@pytest.mark.parametrize("case", PUBLISHED["partitions"], ids=lambda case: case["model"])
def test_the_computation_wise_partition_of_the_papers_models(case: dict[str, Any]) -> None:
    model, lengths = gpt(str(case["model"])), tuple(case["lengths"])
    assert computation_wise(model, sum(lengths), len(lengths), multiple=8) == lengths


@settings(max_examples=150, deadline=None)
@given(
    heads=st.integers(1, 16),
    width=st.sampled_from([8, 64, 128]),
    vocabulary=st.integers(1, 60000),
    per_slice=st.integers(40, 3000),
    slices=st.integers(1, 8),
    multiple=st.sampled_from([1, 2, 8]),
)
def test_every_slice_but_the_first_is_the_longest_that_is_at_most_its_share_of_the_work(
    heads: int, width: int, vocabulary: int, per_slice: int, slices: int, multiple: int
) -> None:
    tokens = per_slice * slices * multiple
    model = Model("any", 3, heads * width, heads, vocabulary, gated=False)
    lengths = computation_wise(model, tokens, slices, multiple=multiple)
    assert sum(lengths) == tokens
    assert all(length > 0 and length % multiple == 0 for length in lengths)
    share = slice_flops(model, tokens, tokens) / slices
    for length, end in list(zip(lengths, accumulate(lengths), strict=True))[1:]:
        assert slice_flops(model, length, end) <= share
        longer = length + multiple
        assert longer > end or slice_flops(model, longer, end) > share


def test_slices_of_any_cut_add_up_to_the_whole_sequence() -> None:
    model = gpt("7B")
    for lengths in (even(32768, 7), computation_wise(model, 32768, 5), (1, 32767)):
        parts = zip(lengths, accumulate(lengths), strict=True)
        assert sum(slice_flops(model, length, end) for length, end in parts) == slice_flops(
            model, 32768, 32768
        )


def test_even_slices_differ_by_one_multiple_at_most() -> None:
    assert even(40, 3, multiple=4) == (16, 12, 12)
    assert even(5, 5) == (1,) * 5


@pytest.mark.parametrize(
    ("tokens", "slices", "multiple", "sentence"),
    [
        (7, 8, 1, "7 tokens are too few for 8 slices of at least 1: use at most 7 slices"),
        (100, 2, 8, "100 tokens are not a multiple of 8: pad the sequence"),
        (0, 2, 1, "n_tokens is 0: it must be a whole number >= 1"),
        (64, 2.0, 1, "n_slices is 2.0: it must be a whole number >= 1"),
    ],
)
def test_a_sequence_that_cannot_be_cut_is_refused(
    tokens: int, slices: int, multiple: int, sentence: str
) -> None:
    for cut in (
        lambda: even(tokens, slices, multiple=multiple),
        lambda: computation_wise(gpt("7B"), tokens, slices, multiple=multiple),
    ):
        with pytest.raises(ValueError, match=sentence):
            cut()


def bubble_in_forwards(lengths: tuple[int, ...]) -> Fraction:
    """Idle time at p=4, m=16 in forwards of a whole microbatch; every backward is two forwards."""
    model = gpt("7B")
    whole = slice_flops(model, 32768, 32768)
    row = [
        slice_flops(model, length, end)
        for length, end in zip(lengths, accumulate(lengths), strict=True)
    ]
    schedule = FAMILIES["seq1f1b"](4, 16, slices=len(lengths))
    costs = Costs.of(4, forward=[row] * 4, backward=[row] * 4, weight=[row] * 4, send=0)
    trace = simulate(schedule, costs)
    assert makespan(trace) == longest_stage(trace)
    return Fraction(makespan(trace) - 48 * whole) / whole


def test_even_slices_are_worse_than_1f1b_and_computation_wise_ones_nearly_ideal() -> None:
    model = gpt("7B")
    wanted = PUBLISHED["bubble_7B_32k"]
    assert bubble_in_forwards((32768,)) == 9 == wanted["1f1b"]
    wise = bubble_in_forwards(computation_wise(model, 32768, 4, multiple=8))
    assert round(float(wise), 1) == wanted["computation-wise"]
    assert round(float(bubble_in_forwards(even(32768, 4)))) == wanted["even"]


def test_costs_from_a_shape_add_up_to_the_whole_sequence_and_model() -> None:
    model = Model("small", 8, 64, 4, 1000, gated=False)
    whole_schedule, cut_schedule = FAMILIES["1f1b"](4, 4), FAMILIES["seq1f1b"](4, 4, slices=3)
    whole = sequence_costs(whole_schedule, model, (96,))
    cut = sequence_costs(cut_schedule, model, (40, 30, 26))
    for table in ("forward", "backward", "weight"):
        assert [sum(row) for row in getattr(cut, table)] == [
            row[0] for row in getattr(whole, table)
        ]
    s, h = 96, 64
    attention = 2 * ((4 * h + 3 * 4) * s * s // 2)
    assert whole.forward[0] == (attention + 2 * 24 * s * h * h,)
    assert whole.backward[0] == (2 * attention + 2 * 24 * s * h * h,)
    assert whole.weight[0] == (2 * 24 * s * h * h,)
    assert whole.forward[3][0] - whole.forward[0][0] == 2 * s * h * 1000


def test_short_slices_take_longer_by_the_measured_efficiency() -> None:
    model = Model("small", 4, 64, 4, 100)
    schedule = FAMILIES["seq1f1b"](2, 4, slices=2)
    slow = SliceEfficiency(((100, 0.5), (200, 1.0)))
    plain, slower = (
        sequence_costs(schedule, model, (150, 100), efficiency=efficiency)
        for efficiency in (SliceEfficiency(), slow)
    )
    assert slower.forward[0][0] == plain.forward[0][0] / Fraction(3, 4)
    assert slower.forward[0][1] == plain.forward[0][1] * 2
    assert (slow.at(1), slow.at(10_000)) == (Fraction(1, 2), 1)


@pytest.mark.parametrize("fraction", [0, -0.5, 1.5])
def test_a_slices_efficiency_is_a_fraction_above_nothing(fraction: float) -> None:
    with pytest.raises(
        ValueError, match=r"slice efficiency at 10 tokens is .*: use above 0, up to"
    ):
        SliceEfficiency(((10, fraction),))
    assert SliceEfficiency(((10, 1.0),)).at(5) == 1


def test_efficiency_is_read_off_measured_times() -> None:
    model = Model("small", 2, 64, 4, 100)
    costs = [
        float(sequence_costs(FAMILIES["1f1b"](1, 1), model, (length,)).forward[0][0])
        - 2 * length * 64 * 100  # the head, which is no layer
        for length in (128, 256)
    ]
    found = measured_efficiency({256: costs[1], 128: costs[0] * 2}, model)
    assert found.points == ((128, pytest.approx(0.5)), (256, 1.0))
    with pytest.raises(ValueError, match="no measured times"):
        measured_efficiency({}, model)


def test_the_account_holds_accumulators_and_copies_of_keys_and_values() -> None:
    model = Model("small", 4, 64, 4, 100, gated=False)
    schedule = FAMILIES["seq1f1b"](1, 1, slices=3)
    lengths = (32, 16, 16)
    shared, copied = (
        sequence_costs(schedule, model, lengths, cache=cache, tensor=2, bytes_per_parameter=0)
        for cache in ("shared", "concatenated")
    )
    per_token = 4 * 2 * 2 * 64 // 2  # layers, K and V, bytes, width, tensor-parallel size
    extra = [
        copy - base
        for copy, base in zip(copied.activation_bytes[0], shared.activation_bytes[0], strict=True)
    ]
    assert extra == [0, 48 * per_token, 64 * per_token]
    plain = sequence_costs(
        FAMILIES["1f1b"](1, 1), model, (64,), tensor=2, bytes_per_parameter=0
    ).activation_bytes[0][0]
    held = accumulator_bytes(model, lengths, layers=4, tensor=2)
    assert held == 48 * per_token
    assert peak_bytes(simulate(schedule, shared))[0] == plain + held


@pytest.mark.parametrize("tokens", ["32k", "64k"])
def test_memory_of_the_real_7b_follows_from_the_bars_of_1f1b_and_interleaved(tokens: str) -> None:
    bars = PUBLISHED["memory_7B_32_gpus"][tokens]
    p, m, k = 4, 16, 4
    measured: dict[Schedule, float] = {
        FAMILIES["1f1b"](p, m): bars["1f1b"],
        FAMILIES["interleaved"](p, m, v=2): bars["interleaved"],
    }
    schedule = FAMILIES["seq1f1b"](p, m, slices=k)
    predicted = predicted_peak(schedule, measured)
    assert predicted == pytest.approx(bars["seq1f1b k=4"], rel=0.03)
    lengths = computation_wise(gpt("7B"), int(tokens[:-1]) * 1024, k, multiple=8)
    accumulators = accumulator_bytes(gpt("7B"), lengths, layers=8, tensor=8) / 1e9
    assert predicted + accumulators == pytest.approx(bars["seq1f1b k=4"], rel=0.03)


def test_two_measured_peaks_of_the_same_share_are_not_enough() -> None:
    schedule = FAMILIES["1f1b"](4, 8)
    with pytest.raises(ValueError, match="give two whose peaks in shares differ"):
        predicted_peak(schedule, {schedule: 1.0, FAMILIES["zb-h1"](4, 8): 1.1})


@pytest.mark.parametrize(
    ("lengths", "more", "sentence"),
    [
        ((64, 64, 64), {}, "has 2 slices, but 3 lengths are given"),
        ((64, 64), {"cache": "none"}, "cache is 'none': use one of shared, concatenated"),
        ((64, 64), {"flops_per_second": 0}, "flops_per_second is 0"),
    ],
)
def test_costs_that_make_no_sense_are_refused(
    lengths: tuple[int, ...], more: dict[str, object], sentence: str
) -> None:
    model = Model("small", 4, 64, 4, 100)
    with pytest.raises(ValueError, match=sentence):
        sequence_costs(FAMILIES["seq1f1b"](2, 4, slices=2), model, lengths, **more)  # type: ignore[arg-type]


@given(
    st.lists(st.integers(0, 40), min_size=2, max_size=4),
    st.integers(8, 64),
    st.integers(1, 5),
)
def test_with_windows_slices_are_the_same_work_to_a_token(
    windows: list[int], n_tokens: int, k: int
) -> None:
    """A slice is the longest that costs at most its share: one token more would be too many."""
    model = Model("windowed", len(windows), 8, 2, 10, windows=tuple(windows))
    try:
        lengths = computation_wise(model, n_tokens, k)
    except ValueError:
        return  # too few tokens for so many slices
    share, end = slice_flops(model, n_tokens, n_tokens) / k, n_tokens
    for length in lengths[:0:-1]:
        assert slice_flops(model, length, end) <= share < slice_flops(model, length + 1, end)
        end -= length


@given(st.lists(st.integers(0, 12), min_size=1, max_size=3), st.integers(1, 20), st.data())
def test_work_under_a_window_is_that_of_the_pairs_inside(
    windows: list[int], end: int, data: st.DataObject
) -> None:
    """Summed in halves of a token, as the integral of min(t, w) from the slice's first token on."""
    length = data.draw(st.integers(1, end))
    model = Model("windowed", len(windows), 8, 2, 10, windows=tuple(windows))
    pairs = Fraction(0)
    for layer in range(model.layers):
        window = model.kind(layer).window or end
        pairs += sum(
            Fraction(min(t, window) + min(t + 1, window), 2) for t in range(end - length, end)
        )
    assert attention_flops(model, length, end) == pairs * (2 * 2 * 8 + 3 * 2)


def test_caches_of_windowed_layers_hold_no_more_than_the_window() -> None:
    """Concatenated caches copy what a slice sees: 2 layers, width 8, 16 bits, keys and values."""
    schedule = FAMILIES["seq1f1b"](1, 2, slices=4)
    full = Model("full", 2, 8, 2, 10)
    windowed = replace(full, windows=(4, 4))
    grown = []
    for model in (full, windowed):
        shared, copied = (
            sequence_costs(schedule, model, (16, 16, 16, 16), cache=cache)
            for cache in ("shared", "concatenated")
        )
        rows = zip(copied.activation_bytes[0], shared.activation_bytes[0], strict=True)
        grown.append([a - b for a, b in rows])
    each = 2 * 2 * 8 * 2  # layers, bytes, width, keys and values
    assert grown[0] == [0, 32 * each, 48 * each, 64 * each]
    assert grown[1] == [0, 20 * each, 20 * each, 20 * each]
