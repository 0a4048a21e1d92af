"""The search: known optima, known figures to beat, odd pipelines, and clear refusals."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from sim import FAMILIES, Costs, Schedule, simulate
from sim.cli.commands import main
from sim.metrics.metrics import bubble, longest_stage, makespan, peak_activations, peak_bytes
from sim.schedule.json_form import from_json
from sim.search import lower_bound, pareto, pareto_figure, search
from sim.search.placement import Placement, stages_on

ROOT = Path(__file__).parents[3]


def uniform(placement: Placement, p: int, *times: float) -> Costs:
    """Costs of F, B, W of a device's whole share, and send."""
    bare = Schedule(stages_on(p, placement), ((),) * p, 1)
    names = ("forward", "backward", "weight", "send")
    return Costs.uniform(bare, **dict(zip(names, times, strict=True)))


@pytest.mark.parametrize(
    ("p", "m", "limit", "optimum"), [(4, 8, 3, 31), (4, 8, 2, 41), (4, 12, 3, 44), (6, 12, 5, 48)]
)
def test_straight_pipelines_below_the_memory_of_1f1b_reach_the_optimum(
    p: int, m: int, limit: int, optimum: int
) -> None:
    found = search(
        p, m, uniform("straight", p, 1, 1, 1, 0), placement="straight", memory_limit=limit,
        moves=5_000_000,
    )  # fmt: skip
    assert found.makespan <= optimum
    assert found.peak <= limit
    assert found.lower_bound <= found.value


@pytest.mark.parametrize("k", range(4, 9))
def test_unit_passes_on_four_devices_are_proven_optimal_at_every_limit(k: int) -> None:
    found = search(4, 8, uniform("v", 4, 2, 2, 2, 0), memory_limit=k / 2, moves=20_000_000)
    assert found.proven_optimal
    assert found.value == max(6 * 8 + 6 * 4 - 3 * k - 1, 6 * 8 + 3 * 4 - 1 - k, 6 * 8 + 3)


@pytest.mark.parametrize(("limit", "bubble"), [(3, 0.174), (2, 0.366)])
def test_real_costs_do_better_than_published_searches(limit: int, bubble: float) -> None:
    costs = uniform("v", 4, 5, 7, 3, 1)
    found = search(4, 16, costs, memory_limit=limit, clock="longest_stage", moves=7_000_000)
    assert 1 - 16 * 15 / float(found.value) <= bubble
    trace = simulate(found.schedule, costs)
    assert (makespan(trace), longest_stage(trace)) == (found.makespan, found.longest_stage)
    assert max(peak_activations(found.schedule)) == found.peak <= limit
    assert found.interval_bound <= found.interval <= float(found.longest_stage) / 16


def test_many_microbatches_cost_no_more_than_few() -> None:
    costs = uniform("v", 4, 10, 12, 8, 1)
    few = search(4, 24, costs, memory_limit=3, clock="longest_stage", moves=25_000_000)
    many = search(4, 240, costs, memory_limit=3, clock="longest_stage", moves=25_000_000)
    assert many.value <= few.value + (240 - 24) * 30 + 60


@pytest.mark.parametrize("placement", ["straight", "loop", "v"])
@pytest.mark.parametrize(("p", "m"), [(1, 1), (1, 3), (3, 1), (2, 2)])
def test_tiny_pipelines_are_solved_to_the_optimum(placement: Placement, p: int, m: int) -> None:
    moves = 20_000_000 if (placement, p, m) == ("loop", 2, 2) else 2_000_000
    found = search(
        p, m, uniform(placement, p, 2, 4, 2, 1), placement=placement, memory_limit=1, moves=moves
    )
    assert found.proven_optimal
    assert found.peak == 1


@pytest.mark.parametrize("times", [(0, 0, 0, 0), (0, 5, 0, 0), (1, 1, 0, 3), (1e-9, 1e9, 1, 0)])
def test_zero_and_extreme_costs_work(times: tuple[float, ...]) -> None:
    found = search(3, 5, uniform("v", 3, *times), memory_limit=2, moves=2_000_000)
    assert found.lower_bound <= found.value
    assert found.peak <= 2


