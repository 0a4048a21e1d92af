"""A plan: every way to cut a model over a machine, simulated and ranked, or refused with a reason.

Runs in local processes; on a Dask or Ray cluster it runs unchanged under joblib's backends (after
`distributed.Client(address)`, or `ray.util.joblib.register_ray()` and backend="ray"):

    with joblib.parallel_config(backend="dask"):
        table = sim.plan("llama-3-70b", "64xh100", sequence=8192, batch=512)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from heapq import nsmallest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..base.extras import imported
from ..base.interrupts import children_ignore_sigint, deferred_sigint
from ..base.progress import bar
from ..schedule.clock import Clock
from .configurations import Space, configurations
from .cost_model import Configuration, Efficiency, efficiency_of, refusal
from .estimate import (
    Prepared,
    bytes_at_least,
    estimate,
    layout,
    peak_bytes,
    prepare,
    seconds_at_least,
)
from .hardware import Machine, machine_of, read_machine
from .models import MODELS, Model, read_config
from .orders import Orders, short
from .problem import Cut, Problem
from .reasons import bound_reason, checked_question, too_large
from .rows import frame, refused_row, row_of
from .store import Row, Store, key_of, question_of

if TYPE_CHECKING:
    import pandas as pd

NOTHING = "nothing was left to try: leave one of the sizes open"
WAVE = 48
"""Configurations a process simulates before all processes hear of the best ones so far."""
FEW = 200
"""So few are simulated here rather than in other processes, which take seconds to start."""


class Candidate(NamedTuple):
    """A legal configuration with its lower bounds."""

    configuration: Configuration
    seconds: float
    memory: float


def plan(
    model: Model | str, machine: Machine | str, *, sequence: int, batch: int,
    space: Space | None = None, efficiency: Efficiency | None = None, top: int | None = 50,
    clock: Clock = "makespan", cut: Cut | str = "balanced", reserve: float = 4e9,
    results: str | Path | None = None, jobs: int | None = None, progress: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Ranked configurations, fastest first, then those refused, each with its reason.

    model: a shape, the name of a preset, or the path of a config.json. machine: a machine, e.g.
    "64xh100", or the path of a machine's JSON file (see `sim.hardware.read_machine`). sequence,
    batch: tokens of a sequence, sequences of an iteration. space: what may be chosen. efficiency: a
    calibration in place of the device's. top: how many of the fastest are certain to be simulated;
    others are left out once their lower bound is beaten by all of these (None simulates all).
    clock, cut, reserve: see `Problem`. results: a file that rows are written to as they come, and
    from which an interrupted plan goes on. jobs: processes; by default the active joblib backend's,
    or one per core. progress: a bar on stderr.

    Columns: rank, status ("simulated", "memory", "bound" or "illegal"), reason, the configuration,
    seconds, samples_per_second, tokens_per_second_per_device, mfu, bubble, memory_gib,
    tail_seconds, at_least_seconds, layout and key; of a row that does not fit, memory_gib is what
    it needs at least. Ctrl-C ends the search and returns what is done, with `attrs["interrupted"]`
    set; processes of our own do not hear it. ValueError with one sentence if nothing can run.
    """
    problem = Problem(
        model if isinstance(model, Model) else model_of(model),
        machine if isinstance(machine, Machine) else _machine_of(machine),
        clock=clock, cut=cut, reserve=reserve,
    )  # fmt: skip
    calibration = efficiency or efficiency_of(problem.machine.device.name)
    problem = replace(problem, efficiency=calibration)
    space = space or Space()
    checked_question(problem, space, sequence, batch, top, jobs)
    store = Store(results, question_of(problem))
    rows: dict[str, Row] = {}
    with deferred_sigint() as ctrl_c:
        try:
            with ctrl_c.let_through():
                legal = _legal(problem, space, sequence, batch, rows)
                for row in _examined(problem, legal, store, rows, top, jobs, progress):
                    rows[row["key"]] = row
        except KeyboardInterrupt:
            ctrl_c.came = True
        if ctrl_c.came:
            print("interrupted: these are the configurations done so far", file=sys.stderr)
        elif not any(row["status"] == "simulated" for row in rows.values()):
            needs = [row["memory"] for row in rows.values() if row["status"] == "memory"]
            if not needs:  # what may fit cannot be ordered
                raise ValueError(next(row["reason"] for row in rows.values()))
            raise ValueError(too_large(problem, space, min(needs), sequence, batch))
        return frame(problem, rows.values(), ctrl_c.came)


