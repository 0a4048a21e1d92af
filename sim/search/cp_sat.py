"""CP-SAT, by wall time or by its own count of work; its crashes are answers that say nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ortools.sat.python import cp_model

from ..base.interrupts import poll
from .settings.effort import Effort


def new_solver(*, seconds: float, workers: int, seed: int, effort: Effort) -> cp_model.CpSolver:
    """A solver that stops after so many seconds of `effort`.

    Where work is counted it has one worker, so that equal calls give equal answers. Several that
    take turns (`interleave_search`) would as well, but OR-Tools 9.15 ends the whole process where
    the first of them sees at once that a model with a hint has no solution.
    """
    solver = cp_model.CpSolver()
    parameters = solver.parameters
    parameters.num_workers, parameters.random_seed = 1 if effort.counted else workers, seed
    parameters.catch_sigint_signal = False  # else it takes Python's handler of Ctrl-C away for good
    if effort.counted:
        parameters.max_deterministic_time = max(seconds, 0.01)
    else:
        parameters.max_time_in_seconds = max(seconds, 0.01)
    return solver


def solve(solver: cp_model.CpSolver, model: cp_model.CpModel, effort: Effort | None = None) -> Any:
    """The status of the solver, whose work is reported to `effort`; UNKNOWN where it fails inside.

    Inside `polled_sigint`, Ctrl-C stops it.
    OR-Tools 9.15 raises IndexError ("absl::btree_map::at") from the presolve of a few valid models.
    """
    try:
        status = _stopped_by_sigint(solver, model)
    except IndexError:
        if effort is not None:
            effort.worked(0.01)
        return cp_model.UNKNOWN
    if effort is not None:
        effort.worked(solver.response_proto.deterministic_time)
    return status


def _stopped_by_sigint(solver: cp_model.CpSolver, model: cp_model.CpModel) -> Any:
    """`solver.solve`, in a thread of its own: Python handles signals between bytecodes only."""
    with ThreadPoolExecutor(1) as thread:
        status = thread.submit(solver.solve, model)
        while True:
            try:
                poll()
                return status.result(timeout=_BETWEEN_POLLS)
            except TimeoutError:
                continue
            except KeyboardInterrupt:
                solver.stop_search()
                raise


_BETWEEN_POLLS = 0.05
"""Seconds."""
