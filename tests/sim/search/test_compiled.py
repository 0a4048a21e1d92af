"""What compiled code calls, and how often it is compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.search import compiled


@given(st.lists(st.integers(-5, 5), min_size=1), st.data())
def test_the_value_of_a_rank_is_the_one_that_sorting_brings_there(
    values: list[int], data: st.DataObject
) -> None:
    rank = data.draw(st.integers(0, len(values) - 1))
    rows = np.array(values)
    assert compiled.ranked(rows, rank) == sorted(values)[rank]
    assert rows.tolist() == values


def test_an_array_takes_what_another_holds() -> None:
    target, source = np.zeros((2, 3), np.int64), np.arange(6).reshape(2, 3)
    compiled.overwrite(target, source)
    assert target.tolist() == source.tolist()


def test_a_constant_has_nothing_compiled_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    numba = pytest.importorskip("numba")
    njit = numba.njit
    monkeypatch.setattr(numba, "njit", lambda **options: njit(**{**options, "cache": False}))

    @compiled.compiled
    def plus(a: Any, b: Any) -> Any:
        return a + b

    @compiled.compiled
    def with_constants(a: Any) -> Any:
        return plus(a, 1) + plus(a, 2) + plus(3, b=a)

    assert with_constants(4) == 5 + 6 + 7
    assert len(plus.signatures) == 1  # type: ignore[attr-defined]
