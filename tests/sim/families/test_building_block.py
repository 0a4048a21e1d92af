"""Building blocks: what they predict, the schedules they become, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from longest_path import peak, problems, times

from sim import Costs
from sim.families.blocks.build import (
    Block,
    check,
    is_collision_free,
    lifespan,
    predicted_peak,
    schedule,
    v_placement,
)
from sim.families.blocks.passes import Cells
from sim.families.blocks.reorder import reordered
from sim.families.one_f_one_b_v import one_f_one_b_v_block
from sim.families.v_half import v_half_block
from sim.families.v_min import v_min_block
from sim.families.v_zb import v_zb_block
from sim.schedule.ir import Kind, Op, Schedule
from sim.schedule.json_form import to_json
from sim.schedule.validate import validate

V_BLOCKS = (v_min_block, v_half_block, v_zb_block, one_f_one_b_v_block)
TWO: dict[Kind, tuple[int, int]] = {"F": (0, 1), "B": (4, 2)}


def chunks(found: Schedule) -> tuple[int, ...]:
    """The peak of every device in stages."""
    shares = peak(found)
    return tuple(int(s * len(found.stages_of[d])) for d, s in enumerate(shares))


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Blocks without collisions, laid out pass by pass with random pauses."""
    p = draw(st.integers(1, 4))
    placement = draw(
        st.sampled_from((tuple(range(p)), v_placement(p), (*range(p), *range(p)), (0, *range(p))))
    )
    fused = draw(st.booleans())
    lengths = draw(st.sampled_from(({}, {"F": 2, "B": 3, "BW": 4}, {"W": 2})))
    send = draw(st.integers(0, 2))
    cell = {"F": 1, "B": 1, "W": 1, "BW": 2} | lengths
    kinds = ("F", "BW") if fused else ("F", "B", "W")
    most = max(placement.count(d) for d in placement)
    interval = draw(st.integers(3, 5)) * most * sum(cell[kind] for kind in kinds)
    n = len(placement)
    taken: set[tuple[int, int]] = set()
    ends: dict[tuple[str, int], tuple[int, int]] = {}
    offsets: dict[str, dict[int, int]] = {kind: {} for kind in kinds}

    def lay(kind: str, stage: int, source: tuple[str, int] | None) -> None:
        device, start = placement[stage], 0
        if source:
            end, writer = ends[source]
            start = end + (send if writer != device else 0)
        start += draw(st.integers(0, 3))
        while any((device, (start + i) % interval) in taken for i in range(cell[kind])):
            start += 1
        taken.update((device, (start + i) % interval) for i in range(cell[kind]))
        ends[kind, stage] = start + cell[kind], device
        offsets[kind][stage] = start

    for stage in range(n):
        lay("F", stage, ("F", stage - 1) if stage else None)
    back = kinds[1]
    for stage in reversed(range(n)):
        lay(back, stage, (back, stage + 1) if stage < n - 1 else ("F", stage))
    given = kinds if fused or draw(st.booleans()) else kinds[:2]
    if "W" in given:
        for stage in range(n):
            lay("W", stage, ("B", stage))
    rows = {kind: tuple(offsets[kind][s] for s in range(n)) for kind in given}
    return Block(placement, rows, interval, "random", lengths, send)  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(blocks(), st.integers(1, 30))
def test_any_block_without_collisions_becomes_a_valid_schedule_of_the_predicted_peak(
    block: Block, m: int
) -> None:
    assert is_collision_free(block)
    found = schedule(block, m)
    validate(found)
    assert not problems(found)
    assert all(a <= b for a, b in zip(chunks(found), predicted_peak(block), strict=True))


@settings(max_examples=50, deadline=None)
@given(blocks(), st.integers(1, 12))
def test_drawing_together_never_takes_longer_than_repeating(block: Block, m: int) -> None:
    costs = Costs.of(
        block.n_stages,
        forward=block.lengths["F"],
        backward=block.lengths["B"],
        weight=block.lengths["W"],
        fused_backward=block.lengths["BW"],
        send=block.send,
    )
    forwards = block.offsets["F"]
    end = max(f + cells for f, cells in zip(forwards, lifespan(block), strict=True))
    repeated = (m - 1) * block.interval + end - min(forwards)
    assert times(schedule(block, m), costs).makespan <= repeated


