"""CP-SAT, whose crashes are answers that say nothing."""

from __future__ import annotations

from typing import Any

from ortools.sat.python import cp_model


def solve(solver: cp_model.CpSolver, model: cp_model.CpModel) -> Any:
    """The status of the solver; UNKNOWN where it fails inside.

    OR-Tools 9.15 raises IndexError ("absl::btree_map::at") from the presolve of a few valid models.
    """
    try:
        return solver.solve(model)
    except IndexError:
        return cp_model.UNKNOWN