def test_a_head_ten_times_a_layer_is_the_bottleneck() -> None:
    costs = Costs.of(8, forward=[1] * 7 + [10], backward=[1] * 7 + [10], weight=[1] * 7 + [10])
    found = search(4, 12, costs, memory_limit=4, moves=2_000_000)
    assert found.value <= 12 * 33 + 40
    assert found.lower_bound >= 12 * 33


def test_measured_costs_without_a_common_tick_work() -> None:
    times = [0.1234567890123, 0.2345678901234, 0.1357924680135, 0.9876543210987]
    costs = Costs.of(4, forward=times, backward=times[::-1], weight=0.111, send=0.0123456789012345)
    found = search(2, 4, costs, memory_limit=2, moves=2_000_000)
    trace = simulate(found.schedule, costs)
    assert found.value == makespan(trace)
    assert found.lower_bound <= found.value


def test_a_limit_in_bytes_with_signed_changes_is_kept() -> None:
    costs = Costs.of(
        4, forward=3, backward=4, weight=2, send=1, activation_bytes=[9, 9, 5, 5],
        backward_bytes=[-4, 2, 0, 1], static_bytes=100,
    )  # fmt: skip
    found = search(2, 8, costs, memory_bytes=240, moves=5_000_000)
    assert max(peak_bytes(simulate(found.schedule, costs))) <= 240
    assert lower_bound(found.schedule, costs, memory_bytes=240) <= found.value


