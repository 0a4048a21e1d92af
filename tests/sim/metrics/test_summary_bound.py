"""The bound that a summary tells is one of the machine that was played, stragglers and all."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim import FAMILIES, Cluster, Costs, simulate
from sim.metrics.summary import summary

factors = st.sampled_from([0.5, 1, 3])


@given(
    st.sampled_from([*FAMILIES]), st.integers(1, 3), st.integers(1, 5),
    st.lists(factors, min_size=6), st.integers(0, 10),
)  # fmt: skip
@example("vocab-1f1b", 2, 8, [0.5] * 6, 10)
@example("chimera", 1, 2, [3, 1, 1, 1, 1, 1], 0)
@settings(max_examples=80, deadline=None)
def test_no_play_is_faster_than_its_bound_whoever_is_slow_or_fast(
    name: str, half: int, m: int, slowdown: list[Any], parts: int
) -> None:
    p = 2 * half
    try:
        schedule = FAMILIES[name](p, m)
    except ValueError:  # some want more microbatches, or as many as devices
        schedule = FAMILIES["1f1b"](p, m)
    costs = Costs.uniform(schedule, vocabulary_scores=parts, vocabulary_gradients=parts)
    trace = simulate(schedule, costs, Cluster(p, slowdown=tuple(slowdown[:p])))
    found = summary(trace, costs=costs, slowdown=tuple(slowdown[:p]))
    assert found["lower_bound"] <= found["makespan"]


def test_parts_of_the_vocabulary_are_as_slow_as_their_devices() -> None:
    schedule = FAMILIES["vocab-1f1b"](2, 4)
    costs = Costs.uniform(schedule, vocabulary_scores=10, vocabulary_gradients=10)
    trace = simulate(schedule, costs, Cluster(2, slowdown=(2, 2)))
    found = summary(trace, costs=costs, slowdown=(2, 2))
    assert found["lower_bound"] >= 2 * 4 * (1 + 2 + 20)
