"""A block as it is drawn: every pass in the cells its offsets say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import sim
from sim.families.blocks.build import Block, lifespan, schedule
from sim.show.as_drawn import as_drawn


def v_half_on_two() -> Block:
    return Block(
        placement=(0, 1, 1, 0),
        offsets={"F": (0, 2, 3, 4), "B": (13, 12, 10, 8)},
        interval=6,
        name="v-half",
    )


def test_passes_lie_where_the_offsets_say_and_repeat_every_interval() -> None:
    block = v_half_on_two()
    ops = as_drawn(block, 3).ops
    rows: Any = ops[ops["kind"] != "W"].itertuples()
    for row in rows:
        assert row.start == block.offsets[row.kind][row.stage] + 6 * row.microbatch
        assert (row.end - row.start, row.device) == (1, block.placement[row.stage])
    assert len(ops) == 3 * 3 * 4


def test_an_activation_is_alive_as_long_as_the_lifespan_says() -> None:
    block = v_half_on_two()
    ops = as_drawn(block).ops
    for stage, cells in enumerate(lifespan(block)):
        mine = ops[ops["stage"] == stage]
        assert mine["end"].max() - mine[mine["kind"] == "F"]["start"].min() == cells


def test_a_fused_backward_takes_two_cells() -> None:
    block = Block(placement=(0, 1), offsets={"F": (0, 1), "BW": (4, 2)}, interval=3)
    ops = as_drawn(block).ops
    assert ops[ops["kind"] == "BW"]["end"].tolist() == [6, 4]


def test_a_block_that_collides_is_refused_with_its_reason() -> None:
    with pytest.raises(ValueError, match="collide on device 0"):
        as_drawn(Block(placement=(0,), offsets={"F": (0,), "B": (3,)}, interval=3))


def test_it_can_be_drawn() -> None:
    picture = sim.gantt_svg({"one": as_drawn(v_half_on_two())})
    assert picture.count("class='b'") == 12


def test_the_gallery_shows_the_block_of_every_family_that_is_drawn_as_one() -> None:
    gallery = gallery_module()
    page = gallery.gallery()
    names = [name for name in sim.FAMILIES if gallery.block_of(name)]
    assert {"v-min", "v-half", "v-zb", "1f1b-v"} <= set(names)
    for name in names:
        assert f"](pictures/{name}-block.svg)" in page
        made = schedule(gallery.block_of(name), 8)
        assert made.placement == sim.FAMILIES[name](4, 8).placement


def gallery_module() -> ModuleType:
    path = Path(__file__).parents[3] / "docs" / "gallery.py"
    spec = importlib.util.spec_from_file_location("gallery", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
