"""The time line of one configuration, played by the engine with what queues on its wires."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from ..engine.cluster import Cluster, Link
from ..engine.simulate import simulate
from ..engine.trace import Trace
from ..metrics.metrics import clock_time
from ..schedule.ir import Schedule
from .cost_model import Configuration, costs_of
from .estimate import prepare
from .hardware import wire_between
from .orders import built, shape_of
from .problem import Problem
from .rows import configuration_of

if TYPE_CHECKING:
    import pandas as pd


def schedule_of(configuration: Configuration) -> Schedule:
    """The order of passes a configuration names, with all its microbatches."""
    c = configuration
    return built(shape_of(c.schedule, c.pipeline, c.virtual, c.n_microbatches))


def timeline(
    problem: Problem, configuration: Configuration, *, microbatches: int | None = None,
    jitter: float = 0, seed: int = 0,
) -> Trace:  # fmt: skip
    """One iteration in seconds and bytes, or so many microbatches of it. Sends of both directions
    and of all stages that two devices exchange queue for the wire between them, which the compiled
    evaluator does not know.

    Open it with `sim.gantt(trace)` or `sim.write_perfetto`.
    """
    prepared = prepare(problem, configuration)
    shape = prepared.shape
    schedule = built(shape._replace(microbatches=min(microbatches or shape.microbatches,
                                                     shape.microbatches)))  # fmt: skip
    costs = costs_of(
        prepared.bench, prepared.stages, schedule.placement, per=problem.per, sends=False
    )
    cluster = cluster_of(problem, configuration, schedule)
    return simulate(schedule, costs, cluster, jitter=jitter, seed=seed)


def cluster_of(problem: Problem, configuration: Configuration, schedule: Schedule) -> Cluster:
    """The devices of one pipeline and a wire for each pair and direction that is used."""
    step = configuration.per_stage
    share = 1 if configuration.sequence_parallel else configuration.tensor
    links: dict[str, Link] = {}
    routes: dict[tuple[int, int], tuple[str, ...]] = {}
    for pair in pairwise(schedule.placement):
        for a, b in (pair, pair[::-1]):
            if a == b or (a, b) in routes:
                continue
            wire = wire_between(problem.machine, a * step, b * step)
            name = f"{a}->{b}"
            bandwidth = wire.bandwidth * problem.efficiency.wire * share
            links[name], routes[a, b] = Link(wire.latency, bandwidth), (name,)
    memory = (round(problem.capacity),) * schedule.n_devices
    return Cluster(schedule.n_devices, memory=memory, links=links, routes=routes)


def replayed(problem: Problem, table: pd.DataFrame, *, rows: int = 3) -> pd.DataFrame:
    """The fastest rows of a plan played by the engine: rank, key, seconds as planned, and
    `engine_seconds` with sends that queue for wires. Takes seconds per row."""
    import pandas as pd

    found = []
    for _, row in table[table["status"] == "simulated"].head(rows).iterrows():
        c = configuration_of(row)
        clock = clock_time(timeline(problem, c), problem.clock)
        engine = float(clock) + prepare(problem, c).tail
        found.append({"rank": row["rank"], "key": row["key"], "seconds": row["seconds"],
                      "engine_seconds": engine})  # fmt: skip
    return pd.DataFrame(found)


def shortened(configuration: Configuration, microbatches: int) -> Configuration:
    """The same configuration with at most so many microbatches, to look at."""
    c = configuration
    return replace(c, batch=min(c.n_microbatches, microbatches) * c.data * c.microbatch)
