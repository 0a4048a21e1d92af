"""V-Min with passes of the steady state moved too, against V-Min and AMD's order of it.

What AMD's Primus reaches was measured with an order of its rule, played by a longest path.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from longest_path import peak, times

from sim import FAMILIES, Costs
from sim.base.numbers import Number


def longest_stage(name: str, p: int, costs: tuple[Number, ...], m: int = 32) -> Fraction:
    forward, backward, weight, send = (Fraction(str(number)) for number in costs)
    played = FAMILIES[name](p, m)
    assert max(peak(played)) <= (p + 4) // 3
    found = Costs.of(
        2 * p, forward=forward / 2, backward=backward / 2, weight=weight / 2, send=send
    )
    return times(played, found).longest_stage


@pytest.mark.parametrize(
    ("p", "costs", "primus", "v_min"),
    [
        (3, (10, 12, 8, 1), 1062, 1304),
        (6, (10, 12, 8, 1), 1366, 1412),
        (7, (10, 12, 8, 1), 1443, 1452),
        (8, (10, 12, 8, 1), 1463, 1475),
        (12, (10, 12, 8, 1), 1558, 1584),
        (6, (18.5, 18.1, 9.3, 0.6), "1988.25", "2027.25"),
        (8, (1, 1, 1, 0), 109, "109.5"),
        (9, (1, 1, 1, 0), "110.5", "110.5"),
    ],
)
def test_it_is_as_short_as_the_order_of_primus_and_shorter_than_v_min(
    p: int, costs: tuple[Number, ...], primus: int | str, v_min: int | str
) -> None:
    assert longest_stage("v-min-eager", p, costs) == Fraction(primus)
    assert longest_stage("v-min", p, costs) == Fraction(v_min)


def test_where_weight_gradients_take_most_of_the_time_v_min_may_be_shorter() -> None:
    costs = (2, 2, 10, 2)
    assert longest_stage("v-min", 3, costs) < longest_stage("v-min-eager", 3, costs)
