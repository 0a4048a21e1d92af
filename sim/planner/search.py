"""A plan: every way to cut a model over a machine, simulated and ranked, or refused with a reason.

Runs in local processes; on a Dask or Ray cluster it runs unchanged under joblib's backends (after
`distributed.Client(address)`, or `ray.util.joblib.register_ray()` and backend="ray"):

    with joblib.parallel_config(backend="dask"):
        table = sim.plan("llama-3-70b", "64xh100", sequence=8192, batch=512)
"""

from __future__ import annotations

import sys
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.interrupts import deferred_sigint
from ..schedule.clock import Clock
from .configurations import Space, configurations
from .cost_model import Efficiency, efficiency_of, refusal
from .estimate import Prepared, bytes_at_least, prepare, seconds_at_least
from .hardware import Machine, machine_of, read_machine
from .models import MODELS, Model, read_config
from .pass_times import PassTimes
from .problem import Cut, Problem
from .reasons import checked_question, too_large
from .rows import frame, row_of
from .store import Row, Store, key_of, question_of
from .waves import Candidate, examined

if TYPE_CHECKING:
    import pandas as pd

NOTHING = "nothing was left to try: leave one of the sizes open"


def plan(
    model: Model | str, machine: Machine | str, *, sequence: int, batch: int,
    space: Space | None = None, efficiency: Efficiency | None = None, top: int | None = 50,
    clock: Clock = "makespan", cut: Cut | str = "balanced", reserve: float = 4e9,
    measured: PassTimes | None = None, results: str | Path | None = None, jobs: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """Ranked configurations, fastest first, then those refused, each with its reason.

    model: a shape, the name of a preset, or the path of a config.json. machine: a machine, e.g.
    "64xh100", or the path of a machine's JSON file (see `sim.hardware.read_machine`). sequence,
    batch: tokens of a sequence, sequences of an iteration. space: what may be chosen. efficiency: a
    calibration in place of the device's. top: how many of the fastest are certain to be simulated,
    with the fastest of every schedule; others are left out once their lower bound is beaten by all
    of these (None simulates all).
    clock, cut, reserve, measured: see `Problem`. results: a file that rows are written to as they
    come, and from which an interrupted plan goes on. jobs: processes; by default the active joblib
    backend's, or one per core. progress: a bar on stderr, or in a notebook.

    Columns: rank, status ("simulated", "memory", "bound" or "illegal"), reason, the configuration,
    seconds, samples_per_second, tokens_per_second_per_device, mfu, bubble, memory_gib,
    tail_seconds, at_least_seconds, layout and key; of a row that does not fit, memory_gib is what
    it needs at least. Ctrl-C ends the search and returns what is done, with `attrs["interrupted"]`
    set; processes of our own do not hear it. ValueError with one sentence if nothing can run.
    """
    problem = Problem(
        model if isinstance(model, Model) else model_of(model),
        machine if isinstance(machine, Machine) else _machine_of(machine),
        clock=clock, cut=cut, reserve=reserve, measured=measured,
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
                for row in examined(
                    problem, legal, store, rows, top=top, jobs=jobs, progress=progress
                ):
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
    if name.endswith(".json") or Path(name).exists():
        return read_config(name)
    near = get_close_matches(name.lower(), MODELS, n=1, cutoff=0.8)
    meant = f"did you mean {near[0]}? " if near else ""
    raise ValueError(
        f"no model {name!r}: {meant}use a path of a config.json or one of {', '.join(MODELS)}"
    )


def _machine_of(name: str) -> Machine:
    return read_machine(name) if name.endswith(".json") else machine_of(name)


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
