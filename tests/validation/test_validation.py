"""Calibration, comparison, replay and the whole experiment, on a model too small to time well."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sim
import validation
from sim import Costs
from validation.profile import Profile
from validation.replay import fitted_line

torch = pytest.importorskip("torch")
import backend  # noqa: E402
from validation.calibrate import calibrate, placed  # noqa: E402
from validation.cli.commands import main  # noqa: E402
from validation.cli.report import facts  # noqa: E402
from validation.experiment import experiment  # noqa: E402
from validation.experiment_result import ranking  # noqa: E402
from validation.page import report_page  # noqa: E402
from validation.workload import Workload  # noqa: E402

SMALL = Workload(layers=4, width=32, heads=2, vocabulary=32, sequence=16)


def played(name: str = "v-half", m: int = 4, **times: float) -> sim.Trace:
    schedule = sim.FAMILIES[name](2, m)
    numbers = {"forward": 2, "backward": 2, "weight": 2, "send": 1} | times
    return sim.simulate(schedule, Costs.uniform(schedule, **numbers, activation_bytes=8))


def test_equal_traces_have_no_error() -> None:
    told = validation.compare(played(), played())
    assert told.clocks["error"].tolist() == [0, 0]
    assert told.devices[["busy_error", "bytes_error"]].to_numpy().tolist() == [[0, 0]] * 2
    assert (told.passes["error"] == 0).all()


def test_errors_are_simulated_over_measured() -> None:
    told = validation.compare(played(send=0), played(forward=4, backward=4, weight=4, send=0))
    assert told.error() == told.error("longest_stage") == -0.5
    assert told.passes["error"].tolist() == [-0.5] * len(told.passes)
    assert told.devices["bytes_error"].tolist() == [0, 0]


def test_traces_of_different_schedules_are_not_compared() -> None:
    with pytest.raises(ValueError, match="different schedules: v-half and v-min"):
        validation.compare(played(), played("v-min"))


def test_a_trace_survives_json() -> None:
    trace = played()
    again = validation.trace_from_json(validation.trace_to_json(trace))
    assert again.schedule == trace.schedule
    for name in ("ops", "transfers", "memory"):
        left, right = getattr(again, name), getattr(trace, name)
        pd.testing.assert_frame_equal(left, right, check_dtype=False)
    assert sim.makespan(again) == sim.makespan(trace)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not JSON"),
        ("[]", "not a trace"),
        ('{"format": "pipebubble.trace/1"}', "missing or of another shape"),
    ],
)
def test_what_is_no_trace_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        validation.trace_from_json(text)
    assert "\n" not in str(caught.value)


def test_a_trace_replayed_as_it_was_is_the_same() -> None:
    trace = played()
    again = validation.replay(trace)
    assert sim.makespan(again) == pytest.approx(sim.makespan(trace))
    assert sim.peak_bytes(again) == sim.peak_bytes(trace)


@pytest.mark.parametrize(
    "name", [name for name, family in sim.FAMILIES.items() if "O" not in family.passes.split()]
)
def test_every_family_can_be_replayed(name: str) -> None:
    trace = played(name, m=6)
    assert sim.makespan(validation.replay(trace)) == pytest.approx(sim.makespan(trace))


def test_a_replay_answers_what_if() -> None:
    trace = played()
    ideal = sim.makespan(played(send=0))
    assert sim.makespan(validation.replay(trace, latency=0)) == pytest.approx(ideal)
    twice = sim.FAMILIES["v-half"](2, 8)
    assert sim.makespan(validation.replay(trace, schedule=twice)) == pytest.approx(
        sim.makespan(played(m=8))
    )
    slow = validation.replay(trace, slowdown=(1, 2))
    assert sim.busy(slow)[1] == pytest.approx(2 * float(sim.busy(trace)[1]))
    with pytest.raises(ValueError, match="has 2 stages, the trace 4"):
        validation.replay(trace, schedule=sim.FAMILIES["1f1b"](2, 4))


@given(latency=st.floats(1e-6, 1e-2), bandwidth=st.floats(1e6, 1e12))
def test_a_link_is_recovered_from_exact_times(latency: float, bandwidth: float) -> None:
    sizes = np.array([2.0**k for k in range(8, 28, 2)])
    found = fitted_line(sizes, latency + sizes / bandwidth)
    assert np.allclose(found[0] + sizes / found[1], latency + sizes / bandwidth, rtol=1e-6)


def test_a_profile_survives_json_and_the_simulator_reads_it_as_costs() -> None:
    costs = Costs.of(2, forward=[0.1, 0.2], backward=0.3, weight=0.4, fused_backward=0.5)
    profile = Profile(costs, 1e-5, math.inf, overhead=1e-6, spread={"F@0.0": 0.02})
    text = validation.profile_to_json(profile)
    assert validation.profile_from_json(text) == profile
    assert sim.costs_from_json(text) == costs
    json.loads(text, parse_constant=pytest.fail)


def test_a_prediction_knows_that_a_device_is_faster_while_the_others_wait() -> None:
    """2bp-naive: one device at a time, so every pass takes what it takes alone."""
    costs = Costs.of(2, forward=0.3, backward=0.6, weight=0.3)
    naive = sim.FAMILIES["2bp-naive"](2, 4)
    alone = sim.makespan(sim.simulate(naive, sim.slower(costs, [2 / 3] * 2)))
    found = Profile(costs, 0.0, math.inf, neighbour_slowdown=1.5)
    measured = sim.makespan(found.predict(naive))
    assert alone < measured < sim.makespan(sim.simulate(naive, costs))  # W of both at the end
    undisturbed = Profile(costs, 0.0, math.inf).predict(naive)
    with pytest.raises(ValueError, match="neighbour_slowdown is 0"):
        Profile(costs, 0.0, math.inf, neighbour_slowdown=0).predict(naive)
    assert sim.makespan(undisturbed) == pytest.approx(
        float(sim.makespan(sim.simulate(naive, costs)))
    )


@pytest.mark.slow
def test_calibration_gives_positive_times_and_exact_bytes() -> None:
    found = calibrate(SMALL, n_devices=2, n_stages=4, steps=2, warmup=1)
    costs = found.costs
    for name in ("forward", "backward", "weight", "fused_backward"):
        assert all(cell > 0 for row in getattr(costs, name) for cell in row)
    assert costs.boundary_bytes == ((16 * 32 * 4,),) * 3  # tokens x width x float32
    assert found.latency > 0
    assert found.bandwidth > 1e6
    assert found.neighbour_slowdown > 0
    assert found.provenance["torch"].startswith("2.")
    schedule = sim.FAMILIES["v-min"](2, 6)
    batch, targets = SMALL.batch(6, 4)
    measured = backend.run(schedule, SMALL.stages(4), batch, targets=targets)
    predicted = found.predict(schedule)
    assert sim.peak_bytes(predicted) == pytest.approx(measured.peak_bytes, rel=0.01)


@pytest.mark.slow
def test_the_experiment_reports_every_family_it_ran() -> None:
    families = ("1f1b", "zb-h1", "v-half", "dualpipe-v", "chimera")
    found = experiment(SMALL, families=(*families, "vocab-1f1b"), n_microbatches=4, rounds=1)
    table = found.table()
    assert (*table["family"],) == families
    assert (table["error_peak_bytes"] < 0.01).all()
    assert (table["measured_makespan"] > 0).all()
    page = report_page(found)
    assert "http://" not in page.split("<script>")[0]
    assert all(f">{name}</button>" in page for name in table["family"])
    told = json.dumps(facts(found), allow_nan=False)  # one round has no standard error
    assert json.loads(told)["summary"]["median_uncertainty_makespan"] is None


def test_an_experiment_without_any_family_it_can_predict_is_refused() -> None:
    with pytest.raises(ValueError, match="bpipe has passes L, which the calibration does not time"):
        experiment(SMALL, families=("bpipe",), n_devices=4)


def test_only_gaps_above_the_spread_are_ranked() -> None:
    def row(name: str, simulated: float, measured: float, spread: float) -> dict[str, object]:
        return {
            "family": name, "simulated_makespan": simulated, "measured_makespan": measured,
            "spread_makespan": spread, "uncertainty_makespan": spread / 4,
        }  # fmt: skip

    table = pd.DataFrame(
        [
            row("a", 1.0, 1.0, 0.06),
            row("b", 1.07, 0.95, 0.06),  # 0.07 above a; together the spread is 0.083
            row("c", 1.1, 0.95, 0.06),
            row("d", 9.0, 0.9, math.nan),  # a single round tells nothing
        ]
    )
    assert ranking(table) == (1, ["a and c"])
    assert ranking(table, "uncertainty_makespan") == (3, ["a and b", "a and c"])


def test_every_stage_costs_what_it_took_on_its_device() -> None:
    first, second = (
        Costs.of(4, forward=[at, at + 1, at + 2, at + 3], backward=at, weight=at) for at in (10, 20)
    )
    found = placed([first, second], (0, 1, 1, 0))
    assert found.forward == ((10,), (21,), (22,), (13,))
    assert found.backward == ((10,), (20,), (20,), (10,))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["compare", "v-halff"], "unknown family 'v-halff'"),
        (["report", "nope"], "unknown family 'nope'"),
        (["compare", "missing.json"], "missing.json: no such file"),
        (["calibrate", "--width", "30"], "width is 30: it must be a multiple"),
        (["calibrate", "-p", "0"], "-p is '0': it must be a whole number, 1 or more"),
    ],
)
def test_bad_input_ends_with_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) in (1, 2)
    out, err = capsys.readouterr()
    assert not out
    assert sentence in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_the_front_door_gives_functions_in_whatever_order_they_are_asked_for() -> None:
    code = (
        "import validation; validation.Workload; validation.experiment; "
        "print(callable(validation.calibrate), callable(validation.experiment))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "True"]
