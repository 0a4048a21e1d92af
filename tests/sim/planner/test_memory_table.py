"""The table of memory adds up to what is compared with the memory of a device."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import sim
from sim.planner import (
    DEFAULT_SCHEDULES,
    DeviceBytes,
    Orders,
    Problem,
    device_bytes,
    peak_bytes,
    prepare,
    stage_bytes,
)
from sim.planner.cost_model import Configuration
from sim.planner.hardware import machine_of
from sim.planner.memory_table import KINDS, told
from sim.planner.models import Model
from sim.planner.models.shape import Experts

SMALL = Model("small", 14, 512, 8, 32000, kv_heads=4)
PROBLEM = Problem(SMALL, machine_of("8xh100"))


def configuration(schedule: str, p: int, m: int, **more: Any) -> Configuration:
    family = sim.FAMILIES[schedule]
    virtual = 2 if "v" in family.options or family.placement == "V" else 1
    data = 8 // p
    return Configuration(
        1024, m * data, pipeline=p, data=data, schedule=schedule, virtual=virtual, **more
    )


@pytest.mark.parametrize("more", [
    {}, {"recompute": "full"}, {"recompute": "selective", "attention": "plain"}, {"zero": 2},
    {"zero": 3}, {"zero": 0},
])  # fmt: skip
@pytest.mark.parametrize("schedule", DEFAULT_SCHEDULES)
def test_the_kinds_add_up_to_what_is_compared_with_the_memory(
    schedule: str, more: dict[str, Any]
) -> None:
    c = configuration(schedule, 4, 10, **more)
    prepared, orders = prepare(PROBLEM, c), Orders()
    order = orders(prepared.shape)
    rows = device_bytes(PROBLEM, prepared, order)
    needed = [sum(getattr(row, kind) for kind in KINDS) for row in rows]
    assert needed == [row.needed for row in rows]
    assert max(needed) == pytest.approx(peak_bytes(PROBLEM, prepared, order), rel=1e-12)
    for row in rows:
        assert row.needed + row.reserve + row.headroom == pytest.approx(
            PROBLEM.machine.device.memory, rel=1e-12
        )
    stages = stage_bytes(PROBLEM, prepared, order)
    assert [row.stage for row in stages] == list(range(c.n_stages))
    for kind in KINDS:
        whole = sum(getattr(row, kind) for row in rows)
        assert sum(getattr(row, kind) for row in stages) == pytest.approx(whole, rel=1e-12)


def test_a_table_of_1f1b_by_hand() -> None:
    # 14 layers, width 512, 4 of 8 key-value heads of 64, ffn 2048, vocabulary 32000; p=2, d=4.
    c = configuration("1f1b", 2, 6, zero=1)
    problem = replace(PROBLEM, cut="even")
    prepared = prepare(problem, c)
    first, last = device_bytes(problem, prepared, Orders()(prepared.shape))
    layer = 512 * (512 + 2 * 256) + 512 * 512 + 3 * 512 * 2048 + 2 * 512
    held = 7 * layer + 32000 * 512
    assert first.weights == 2 * held
    assert first.gradients == 4 * held
    assert first.optimizer == 12 * held / 4
    assert last.weights == 2 * (held + 512)
    # One microbatch of 1024 tokens keeps, of a layer: norms, residuals and inputs 8*512, queries
    # and keys and values 2*512 + 2*2*256, attention's output 2*512, three inner widths 6*2048,
    # and 4 bytes per head for flash attention.
    kept = 1024 * (8 * 512 + 2 * 512 + 4 * 256 + 2 * 512 + 6 * 2048) + 4 * 8 * 1024
    embedding, head = 8 * 1024, 1024 * (4 * 512 + 4 * 32000)
    assert first.activations == 2 * (7 * kept + embedding)
    assert last.activations == 7 * kept + head
    # Gradients of the gated matrix and of the embedding are made in 16 bits, then added up in 32.
    assert (first.buffers, first.reserve) == (2 * (512 * 2 * 2048 + 32000 * 512), 4e9)


def test_experts_are_shared_out_and_the_table_says_so() -> None:
    model = replace(SMALL, experts=Experts(4, 2, 512))
    problem = Problem(model, machine_of("8xh100"))
    alone, shared = (
        device_bytes(problem, prepared, Orders()(prepared.shape))[0].weights
        for expert in (1, 4)
        for prepared in [prepare(problem, configuration("1f1b", 2, 6, expert=expert))]
    )
    experts = 7 * 4 * 3 * 512 * 512  # of seven layers, three matrices each
    assert alone - shared == 2 * experts * 3 / 4


def test_long_tables_keep_the_ends_and_the_fullest_device() -> None:
    rows = tuple(DeviceBytes(d, (d,), 1, 1, 1, 9 if d == 37 else 1, 0, 0, 0) for d in range(64))
    kept = [row.device for row in told(rows)]
    assert kept[0] == 0
    assert kept[-1] == 63
    assert 37 in kept
    assert len(kept) <= 8
    assert told(rows[:8]) == rows[:8]