@settings(max_examples=40, deadline=None)
@given(blocks(), st.integers(1, 12), st.integers(0, 3))
def test_a_limit_is_kept(block: Block, m: int, more: int) -> None:
    limit = max(predicted_peak(block)) + more
    assert max(chunks(schedule(block, m, limit=limit))) <= limit


@pytest.mark.parametrize("make", V_BLOCKS)
def test_the_v_blocks_are_collision_free_on_up_to_64_devices(make: Any) -> None:
    for p in range(1, 65):
        check(make(p))
        assert is_collision_free(make(p))


def test_the_lifespan_decides_the_memory() -> None:
    for p in range(3, 25):
        cells = [lifespan(make(p)) for make in (v_min_block, v_half_block, v_zb_block)]
        first, *_, last = zip(*cells, strict=True)
        assert first[0] < first[1] < first[2]
        assert all(a + b <= 6 * (2 * p + 1) for a, b in zip(first, last, strict=True))
        peaks = [max(predicted_peak(make(p))) for make in (v_min_block, v_half_block, v_zb_block)]
        exact = [2 * ((p + 4) // 3), 2 * ((p + 2) // 2), 2 * p]
        assert all(k <= predicted <= k + 1 for k, predicted in zip(exact, peaks, strict=True))


def test_floating_weights_settle_in_the_first_idle_cell_first_in_first_out() -> None:
    # device 0 is busy in cells 0, 1, 3 and 4 of six: B's end in cells 8 and 5, and 8 and 5 are idle
    floating = v_min_block(2)
    given = Block(floating.placement, {**floating.offsets, "W": (8, 10, 9, 5)}, 6)
    assert lifespan(floating) == lifespan(given) == (9, 10, 8, 3)
    assert lifespan(v_min_block(4)) == (18, 16, 14, 12, 10, 8, 6, 4)
    assert predicted_peak(v_min_block(4)) == (4, 4, 5, 4)


@pytest.mark.parametrize("make", V_BLOCKS)
@pytest.mark.parametrize("p", [1, 2, 5, 6])
def test_one_microbatch_more_adds_one_interval_and_nothing_else(make: Any, p: int) -> None:
    ends = []
    for m in (40, 41, 100):
        found = schedule(make(p), m)
        assert not problems(found)
        ends.append(times(found, Costs.of(2 * p, forward=1, backward=1, weight=1)).makespan)
    assert (ends[1] - ends[0], ends[2] - ends[0]) == (6, 360)


def test_a_block_of_your_own_takes_five_lines() -> None:
    block = Block(placement=(0, 1), offsets=TWO, interval=3, name="mine")
    assert (lifespan(block), predicted_peak(block)) == ((6, 3), (2, 1))
    assert str(schedule(block, 3)).splitlines()[1:] == [
        "device 0 | F0 F1 B0 W0 F2 B1 W1 B2 W2",
        "device 1 | F0 B0 W0 F1 B1 W1 F2 B2 W2",
    ]


def test_numbers_of_numpy_count_as_numbers() -> None:
    p = 4
    i = np.arange(p)
    ours = Block(
        placement=np.array([*i, *i[::-1]]),  # type: ignore[arg-type]
        offsets={
            "F": [*(2 * i), *(3 * p - 2 - i)[::-1]],
            "B": np.array([*(6 * p + 1 - i), *(3 * p + 2 + 2 * i)[::-1]]),  # type: ignore[dict-item]
        },
        interval=np.int64(6),  # type: ignore[arg-type]
        name="v-half",
    )
    assert ours == v_half_block(p)
    m, limit = np.int64(9), np.int64(6)
    drawn = schedule(ours, m, limit=limit)  # type: ignore[arg-type]
    assert drawn == schedule(v_half_block(p), 9, limit=6)
    assert json.loads(to_json(drawn))["n_microbatches"] == 9


def test_weights_given_by_offset_stay_where_they_are_in_the_stable_phase() -> None:
    late = Block((0,), {"F": (0,), "B": (1,), "W": (8,)}, 3, "late")
    order = schedule(late, 6).orders[0]
    assert predicted_peak(late) == (3,)
    assert " ".join(f"{op.kind}{op.microbatch}" for op in order) == (
        "F0 B0 F1 B1 F2 B2 W0 F3 B3 W1 F4 B4 W2 F5 B5 W3 W4 W5"
    )
    assert max(chunks(schedule(late, 6))) <= 3


@pytest.mark.parametrize(
    ("offsets", "interval", "message"),
    [
        ({"F": (0, 1), "B": (3, 2)}, 3, "F of stage 0 and B of stage 0 collide on device 0"),
        ({"F": (0, 1), "B": (4, 2)}, 2, "collide"),
        ({"F": (0, 1), "B": (3, 2)}, 2, "0 of 1 W's fit into the idle cells of device 0"),
        ({"F": (1, 1), "B": (5, 2)}, 3, "F of stage 1 starts in cell 1, but its input from F of"),
        ({"F": (0, 1), "B": (1, 2)}, 3, "B of stage 0 starts in cell 1, but its input from B of"),
        ({"F": (0, 1), "B": (4, 2), "W": (2, 3)}, 3, "W of stage 0 starts in cell 2, but its"),
        ({"F": (0, 1), "BW": (4, 1)}, 3, "input from F of stage 1 is there in cell 2: move it"),
    ],
)
def test_a_block_that_is_no_schedule_is_explained(
    offsets: Any, interval: int, message: str
) -> None:
    block = Block((0, 1), offsets, interval, "bad")
    with pytest.raises(ValueError, match=message) as error:
        schedule(block, 4)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("bad: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offsets": {"F": (0, 1)}}, r"offsets are given for \['F'\]: give F and B"),
        ({"offsets": {"F": (0,), "B": (4, 2)}}, "F has 1 offsets for 2 stages"),
        ({"offsets": {"F": (0, 1), "B": (4.5, 2)}}, "an offset of B is 4.5"),
        ({"placement": (0, 2)}, "every device from 0 on a stage"),
        ({"placement": ()}, "give every stage a device"),
        ({"interval": 0}, "interval is 0: it must be a whole number >= 1"),
        ({"lengths": {"F": 0}}, "length of F is 0"),
        ({"send": -1}, "send is -1"),
    ],
)
def test_numbers_that_do_not_fit_are_refused_at_the_door(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Block(**{"placement": (0, 1), "offsets": TWO, "interval": 3, **changes})


@pytest.mark.parametrize(
    ("m", "limit", "message"),
    [
        (0, None, "m is 0: it must be a whole number >= 1"),
        (True, None, "m is True"),
        (4, 0, "limit is 0"),
        (4, 1, "limit is 1 chunks, but the orders themselves keep 2 alive"),
    ],
)
def test_a_limit_below_the_block_is_refused(m: Any, limit: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schedule(Block((0, 1), TWO, 3), m, limit=limit)


def test_a_colliding_block_can_still_be_looked_at() -> None:
    block = Block((0, 1), {"F": (0, 1), "B": (3, 2), "W": (5, 4)}, 3)
    assert not is_collision_free(block)
    assert lifespan(block) == (6, 4)


def test_orders_are_reordered_for_real_times_too() -> None:
    unit = schedule(v_half_block(4), 16)
    cells = Cells({"F": 5, "B": 7, "W": 3, "BW": 10}, unit.placement, 2)
    limit = max(chunks(unit))
    orders = reordered(unit.orders, cells, limit=limit)
    found = Schedule(unit.placement, tuple(map(tuple, orders)), 16)
    costs = Costs.of(8, forward=5, backward=7, weight=3, send=2)
    validate(found)
    assert max(chunks(found)) <= limit
    assert times(found, costs).makespan <= times(unit, costs).makespan


def test_orders_that_contradict_each_other_are_refused() -> None:
    rows = [[Op("B", 0, 0), Op("F", 0, 0)], [Op("F", 1, 0), Op("B", 1, 0)]]
    with pytest.raises(ValueError, match="B0@0 waits for ever"):
        reordered(rows, Cells({"F": 1, "B": 1, "W": 1}, (0, 1)))
