"""The two commands that play schedules: every option reaches the engine, and JSON says what it
says."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_answers import KEYS, TIMES, answer

import sim
from sim.cli.commands import main


def test_simulate_tells_both_clocks_peaks_and_the_bound(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "simulate", "1f1b", "-p", "4", "-m", "8")
    assert set(found) >= KEYS
    assert found["schedule"] == "1f1b"
    assert (found["devices"], found["microbatches"], found["stages"]) == (4, 8, 4)
    assert found["makespan"] == found["longest_stage"] == 33
    assert isinstance(found["makespan"], int)
    assert found["bubble_makespan"] == found["bubble_longest_stage"] == pytest.approx(3 / 11)
    assert found["peak_activations"] == [4, 3, 2, 1]
    assert found["lower_bound"] == 33


def test_the_two_clocks_differ_where_they_should(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "simulate", "zb-h2", "-p", "8", "-m", "32")
    assert (found["makespan"], found["longest_stage"]) == (103, 96)
    assert found["bubble_longest_stage"] == 0
    bound = answer(capsys, "simulate", "zb-h2", "-p", "8", "-m", "32", "--clock", "longest-stage")
    assert bound["clock"] == "longest_stage"
    assert bound["lower_bound"] == 96


def test_every_number_is_exactly_the_one_typed(capsys: pytest.CaptureFixture[str]) -> None:
    thirds = answer(capsys, "simulate", "1f1b", "-p", "2", "-m", "3", "--forward", "1/3",
                    "--backward", "1/3", "--weight", "1/3")  # fmt: skip
    assert thirds["makespan"] == 4
    tenths = answer(capsys, "simulate", "1f1b", "-p", "2", "-m", "3", "--forward", "0.1",
                    "--backward", "0.2", "--weight", "0.3", "--send", "0.1")  # fmt: skip
    # device 1 runs its last F from 1.6 on and its last BW until 2.2; device 0 has it at 2.3
    assert tenths["makespan"] == 2.8


def test_the_command_line_says_what_python_says(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "simulate", "v-half", "-p", "4", "-m", "12", *TIMES)
    schedule = sim.FAMILIES["v-half"](4, 12)
    costs = sim.Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
    trace = sim.simulate(schedule, costs)
    assert found["makespan"] == sim.makespan(trace)
    assert found["longest_stage"] == sim.longest_stage(trace)
    assert tuple(found["peak_activations"]) == sim.peak_activations(schedule)
    assert found["lower_bound"] <= found["makespan"]


def test_options_of_a_family_reach_it(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "simulate", "interleaved", "-p", "4", "-m", "12", "-v", "3",
                   "--group-size", "6")  # fmt: skip
    assert found["stages"] == 12
    assert (
        found["peak_activations"][0]
        == sim.peak_activations(sim.FAMILIES["interleaved"](4, 12, v=3, group_size=6))[0]
    )
    assert (
        answer(capsys, "simulate", "seq1f1b", "-p", "4", "-m", "8", "--slices", "4")["slices"] == 4
    )
    assert answer(capsys, "simulate", "zb-v", "-p", "4", "-m", "8", "-v", "2")["stages"] == 8


def test_devices_links_and_iterations_reach_the_engine(capsys: pytest.CaptureFixture[str]) -> None:
    plain = ("simulate", "1f1b", "-p", "4", "-m", "8")
    assert answer(capsys, *plain, "--straggler", "2=2")["makespan"] > 33
    assert answer(capsys, *plain, "--neighbour-slowdown", "1.5")["makespan"] > 33
    assert answer(capsys, *plain, "--bandwidth", "2", "--boundary-bytes", "1")["makespan"] > 33
    assert main([*plain, "--boundary-bytes", "1"]) == 0
    assert "bandwidth unlimited (boundary bytes take no time)" in capsys.readouterr().out
    assert main(["compare", *plain[1:], "--boundary-bytes", "1", "--bandwidth", "2"]) == 0
    told = capsys.readouterr().out
    assert "costs: forward 1, backward 1, weight 1, send 0." in told
    assert answer(capsys, *plain, "--transfers", "blocking", "--send", "1")["makespan"] > 33
    twice = answer(capsys, *plain, "--iterations", "2", "--optimizer", "5")
    assert twice["iteration_times"] == [33, 38]
    assert twice["lower_bound"] is None
    zero_bubble = ("simulate", "zb-h2", "-p", "4", "-m", "8", "--iterations", "3")
    waiting = answer(capsys, *zero_bubble)["iteration_times"]
    going_on = answer(capsys, *zero_bubble, "--no-barrier")["iteration_times"]
    assert waiting == [27, 27, 27]
    assert going_on == [27, 24, 24]
    jitter = [answer(capsys, *plain, "--jitter", "0.1", "--seed", seed)["makespan"]
              for seed in ("1", "1", "2")]  # fmt: skip
    assert jitter[0] == jitter[1] != jitter[2]
    held = answer(capsys, *plain, "--activation-bytes", "10", "--static-bytes", "7")
    assert held["peak_bytes"] == [47, 37, 27, 17]


def test_a_profile_gives_the_costs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    costs = sim.Costs.of(2, forward=[1, 2], backward=[3, 1], weight=1, send=0)
    profile = tmp_path / "costs.json"
    profile.write_text(sim.costs_to_json(costs))
    found = answer(capsys, "simulate", "zb-h1", "-p", "2", "-m", "4", "--profile", str(profile))
    assert found["makespan"] == sim.makespan(sim.simulate(sim.FAMILIES["zb-h1"](2, 4), costs))
    rows = answer(capsys, "compare", "-p", "2", "-m", "4", "--profile", str(profile))
    reasons = {row["schedule"]: row["error"] for row in rows if "error" in row}
    assert "costs describe 2 stages" in reasons["zb-v"]


def test_compare_plays_every_family_and_gives_reasons_for_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = answer(capsys, "compare", "-p", "3", "-m", "1", *TIMES)
    assert [row["schedule"] for row in rows] == list(sim.FAMILIES)
    for row in rows:
        assert "error" in row or set(row) >= KEYS
    rows = answer(
        capsys, "compare", "interleaved", "1f1b", "-p", "4", "-m", "8", "--group-size", "2"
    )
    assert "group_size" in rows[0]["error"]
    assert rows[1]["makespan"] == 33


def test_compare_uses_an_option_only_where_it_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    rows = answer(capsys, "compare", "1f1b", "interleaved", "-p", "2", "-m", "4", "-v", "3")
    assert [row["stages"] for row in rows] == [2, 6]


def test_frozen_stages_and_unequal_microbatches_reach_the_simulation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """44: 1 + send + 1F1B on three devices. 14 on one device: (1+1+1) * (1 + 2/3 + 3)."""
    eight = ("1f1b", "-p", "4", "-m", "8")
    found = answer(capsys, "simulate", *eight, "--send", "1", "--frozen", "0")
    assert found["makespan"] == 44
    assert answer(capsys, "simulate", *eight, "--forward-only")["makespan"] == 11
    three = ("gpipe", "-p", "1", "-m", "3")
    found = answer(capsys, "simulate", *three, "--microbatch-scale", "1,2/3,3")
    assert found["makespan"] == 14
    rows = answer(capsys, "compare", "zb-h1", *eight, "--frozen-weights", "0-3")
    assert [row["makespan"] for row in rows] == [22, 22]  # (m + p - 1) (F + B)


def test_recompute_reaches_the_simulation(capsys: pytest.CaptureFixture[str]) -> None:
    """GPipe: (m+p-1) (2F+BW) and m inputs with one activation; 1F1B: 441 where it is free."""
    found = answer(capsys, "simulate", "gpipe", "-p", "4", "-m", "8", "--recompute", "full",
                   "--recompute-keeps", "0.05")  # fmt: skip
    assert found["makespan"] == 11 * 4
    assert found["peak_activations"] == [8 * 0.05 + 0.95] * 4
    assert found["lower_bound"] <= 44
    free = answer(capsys, "simulate", "1f1b", "-p", "8", "-m", "24", "--forward", "3", "--backward",
                  "4", "--weight", "2", "--send", "3", "--recompute", "0-6",
                  "--recompute-place", "in-waits")  # fmt: skip
    assert free["makespan"] == 441


def test_offload_reaches_the_simulation(capsys: pytest.CaptureFixture[str]) -> None:
    """A quarter of a share per unit of time: 4 per copy, as long as a forward; 40 bytes at 10."""
    times = ("--forward", "4", "--backward", "4", "--weight", "4", "--offload", "full")
    eight = ("simulate", "1f1b", "-p", "8", "-m", "16", *times)
    for link in (["0.25"], ["10", "--activation-bytes", "40"]):
        found = answer(capsys, *eight, "--host-bandwidth", *link)
        assert found["makespan"] == found["lower_bound"] == (16 + 7) * 12
        assert found["peak_activations"] == [2] * 7 + [1]
    assert found["peak_bytes"] == [80] * 7 + [40]
    assert found["host_peak_bytes"] > 0
    late = answer(capsys, *eight, "--host-bandwidth", "0.25", "--host-latency", "2")
    assert late["makespan"] == (16 + 7) * 12
