"""Numbers and counts as people write them."""

from __future__ import annotations

import pytest

from sim.base.text import number_text, plural


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234567, "1,234,567"), (0.1, "0.1"), (1194193.5, "1,194,193.5"), (2.0, "2")],
)
def test_numbers_are_written_as_people_do(value: float, text: str) -> None:
    assert number_text(value) == text


def test_one_of_a_thing_is_singular_and_any_other_number_is_not() -> None:
    assert [plural(n, "stage") for n in (0, 1, 2)] == ["0 stages", "1 stage", "2 stages"]
    assert plural(2, "microbatch") == "2 microbatches"
