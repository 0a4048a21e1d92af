"""CP-SAT, by wall time or by its own count of work; its crashes are answers that say nothing."""

from __future__ import annotations

from typing import Any

from ortools.sat.python import cp_model

from .settings.effort import Effort


def new_solver(*, seconds: float, workers: int, seed: int, effort: Effort) -> cp_model.CpSolver:
    """A solver that stops after so many seconds of `effort`.

    Where work is counted its workers take turns at fixed points, so that equal calls give equal
    answers.
    """
    solver = cp_model.CpSolver()
    parameters = solver.parameters
    parameters.num_workers, parameters.random_seed = workers, seed
    if effort.counted:
        parameters.max_deterministic_time = max(seconds, 0.01)
        parameters.interleave_search = True
    else:
        parameters.max_time_in_seconds = max(seconds, 0.01)
    return solver


def solve(solver: cp_model.CpSolver, model: cp_model.CpModel, effort: Effort | None = None) -> Any:
    """The status of the solver, whose work is reported to `effort`; UNKNOWN where it fails inside.

    OR-Tools 9.15 raises IndexError ("absl::btree_map::at") from the presolve of a few valid models.
    """
    try:
        status = solver.solve(model)
    except IndexError:
        if effort is not None:
            effort.worked(0.01)
        return cp_model.UNKNOWN
    if effort is not None:
        effort.worked(solver.response_proto.deterministic_time)
    return status
