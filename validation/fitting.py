"""Fits a device's efficiencies to measured speeds: `least` for any loss, `closest` for errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sim.base.extras import imported
from sim.base.progress import Move, bar
from sim.planner.cost_model import Efficiency

STEP = 0.3
"""How far the first trials are from the start, in logarithms: a factor of 0.74."""

TRIALS = 200
"""Of a simplex at most, for each number: SciPy's own limit."""

LEAST_GAIN = 1e-5
"""Of a mean relative error; a gain below it ends the search."""


def least(
    loss: Callable[[Efficiency], float],
    start: Efficiency,
    names: Sequence[str],
    *,
    ceilings: Mapping[str, float] = {},
    progress: bool = False,
) -> Efficiency:
    """The efficiencies with the smallest loss that Nelder and Mead's simplex finds, in logarithms.

    A mean of absolute errors has no derivative where an error is zero, so that no method that
    follows one will do. The simplex starts again from its best point until that gains nothing;
    the same input gives the same result. ModuleNotFoundError without SciPy.

    names: the fields to fit. ceilings: what kernels and collectives reach at best; without one the
    fit trades one number against another beyond reason. progress: a bar for each simplex, whose end
    is the most trials it may take.
    """
    optimize = imported("scipy.optimize", "a fit")

    def at(point: Sequence[float]) -> Efficiency:
        values: dict[str, Any] = {name: math.exp(x) for name, x in zip(names, point, strict=True)}
        return replace(start, **{n: min(x, ceilings.get(n, x)) for n, x in values.items()})

    found, smallest = [math.log(getattr(start, name)) for name in names], math.inf
    while True:
        corners = [[x - STEP * (i == j) for j, x in enumerate(found)] for i in range(len(names))]
        with bar("fitting", TRIALS * len(names), shown=progress) as move:
            result: Any = optimize.minimize(
                _counted(lambda point: loss(at(point)), move),
                found,
                method="Nelder-Mead",
                bounds=[(None, math.log(ceilings.get(name, math.inf))) for name in names],
                options={
                    "initial_simplex": [found, *corners], "adaptive": True, "xatol": 1e-3,
                    "fatol": LEAST_GAIN, "maxfev": TRIALS * len(names),
                    "maxiter": TRIALS * len(names),
                },
            )  # fmt: skip
        if smallest - result.fun < max(LEAST_GAIN, 0.01 * smallest):
            return at(found)
        found, smallest = list(result.x), float(result.fun)


SOFT = 0.03
"""A logarithmic error up to which `closest` squares, and from which on it counts as it is."""
STEPS = 15
"""Of `closest`; each asks for every error once per number."""


def closest(
    groups: Sequence[Sequence[Callable[[Efficiency], float]]],
    start: Efficiency,
    names: Sequence[str],
    *,
    weights: Sequence[float],
    ceilings: Mapping[str, float] = {},
    progress: bool = False,
) -> Efficiency:
    """The efficiencies whose errors are smallest, in logarithms, by least squares of softened
    errors: far ones count by their size, so that a row that is out of line does not pull.

    groups: errors as logarithms of ratios, one function a row. weights: of each group, whatever the
    number of its rows. progress: a bar whose end is the most that it may take. The same input gives
    the same result. ModuleNotFoundError without SciPy.
    """
    import numpy as np

    optimize = imported("scipy.optimize", "a fit")
    rows = [row for group in groups for row in group]
    shares = np.array([
        math.sqrt(2 * weight / len(group))
        for weight, group in zip(weights, groups, strict=True)
        for _ in group
    ])  # fmt: skip
    first = np.array([math.log(getattr(start, name)) for name in names])
    highest = np.array([math.log(ceilings.get(name, math.inf)) for name in names])

    def at(point: Sequence[float]) -> Efficiency:
        values: dict[str, Any] = {n: math.exp(x) for n, x in zip(names, point, strict=True)}
        return replace(start, **values)

    def softened(point: Sequence[float]) -> Any:
        efficiency = at(point)
        errors = np.array([row(efficiency) for row in rows])
        return shares * np.sign(errors) * np.sqrt(np.sqrt(SOFT**2 + errors**2) - SOFT)

    with bar("fitting", STEPS * (1 + len(names)), shown=progress) as move:
        found: Any = optimize.least_squares(
            _counted(softened, move), np.minimum(first, highest - 1e-3), diff_step=0.02,
            max_nfev=STEPS, bounds=(first - math.log(30), highest),
        )  # fmt: skip
    return at(found.x)


def _counted(asked: Callable[[Sequence[float]], Any], move: Move | None) -> Any:
    """The same function, which moves a bar whenever it is asked."""
    if move is None:
        return asked
    tell = move

    def counting(point: Sequence[float]) -> Any:
        tell(tell.done + 1)
        return asked(point)

    return counting
