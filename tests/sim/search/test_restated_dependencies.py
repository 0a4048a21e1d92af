"""What passes read is restated in tables for compiled loops: each agrees with `reads`."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sim import Costs, Op, Schedule, reads, writes
from sim.schedule.ir import KINDS
from sim.search.compiled import writers
from sim.search.orders.limits import PASSES
from sim.search.orders.problem import order_problem


def sources(schedule: Schedule, op: Op, ops: list[Op]) -> set[int]:
    """Which of `ops` write what a pass reads; -2 for a value that none of them writes."""
    written = {value: i for i, other in enumerate(ops) for value in writes(schedule, other)}
    return {written.get(value, -2) for value in reads(schedule, op)}


@st.composite
def placements(draw: st.DrawFn) -> tuple[int, ...]:
    """Stages in any order on devices, as many on each."""
    n_devices, chunks = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    return tuple(draw(st.permutations(sorted([*range(n_devices)] * chunks))))


@given(placements(), st.integers(0, 3))
def test_an_order_problem_waits_for_what_its_passes_read(
    placement: tuple[int, ...], send: int
) -> None:
    n = len(placement)
    costs = Costs.of(n, forward=1, backward=1, weight=1, send=send)
    tables = order_problem(placement, 2, costs).tables
    empty = Schedule(placement, ((),) * (max(placement) + 1), 2)
    ops = [Op(kind, stage, 1) for stage in range(n) for kind in PASSES]
    for code, op in enumerate(ops):
        found = sources(empty, op, ops)
        here = {source for source in found if placement[source // 3] == placement[op.stage]}
        assert here == {int(other) for other in tables.near[code] if other >= 0}
        assert found - here == ({int(tables.wait_on[code])} - {-1})
        assert tables.delay[code] == (send if found - here else 0)


@st.composite
def passes(draw: st.DrawFn) -> tuple[tuple[int, int, int], list[Op]]:
    """(stages, microbatches, slices), and some of their passes, each B or W or BW once."""
    shape = n_stages, m, k = draw(
        st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 3))
    )
    chosen = []
    for stage in range(n_stages):
        for i in range(m):
            for part in range(k):
                for kind in draw(
                    st.sampled_from(
                        ("F", "FB", "FBW", "FV", "BW", "FRV", "RB", "FOLV", "FOB", "LV", "")
                    )
                ):
                    name = "BW" if kind == "V" else kind
                    chosen.append(Op(name, stage, i, part))  # type: ignore[arg-type]
    return shape, draw(st.permutations(chosen))


@given(passes())
def test_the_evaluator_waits_for_what_passes_read(
    some: tuple[tuple[int, int, int], list[Op]],
) -> None:
    (n_stages, m, n_slices), ops = some
    schedule = Schedule((0,) * n_stages, (tuple(ops),), m, n_slices)
    columns = [[KINDS.index(op.kind) for op in ops], *([op[k] for op in ops] for k in (1, 2, 3))]
    shape = np.array((n_stages, m, n_slices), np.int64)
    kind, stage, microbatch, part = (np.array(column, np.int64) for column in columns)
    found = writers(kind, stage, microbatch, part, shape)
    for row, op in zip(found.tolist(), ops, strict=True):
        assert set(row) - {-1} == sources(schedule, op, ops)
