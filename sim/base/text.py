"""Counts and numbers as people write them."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


def meant(name: str, known: Iterable[str]) -> str:
    """What a misspelt name may have meant, as the end of a sentence; all names where nothing is
    near.

    >>> meant("vhalf", ["1f1b", "v-half"]), meant("x", ["1f1b", "v-half"])
    ('did you mean v-half?', 'there are 1f1b, v-half')
    """
    known = list(known)
    near = get_close_matches(name.lower().replace("_", "-"), known, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"


def plural(n: int, noun: str) -> str:
    """A number of things, with the noun in the form that it takes.

    >>> plural(1, "device"), plural(2, "device"), plural(3, "microbatch")
    ('1 device', '2 devices', '3 microbatches')
    """
    ending = "es" if noun.endswith("ch") else "s"
    return f"{n} {noun}{'' if n == 1 else ending}"


def number_text(value: Any) -> str:
    """A number: thousands are grouped, and one that is not whole has six digits.

    >>> number_text(1234567), number_text(0.1234567), number_text(12.0)
    ('1,234,567', '0.123457', '12')
    """
    value = float(value)
    if value.is_integer():
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 1e5 else f"{value:,.6g}"


def ranges(numbers: Iterable[int]) -> str:
    """Whole numbers, neighbours joined: what `--frozen` and its like read.

    >>> ranges([3, 0, 1, 2, 7])
    '0-3, 7'
    """
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in found)
