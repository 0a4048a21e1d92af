"""Names of points cover neither each other nor the points, and axes show most of them."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from sim.show.labels import PLACES, axis_range, label_places


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 300)), min_size=1, max_size=14))
@settings(max_examples=60, deadline=None)
def test_no_label_covers_another(points: list[tuple[int, int]]) -> None:
    labels = [f"family-{i}" for i in range(len(points))]
    places = label_places(points, labels, (500, 300))
    boxes: list[tuple[float, float, float]] = []
    for (x, y), label, place in zip(points, labels, places, strict=True):
        if place:
            widths, aside, up = PLACES[place]
            wide = 6.4 * len(label) + 4
            boxes.append((x + widths * wide + aside, y + up, wide))
    for (left, low, wide), (other_left, other_low, other_wide) in combinations(boxes, 2):
        beside = left >= other_left + other_wide or other_left >= left + wide
        assert beside or abs(low - other_low) >= 14


def test_the_label_that_matters_most_gets_the_place_that_both_want() -> None:
    points, labels, narrow = [(30.0, 10.0), (30.0, 10.0)], ["one", "two"], (70, 22)
    assert label_places(points, labels, narrow) == ["middle right", ""]
    assert label_places(points, labels, narrow, order=[1, 0]) == ["", "middle right"]


def test_an_axis_does_not_stretch_for_one_value_far_out() -> None:
    low, high = axis_range([7, 8, 9, 10, 11, 85])
    assert low < 7
    assert 11 < high < 15
