"""Microbatches of unequal cost: their sequence is searched beside the order of passes."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import Costs, Schedule, simulate
from sim.cli.commands import main
from sim.engine.costs_changed import typical
from sim.metrics.metrics import longest_stage, makespan, peak_bytes
from sim.search import evaluate, search
from sim.search.orders.anneal import Cooling
from sim.search.orders.problem import one_by_one, order_problem
from sim.search.orders.replay import replayed
from sim.search.orders.sequence import by_size, swaps
from sim.search.placement import Placement, stages_on


def unequal(placement: Placement, p: int, scale: tuple[float, ...], **more: float) -> Costs:
    """F = B = W = 1 on a device's whole share, times the size of the microbatch."""
    bare = Schedule(stages_on(p, placement), ((),) * p, len(scale))
    return Costs.uniform(bare, microbatch_scale=scale, **more)


def test_sequences_by_rule() -> None:
    q = order_problem((0, 1), 5, unequal("straight", 2, (3, 1, 5, 2, 4)))
    assert by_size(q) == {
        "given": (0, 1, 2, 3, 4),
        "longest-first": (2, 4, 0, 3, 1),
        "shortest-first": (1, 3, 0, 4, 2),
        "longest at the ends": (2, 0, 1, 3, 4),
        "longest in the middle": (3, 4, 2, 0, 1),
    }


def test_the_sequence_found_is_the_best_of_all() -> None:
    """All 6 sequences as given, each with its own order of passes."""
    scale = (4, 1, 1)
    free = search(2, 3, unequal("straight", 2, scale), placement="straight", moves=4_000_000)
    each = {
        way: search(
            2, 3, unequal("straight", 2, tuple(scale[i] for i in way)), placement="straight",
            moves=1_000_000, microbatch_order="given",
        ).value
        for way in permutations(range(3))
    }  # fmt: skip
    assert free.value == min(each.values()) < each[0, 1, 2]
    assert each[free.sequence] == free.value
    assert free.lower_bound <= free.value


@pytest.mark.parametrize("placement", ["straight", "v"])
def test_the_engine_plays_what_was_found_with_the_microbatches_in_that_sequence(
    placement: Placement,
) -> None:
    scale = (5, 1, 2, 1, 3, 1)
    costs = unequal(placement, 3, scale, send=1, activation_bytes=12)
    found = search(
        3, 6, costs, placement=placement, memory_bytes=110, clock="longest_stage", moves=4_000_000
    )
    fed = replace(costs, microbatch_scale=tuple((scale[i],) for i in found.sequence))
    trace = simulate(found.schedule, fed)
    assert (makespan(trace), longest_stage(trace)) == (found.makespan, found.longest_stage)
    assert max(peak_bytes(trace)) <= 110
    first = search(
        3, 6, costs, placement=placement, memory_bytes=110, clock="longest_stage",
        moves=4_000_000, microbatch_order="longest-first",
    )  # fmt: skip
    assert first.sequence == (0, 4, 2, 1, 3, 5)
    assert found.value < first.value


sizes = st.lists(st.sampled_from([0.5, 1, 2, 3]), min_size=2, max_size=5)


@given(sizes, st.integers(0, 99), st.booleans())
@settings(max_examples=30)
def test_a_swapped_sequence_takes_what_the_evaluator_says(
    scale: list[float], seed: int, longest: bool
) -> None:
    costs = unequal("v", 2, tuple(scale), send=1)
    clock = "longest_stage" if longest else "makespan"
    q = order_problem(stages_on(2, "v"), len(scale), costs, clock=clock)  # type: ignore[arg-type]
    order = q.order(one_by_one(q.placement, len(scale)))
    assert order is not None
    rng = np.random.default_rng(seed)
    which, value, _ = swaps(order, longest, q.tables, Cooling(40, 9000, 100, 0), rng)
    changed = q.in_sequence(which.tolist())
    played = evaluate(changed.schedule(order, "swapped"), changed.costs_in_turn)
    assert (
        getattr(played, clock)
        == q.in_units(int(value))
        == q.in_units(replayed(changed, order).value)
    )
    assert sorted(which.tolist()) == [*range(len(scale))]


def test_typical_costs_have_the_mean_time_and_the_most_bytes() -> None:
    costs = unequal("straight", 2, (1, 2, 6), activation_bytes=10)
    even = typical(costs)
    assert (even.forward, even.activation_bytes) == (((3,), (3,)), ((60,), (60,)))
    assert even.microbatch_scale == ()
    assert typical(even) is even


def test_the_command_says_in_which_order_to_feed_them(capsys: pytest.CaptureFixture[str]) -> None:
    ask = ["search", "-p", "2", "-m", "3", "--placement", "straight", "--moves", "2000000"]
    assert main([*ask, "--microbatch-scale", "4,1,1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sorted(found["microbatch_order"]) == [0, 1, 2]
    assert found["bubble_makespan"] == pytest.approx(1 - 18 / found["makespan"])
    assert main([*ask, "--microbatch-order", "given"]) == 2
    assert "--microbatch-order needs --microbatch-scale" in " ".join(
        capsys.readouterr().err.split()
    )


def test_an_unknown_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="microbatch_order is 'best': use one of free"):
        search(
            2, 3, unequal("v", 2, (4, 1, 1)), microbatch_order="best",  # type: ignore[arg-type]
        )  # fmt: skip
