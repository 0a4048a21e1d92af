"""Errors of published rows by group: source, device, pipeline size, schedule, and what they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, median
from typing import Any

from .floor import floor
from .regret import questions
from .verdict import Verdict

Rule = Callable[[Verdict], str]


def group_table(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """A row for each group: how many rows, how many can be expressed, and their errors as fractions
    (mean absolute, bias, median and worst of the signed ones), and the mean absolute one that no
    model falls below; the same of memory; how many
    published out-of-memory rows are refused, and rows that ran; and the regret of first choices.

    by: what the rows have in common; "kind" are the pipelined rows with complete settings that
    nothing was fitted to, by what they are.
    """
    found = [_entry("all", "all", verdicts)]
    found += [_entry("split", name, some) for name, some in _by(verdicts, _split)]
    unseen = [v for v in verdicts if not v.fitted and _complete(v) and _pipeline(v) != "1"]
    found += [_entry("kind", name, some) for name, some in _by(unseen, _kind)]
    for by, rule in _RULES.items():
        found += [_entry(by, name, some) for name, some in _by(verdicts, rule)]
    return found


def missing_counts(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """How many rows lack each feature, most frequent first."""
    found = Counter(v.prediction.missing for v in verdicts if v.prediction.missing)
    return dict(found.most_common())


def _entry(by: str, name: str, some: Sequence[Verdict]) -> dict[str, Any]:
    errors = [v.error for v in some if v.error is not None]
    memory = [v.memory_error for v in some if v.memory_error is not None]
    failed = [v for v in some if v.row.ran_out_of_memory]
    ran = [v for v in some if not v.row.ran_out_of_memory and not v.prediction.missing]
    asked = questions(some)
    return {
        "by": by,
        "group": name,
        "rows": len(some),
        "expressed": sum(not v.prediction.missing for v in some),
        "judged": len(errors),
        "mean_absolute_error": fmean(map(abs, errors)) if errors else None,
        "bias": fmean(errors) if errors else None,
        "median": median(errors) if errors else None,
        "worst": max(errors, key=abs) if errors else None,
        "floor": floor(some),
        "memory_rows": len(memory),
        "memory_error": fmean(map(abs, memory)) if memory else None,
        "out_of_memory": len(failed),
        "out_of_memory_refused": sum(v.prediction.refused for v in failed),
        "ran": len(ran),
        "ran_but_refused": sum(v.prediction.refused for v in ran),
        "questions": len(asked),
        "regret": fmean(q.regret for q in asked) if asked else None,
    }


def _by(verdicts: Iterable[Verdict], rule: Rule) -> list[tuple[str, list[Verdict]]]:
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        found.setdefault(rule(verdict), []).append(verdict)
    return sorted(found.items(), key=lambda item: (len(item[0]) if item[0].isdigit() else 0, item))


def _split(v: Verdict) -> str:
    return "fitted" if v.fitted else "judged"


def _complete(v: Verdict) -> bool:
    return v.row.text("detail", "complete") == "complete"


def _pipeline(v: Verdict) -> str:
    return str(v.row.size("pp", 1))


def _kind(v: Verdict) -> str:
    """Device, and what of it is special."""
    row = v.row
    words = [row.text("gpu").split("-")[0]]
    if "fp8" in row.text("precision").lower() or "fp4" in row.text("precision").lower():
        words.append("FP8 or FP4")
    if (row.size("cp", 1) or 1) > 1:
        words.append("context parallel")
    if '"count"' in row.text("shape"):
        words.append("experts")
    return ", ".join(words)


_RULES: dict[str, Rule] = {
    "source": lambda v: v.row.text("source"),
    "device": lambda v: v.row.text("gpu"),
    "pipeline": _pipeline,
    "schedule": lambda v: v.row.text("schedule"),
}
