"""How much of a plan's speed is left when devices are not all equally fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..engine.costs import Costs
from ..schedule.ir import Schedule
from ..search import evaluate
from .cost_model import Configuration, costs_of
from .estimate import TICKS, prepare, rates
from .orders import Orders, short
from .problem import Problem
from .rows import configuration_of

if TYPE_CHECKING:
    import pandas as pd

Factors = npt.NDArray[np.float64]
QUANTILES = (0.05, 0.5, 0.95)


class Calm(NamedTuple):
    """An iteration in which nothing is slow. clock, makespan: seconds of the passes played; rest:
    of the microbatches beyond those; tail: of gradients and optimizer."""

    configuration: Configuration
    schedule: Schedule
    costs: Costs
    clock: float
    makespan: float
    rest: float
    tail: float


def robustness(
    problem: Problem, table: pd.DataFrame, *, rows: int = 5, draws: int = 100,
    jitter: float = 0.03, slow: float = 0.1, seed: int = 0,
    quantiles: Sequence[float] = QUANTILES,
) -> pd.DataFrame:  # fmt: skip
    """Quantiles of samples per second of the fastest rows of a plan, by Monte Carlo.

    Every draw is a machine whose devices are slower by |normal| x `jitter` each, and one of them,
    drawn alike, by `slow` besides. All rows see the same machines. Who waits for whom: see
    `seconds_on`.

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
        c = configuration_of(row)
        calm = calmly(problem, c, orders, seconds=float(row["seconds"]))
        rng = np.random.default_rng(seed)
        speeds = []
        for _ in range(draws):
            factors = 1 + jitter * np.abs(rng.standard_normal(c.n_devices))
            factors[rng.integers(len(factors))] += slow
            seconds = seconds_on(problem, calm, factors)
            speeds.append(rates(problem, c, seconds).samples_per_second)
        steady = float(row["samples_per_second"])
        found.append(
            {"rank": row["rank"], "key": row["key"], "steady": steady}
            | {f"q{round(100 * q)}": float(np.quantile(speeds, q)) for q in quantiles}
            | {"kept": float(np.median(speeds)) / steady}
        )
    return pd.DataFrame(found)


def calmly(problem: Problem, c: Configuration, orders: Orders, *, seconds: float) -> Calm:
    """A configuration whose iteration is known to take `seconds`, ready to be disturbed."""
    prepared = prepare(problem, c)
    schedule = orders(short(prepared.shape)).schedule
    costs = costs_of(prepared.bench, prepared.stages, schedule.placement, ticks=TICKS)
    played = evaluate(schedule, costs)
    clock = float(getattr(played, problem.clock)) / TICKS
    rest = seconds - clock - prepared.tail
    return Calm(c, schedule, costs, clock, float(played.makespan) / TICKS, rest, prepared.tail)


def seconds_on(problem: Problem, calm: Calm, factors: Sequence[float] | Factors) -> float:
    """Seconds of an iteration where device i of the machine takes `factors[i]` times as long.

    Tensor-parallel devices meet several times in every layer, expert-parallel ones in every layer
    with experts, and with ZeRO 3 all replicas of a stage in every layer: a pass takes as long as on
    the slowest of them. Other replicas of the pipeline go on alone until gradients are summed up,
    when all wait for the slowest. Transfers, that sum and the optimizer take what they always do.
    """
    c = calm.configuration
    together = c.data if c.zero == 3 else c.expert
    # Neighbours are tensor-parallel, then data-parallel, then stages of a pipeline.
    shape = c.pipeline, c.data // together, together * c.tensor
    pipelines = np.asarray(factors, dtype=float).reshape(shape).max(axis=2).T
    worst = 0.0
    for pipeline in sorted(pipelines.tolist(), key=max, reverse=True):
        if calm.makespan * max(pipeline) <= worst:
            break  # neither it nor any that follows can be slower: all of it as slow would not be
        disturbed = _slower(calm.costs, [pipeline[device] for device in calm.schedule.placement])
        played = evaluate(calm.schedule, disturbed)
        worst = max(worst, float(getattr(played, problem.clock)) / TICKS)
    return worst + calm.rest * worst / calm.clock + calm.tail


def _slower(costs: Costs, factors: Sequence[float]) -> Costs:
    changed: dict[str, Any] = {}
    for name in ("forward", "backward", "weight", "fused_backward"):
        rows = getattr(costs, name)
        changed[name] = rows and tuple(
            tuple(round(time * factor) for time in row)
            for row, factor in zip(rows, factors, strict=True)
        )
    return replace(costs, **changed)
