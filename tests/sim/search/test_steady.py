"""Searches for times that vary: draws that are the engine's in law, and orders that stay fast."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from longest_path import times

from sim import FAMILIES, Costs, Schedule, simulate
from sim.cli.commands import main
from sim.metrics.metrics import longest_stage, makespan
from sim.search import evaluate, search
from sim.search.orders.jitter import drawn, quantile_of, steadied, values
from sim.search.orders.problem import OrderProblem, order_problem
from sim.search.orders.replay import within
from sim.search.placement import stages_on
from sim.search.settings.effort import Effort
from sim.search.settings.run_options import RunOptions


def problem(p: int, m: int, clock: Any = "makespan", **limits: Any) -> OrderProblem:
    place = stages_on(p, "v")
    costs = Costs.uniform(Schedule(place, ((),) * p, m), forward=10, backward=12, weight=8, send=1)
    return order_problem(place, m, costs, clock=clock, **limits)


def order_of(q: OrderProblem, name: str) -> Any:
    order = q.order(FAMILIES[name](q.n_devices, q.n_microbatches))
    assert order is not None
    return order


@given(st.sampled_from(["zb-v", "v-min", "v-half"]), st.integers(2, 4), st.integers(1, 5))
@settings(max_examples=15)
def test_without_jitter_a_draw_takes_what_the_evaluator_says(name: str, p: int, m: int) -> None:
    for clock in ("makespan", "longest_stage"):
        q = problem(p, m, clock)
        still = drawn(q, jitter=0, quantile=0.5, how_many=2, seed=1)
        order = order_of(q, name)
        said = getattr(evaluate(q.schedule(order, name), q.costs), clock)
        assert values(still, order).tolist() == [said, said]
        assert quantile_of(still, order) == said


def test_a_draw_is_the_longest_path_under_its_own_times() -> None:
    """Every run of every code has its own factor, and transfers have none."""
    q = problem(3, 4)
    draws = drawn(q, jitter=0.3, quantile=0.5, how_many=1, seed=5)
    order = order_of(q, "v-half")
    schedule = q.schedule(order, "v-half")
    ticks = draws.fine * int(q.scale)

    class Drawn:
        send, gradient_sum, all_reduce = q.costs.send, q.costs.gradient_sum, 0

        def duration(self, step: Any) -> Fraction:
            (op,) = step
            code = 3 * op.stage + "FBW".index(op.kind)
            return Fraction(int(draws.durations[0, code, op.microbatch]), ticks)

    every = {Drawn().duration((op,)) for row in schedule.orders for op in row}
    assert len(every) == schedule.n_ops
    drawn_costs: Any = Drawn()
    assert values(draws, order)[0] == float(times(schedule, drawn_costs).makespan)


def test_draws_have_the_law_of_the_engines() -> None:
    q = problem(3, 4)
    order = order_of(q, "v-min")
    mine = values(drawn(q, jitter=0.2, quantile=0.5, how_many=1000, seed=0), order)
    schedule = q.schedule(order, "v-min")
    theirs = [float(makespan(simulate(schedule, q.costs, jitter=0.2, seed=s))) for s in range(200)]
    error = np.hypot(np.std(theirs) / 200**0.5, np.std(mine) / 1000**0.5)
    assert abs(np.mean(theirs) - np.mean(mine)) < 4 * error
    assert np.std(theirs) == pytest.approx(np.std(mine), rel=0.2)


def test_the_quantile_is_the_value_at_its_place() -> None:
    q = problem(2, 3)
    order = order_of(q, "v-min")
    for quantile, place in {0.01: 0, 0.5: 4, 0.9: 8, 0.91: 9, 0.99: 9}.items():
        draws = drawn(q, jitter=0.1, quantile=quantile, how_many=10, seed=3)
        assert quantile_of(draws, order) == sorted(values(draws, order))[place]


def test_a_steadied_order_keeps_the_limit_and_is_faster_at_the_quantile() -> None:
    q = problem(4, 8, "longest_stage", memory_limit=3)
    draws = drawn(q, jitter=0.2, quantile=0.9, how_many=8, seed=0)
    order = order_of(q, "v-half")
    run = RunOptions(Effort(counted=True), workers=1)
    better, value = steadied(draws, order, seconds=0.2, run=run)
    assert value == quantile_of(draws, better) < quantile_of(draws, order)
    assert within(q, better)


def test_a_search_under_jitter_beats_the_nominal_best_on_fresh_draws() -> None:
    costs = problem(3, 8).costs
    found = search(3, 8, costs, memory_limit=2, clock="longest_stage", jitter=0.2, moves=40_000_000)
    known = found.steadiness
    assert known is not None
    assert known.found.quantile < known.nominal_best.quantile
    assert known.found.low <= known.found.quantile <= known.found.high
    assert known.found.nominal == found.value >= known.nominal_best.nominal
    assert longest_stage(simulate(found.schedule, costs)) == found.value
    assert found.peak <= 2
    assert {family.name for family in known.families} == {"v-min", "v-min-eager", "v-half"}
    assert found.lower_bound <= known.nominal_best.nominal


def test_the_command_tells_how_fragile_the_families_are(capsys: pytest.CaptureFixture[str]) -> None:
    ask = ["search", "-p", "3", "-m", "4", "--moves", "3000000", "--jitter", "0.2"]
    assert main([*ask, "--quantile", "0.8", "--json"]) == 0
    known = json.loads(capsys.readouterr().out)["steadiness"]
    assert (known["jitter"], known["quantile"]) == (0.2, 0.8)
    assert {"zb-v", "v-min", "v-half"} <= {family["name"] for family in known["families"]}
    assert main(ask) == 0
    assert "when every pass varies by 20.0%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--quantile", "0.5"], "--quantile needs --jitter"),
        (["--jitter", "9"], "jitter is 9"),
        (["--jitter", "0.1", "--quantile", "1"], "quantile is 1.0: it must lie between 0 and 1"),
    ],
)
def test_what_makes_no_sense_is_refused(
    capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert main(["search", "-p", "2", "-m", "2", *options]) in (1, 2)
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_family_whose_backward_is_played_in_two_parts_is_called_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """1F1B takes (p-1)(F+B+W) = 9 beside its work of 18; where B's gradient leaves before W, 6."""
    ask = "search -p 4 -m 6 --placement straight --moves 1000000 --jitter 0.2 --json"
    assert main(ask.split()) == 0
    families = json.loads(capsys.readouterr().out)["steadiness"]["families"]
    nominal = {family["name"]: family["nominal"] for family in families}
    assert nominal["1f1b, B and W apart"] == 18 + 6
    assert nominal["zb-h1"] == 21
    assert "1f1b" not in nominal
