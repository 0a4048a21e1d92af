"""The Pareto front: every point that no other one beats, and no other."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sim.metrics.pareto import pareto_front


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_point_is_on_the_front_exactly_if_none_beats_it(points: list[tuple[int, int]]) -> None:
    x, y = zip(*points, strict=True)
    expected = [
        not any(a <= u and b <= v and (a, b) != (u, v) for a, b in points) for u, v in points
    ]
    assert pareto_front(x, y).tolist() == expected
