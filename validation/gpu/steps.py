"""The steps of a visit to a GPU: each in processes of its own, each within its share of the time.

What one of them finds does not depend on another, so that one which fails loses nothing but itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sim.base.progress import bar

from .alone import classes_alone
from .copies import copy_speeds
from .cuda_tests import cuda_tests
from .families import every_family
from .partitions import partitions
from .processes import Failure, free_port, in_processes
from .setting import Place, Setting
from .torch_classes import classes_together


class Step(NamedTuple):
    """One thing to find out.

    find: what finds it. share: of the time in all. together: whether `setting.ranks` processes do
    it together; the answer is that of the first.
    """

    name: str
    title: str
    find: Callable[[Setting, Place], Any]
    share: float
    together: bool = False


STEPS = (
    Step("tests", "tests that need a GPU", cuda_tests, 0.12),
    Step("partitions", "parts of the GPU, and how they disturb each other", partitions, 0.06),
    Step("copies", "copies between host and device", copy_speeds, 0.06),
    Step("families", "every family, simulated and run", every_family, 0.46),
    Step("classes", "torch's classes against ours", classes_together, 0.14, together=True),
    Step("alone", "torch's classes against ours, rank by rank", classes_alone, 0.12),
)
"""Their shares leave a part of the time for starting processes."""


class Outcome(NamedTuple):
    """What a step found, or in one sentence why it found nothing."""

    name: str
    title: str
    seconds: float
    found: Any = None
    error: str = ""


def outcomes(
    setting: Setting,
    *,
    seconds: float,
    steps: Sequence[Step] = STEPS,
    tell: Callable[[str], None] = lambda line: None,
    progress: bool = False,
) -> list[Outcome]:
    """All steps, one after the other, in `seconds` at the most; tell: gets a line for each, and
    what failed. progress: a bar, which moves between steps."""
    found: list[Outcome] = []
    over = 0.0
    with bar("visiting", sum(step.share for step in steps), shown=progress, alone=True) as move:
        for step in steps:
            if move:
                move(over, step.title)
            found.append(_outcome(step, setting, step.share * seconds, tell))
            over += step.share
    return found


def _outcome(step: Step, setting: Setting, seconds: float, tell: Callable[[str], None]) -> Outcome:
    tell(f"{step.title} (at most {seconds:.0f} s)")
    began = time.monotonic()
    ranks, port = range(setting.ranks if step.together else 1), free_port()
    calls = [(setting, Place(rank, port, seconds)) for rank in ranks]
    answers = in_processes(step.find, calls, seconds=seconds)
    took = time.monotonic() - began
    for answer in answers:
        if isinstance(answer, Failure):
            tell(f"failed: {answer.reason}")
            return Outcome(step.name, step.title, took, error=answer.reason)
    return Outcome(step.name, step.title, took, answers[0])
