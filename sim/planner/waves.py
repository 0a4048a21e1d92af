"""Configurations in waves, the most promising first, over processes, until the rest is beaten."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from heapq import nsmallest
from math import inf
from typing import NamedTuple

from ..base.extras import imported
from ..base.interrupts import children_ignore_sigint, polled_sigint
from ..base.progress import bar
from .cost_model import Configuration
from .examination import examine
from .problem import Problem
from .reasons import bound_reason
from .rows import refused_row, row_of, told_as
from .store import Row, Store, key_of

WAVE = 48
"""Configurations a process simulates before all processes hear of the best ones so far."""
FEW = 200
"""So few are simulated here rather than in other processes, which take seconds to start."""


class Candidate(NamedTuple):
    """A legal configuration with its lower bounds."""

    configuration: Configuration
    seconds: float
    memory: float


def examined(
    problem: Problem, legal: list[Candidate], store: Store, known: dict[str, Row], *,
    top: int | None, jobs: int | None, progress: bool,
) -> Iterator[Row]:  # fmt: skip
    """Rows in waves, the most promising first, until no bound beats the best `top` of them, nor the
    best of its schedule."""
    done = store.done
    fits = []
    for candidate in legal:
        key = key_of(candidate.configuration)
        if key in done:
            yield done[key]
        elif candidate.memory > problem.capacity:
            yield refused_row(problem, candidate.configuration, candidate.memory, candidate.seconds)
        else:
            fits.append(candidate)
    fits.sort(key=lambda candidate: candidate.seconds)
    best = Best(top)
    best.add(known.values())
    workers, here = _workers(jobs, len(fits))
    total = len(fits)
    with bar("configurations", total, shown=progress) as show:
        while fits:
            chosen: list[Candidate] = []
            size = WAVE * workers
            limits = best.limits()
            seen = 0
            for candidate in fits:
                seen += 1
                c = candidate.configuration
                slowest = limits.get(told_as(c.schedule, c.pipeline), inf)
                if candidate.seconds <= slowest:
                    chosen.append(candidate)
                else:
                    reason = bound_reason(candidate.seconds, slowest)
                    yield row_of(c, "bound", reason, candidate.seconds)
                if len(chosen) == size:
                    break
            fits = fits[seen:]
            wanted = [each.configuration for each in chosen]
            for rows in _spread(problem, wanted, limits, workers, here):
                store.add(row for row in rows if row["status"] != "bound")
                best.add(rows)
                yield from rows
            if show:
                show(total - len(fits))


class Best:
    """The `top` fastest rows so far, and the fastest of each schedule, which is shown in any case:
    so that one can see what a schedule costs that none of the fastest has. `top=None`: all."""

    def __init__(self, top: int | None) -> None:
        self._top = top
        self._fastest: list[float] = []
        self._of: dict[str, float] = {}

    def add(self, rows: Iterable[Row]) -> None:
        """Count rows that were simulated."""
        for row in rows:
            if row["status"] == "simulated":
                seconds, schedule = row["seconds"], told_as(row["schedule"], row["pipeline"])
                self._fastest.append(seconds)
                self._of[schedule] = min(self._of.get(schedule, inf), seconds)
        self._fastest = nsmallest(self._top, self._fastest) if self._top else []

    def limits(self) -> dict[str, float]:
        """Seconds by schedule that a row may take at most to be of interest; none where all are."""
        if not self._top or len(self._fastest) < self._top:
            return {}
        return {name: max(self._fastest[-1], own) for name, own in self._of.items()}


def _spread(
    problem: Problem,
    chosen: list[Configuration],
    slowest: Mapping[str, float],
    workers: int,
    here: bool,
) -> Iterator[list[Row]]:
    """Rows part by part; configurations of one order of passes stay in one of the processes."""
    chosen = sorted(
        chosen, key=lambda c: (c.schedule, c.pipeline, c.virtual, c.n_microbatches, key_of(c))
    )
    if here:
        for c in chosen:
            with polled_sigint():  # compiled code may lose what a signal raises in it
                rows = examine(problem, [c], slowest)
            yield rows
        return
    joblib = imported("joblib", "a plan in several processes")
    size = max(-(-len(chosen) // (2 * workers)), 1)
    parts = [chosen[first : first + size] for first in range(0, len(chosen), size)]
    tasks = [joblib.delayed(examine)(problem, part, slowest) for part in parts]
    backend, _ = joblib.parallel.get_active_backend()
    if type(backend).__name__ != "LokyBackend":  # processes that are not ours
        yield from joblib.Parallel(n_jobs=workers)(tasks)
        return
    with children_ignore_sigint():
        coming = joblib.Parallel(n_jobs=workers, return_as="generator")(tasks)
    yield from coming


def _workers(jobs: int | None, candidates: int) -> tuple[int, bool]:
    """How many processes, and whether this one does it alone."""
    if jobs is not None:
        return jobs, jobs == 1
    try:
        from joblib import effective_n_jobs
        from joblib.parallel import get_active_backend
    except ImportError:
        return 1, True
    backend, _ = get_active_backend()
    if type(backend).__name__ not in ("LokyBackend", "SequentialBackend", "ThreadingBackend"):
        return max(effective_n_jobs(-1), 1), False
    if candidates < FEW:
        return 1, True
    workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 16)
    return workers, workers == 1
