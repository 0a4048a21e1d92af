"""What no model can do better: one configuration that was measured more than once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .measured import measured_seconds
from .split import configuration
from .verdict import Verdict


def floor(verdicts: Iterable[Verdict]) -> float | None:
    """The mean absolute error, of throughput over measured, of the best prediction that says one
    number for each configuration, whatever release it was measured in; None without a row.

    Sum of |seconds x / p - 1| is least where p is one of the measured seconds, being linear between
    them in 1/p.
    """
    found: dict[str, list[float]] = {}
    for verdict in verdicts:
        if verdict.error is not None and (seconds := measured_seconds(verdict.row)):
            found.setdefault(configuration(verdict.row), []).append(seconds)
    if not found:
        return None
    return sum(map(_least, found.values())) / sum(map(len, found.values()))


def _least(seconds: Sequence[float]) -> float:
    return min(sum(abs(x / p - 1) for x in seconds) for p in seconds)
