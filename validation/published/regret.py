"""What it costs to take the plan's first choice where others measured several configurations."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from .measured import measured_seconds
from .row import Row
from .verdict import Verdict

SAME_BATCH = 1.05
"""Batches that differ by less answer one question: data parallel sizes do not divide all."""


class Question(NamedTuple):
    """One model on one machine, measured in several configurations. regret: the throughput of the
    best of them over that of the one predicted to be the fastest, minus one."""

    source: str
    model: str
    gpu: str
    alternatives: int
    chosen: str
    best: str
    regret: float


def questions(verdicts: Iterable[Verdict]) -> list[Question]:
    """The questions with at least two configurations that were both measured and predicted."""
    known = [v for v in verdicts if v.error is not None]
    found = []
    for _, same in groupby(sorted(known, key=_order), key=_asked):
        for group in _batches(list(same)):
            if len({_configuration(v.row) for v in group}) > 1:
                found.append(_question(group))
    return found


def _question(group: list[Verdict]) -> Question:
    def predicted(v: Verdict) -> float:
        return (v.row.number("gbs") or 0) / (v.prediction.seconds or float("inf"))

    def measured(v: Verdict) -> float:
        return (v.row.number("gbs") or 0) / (measured_seconds(v.row) or float("inf"))

    chosen, best = max(group, key=predicted), max(group, key=measured)
    row = chosen.row
    return Question(
        row.text("source"), row.text("model"), row.text("gpu"), len(group),
        _configuration(row), _configuration(best.row), measured(best) / measured(chosen) - 1,
    )  # fmt: skip


def _asked(v: Verdict) -> tuple[str, ...]:
    """What stays the same, but for the batch."""
    names = ("source", "shape", "gpu", "n_gpus", "seq", "precision", "between")
    return tuple(v.row.text(name) for name in names)


def _order(v: Verdict) -> tuple[tuple[str, ...], float]:
    return _asked(v), v.row.number("gbs") or 0


def _batches(ascending: list[Verdict]) -> list[list[Verdict]]:
    found: list[list[Verdict]] = []
    for verdict in ascending:
        first = found[-1][0].row.number("gbs") if found else None
        if first and (verdict.row.number("gbs") or 0) <= first * SAME_BATCH:
            found[-1].append(verdict)
        else:
            found.append([verdict])
    return found


def _configuration(row: Row) -> str:
    short = {"schedule": "", "tp": "t", "pp": "p", "vp": "v", "cp": "c", "ep": "e", "dp": "d",
             "mbs": "b", "recompute": "", "cut": ""}  # fmt: skip
    words = [mark + row.text(name).removesuffix(".0") for name, mark in short.items()]
    spread = "vocabulary layers spread" if "spread over all" in row.text("missing") else ""
    return " ".join(word for word in [*words, spread] if word)