def model_of(name: str) -> Model:
    """The preset of that name, or the model in a config.json (or a folder with one) at that
    path."""
    if name.lower() in MODELS:
        return MODELS[name.lower()]
    if name.endswith(".json") or Path(name).is_file() or (Path(name) / "config.json").is_file():
        return read_config(name)
    near = get_close_matches(name.lower(), MODELS, n=1, cutoff=0.8)
    meant = f"did you mean {near[0]}? " if near else ""
    raise ValueError(
        f"no model {name!r}: {meant}use a path of a config.json or one of {', '.join(MODELS)}"
    )


def _machine_of(name: str) -> Machine:
    return read_machine(name) if name.endswith(".json") else machine_of(name)


def examine(
    problem: Problem, chosen: Sequence[Configuration], slowest: float = float("inf")
) -> list[Row]:
    """The rows of some configurations; those that cannot beat `slowest` seconds are not simulated.

    What joblib sends to other processes: pure, but for schedules that a process keeps.
    """
    return [_examined_one(problem, c, slowest) for c in chosen]


def _examined_one(problem: Problem, c: Configuration, slowest: float) -> Row:
    prepared = prepare(problem, c)
    at_least = seconds_at_least(problem, prepared)
    if at_least > slowest:
        return row_of(c, "bound", bound_reason(at_least, slowest), at_least)
    need = bytes_at_least(problem, prepared)
    if need > problem.capacity:
        return refused_row(problem, c, need, at_least)
    try:
        need = peak_bytes(problem, prepared, _orders()(short(prepared.shape)))
        if need > problem.capacity:
            return refused_row(problem, c, need, at_least)
        found = estimate(problem, prepared, _orders())
    except ValueError as error:
        return row_of(c, "illegal", str(error), at_least)
    if found.memory > problem.capacity:
        return refused_row(problem, c, found.memory, at_least)
    return {
        **row_of(c, "simulated", "", at_least),
        "seconds": found.seconds,
        "bubble": max(1 - found.busy, 0.0),
        "memory": found.memory,
        "tail_seconds": found.tail,
        "layout": layout(prepared),
    }


@lru_cache(maxsize=1)
def _orders() -> Orders:
    return Orders()


def _legal(
    problem: Problem, space: Space, sequence: int, batch: int, rows: dict[str, Row]
) -> list[Candidate]:
    """What can be cut so, with its bounds; `rows` gets the rest, each with its reason."""
    legal: list[Candidate] = []
    for c in configurations(problem.model, problem.machine, space, sequence=sequence, batch=batch):
        try:
            if reason := refusal(problem.model, c):
                raise ValueError(reason)
            prepared: Prepared = prepare(problem, c)
            least = seconds_at_least(problem, prepared), bytes_at_least(problem, prepared)
            legal.append(Candidate(c, *least))
        except ValueError as error:
            rows[key_of(c)] = row_of(c, "illegal", str(error))
    if not legal:
        raise ValueError(next(iter(rows.values()))["reason"] if rows else NOTHING)
    return legal


def _examined(
    problem: Problem, legal: list[Candidate], store: Store, known: dict[str, Row],
    top: int | None, jobs: int | None, progress: bool,
) -> Iterator[Row]:  # fmt: skip
    """Rows in waves, the most promising first, until no bound beats the best `top` of them."""
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
    best = [row["seconds"] for row in known.values() if row["status"] == "simulated"]
    workers, here = _workers(jobs, len(fits))
    wave = WAVE * workers
    with bar("configurations", len(fits), shown=progress) as show:
        for first in range(0, len(fits), wave):
            best = nsmallest(top, best) if top else []
            slowest = best[-1] if top and len(best) == top else float("inf")
            chosen = fits[first : first + wave]
            if chosen[0].seconds > slowest:
                for candidate in fits[first:]:
                    reason = bound_reason(candidate.seconds, slowest)
                    yield row_of(candidate.configuration, "bound", reason, candidate.seconds)
                break
            wanted = [each.configuration for each in chosen]
            for rows in _spread(problem, wanted, slowest, workers, here):
                store.add(row for row in rows if row["status"] != "bound")
                best += [row["seconds"] for row in rows if row["status"] == "simulated"]
                yield from rows
            if show:
                show(first + len(chosen))


def _spread(
    problem: Problem, chosen: list[Configuration], slowest: float, workers: int, here: bool
) -> Iterator[list[Row]]:
    """Rows part by part; configurations of one order of passes stay in one of the processes."""
    chosen = sorted(
        chosen, key=lambda c: (c.schedule, c.pipeline, c.virtual, c.n_microbatches, key_of(c))
    )
    if here:
        yield from (examine(problem, [c], slowest) for c in chosen)
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
