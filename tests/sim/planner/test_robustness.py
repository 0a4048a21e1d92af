"""What a plan is good for: uneven devices, jitter, the engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_plans import MACHINE, PROBLEM, SMALL, small_configuration

import sim
from sim import Op
from sim.planner import (
    DEFAULT_SCHEDULES,
    Orders,
    Problem,
    calmly,
    estimate,
    prepare,
    replayed,
    robustness,
    seconds_on,
    timeline,
)
from sim.planner.cost_model import Configuration
from sim.planner.cost_model.configuration import Recompute
from sim.planner.hardware import machine_of
from sim.planner.models.shape import Experts
from sim.planner.robustness import Calm


def test_robustness_orders_quantiles_below_the_steady_speed(table: pd.DataFrame) -> None:
    found = robustness(PROBLEM, table, rows=3, draws=20, jitter=0.05, slow=0.1)
    assert len(found) == 3
    assert (found["q5"] <= found["q50"]).all()
    assert (found["q50"] <= found["q95"]).all()
    assert (found["q95"] < found["steady"]).all()
    calm = robustness(PROBLEM, table, rows=1, draws=2, jitter=0, slow=0)
    assert calm["q50"].item() == pytest.approx(calm["steady"].item(), rel=1e-6)


def played_on_every_device(calm: Calm, factors: Any, *, meet: int) -> float:
    """Seconds of the passes, device by device: a pass is over when the last of the devices that run
    it together is; `meet` neighbouring replicas do, and all tensor-parallel devices."""
    c, schedule, costs = calm.configuration, calm.schedule, calm.costs
    clocks = []
    for replica in range(c.data):
        ends: dict[Op, float] = {}
        free = [0.0] * c.pipeline
        begun: dict[int, float] = {}
        left = [list(order) for order in schedule.orders]
        while any(left):
            for stage_device, order in enumerate(left):
                if not order:
                    continue
                op = order[0]
                kind, s, i, part = op
                needs = [Op(kind, s - 1, i, part)] if kind == "F" and s else []
                if kind != "F":
                    needs = [Op("B" if kind == "W" else "F", s, i, part)]
                    after = [Op(k, s + 1, i, part) for k in ("B", "BW")]
                    if kind != "W" and s < schedule.n_stages - 1:
                        needs += [next((o for o in after if o in ends), after[0])]
                if any(need not in ends for need in needs):
                    continue
                start = free[stage_device]
                for need in needs:
                    away = schedule.placement[need.stage] != stage_device
                    edge = min(s, need.stage)
                    start = max(start, ends[need] + (costs.send[edge] if away else 0))
                first = replica // meet * meet
                group = [
                    stage_device * c.data * c.tensor + r * c.tensor + t
                    for r in range(first, first + meet)
                    for t in range(c.tensor)
                ]
                alone = float(costs.duration((op,)))
                ends[op] = max(start + alone * factors[device] for device in group)
                free[stage_device] = ends[op]
                begun.setdefault(stage_device, start)
                order.pop(0)
        clocks.append(max(free) - min(begun.values()))
    return max(clocks) / 1e9


@pytest.mark.parametrize(
    ("sizes", "meet"),
    [
        ({"tensor": 1, "pipeline": 4, "data": 2}, 1),
        ({"tensor": 4, "pipeline": 2, "data": 1}, 1),
        ({"tensor": 2, "pipeline": 2, "data": 2, "schedule": "zb-h1"}, 1),
        ({"tensor": 2, "pipeline": 2, "data": 2, "zero": 3}, 2),
        ({"tensor": 1, "pipeline": 2, "data": 4, "expert": 2, "schedule": "v-half",
          "virtual": 2}, 2),
    ],
)  # fmt: skip
def test_a_machine_of_uneven_devices_is_as_slow_as_one_played_device_by_device(
    sizes: dict[str, Any], meet: int
) -> None:
    model = replace(SMALL, experts=Experts(4, 2, 512)) if "expert" in sizes else SMALL
    problem = Problem(model, MACHINE, reserve=0)
    c = Configuration(512, 64, **sizes)
    orders = Orders()
    usual = estimate(problem, prepare(problem, c), orders).seconds
    calm = calmly(problem, c, orders, seconds=usual)
    assert seconds_on(problem, calm, [1] * 8) == pytest.approx(usual, rel=1e-9)
    rng = np.random.default_rng(3)
    for _ in range(5):
        factors = 1 + rng.random(8)
        clock = played_on_every_device(calm, factors, meet=meet)
        seconds = clock + calm.rest * clock / calm.clock + calm.tail
        assert seconds_on(problem, calm, factors) == pytest.approx(seconds, rel=1e-6)
    for slow in range(8):  # whichever device it is, its whole group waits
        factors = np.where(np.arange(8) == slow, 2.0, 1.0)
        assert seconds_on(problem, calm, factors) > 1.3 * usual


def test_every_replica_counts_however_many_there_are() -> None:
    problem = Problem(SMALL, machine_of("64xh100"), reserve=0)
    c = Configuration(512, 512, tensor=1, pipeline=2, data=32)
    calm = calmly(problem, c, Orders(), seconds=1)
    for replica in range(32):
        factors = [1.5 if device == replica else 1 for device in range(64)]
        assert seconds_on(problem, calm, factors) > seconds_on(problem, calm, [1] * 64)


def test_the_engine_replays_rows_and_finds_queues_only_slower(table: pd.DataFrame) -> None:
    found = replayed(PROBLEM, table, rows=3)
    assert (found["engine_seconds"] >= found["seconds"] * 0.999).all()
    assert (found["engine_seconds"] <= found["seconds"] * 1.1).all()


@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
@pytest.mark.parametrize("schedule", DEFAULT_SCHEDULES)
def test_the_engine_finds_the_memory_that_was_planned(schedule: str, recompute: Recompute) -> None:
    c = replace(small_configuration(schedule, 4, 8), recompute=recompute, attention="plain")
    found = estimate(PROBLEM, prepare(PROBLEM, c), Orders()).memory
    assert max(sim.peak_bytes(timeline(PROBLEM, c))) == pytest.approx(found, rel=1e-6)
