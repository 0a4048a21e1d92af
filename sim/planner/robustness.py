"""How much of a plan's speed is left when devices are not all equally fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cost_model import costs_of
from ..costs import Costs
from ..search import evaluate
from .estimate import TICKS, prepare, rates
from .orders import Orders, short
from .problem import Problem
from .rows import configuration_of

if TYPE_CHECKING:
    import pandas as pd

QUANTILES = (0.05, 0.5, 0.95)


def robustness(
    problem: Problem, table: pd.DataFrame, *, rows: int = 5, draws: int = 100,
    jitter: float = 0.03, slow: float = 0.1, seed: int = 0,
    quantiles: Sequence[float] = QUANTILES,
) -> pd.DataFrame:  # fmt: skip
    """Quantiles of samples per second of the fastest rows of a plan, by Monte Carlo.

    Every draw is an iteration in which each device of a pipeline is slower by |normal| x `jitter`,
    and one of them, drawn alike, by `slow` besides. A group of `data` pipelines waits for its
    slowest, so the largest of as many draws counts. All rows see the same random numbers.

    Columns: rank, key, steady (nothing disturbed), one `q..` per quantile, and `kept`, the median's
    share of steady.
    """
    import pandas as pd

    for name, value in {"jitter": jitter, "slow": slow}.items():
        if not value >= 0:
            raise ValueError(f"{name} is {value}: a slow-down is a share >= 0, e.g. 0.1")
    if draws < 1:
        raise ValueError(f"draws is {draws}: use at least 1")
    orders, found = Orders(), []
    for _, row in table[table["status"] == "simulated"].head(rows).iterrows():
        times = _times(problem, row, orders, draws, jitter, slow, seed)
        c = configuration_of(row)
        speeds = np.array([rates(problem, c, t).samples_per_second for t in times])
        steady = float(row["samples_per_second"])
        found.append(
            {"rank": row["rank"], "key": row["key"], "steady": steady}
            | {f"q{round(100 * q)}": float(np.quantile(speeds, q)) for q in quantiles}
            | {"kept": float(np.median(speeds)) / steady}
        )
    return pd.DataFrame(found)


def _times(
    problem: Problem, row: Any, orders: Orders, draws: int, jitter: float, slow: float, seed: int
) -> list[float]:
    c = configuration_of(row)
    prepared = prepare(problem, c)
    shape = short(prepared.shape)
    schedule = orders(shape).schedule
    costs = costs_of(prepared.bench, prepared.stages, schedule.placement, ticks=TICKS)
    calm = float(getattr(evaluate(schedule, costs), problem.clock)) / TICKS
    rest = float(row["seconds"]) - calm - prepared.tail
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        worst = 0.0
        for _ in range(min(c.data, 8)):  # of more pipelines the slowest hardly changes
            factors = 1 + jitter * np.abs(rng.standard_normal(c.pipeline))
            factors[rng.integers(c.pipeline)] += slow
            disturbed = _slower(costs, [float(factors[device]) for device in schedule.placement])
            clock = float(getattr(evaluate(schedule, disturbed), problem.clock)) / TICKS
            worst = max(worst, clock)
        found.append(worst + rest * worst / calm + prepared.tail)
    return found


def _slower(costs: Costs, factors: Sequence[float]) -> Costs:
    changed: dict[str, Any] = {}
    for name in ("forward", "backward", "weight", "fused_backward"):
        rows = getattr(costs, name)
        changed[name] = rows and tuple(
            tuple(round(time * factor) for time in row)
            for row, factor in zip(rows, factors, strict=True)
        )
    return replace(costs, **changed)
