"""The adaptive block search: its figure for unit passes, its limits, and odd input."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import pytest
from counted import adaptive, smallest_interval
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import FAMILIES, Costs, peak_activations, validate
from sim.base.numbers import Number
from sim.search import evaluate
from sim.search.periodic.unit_blocks import blocks


def more_than_the_paper_says(p: int, m: int, k: int, time_limit: float) -> Number:
    """Chunk passes that unit passes idle beyond max(0, 6p-1-3k)."""
    costs = Costs.of(2 * p, forward=1, backward=1, weight=1)
    schedule = adaptive(p, m, costs, memory_limit=Fraction(k, 2), time_limit=time_limit)
    return evaluate(schedule, costs).longest_stage - 6 * m - max(0, 6 * p - 1 - 3 * k)


@pytest.mark.parametrize(
    ("p", "m", "k"),
    [(2, 4, 4), (4, 8, 6), (4, 16, 8), (8, 32, 12)],
)
def test_unit_passes_idle_as_little_as_the_paper_says(p: int, m: int, k: int) -> None:
    assert more_than_the_paper_says(p, m, k, time_limit=0.5) == 0


@pytest.mark.parametrize("p", [2, 3, 4, 5])
def test_the_figure_of_the_paper_begins_at_the_memory_of_v_min(p: int) -> None:
    least = round(2 * max(peak_activations(FAMILIES["v-min"](p, 2 * p))))
    assert least == 2 * ((p + 4) // 3)
    assert more_than_the_paper_says(p, 2 * p, least, time_limit=0.3) == 0
    assert more_than_the_paper_says(p, 2 * p, least + 1, time_limit=0.3) <= 1
    costs = Costs.of(2 * p, forward=1, backward=1, weight=1)
    v = (*range(p), *reversed(range(p)))
    with_less = smallest_interval(v, costs, memory_limit=Fraction(least - 1, 2))
    assert with_less.proven
    assert with_less.interval > 6 or p == 2


@pytest.mark.parametrize(("limit", "reference"), [(2, 689), (3, 536), (4, 508)])
def test_real_times_beat_the_reference_generator(limit: float, reference: int) -> None:
    """Longest stage the released search reaches at p=4, m=16, (F, B, W, send) = (10, 12, 8, 1)."""
    costs = Costs.of(8, forward=5, backward=6, weight=4, send=1)
    schedule = adaptive(4, 16, costs, memory_limit=limit, time_limit=0.5)
    assert evaluate(schedule, costs).longest_stage <= reference


@settings(max_examples=10, deadline=None)
@given(
    p=st.integers(1, 4),
    m=st.integers(1, 10),
    placement=st.sampled_from(["v", "straight"]),
    times=st.tuples(*[st.integers(0, 6)] * 3, st.integers(0, 3)),
    shares=st.integers(1, 5),
)
def test_every_result_is_valid_and_keeps_its_limit(
    p: int,
    m: int,
    placement: Literal["v", "straight"],
    times: tuple[int, int, int, int],
    shares: int,
) -> None:
    n = 2 * p if placement == "v" else p
    forward, backward, weight, send = times
    costs = Costs.of(n, forward=forward, backward=backward, weight=weight, send=send)
    schedule = adaptive(
        p, m, costs, placement=placement, memory_limit=shares, time_limit=0.05, clock="makespan"
    )
    validate(schedule)
    assert max(evaluate(schedule, costs).peak_activations) <= shares


def test_one_microbatch_at_a_time_goes_its_way_where_passes_take_no_time() -> None:
    costs = Costs.of(6, forward=0, backward=0, weight=0, send=1)
    schedule = adaptive(3, 2, costs, memory_limit=1, time_limit=0)
    validate(schedule)
    assert max(evaluate(schedule, costs).peak_activations) == 1


def test_a_limit_in_bytes_is_kept_with_what_b_gives_back() -> None:
    costs = Costs.of(
        8, forward=5, backward=6, weight=4, send=1,
        activation_bytes=10, backward_bytes=-6, static_bytes=100,
    )  # fmt: skip
    schedule = adaptive(4, 16, costs, memory_bytes=240, time_limit=1)
    validate(schedule)
    assert max(evaluate(schedule, costs).peak_bytes) <= 240


def test_the_same_seed_gives_the_same_enumeration() -> None:
    first, second = ([block.cells.tolist() for block in blocks(4)] for _ in range(2))
    assert first == second
    assert len(first) > 100


def test_impossible_questions_are_answered_in_a_sentence() -> None:
    costs = Costs.of(4, forward=1, backward=1, weight=1)
    with pytest.raises(ValueError, match="smallest limit that can be met is 1"):
        adaptive(2, 4, costs, memory_limit=0.5)
    with pytest.raises(ValueError, match="n_microbatches is 0"):
        adaptive(2, 0, costs)
    with pytest.raises(ValueError, match="n_devices is 0"):
        adaptive(0, 4, costs)
