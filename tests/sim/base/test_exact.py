"""Numbers mean what people typed, and ticks count them without error."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.base.numbers import LARGEST, checked, common_ticks, exact, plain
from sim.testing import numbers


def test_a_float_means_its_shortest_decimal() -> None:
    assert exact(0.1) == Fraction(1, 10)
    assert exact(1e-3) == Fraction(1, 1000)
    assert exact(7) == 7
    assert exact(Fraction(1, 3)) == Fraction(1, 3)


def test_a_number_comes_back_in_its_simplest_form() -> None:
    assert (plain(Fraction(6, 3)), type(plain(Fraction(6, 3)))) == (2, int)
    assert (plain(Fraction(1, 10)), type(plain(Fraction(1, 10)))) == (0.1, float)
    assert plain(Fraction(1, 3)) == Fraction(1, 3)


@given(st.one_of(numbers(signed=True), st.floats(allow_nan=False, allow_infinity=False)))
def test_simplifying_loses_nothing(number: Any) -> None:
    assert exact(plain(exact(number))) == exact(number)


@given(st.fractions())
def test_no_fraction_is_rounded(number: Fraction) -> None:
    assert exact(plain(number)) == number


@given(st.lists(numbers(), min_size=1))
def test_common_ticks_count_every_time_as_a_whole_number(times: list[Any]) -> None:
    ticks = common_ticks(times)
    assert ticks.per_unit > 0
    for time in times:
        count = ticks.count(time)
        assert type(count) is int
        assert Fraction(count, ticks.per_unit) == exact(time)
        assert ticks.time(count) == float(exact(time))


def test_whole_times_come_back_whole() -> None:
    ticks = common_ticks([0.5, 3])
    assert (ticks.per_unit, ticks.count(3)) == (2, 6)
    assert (ticks.time(6), type(ticks.time(6))) == (3, int)
    assert ticks.time(7) == 3.5


def test_times_without_a_common_tick_of_reasonable_size_are_floats() -> None:
    for times in ([0.1234567890123456, 9.87e15], [1, 5e-324], [1e300], [5e-324], [2**53 + 1]):
        ticks = common_ticks(times)
        assert ticks.per_unit == 0
        assert ticks.count(1) == 1.0
        assert ticks.time(1.5) == 1.5


def test_room_is_left_to_add_as_many_times_as_asked_for() -> None:
    assert common_ticks([LARGEST // 4], how_many=4).per_unit == 1
    assert common_ticks([LARGEST // 4], how_many=5).per_unit == 0


def test_no_times_need_no_ticks() -> None:
    assert common_ticks([]).per_unit == 1


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (float("nan"), "x is nan: it must be finite"),
        (float("inf"), "x is inf: it must be finite"),
        (np.float64("nan"), "x is nan: it must be finite"),
        (-1, "x is -1: it must not be negative"),
        (-0.5, "x is -0.5: it must not be negative"),
        (np.int64(-3), "x is -3: it must not be negative"),
        (True, "x is True: it must be a number"),
        (np.bool_(True), "x is True: it must be a number"),
        ("1", "x is '1': it must be a number"),
        (None, "x is None: it must be a number"),
        (1j, "it must be a number"),
        ([1], "it must be a number"),
        (np.array([1, 2]), "it must be a number"),
        (10**400, "x has over 300 digits"),
        (Fraction(10**400, 3), "x has over 300 digits"),
    ],
)
def test_what_is_no_time_gets_one_sentence(number: Any, words: str) -> None:
    with pytest.raises(ValueError, match=r"^x ") as caught:
        checked(number, "x")
    assert words in str(caught.value)


def test_a_fraction_that_a_decimal_can_say_equals_that_decimal() -> None:
    assert checked(Fraction(1, 5), "x") == checked(0.2, "x") == 0.2
    assert checked(Fraction(1, 3), "x") == Fraction(1, 3)


def test_numpy_scalars_become_the_python_numbers_they_are() -> None:
    for number, kind in ((np.int32(4), int), (np.float64(4), float), (np.array(4), int)):
        assert checked(number, "x") == 4
        assert type(checked(number, "x")) is kind
    assert checked(np.float64(-2.5), "x", signed=True) == -2.5