def test_a_limit_nothing_can_meet_names_the_smallest_that_can() -> None:
    costs = uniform("v", 2, 1, 1, 1, 0)
    with pytest.raises(ValueError, match=r"0\.5 shares: the smallest that can be met is 1"):
        search(2, 4, costs, memory_limit=0.5)
    heavy = Costs.of(4, forward=1, backward=1, weight=1, activation_bytes=8, static_bytes=50)
    with pytest.raises(ValueError, match="116"):
        search(2, 4, heavy, memory_bytes=115)
    assert search(2, 4, heavy, memory_bytes=116, moves=1_000_000).peak == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"placement": "ring"}, "'ring'"),
        ({"clock": "wall"}, "'wall'"),
        ({"placement": "straight"}, "4 stages"),
        ({"workers": 0}, "workers"),
        ({"time_limit": -1}, "time_limit"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        search(2, 4, uniform("v", 2, 1, 1, 1, 0), **change)


@pytest.mark.slow
def test_more_memory_never_costs_time_on_the_pareto_front() -> None:
    frame = pareto(3, 6, uniform("v", 3, 4, 6, 2, 1), limits=[1, 2, 3], moves=15_000_000)
    searched, named = frame[~frame["family"]], frame[frame["family"]]
    assert list(searched["limit"]) == [1, 2, 3]
    assert searched["makespan"].is_monotonic_decreasing
    assert {"v-min", "v-half", "zb-v"} <= set(named["method"])
    assert (searched["gap"].astype(float) >= 0).all()
    best = searched["makespan"].min()
    assert (named[named["peak"] <= 3]["makespan"] >= best).all()
    assert len(pareto_figure(frame).data) == 5


@pytest.mark.slow
def test_more_memory_never_costs_time_per_microbatch() -> None:
    """A search for a larger limit may find less in its time: then the block of a smaller one."""
    costs = uniform("v", 4, 10, 12, 8, 1)
    frame = pareto(4, 12, costs, limits=[2, 2.5, 3, 3.5, 4], moves=15_000_000, progress=False)
    searched = frame[~frame["family"]]
    assert searched["interval"].is_monotonic_decreasing
    assert (searched["interval_bound"] <= searched["interval"]).all()


INTERRUPTED = """
import signal, sys
from sim.cli import main

warm_up = "search -p 6 -m 30 --memory-limit 3 --moves 2000000 --json"
main(warm_up.split())  # everything is imported and compiled
signal.signal(signal.SIGPROF, lambda *_: signal.raise_signal(signal.SIGINT))
signal.setitimer(signal.ITIMER_PROF, 1.5)  # of processor time: well into it, on a busy machine too
sys.exit(main(sys.argv[1:]))
"""
AT_ANY_MOMENT = """
import signal, sys, time
from sim.search import search, smallest_interval
sys.path.insert(0, "tests/sim/search")
from test_search import uniform

costs = uniform("v", 6, 10, 12, 8, 0)
search(6, 30, costs, memory_limit=3, moves=2_000_000)

def strike(*_):
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.setitimer(signal.ITIMER_REAL, 0.01)  # nothing is under way yet
    else:
        signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGALRM, strike)
for turn in range(5):
    signal.setitimer(signal.ITIMER_REAL, 0.02 + 0.12 * turn)
    assert search(6, 30, costs, memory_limit=3, time_limit=300, seed=turn).interrupted
    signal.setitimer(signal.ITIMER_REAL, 0.02 + 0.12 * turn)
    try:
        smallest_interval((*range(6), *range(5, -1, -1)), costs, memory_limit=3, time_limit=300,
                          microbatches_per_period=6, seed=turn)
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("search -p 6 -m 30 --memory-limit 3", "interrupted: this is the best so far"),
        ("pareto -p 6 -m 30", "interrupted: these are the limits done so far"),
    ],
)
def test_ctrl_c_ends_it_and_keeps_what_there_is(words: str, sentence: str) -> None:
    asked = f"{words} --forward 10 --backward 12 --weight 8 --time-limit 300".split()
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *asked, "--json"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert sentence in run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    if words.startswith("pareto"):
        assert 0 < sum(not row["family"] for row in found) < 12
        assert any(row["family"] for row in found)
    else:
        assert found["makespan"] >= found["lower_bound"] > 0


@pytest.mark.slow
def test_ctrl_c_at_any_moment_is_neither_lost_nor_a_crash_of_compiled_code() -> None:
    run = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", AT_ANY_MOMENT],
        capture_output=True, text=True, cwd=ROOT, timeout=280,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == 5 * ["interrupted"]


def test_the_trade_offs_page_says_what_was_asked_and_names_no_schedule_over_another(
    tmp_path: Path,
) -> None:
    html = tmp_path / "front.html"
    words = "pareto -p 4 -m 8 --forward 10 --backward 12 --weight 8 --send 1 --limits 2,3,4"
    assert main([*words.split(), "--moves", "6000000", "--json", "--html", str(html)]) == 0
    text = html.read_text()
    assert "<title>Time against memory: 4 devices, 8 microbatches</title>" in text
    for fact in ("<dt>forward</dt><dd>10</dd>", "<dt>send</dt><dd>1</dd>", 'lang="en"'):
        assert fact in text
    assert text.count("* plotly.js v") == 1
    assert not re.findall(
        r"<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=\s*[\"'](?!data:)", text
    )
    assert "<td>v-half</td>" in text


def test_the_command_prints_one_json_object(capsys: pytest.CaptureFixture[str], tmp_path) -> None:  # type: ignore[no-untyped-def]
    output = tmp_path / "found.json"
    arguments = "search -p 4 -m 8 --placement straight --memory-limit 3 --moves 5000000 --json"
    assert main([*arguments.split(), "--output", str(output)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["makespan"] == 31
    assert max(found["peak_activations"]) <= 3
    keys = "lower_bound gap method proven_optimal interval interval_bound memory_limit clock"
    assert set(keys.split()) <= set(found)
    assert from_json(output.read_text()).n_microbatches == 8


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("search -p 4 -m 8 --memory-limit 0.5", 1, "the smallest that can be met is 1"),
        ("search -p 4 -m 8 --placement ring", 2, "--placement is 'ring'"),
        ("search -p 4 -m zero", 2, "-m is 'zero'"),
        ("search -p 4 -m 8 --clock wall", 2, "--clock is 'wall'"),
        ("search -p 4", 2, "-m"),
        ("pareto -p 2 -m 4 --limits 1,x", 2, "--limits is 'x'"),
    ],
)
def test_a_wrong_option_gets_one_sentence(
    arguments: str, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments.split()) == code
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(("limit", "published"), [(16, 0.0433), (11, 0.0862)])
def test_zero_bubble_figures_are_met_where_b_gives_memory_back(
    limit: int, published: float
) -> None:
    """Qi et al. 2024, arXiv 2401.10241, Table 5 and Figure 7: 1.5B, p=8, m=24; limits 2p, 1.375p.

    F keeps 34 h + 5 a s bytes per token and W needs 32 h of them, with h=2304, a=24, s=1024.
    """
    kept, rest = 34 * 2304 + 5 * 24 * 1024, 32 * 2304
    costs = Costs.of(
        8, forward=18522, backward=18086, weight=9337, send=601, activation_bytes=kept,
        backward_bytes=[rest - kept] * 8,
    )  # fmt: skip
    found = search(
        8, 24, costs, placement="straight", memory_bytes=limit * kept, clock="longest_stage",
        moves=20_000_000,
    )  # fmt: skip
    assert 1 - 24 * 45945 / float(found.value) <= published + 5e-5


def test_without_that_the_same_figures_are_proven_to_be_out_of_reach() -> None:
    costs = uniform("straight", 8, 18522, 18086, 9337, 601)
    found = search(
        8,
        24,
        costs,
        placement="straight",
        memory_limit=16,
        clock="longest_stage",
        moves=5_000_000,
    )
    assert found.proven_optimal
    assert 1 - 24 * 45945 / float(found.lower_bound) > 0.1


@pytest.mark.parametrize("missing", ["numba", "ortools"])
def test_a_search_without_its_libraries_says_what_to_install(missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None; from sim.cli import main; "
        "main(['search', '-p', '4', '-m', '8', '--forward', '5', '--backward', '7', '--send', '1', "
        "'--memory-limit', '2', '--moves', '20000000'])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install 'pipebubble[search]'" in run.stderr
    assert run.stderr.count("\n") == 1
    assert not run.stdout


@pytest.mark.parametrize("placement", ["straight", "v", "loop"])
def test_named_schedules_on_the_front_are_as_compare_tells(placement: Placement) -> None:
    """Fused backwards that cost less than B and W, larger microbatches, and slices of a sequence,
    of which each takes its part."""
    costs = replace(
        uniform(placement, 4, 10, 12, 8, 1),
        fused_backward=((9,),) * (4 if placement == "straight" else 8),
        microbatch_scale=((2,),) * 8,
    )
    frame = pareto(4, 8, costs, placement=placement, limits=[1], moves=1_000, progress=False)
    named = frame[frame["family"]].set_index("method")
    assert not named.index.str.startswith("vocab").any()  # of S and T nothing is said
    assert {"straight": "terapipe", "v": "zb-v", "loop": "svpp"}[placement] in named.index
    for name, row in named.iterrows():
        schedule = FAMILIES[str(name)](4, 8)
        whole = Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
        share = len(schedule.placement) // 4 * schedule.n_slices
        fused = ((Fraction(9 * len(costs.forward) // 4, share),),) * schedule.n_stages
        trace = simulate(
            schedule, replace(whole, fused_backward=fused, microbatch_scale=costs.microbatch_scale)
        )
        assert (row["makespan"], row["longest_stage"]) == (makespan(trace), longest_stage(trace))
        assert row["bubble_makespan"] == pytest.approx(bubble(trace))
        assert row["bubble_longest_stage"] == pytest.approx(bubble(trace, "longest_stage"))


def test_a_device_that_recomputes_is_not_idle(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A search tells the bubble that `simulate` tells of what it found."""
    path = tmp_path / "found.json"
    asked = "-p 2 -m 6 --placement straight --memory-limit 1 --moves 3000000 --json"
    assert main(["search", *asked.split(), "--levers", "recompute", "--output", str(path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sum(row["recompute"] for row in found["levers"]) > 0
    assert main(["simulate", str(path), "--json"]) == 0
    played = json.loads(capsys.readouterr().out)
    for name in ("makespan", "bubble_makespan", "bubble_longest_stage", "peak_activations"):
        assert found[name] == pytest.approx(played[name]), name
