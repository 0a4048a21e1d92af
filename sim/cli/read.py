"""Reads what people type after an option; one sentence says what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction

import typer

from ..base.numbers import Number, plain
from ..engine.simulate import MOST_JITTER

Reader = Callable[[str, str], object]
"""(text, flag) -> value; raises typer.BadParameter."""

MOST_STAGES = 1_000_000
_NUMBER = re.compile(
    r"[+-]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})(e[+-]?\d{1,3})?(/\d{1,400})?", re.IGNORECASE
)


def read_number(text: str, flag: str) -> Number:
    """The exact number in `text`: 0.1 is one tenth, 1/3 a third; finite and not negative."""
    cleaned = text.strip().replace("_", "")
    if not _NUMBER.fullmatch(cleaned):
        raise wrong(text, flag, "it must be a finite number such as 12, 0.25 or 1/3")
    top, _, below = cleaned.partition("/")
    if below and not int(below):
        raise wrong(text, flag, "nothing can be divided by 0")
    number = Fraction(top) / int(below or 1)
    if number < 0:
        raise wrong(text, flag, "it must not be negative")
    if number > 10**18:
        raise wrong(text, flag, "it must be at most 1e18")
    if 0 < number < Fraction(1, 10**18):
        raise wrong(text, flag, "it must be 0 or at least 1e-18")
    return plain(number)


def read_positive(text: str, flag: str) -> Number:
    """The same, and more than 0."""
    number = read_number(text, flag)
    if not number:
        raise wrong(text, flag, "it must be more than 0")
    return number


def read_spread(text: str, flag: str) -> Number:
    """A standard deviation of logarithms."""
    number = read_number(text, flag)
    if number > MOST_JITTER:
        raise wrong(text, flag, f"it must be at most {MOST_JITTER}")
    return number


def read_count(text: str, flag: str) -> int:
    """The whole number in `text`, 1 or more."""
    return _whole(text, flag, least=1)


def read_natural(text: str, flag: str) -> int:
    """The whole number in `text`, 0 or more."""
    return _whole(text, flag, least=0)


def read_text(text: str, flag: str) -> str:
    """The text itself."""
    return text


def read_word(*words: str) -> Callable[[str, str], str]:
    """A reader that takes one of `words`."""

    def read(text: str, flag: str) -> str:
        if text not in words:
            raise wrong(text, flag, f"use {', '.join(words[:-1])} or {words[-1]}")
        return text

    return read


def read_numbers(
    text: str, flag: str, read: Callable[[str, str], Number] = read_number
) -> tuple[Number, ...]:
    """Numbers with commas between them, as in 1,2,0.5."""
    entries = [entry.strip() for entry in text.split(",")]
    if not all(entries):
        raise wrong(text, flag, "write numbers with one comma between each two, as in 1,2,0.5")
    return tuple(read(entry, flag) for entry in entries)


def read_stages(text: str, flag: str) -> tuple[int, ...]:
    """Stages, as in 0,1 or 0-3 or 0-3,7."""
    found: list[int] = []
    for entry in text.split(","):
        first, dash, last = (part.strip() for part in entry.partition("-"))
        run = re.fullmatch(r"\d{1,9}", first) and (not dash or re.fullmatch(r"\d{1,9}", last))
        if not run or (dash and int(last) < int(first)):
            raise wrong(text, flag, "write stages as in 0,1 or 0-3, counted from 0")
        if int(last or first) > MOST_STAGES:
            raise wrong(text, flag, f"there are never more than {MOST_STAGES} stages")
        found += range(int(first), int(last or first) + 1)
    return tuple(found)


def read_stages_or_full(text: str, flag: str) -> tuple[int, ...] | str:
    """The same, or "full" for all of them."""
    return text if text == "full" else read_stages(text, flag)


def read_share(text: str, flag: str) -> Number:
    """A number from 0 to 1."""
    number = read_number(text, flag)
    if number > 1:
        raise wrong(text, flag, "it must be at most 1")
    return number


def read_factors(text: str, flag: str) -> Mapping[int, Number]:
    """Device numbers with a factor each, as in 0=1.1,3=1.5."""
    found: dict[int, Number] = {}
    for entry in text.split(","):
        device, equals, factor = entry.partition("=")
        if not equals:
            raise wrong(
                text, flag, "write device=factor, e.g. 2=1.2 for a device 2 that is 20 % slow"
            )
        number = read_natural(device.strip(" d"), flag)
        if number in found:
            raise wrong(text, flag, f"device {number} has two factors")
        found[number] = read_positive(factor, flag)
    return found


def wrong(text: str, flag: str, rule: str) -> typer.BadParameter:
    """The error that says what was typed and what the rule is."""
    shown = text if len(text) <= 40 else f"{text[:37]}..."
    return typer.BadParameter(f"{flag} is {shown!r}: {rule}")


def _whole(text: str, flag: str, *, least: int) -> int:
    if not re.fullmatch(r"[+-]?\d{1,18}", text.strip()):
        raise wrong(text, flag, f"it must be a whole number, {least} or more")
    if int(text) < least:
        raise wrong(text, flag, f"it must be at least {least}")
    return int(text)
