"""Numbers of bytes as people type them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from ..cli.command_line import UsageError

UNITS = {
    "": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
    "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40,
}  # fmt: skip


def typed_bytes(text: str, option: str) -> int:
    """4096, 64MB, 1.5GiB or 20MB/s as a whole number; UsageError names the option otherwise.

    >>> typed_bytes("1.5 GiB", "--memory-limit")
    1610612736
    """
    word = text.strip().lower().removesuffix("/s").removesuffix("b")
    number = word.rstrip("kmgti")
    try:
        return int(Decimal(number.strip()) * UNITS[word[len(number) :]])
    except (KeyError, ValueError, OverflowError, InvalidOperation):
        raise UsageError(f"{option} is {text!r}: give bytes, e.g. 4096, 64MB or 1.5GiB") from None
