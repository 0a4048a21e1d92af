"""What must hold for every family, whatever the passes cost."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import (
    FAMILIES,
    Costs,
    InvalidSchedule,
    Op,
    Schedule,
    Trace,
    Value,
    busy,
    from_json,
    longest_stage,
    makespan,
    mechanisms,
    peak_activations,
    peak_bytes,
    reads,
    simulate,
    steps,
    to_json,
    validate,
    writes,
)
from sim.base.numbers import Number, exact
from sim.schedule.ir import QUEUES, queue_of
from sim.schedule.torch_csv import from_torch_csv, to_torch_csv
from sim.search import evaluate
from sim.testing import check_family, clusters, costs, family_schedules, wild_schedules

EVERY = [*FAMILIES, "wild"]
"""All families, and schedules that no family makes."""
TIMES = ("forward", "backward", "weight", "fused_backward", "send")
few = settings(max_examples=4, deadline=None)


def drawn(data: st.DataObject, name: str) -> Schedule:
    """A schedule of the family `name`, with random numbers and options."""
    if name == "wild":
        return data.draw(wild_schedules())
    return data.draw(family_schedules(families=[FAMILIES[name]]))


def starts_and_ends(trace: Trace) -> dict[Op, tuple[Fraction, Fraction]]:
    """When each pass ran, exactly: frames may hold a third only to the last digit of a float."""
    assert trace.per_unit
    rows: Any = trace.ops.astype(object).itertuples()
    return {
        Op(row.kind, row.stage, row.microbatch, row.slice): (
            exactly(row.start, trace),
            exactly(row.end, trace),
        )
        for row in rows
    }


def exactly(time: Any, trace: Trace) -> Fraction:
    return Fraction(round(time * trace.per_unit), trace.per_unit)


def home(schedule: Schedule, op: Op) -> int:
    """The device of a pass; those of a part of the vocabulary name their device as stage."""
    return op.stage if op.kind in ("S", "T") else schedule.home(op.stage, op.microbatch)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_keeps_what_it_claims(name: str) -> None:
    check_family(FAMILIES[name], max_examples=10)


@pytest.mark.parametrize("name", EVERY)
@few
@given(st.data())
def test_a_pass_starts_the_moment_its_device_is_free_and_its_inputs_have_arrived(
    name: str, data: st.DataObject
) -> None:
    schedule = drawn(data, name)
    prices = data.draw(costs(schedule))
    times = starts_and_ends(simulate(schedule, prices))
    written = {value: op for op in times for value in writes(schedule, op)}

    def arrived(value: Value, reader: Op) -> Fraction:
        writer = written[value]
        if home(schedule, writer) == home(schedule, reader):
            return times[writer][1]
        among_all = {"S", "T"} & {writer.kind, reader.kind}
        boundary = prices.all_reduce if among_all else prices.send[min(writer.stage, reader.stage)]
        return times[writer][1] + exact(boundary)

    for device in range(schedule.n_devices):
        free: dict[str, Fraction] = defaultdict(
            Fraction
        )  # copies: after what comes before them in the order, too
        for step in steps(schedule, device):
            queues = {"compute", queue_of(step[0].kind)}
            inputs = [arrived(value, op) for op in step for value in reads(schedule, op)]
            assert {times[op] for op in step} == {times[step[0]]}
            start, end = times[step[0]]
            assert start == max([*(free[queue] for queue in queues), *inputs])
            assert end == start + exact(prices.duration(step))
            free[queue_of(step[0].kind)] = end


@pytest.mark.parametrize("name", EVERY)
@few
@given(st.data())
def test_on_any_cluster_no_device_overlaps_itself_and_no_input_comes_late(
    name: str, data: st.DataObject
) -> None:
    schedule = drawn(data, name)
    prices, cluster = data.draw(costs(schedule)), data.draw(clusters(schedule))
    trace = simulate(schedule, prices, cluster)
    times = starts_and_ends(trace)
    for device in range(schedule.n_devices):
        computing = [step for step in steps(schedule, device) if step[0].kind not in QUEUES]
        line = [times[step[0]] for step in computing]
        assert all(before[1] <= after[0] for before, after in pairwise(line))
        assert sum((end - start for start, end in line), Fraction(0)) == sum(
            (exact(prices.duration(step)) * exact(cluster.slowdown[device])
             for step in computing), Fraction(0)
        )  # fmt: skip
    transfers: Any = trace.transfers.astype(object).itertuples()
    arrivals = {
        (Value(row.value, row.stage, row.microbatch, row.slice), row.destination): exactly(
            row.end, trace
        )
        for row in transfers
    }
    written = {value: op for op in times for value in writes(schedule, op)}
    for op, (start, _) in times.items():
        for value in reads(schedule, op):
            sent = arrivals.get((value, home(schedule, op)), times[written[value]][1])
            assert sent <= start


@pytest.mark.parametrize("name", EVERY)
@few
@given(st.data())
def test_no_clock_is_shorter_than_the_work_of_the_busiest_device(
    name: str, data: st.DataObject
) -> None:
    schedule = drawn(data, name)
    trace = simulate(schedule, data.draw(costs(schedule)), data.draw(clusters(schedule)))
    assert makespan(trace) >= longest_stage(trace) >= max(busy(trace))


@pytest.mark.parametrize("name", EVERY)
@few
@given(st.data(), st.sampled_from((2, 7, Fraction(1, 3), 0.1)))
def test_scaling_all_costs_scales_all_times(name: str, data: st.DataObject, factor: Any) -> None:
    schedule = drawn(data, name)
    prices = data.draw(costs(schedule))

    def scaled(cells: Any) -> Any:
        if isinstance(cells, tuple):
            return tuple(map(scaled, cells))
        return exact(cells) * exact(factor)

    scaled_prices = replace(
        prices,
        **{
            name: scaled(cells)
            for name in (*TIMES, "offload")
            if (cells := getattr(prices, name)) is not None
        },
    )
    before = starts_and_ends(simulate(schedule, prices))
    after = starts_and_ends(simulate(schedule, scaled_prices))
    assert after == {
        op: (start * exact(factor), end * exact(factor)) for op, (start, end) in before.items()
    }


@pytest.mark.parametrize("name", EVERY)
@few
@given(st.data(), st.sampled_from(TIMES), st.integers(1, 5))
def test_a_dearer_pass_or_send_makes_no_pass_earlier(
    name: str, data: st.DataObject, table: str, more: int
) -> None:
    schedule = drawn(data, name)
    prices = data.draw(costs(schedule))
    cells = getattr(prices, table)
    if not cells:
        return
    row = data.draw(st.integers(0, len(cells) - 1))

    def dearer(cell: Any) -> Any:
        return tuple(map(dearer, cell)) if isinstance(cell, tuple) else exact(cell) + more

    cells = (*cells[:row], dearer(cells[row]), *cells[row + 1 :])
    change: dict[str, Any] = {table: cells}
    raised = replace(prices, **change)
    before = starts_and_ends(simulate(schedule, prices))
    after = starts_and_ends(simulate(schedule, raised))
    assert all(after[op][0] >= start and after[op][1] >= end for op, (start, end) in before.items())


@pytest.mark.parametrize("name", EVERY)
@few
@given(st.data())
def test_memory_is_what_an_independent_count_says_at_every_moment(
    name: str, data: st.DataObject
) -> None:
    schedule = drawn(data, name)
    prices = data.draw(costs(schedule))
    trace = simulate(schedule, prices)
    times = starts_and_ends(trace)
    if schedule.copies:  # see test_offload: this one counts what the order alone decides
        assert peak_bytes(trace) == pytest.approx(evaluate(schedule, prices).peak_bytes)
        return
    for device, stages in enumerate(schedule.stages_of):
        static = sum(prices.static_bytes[stage] for stage in stages)
        counted: dict[Fraction, Number] = defaultdict(int)
        highest = live = static
        shares, most_shares = Fraction(0), Fraction(0)
        one = Fraction(1, schedule.pieces(device))
        for step in steps(schedule, device):
            start, end = times[step[0]]
            counted[start] += 0
            freed: Number = 0
            taken: Number
            back: Number
            for op in step:
                if op.kind in ("S", "T"):
                    continue  # of no stage, and these costs have no bytes of logits
                kept = prices.activation_bytes[op.stage]
                at_b = prices.backward_bytes[op.stage]
                part = [row[op.slice if len(row) > 1 else 0] for row in (kept, at_b)]
                if op.kind == "F":
                    taken, back = part[0], 0
                elif op.kind == "B":
                    taken, back = max(part[1], 0), max(-part[1], 0)
                else:
                    taken, back = 0, part[0] + (part[1] if op.kind == "W" else 0)
                counted[start] += taken
                counted[end] -= back
                live, freed = live + taken, freed + back
                shares += one if op.kind == "F" else 0
            highest, most_shares = max(highest, live), max(most_shares, shares)
            live -= freed
            shares -= one * sum(op.kind in ("W", "BW") for op in step)
        assert live == static
        assert shares == 0
        assert peak_bytes(trace)[device] == highest
        assert float(peak_activations(schedule)[device]) == float(most_shares)
        expected, total = {}, static
        for time in sorted(counted):
            total += counted[time]
            expected[time] = total
        rows = trace.memory[trace.memory["device"] == device].astype(object)
        shown = {exactly(row.time, trace): row.live for row in rows.itertuples()}
        assert {time: expected[time] for time in shown if time in expected} == {
            time: live for time, live in shown.items() if time in expected
        }
        assert all(counted[time] == 0 for time in set(expected) - set(shown))


@pytest.mark.parametrize("name", EVERY)
@few
@given(st.data())
def test_memory_returns_to_its_start(name: str, data: st.DataObject) -> None:
    schedule = drawn(data, name)
    prices = data.draw(costs(schedule))
    trace = simulate(schedule, prices, iterations=2)
    for device, stages in enumerate(schedule.stages_of):
        rows = trace.memory[trace.memory["device"] == device]
        static = sum(prices.static_bytes[stage] for stage in stages)
        assert rows["live"].iloc[-1] == rows["live"].iloc[0] == rows["live"].min() == static
        assert rows["activations"].iloc[-1] == 0
        assert rows["change"].sum() == static


@pytest.mark.parametrize("name", EVERY)
@few
@given(st.data())
def test_relabelling_the_microbatches_changes_no_time(name: str, data: st.DataObject) -> None:
    schedule = drawn(data, name)
    prices = data.draw(costs(schedule))
    label = data.draw(st.permutations(range(schedule.n_microbatches)))

    def relabelled(ops: tuple[Op, ...]) -> tuple[Op, ...]:
        return tuple(op._replace(microbatch=label[op.microbatch]) for op in ops)

    # Only `validate` minds: it keeps the last stage in microbatch order for runtimes' sake.
    other = replace(
        schedule,
        orders=tuple(map(relabelled, schedule.orders)),
        fused=tuple(map(relabelled, schedule.fused)),
        follows=tuple(way for _, way in sorted(zip(label, schedule.follows, strict=False))),
    )
    before, after = evaluate(schedule, prices), evaluate(other, prices)
    assert before.makespan == after.makespan
    one, two = starts_and_ends(simulate(schedule, prices)), starts_and_ends(simulate(other, prices))
    assert two == {op._replace(microbatch=label[op.microbatch]): at for op, at in one.items()}
    for device in range(schedule.n_devices):
        assert before.starts[device].tolist() == after.starts[device].tolist()


@pytest.mark.parametrize("name", EVERY)
@few
@given(st.data())
def test_schedules_survive_json_and_torchs_csv(name: str, data: st.DataObject) -> None:
    schedule = drawn(data, name)
    assert from_json(to_json(schedule)) == schedule
    if schedule.n_slices == 1 and not mechanisms(schedule):
        found = from_torch_csv(to_torch_csv(schedule), name=schedule.name)
        assert found == replace(schedule, fused=())
        # Apart, the passes of a fused step wait for less and write sooner: never later in all.
        prices = Costs.uniform(schedule)
        assert makespan(simulate(found, prices)) <= makespan(simulate(schedule, prices))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_single_pass_left_out_doubled_or_swapped_with_its_input_is_caught(name: str) -> None:
    schedule = FAMILIES[name](2, 3)
    validate(schedule)
    for device, order in enumerate(schedule.orders):
        place = {value: i for i, op in enumerate(order) for value in writes(schedule, op)}
        for i, op in enumerate(order):
            spoiled = [order[:i] + order[i + 1 :], (*order[: i + 1], *order[i:]), (*order, op)]
            for j in {place[value] for value in reads(schedule, op) if value in place}:
                swapped = list(order)
                swapped[i], swapped[j] = swapped[j], swapped[i]
                spoiled.append(tuple(swapped))
            for other in spoiled:
                orders = (*schedule.orders[:device], other, *schedule.orders[device + 1 :])
                with pytest.raises(InvalidSchedule):
                    validate(replace(schedule, orders=orders, fused=()))


def test_every_table_of_times_is_among_those_scaled_and_raised_here() -> None:
    others = {
        "activation_bytes", "backward_bytes", "boundary_bytes", "static_bytes", "recompute_bytes"
    }  # fmt: skip
    of_mechanisms = {
        "recompute", "recompute_keeps", "offload", "load", "copy_latency",
        "gradient_sum", "gradient_bytes", "vocabulary_scores", "vocabulary_gradients",
        "all_reduce", "logits_bytes", "all_to_all", "all_to_all_backward",
    }  # fmt: skip
    assert {field.name for field in fields(Costs)} == {
        *TIMES, *others, *of_mechanisms, "pair_scale", "group_scale", "microbatch_scale",
    }  # fmt: skip
