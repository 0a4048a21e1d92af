"""Vocabulary parallelism: what its families keep in memory, and how long they wait."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim import (
    Costs,
    InvalidSchedule,
    makespan,
    peak_activations,
    reads,
    simulate,
    validate,
    writes,
)
from sim.families import FAMILIES
from sim.families.v_half import v_half_block
from sim.families.vocab_v_half import vocab_v_half_block
from sim.metrics.metrics import longest_stage
from sim.search import evaluate


@pytest.mark.parametrize("barriers", [1, 2])
@pytest.mark.parametrize("p", [2, 3, 8])
def test_the_bubble_of_1f1b_does_not_change(p: int, barriers: int) -> None:
    """(p-1)(F+B+W) where F = B = W, whatever S and T take; with one barrier less by the last T."""
    for m in (1, p, 2 * p + 3):
        schedule = FAMILIES["vocab-1f1b"](p, m, barriers=barriers)
        expected = tuple(min(p - device + barriers, m) for device in range(p))
        assert peak_activations(schedule) == expected
        for f, s, t in ((1, 0, 0), (4, 1, 1), (1, 1, 1), (2, 1, 3), (2, 5, 1)):
            trace = simulate(
                schedule,
                Costs.uniform(
                    schedule, forward=f, backward=f, weight=f,
                    vocabulary_scores=s, vocabulary_gradients=t,
                ),
            )  # fmt: skip
            bubble = (p - 1) * 3 * f - (t if barriers == 1 else 0)
            assert makespan(trace) - m * (3 * f + s + t) == bubble
            assert longest_stage(trace) == makespan(trace)


@pytest.mark.parametrize("barriers", [1, 2])
def test_v_half_waits_an_interval_for_each_barrier(barriers: int) -> None:
    """6 or 12 more cells between F and B of the last stage, and a share of memory for each."""
    for p in (2, 5, 8):
        plain, later = v_half_block(p).offsets, vocab_v_half_block(p, barriers).offsets
        gaps = [block["B"][-1] - block["F"][-1] for block in (plain, later)]
        assert gaps[1] - gaps[0] == 6 * barriers
        schedule = FAMILIES["vocab-v-half"](p, 2 * p, barriers=barriers)
        assert peak_activations(schedule) == ((p + 2) // 2 + barriers,) * p


@pytest.mark.parametrize("barriers", [1, 2])
@pytest.mark.parametrize("p", [2, 4, 5, 8])
def test_with_short_s_and_t_v_half_waits_no_longer_than_without(p: int, barriers: int) -> None:
    for m in (2 * p, 3 * p + 1):
        ours, plain = FAMILIES["vocab-v-half"](p, m, barriers=barriers), FAMILIES["v-half"](p, m)
        without = evaluate(plain, Costs.uniform(plain, forward=8, backward=8, weight=8)).makespan
        for s, t in ((0, 0), (1, 1), (2, 2)):
            costs = Costs.uniform(
                ours, forward=8, backward=8, weight=8, vocabulary_scores=s, vocabulary_gradients=t
            )
            assert evaluate(ours, costs).makespan - m * (s + t) <= without


def test_at_most_the_scores_of_two_microbatches_are_kept() -> None:
    schedule = FAMILIES["vocab-1f1b"](4, 12)
    for order in schedule.orders:
        held = 0
        for op in order:
            held += {"S": 1, "T": -1}.get(op.kind, 0)
            assert 0 <= held <= 2


@pytest.mark.parametrize("name", ["vocab-1f1b", "vocab-v-half"])
@pytest.mark.parametrize("barriers", [1, 2])
def test_every_pass_left_out_doubled_or_before_its_input_is_caught(
    name: str, barriers: int
) -> None:
    schedule = FAMILIES[name](2, 2, barriers=barriers)
    validate(schedule)
    for device, order in enumerate(schedule.orders):
        place = {value: i for i, op in enumerate(order) for value in writes(schedule, op)}
        for i, op in enumerate(order):
            spoiled = [order[:i] + order[i + 1 :], (*order, op)]
            for j in {place[value] for value in reads(schedule, op) if value in place}:
                spoiled.append((*order[:j], op, *order[j:i], *order[i + 1 :]))
            for other in spoiled:
                orders = (*schedule.orders[:device], other, *schedule.orders[device + 1 :])
                with pytest.raises(InvalidSchedule):
                    validate(replace(schedule, orders=orders))


def test_a_third_barrier_is_refused() -> None:
    with pytest.raises(ValueError, match="vocab-1f1b: barriers is 3: it must be 1 or 2"):
        FAMILIES["vocab-1f1b"](4, 8, barriers=3)
