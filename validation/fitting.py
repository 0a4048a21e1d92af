"""Fits a device's efficiencies to measured speeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sim.base.extras import imported
from sim.planner.cost_model import Efficiency

STEP = 0.3
"""How far the first trials are from the start, in logarithms: a factor of 0.74."""

LEAST_GAIN = 1e-5
"""Of a mean relative error; a gain below it ends the search."""


def least(
    loss: Callable[[Efficiency], float],
    start: Efficiency,
    names: Sequence[str],
    *,
    ceilings: Mapping[str, float] = {},
) -> Efficiency:
    """The efficiencies with the smallest loss that Nelder and Mead's simplex finds, in logarithms.

    A mean of absolute errors has no derivative where an error is zero, so that no method that
    follows one will do. The simplex starts again from its best point until that gains nothing;
    the same input gives the same result. ModuleNotFoundError without SciPy.

    names: the fields to fit. ceilings: what kernels and collectives reach at best; without one the
    fit trades one number against another beyond reason.
    """
    optimize = imported("scipy.optimize", "a fit")

    def at(point: Sequence[float]) -> Efficiency:
        values: dict[str, Any] = {name: math.exp(x) for name, x in zip(names, point, strict=True)}
        return replace(start, **{n: min(x, ceilings.get(n, x)) for n, x in values.items()})

    found, smallest = [math.log(getattr(start, name)) for name in names], math.inf
    while True:
        corners = [[x - STEP * (i == j) for j, x in enumerate(found)] for i in range(len(names))]
        result: Any = optimize.minimize(
            lambda point: loss(at(point)),
            found,
            method="Nelder-Mead",
            bounds=[(None, math.log(ceilings.get(name, math.inf))) for name in names],
            options={
                "initial_simplex": [found, *corners], "adaptive": True, "xatol": 1e-3,
                "fatol": LEAST_GAIN,
            },
        )  # fmt: skip
        if smallest - result.fun < max(LEAST_GAIN, 0.01 * smallest):
            return at(found)
        found, smallest = list(result.x), float(result.fun)
