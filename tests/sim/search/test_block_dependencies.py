"""What the search for blocks knows of dependencies agrees with `reads` and `writes`."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from counted import solver_layout
from event_graph import interval_of
from hypothesis import given, settings
from hypothesis import strategies as st
from longest_path import peak, times

from sim import Costs, Op, Schedule, reads, writes
from sim.base.numbers import exact
from sim.families.blocks.passes import Cells
from sim.schedule.ir import KINDS
from sim.search.periodic.climb import climb_tables, climbed
from sim.search.periodic.decide_straight import straight_layout
from sim.search.periodic.decide_v import v_layout
from sim.search.periodic.fastest import fastest_layout
from sim.search.periodic.layout import Answer, Layout, NoLayout, check_layout
from sim.search.periodic.mirror import mirrored, squeezed_from_behind
from sim.search.periodic.problem import BlockProblem, dependencies, problem_of
from sim.search.periodic.rounds import order_of_rounds, rounds_of
from sim.search.periodic.squeeze import Moves, as_they_are, squeezed
from sim.search.periodic.tables import pass_tables
from sim.search.periodic.unroll import PeriodicOrder, unrolled


class Case(NamedTuple):
    """A pipeline with an order that can repeat on it, and the shares its devices hold then."""

    placement: tuple[int, ...]
    costs: Costs
    order: PeriodicOrder
    shares: list[float]

    @property
    def pipeline(self) -> Schedule:
        return Schedule(self.placement, ((),) * (max(self.placement) + 1), 1)

    def problem(self) -> tuple[BlockProblem, Fraction]:
        """The problem of keeping these shares, and the length of a tick."""
        return problem_of(self.placement, self.costs, memory_limit=self.shares)

    def schedule(self, m: int) -> Schedule:
        return unrolled(self.order, m).schedule(self.placement, m, "unrolled")


def passes(n_stages: int) -> list[Op]:
    """The passes of a microbatch, none before its inputs."""
    back = [Op(kind, s, 0) for s in reversed(range(n_stages)) for kind in KINDS[1:3]]
    return [Op("F", s, 0) for s in range(n_stages)] + back


def inputs(pipeline: Schedule) -> dict[Op, set[Op]]:
    """What each pass of a microbatch reads from."""
    every = passes(pipeline.n_stages)
    writer = {value: op for op in every for value in writes(pipeline, op)}
    return {op: {writer[value] for value in reads(pipeline, op)} for op in every}


def behind(sources: dict[Op, set[Op]]) -> dict[Op, set[Op]]:
    """What each pass waits for, directly or not."""
    found: dict[Op, set[Op]] = {}
    for op in sources:
        found[op] = sources[op].union(*(found[source] for source in sources[op]))
    return found


def send_between(costs: Costs, placement: tuple[int, ...], a: Op, b: Op) -> int:
    crosses = placement[a.stage] != placement[b.stage]
    return int(exact(costs.send[min(a.stage, b.stage)])) if crosses else 0


PLACEMENTS = {
    "straight": lambda p: tuple(range(p)),
    "v": lambda p: (*range(p), *reversed(range(p))),
    "loop": lambda p: tuple(range(p)) * 2,
}


@st.composite
def cases(
    draw: st.DrawFn, kinds: tuple[str, ...] = ("straight", "v", "loop", "wild"), most: int = 3
) -> Case:
    """Passes of up to `most` microbatches start as they like after what they read, and again so
    much later: each device runs what it meets in one period, in that order."""
    p, kind = draw(st.integers(1, 3)), draw(st.sampled_from(kinds))
    extra = draw(st.lists(st.integers(0, p - 1), max_size=2)) if kind == "wild" else []
    placement = PLACEMENTS.get(kind, lambda p: tuple(draw(st.permutations([*range(p), *extra]))))(p)
    n = len(placement)
    rows = st.lists(st.integers(1, 4), min_size=n, max_size=n)
    costs = Costs.of(
        n, forward=draw(rows), backward=draw(rows), weight=draw(rows),
        send=draw(st.lists(st.integers(0, 3), min_size=n - 1, max_size=n - 1)),
    )  # fmt: skip
    per_period, period = draw(st.integers(1, most)), draw(st.integers(1, 30))
    wait = st.integers(0, draw(st.sampled_from((0, 2, 9))))
    rounds: list[list[tuple[int, int, Op]]] = [[] for _ in range(p)]
    for i in range(per_period):
        end: dict[Op, int] = {}
        for op, sources in inputs(Schedule(placement, ((),) * p, 1)).items():
            ready = [end[source] + send_between(costs, placement, source, op) for source in sources]
            start = max(ready, default=0) + draw(wait)
            end[op] = start + int(exact(costs.duration((op,))))
            later, phase = divmod(start, period)
            number = i - per_period * later
            rounds[placement[op.stage]].append((phase, number, op._replace(microbatch=number)))
    order = PeriodicOrder(
        tuple(tuple((op,) for *_, op in sorted(line)) for line in rounds), per_period
    )
    m = 2 * per_period * (2 + sum(map(len, rounds)))
    shares = peak(unrolled(order, m).schedule(placement, m, "unrolled"))
    return Case(placement, costs, order, [float(share) for share in shares])


@given(cases())
def test_a_block_waits_for_what_its_passes_read(case: Case) -> None:
    wanted, (problem, tick) = inputs(case.pipeline), case.problem()
    found: dict[Op, set[Op]] = {op: set() for op in wanted}
    for writer, reader, send in dependencies(problem):
        found[reader].add(writer)
        assert writer in wanted[reader]
        assert send * tick == send_between(case.costs, case.placement, writer, reader)
    assert behind(found) == behind(wanted)


@given(cases())
def test_compiled_loops_are_told_what_passes_read(case: Case) -> None:
    wanted, (problem, tick) = inputs(case.pipeline), case.problem()
    tables = pass_tables(problem)
    ops = [Op(kind, s, 0) for s in range(len(case.placement)) for kind in KINDS[:3]]
    awaited = {
        op: {ops[x]} if (x := int(tables.writer[i])) >= 0 else set() for i, op in enumerate(ops)
    }
    assert behind({op: awaited[op] for op in wanted}) == behind(wanted)
    for i, op in enumerate(ops):
        for writer in awaited[op]:
            sent = send_between(case.costs, case.placement, writer, op)
            assert tables.delay[i] * tick == sent
        readers = {ops[x] for x in tables.readers[i].tolist() if x >= 0}
        assert readers == {other for other in ops if op in awaited[other]}


@settings(deadline=None)
@given(cases())
def test_the_fastest_period_of_an_order_is_the_longest_mean_cycle(case: Case) -> None:
    problem, tick = case.problem()
    layout, scale = fastest_layout(problem, case.order)
    assert layout.n == case.order.n
    interval = layout.period * tick / scale / layout.n
    assert interval == exact(interval_of(case.order, case.pipeline, case.costs))
    assert_waits(case, layout, tick / scale)


@settings(deadline=None)
@given(cases(), st.data())
def test_an_order_with_a_pass_before_what_it_reads_has_no_layout(
    case: Case, data: st.DataObject
) -> None:
    pairs = [
        (source, op)
        for op, sources in inputs(case.pipeline).items()
        for source in sources
        if case.placement[source.stage] == case.placement[op.stage]
    ]
    source, op = data.draw(st.sampled_from(pairs))
    rounds = [list(line) for line in case.order.rounds]
    line = rounds[case.placement[op.stage]]
    of_first = {other[:2]: (other,) for (other,) in line if other.microbatch % case.order.n == 0}
    line.remove(of_first[op[:2]])
    written = of_first[source[:2]]
    line.insert(line.index(written), (op._replace(microbatch=written[0].microbatch),))
    problem, _ = case.problem()
    with pytest.raises(NoLayout, match="deadlocks"):
        fastest_layout(problem, PeriodicOrder(tuple(map(tuple, rounds)), case.order.n))


@settings(deadline=None)
@given(cases(), st.integers(1, 9), st.data())
def test_a_played_order_waits_for_what_its_passes_read(
    case: Case, m: int, data: st.DataObject
) -> None:
    problem, tick = case.problem()
    tables = pass_tables(problem)
    found = squeezed(unrolled(case.order, m), tables, as_they_are(m))
    played = times(case.schedule(m), case.costs)
    assert (found.makespan * tick, found.longest_stage * tick) == played[2:]
    moves = Moves(
        data.draw(st.integers(1, 30)), data.draw(st.integers(0, m)), data.draw(st.integers(0, m)),
        data.draw(st.sampled_from((0, 50))), data.draw(st.integers(0, 1)),
    )  # fmt: skip
    moved = squeezed(unrolled(case.order, m), tables, moves)
    if moved.makespan >= 0:  # who takes what comes may leave no way to go on
        schedule = moved.orders.schedule(case.placement, m, "moved")
        assert times(schedule, case.costs).makespan <= moved.makespan * tick
        assert all(a <= b for a, b in zip(peak(schedule), case.shares, strict=True))


@settings(deadline=None, max_examples=50)
@given(cases(), st.integers(1, 9), st.data())
def test_an_order_played_from_its_end_is_as_good_from_its_start(
    case: Case, m: int, data: st.DataObject
) -> None:
    problem, tick = case.problem()
    tables, orders = pass_tables(problem), unrolled(case.order, m)
    assert all((a == b).all() for a, b in zip(mirrored(mirrored(orders)), orders, strict=True))
    ahead = squeezed(orders, tables, as_they_are(m))
    behind = squeezed_from_behind(orders, tables, as_they_are(m))
    assert behind.makespan == ahead.makespan  # of one order, both are its longest path
    assert (behind.orders.passes == orders.passes).all()
    moves = Moves(
        data.draw(st.integers(1, 30)), data.draw(st.integers(0, m)), data.draw(st.integers(0, m)),
        data.draw(st.sampled_from((0, 50))), data.draw(st.integers(0, 1)),
    )  # fmt: skip
    moved = squeezed_from_behind(orders, tables, moves)
    if moved.makespan >= 0:
        schedule = moved.orders.schedule(case.placement, m, "moved")
        assert times(schedule, case.costs).makespan <= moved.makespan * tick
        assert all(a <= b for a, b in zip(peak(schedule), case.shares, strict=True))


Decide = Callable[[BlockProblem, int], Answer]


def assert_decides(case: Case, decide: Decide, look_below: int) -> None:
    """A period with which the order can repeat is found to be possible, when a hill climb has made
    it short; and layouts of this one and shorter periods keep what is asked of them."""
    problem, tick = case.problem()
    climb = climbed(
        rounds_of(case.order, problem.n_stages), climb_tables(problem, case.order.n), 300, 0.02,
        0.0, np.random.default_rng(0),
    )  # fmt: skip
    order = order_of_rounds(climb.rounds, case.order.n)
    interval = exact(interval_of(order, case.pipeline, case.costs))
    period = math.ceil(interval * order.n / tick)
    for shorter in range(look_below + 1):
        answer = decide(problem, max(period - shorter, 1))
        if answer.layout is None:
            assert shorter > 0
            return
        assert_waits(case, answer.layout, tick)
        check_layout(problem, answer.layout)


@settings(max_examples=80, deadline=None)
@given(cases(("straight",), most=1))
def test_a_straight_pipeline_is_decided_by_what_passes_read(case: Case) -> None:
    assert_decides(case, lambda *asked: Answer(straight_layout(*asked), True), look_below=9)


@settings(max_examples=80, deadline=None)
@given(cases(("v",), most=1))
def test_a_v_is_decided_by_what_passes_read(case: Case) -> None:
    def decide(problem: BlockProblem, period: int) -> Answer:
        answer = v_layout(problem, period)
        assert answer is not None
        return answer

    assert_decides(case, decide, look_below=9)


@settings(max_examples=40, deadline=None)
@given(cases(most=2))
def test_any_pipeline_is_decided_by_what_passes_read(case: Case) -> None:
    def decide(problem: BlockProblem, period: int) -> Answer:
        return solver_layout(problem, period, case.order.n, time_limit=20)

    assert_decides(case, decide, look_below=0)


@given(cases(), st.integers(0, 3))
def test_cells_wait_for_what_passes_read(case: Case, send: int) -> None:
    cells = Cells({"F": 1, "B": 1, "W": 1, "BW": 2}, case.placement, send)
    wanted = inputs(case.pipeline)
    found = {op: {source for source, _ in cells.inputs(op)} for op in wanted}
    assert behind(found) == behind(wanted)
    for op in wanted:
        for source, gap in cells.inputs(op):
            assert source in wanted[op]
            assert gap == (send if case.placement[source.stage] != case.placement[op.stage] else 0)


def assert_waits(case: Case, layout: Layout | None, tick: Fraction) -> None:
    """A layout is there, and every pass starts when what it reads has arrived."""
    assert layout is not None
    for i in range(layout.n):
        for op, sources in inputs(case.pipeline).items():
            for source in sources:
                ready = layout.start[source._replace(microbatch=i)] * tick
                ready += exact(case.costs.duration((source,)))
                ready += send_between(case.costs, case.placement, source, op)
                assert layout.start[op._replace(microbatch=i)] * tick >= ready
