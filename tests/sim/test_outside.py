"""What strangers did to the simulator, and what it should have answered."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sim
from sim.cli.commands import main
from sim.schedule.torch_csv import from_torch_csv

HUGE = {"forward": 1e308, "backward": 1e308, "weight": 1}


# -- from Python --------------------------------------------------------------------------------


def test_numbers_of_a_numpy_loop_count_as_numbers() -> None:
    numbers: Any = np.arange(1, 4), np.int32(6), np.int64(2), np.int8(1)
    devices, six, two, one = numbers
    for p in devices:
        schedule = sim.FAMILIES["interleaved"](p, six, v=two, group_size=p)
        assert schedule == sim.FAMILIES["interleaved"](int(p), 6)
        cluster = sim.Cluster(p)
        costs = sim.Costs.uniform(schedule)
        trace = sim.simulate(schedule, costs, cluster, iterations=two, seed=one)
        assert trace.iterations == 2
        json.dumps((schedule.n_microbatches, cluster.n_devices, trace.iterations))


def test_bytes_are_summed_exactly() -> None:
    schedule = sim.FAMILIES["gpipe"](1, 3)
    costs = sim.Costs.uniform(schedule, activation_bytes=0.1, static_bytes=0.2)
    fits = sim.Cluster(1, memory=(0.5,))
    assert sim.peak_bytes(sim.simulate(schedule, costs, fits)) == (0.5,)
    with pytest.raises(sim.OutOfMemory, match=r"wants 0.1 bytes, 0.09 of 0.49 are free"):
        sim.simulate(schedule, costs, sim.Cluster(1, memory=(0.49,)))
    one = sim.Costs.uniform(schedule, activation_bytes=1)
    with pytest.raises(sim.OutOfMemory, match=r"wants 1 byte, 0 of 2 are free"):
        sim.simulate(schedule, one, sim.Cluster(1, memory=(2,)))
    thirds = sim.FAMILIES["interleaved"](2, 4, v=3)
    trace = sim.simulate(
        thirds, sim.Costs.uniform(thirds, activation_bytes=1, boundary_bytes=1 / 3)
    )
    assert sim.peak_bytes(trace) == sim.peak_activations(thirds)
    assert {column: str(trace.memory[column].dtype) for column in ("change", "live")} == {
        "change": "float64", "live": "float64"}  # fmt: skip
    several = sim.FAMILIES["v-half"](3, 9)
    costs = sim.Costs.of(6, forward=1, backward=1, weight=1,
                         activation_bytes=[0.1, 0.7, 1.3, 0.2, 0.3, 0.9],
                         backward_bytes=[-0.03, 0.1, -1.1, 0, 0.2, -0.2])  # fmt: skip
    trace = sim.simulate(several, costs)
    assert (trace.memory.groupby("device")["live"].last() == 0).all()


def test_a_backward_cannot_give_back_more_than_was_kept() -> None:
    with pytest.raises(ValueError, match="backward_bytes of stage 1 is -3: B cannot give back"):
        sim.Costs.of(2, forward=1, backward=1, weight=1, activation_bytes=[[5, 5], [5, 2]],
                     backward_bytes=[-5, -3])  # fmt: skip


def test_times_that_no_float_can_add_up_are_refused() -> None:
    schedule = sim.FAMILIES["1f1b"](4, 8)
    with pytest.raises(ValueError, match=r"1e\+308 is too long"):
        sim.simulate(schedule, sim.Costs.of(4, **HUGE))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"jitter": 1000}, "jitter is 1000: it must be at most 3"),
        ({"jitter": 0.1, "seed": -1}, "seed is -1: it must be a whole number >= 0"),
        ({"seed": 1.5}, "seed is 1.5: it must be a whole number >= 0"),
        ({"iterations": 2.0}, "iterations is 2.0: it must be a whole number >= 1"),
    ],
)
def test_odd_settings_get_a_sentence(options: dict[str, object], said: str) -> None:
    schedule = sim.FAMILIES["1f1b"](2, 2)
    with pytest.raises(ValueError, match=said):
        sim.simulate(schedule, sim.Costs.uniform(schedule), **options)  # type: ignore[arg-type]


def test_a_route_that_is_no_pair_gets_a_sentence() -> None:
    with pytest.raises(ValueError, match="route 0 joins no two devices"):
        sim.Cluster(2, links={"a": sim.Link()}, routes={0: ("a",)})  # type: ignore[dict-item]


def test_a_bubble_is_never_negative() -> None:
    schedule = sim.FAMILIES["zb-h1"](8, 11)
    costs = sim.Costs.uniform(schedule, forward=22 / 7, backward=0, weight=123456789.123)
    assert sim.bubble(sim.simulate(schedule, costs), "longest_stage") >= 0


def test_a_device_blocked_by_its_own_send_waits_for_the_link() -> None:
    schedule = sim.FAMILIES["zb-h1"](2, 1)
    costs = sim.Costs.uniform(schedule, send=5)
    account = sim.idle_account(sim.simulate(schedule, costs, sim.Cluster(2, transfers="blocking")))
    # Device 1: F, B, then 5 for the gradient to go out, then W, which reads nothing from elsewhere.
    assert account["waiting_for_link"][1] == 5
    assert account["waiting_for_input"][1] == 0


def test_thousands_of_devices_are_summarised_quickly() -> None:
    n = 2000
    schedule = sim.FAMILIES["1f1b"](n, 1)
    trace = sim.simulate(schedule, sim.Costs.uniform(schedule))
    assert sim.makespan(trace) == 3 * n
    assert sim.idle_account(trace)["idle"].tolist() == [3 * n - 3] * n


def test_the_front_door_completes_what_it_imports_on_first_use() -> None:
    assert set(sim.__all__) <= set(dir(sim))
    assert all(getattr(sim, name) is not None for name in dir(sim))


WITHOUT_EXTRAS = """
import sys
extras = ("anywidget", "ipywidgets", "hypothesis", "joblib", "numba", "ortools", "torch")
sys.modules.update(dict.fromkeys((*extras, "safetensors")))  # None: as if not installed
from sim import *
import sim, backend, validation
assert all(getattr(sim, name) is not None for name in dir(sim))
for module, name in (
    (sim, "explore"), (sim, "testing"), (backend, "run"), (validation, "calibrate")
):
    try:
        getattr(module, name)
    except ImportError as error:
        print(error)
try:
    sim.plan("llama-3-8b", "8xh100", sequence=4096, batch=32, jobs=2)
except ImportError as error:
    print(error)
"""


def test_without_extras_everything_else_works_and_the_extra_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS], capture_output=True, text=True, check=True,
        timeout=120,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "sim.explore needs anywidget: pip install 'pipebubble[notebooks]'",
        "sim.testing needs hypothesis, which is not installed: pip install 'pipebubble[dev]'",
        "backend.run needs torch, which is not installed: pip install 'pipebubble[torch]'",
        "validation.calibrate needs torch, which is not installed: pip install 'pipebubble[torch]'",
        "a plan in several processes needs joblib, which is not installed: "
        "pip install 'pipebubble[plan]'",
    ]


def test_a_group_larger_than_the_batch_is_the_batch() -> None:
    for p, m, v in ((2, 3, 2), (4, 3, 3), (4, 9, 2)):
        build = sim.FAMILIES["interleaved"]
        assert build(p, m, v=v, group_size=10**9) == build(p, m, v=v, group_size=m + p)
        build = sim.FAMILIES["seq1f1b-interleaved"]
        large = build(p, m, v=v, slices=2, group_size=2 * 10**9)
        assert large == build(p, m, v=v, slices=2, group_size=2 * (m + p))


# -- from the command line ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["1f1b", "--iterations", "100000000"], "100000000 times: that is more than 5,000,000"),
        (["1f1b", "--straggler", "0=1,0=2"], "device 0 has two factors"),
        (["1f1b", "--forward", "1e-400"], "it must be 0 or at least 1e-18"),
        ([""], "unknown family ''"),
    ],
)
def test_more_odd_options_get_a_sentence(
    capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert main(["simulate", *options, "-p", "2", "-m", "2"]) in (1, 2)
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


@pytest.mark.parametrize(
    ("package", "typed", "said"),
    [
        ("sim", "pipeload uniform --load x", "--load is 'x': it must be a number"),
        ("sim", "plan --model a --cluster b --devices=x", "--devices is 'x': it must be a whole"),
        ("sim", "pipeload uniform --loaders 1 --loaders x", "--loaders is 'x': it must be a whole"),
        ("sim", "pipeload u --max-loaders 0", "--max-loaders is '0': it must be a whole number, 1"),
        (
            "sim",
            "simulate 1f1b --iteration 3",
            "no such option: --iteration: did you mean --iterations",
        ),
        ("backend", "pipeload d --batch 1e3", "--batch is '1e3': it must be a whole number, 1 or"),
        ("validation", "report -px", "-p is 'x': it must be a whole number, 1 or more"),
        ("validation", f"calibrate --slices={'9' * 99}x", f"--slices is '{'9' * 37}...': it must"),
    ],
)
def test_a_wrong_value_is_told_with_its_option_and_the_rule(
    capsys: pytest.CaptureFixture[str], package: str, typed: str, said: str
) -> None:
    if package != "sim":
        pytest.importorskip("torch")
    assert import_module(f"{package}.cli").main(typed.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"error: {said}")


def test_an_error_in_a_file_begins_with_the_path_that_was_typed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    broken = sim.to_json(sim.FAMILIES["1f1b"](2, 2)).replace("F1@0", "F0@0")
    files = {"a/x.csv": "0F0,zz", "b/x.csv": "0F0,0B1", "c/x.json": broken, "d.csv": ""}
    for path, text in files.items():
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text(text)
        assert main(["check", path]) == 1
        assert capsys.readouterr().err.startswith(f"error: {path}: ")
    Path("costs").write_text("{}")
    assert main(["simulate", "1f1b", "-p", "2", "-m", "2", "--profile", "costs"]) == 1
    assert capsys.readouterr().err.startswith("error: costs: ")
    Path("good.csv").write_text("0F0,0B0")
    assert main(["compare", *files, "good.csv", "--json"]) == 0
    *wrong, good = json.loads(capsys.readouterr().out)
    assert all(row["error"].startswith(f"{path}: ") for path, row in zip(files, wrong, strict=True))
    assert good["schedule"] == "good"


def test_a_csv_says_what_it_cannot_hold(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    target = ["-p", "2", "-m", "3", "--torch-csv", str(tmp_path / "x.csv")]
    assert main(["export", "2bp-gpipe", *target]) == 0
    assert capsys.readouterr().err.splitlines()[1:] == [
        "note: 2bp-gpipe runs 2 sets of passes as one step each, such as W0@0&W1@0&W2@0: a torch "
        "CSV has them one by one"
    ]
    assert main(["export", "1f1b", *target]) == 0
    assert capsys.readouterr().err.count("\n") == 1


def test_bytes_may_be_fractions(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name, more in {
        "1f1b": [],
        "interleaved": ["-v", "3"],
        "seq1f1b": ["--slices", "3"],
    }.items():
        assert main(["simulate", name, "-p", "2", "-m", "4", *more, "--activation-bytes", "1/3",
                     "--boundary-bytes", "1/3", "--bandwidth", "7", "--static-bytes", "2/3",
                     "--memory", "10/3", "--json", "--html", str(tmp_path / "a")]) == 0  # fmt: skip
        found = json.loads(capsys.readouterr().out)
        assert found["peak_bytes"] == [
            pytest.approx((peak + 2) / 3, rel=1e-15) for peak in found["peak_activations"]
        ]


@pytest.mark.parametrize("name", ["1f1b", "v-half", "interleaved", "seq1f1b", "dualpipe-v"])
def test_a_pipeline_beyond_any_memory_is_refused_at_once(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for p, m in (("1000", "2501"), ("999999999", "1"), ("1", "999999999")):
        assert main(["simulate", name, "-p", p, "-m", m]) == 1
        assert "more than 5,000,000 passes" in capsys.readouterr().err


def tiny(path: Path, name: str) -> str:
    """A file with a schedule of that name; its path."""
    order = sim.Op("F", 0, 0), sim.Op("BW", 0, 0)
    path.write_text(sim.to_json(sim.Schedule((0,), (order,), 1, name=name)))
    return str(path)


@pytest.mark.parametrize("name", ["[/red]", "[bold]x[/bold]", ":smile:", "[link=a]b"])
def test_names_are_shown_as_they_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    path = tiny(tmp_path / "one.json", name)
    for command in (["simulate", path], ["compare", path], ["export", path]):
        assert main(command) == 0
        assert name in capsys.readouterr().out
    assert main(["compare", "[x].json", path]) == 0
    assert "[x].json" in capsys.readouterr().out


def test_one_of_a_thing_is_not_many(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path, page = tiny(tmp_path / "one.json", "one"), tmp_path / "page.html"
    for command in (["check", path], ["simulate", path, "--html", str(page)]):
        assert main(command) == 0
        assert "1 device, 1 stage, 1 microbatch\n" in capsys.readouterr().out
    assert "<h1>one: 1 device, 1 microbatch</h1>" in page.read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["simulate", "1f1b", "--html", ""], "cannot write a file without a name"),
        (["compare", "1f1b", "--html", ""], "cannot write a file without a name"),
        (["export", "1f1b", "--perfetto", ""], "cannot write a file without a name"),
        (["export", "1f1b", "--perfetto", "a", "--torch-csv", "a"], "a is named for two files"),
    ],
)
def test_a_file_that_would_be_lost_is_an_error(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*options, "-p", "2", "-m", "2"]) in (1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_closed_streams_are_no_traceback() -> None:
    command = f"{sys.executable} -m sim simulate 1f1b -p 2 -m 2 --json"
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        done = subprocess.run(
            f"{command} {closed}", shell=True, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0
        assert done.stderr == ""


def test_a_formula_is_shown_with_its_condition(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["families"]) == 0
    table = capsys.readouterr().out
    assert "exact when" in table
    assert "F == B == W" in table


# -- torch's own schedules ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("torchs", "ours", "v"),
    [
        ("GPipe", "gpipe", 1),
        ("Interleaved1F1B", "interleaved", 2),
        ("LoopedBFS", "looped-bfs", 2),
        ("InterleavedZeroBubble", "", 2),
        ("ZBVZeroBubble", "zb-v", 2),
        ("DualPipeV", "dualpipe-v", 2),
    ],
)
@pytest.mark.parametrize(("p", "m"), [(2, 4), (4, 8), (4, 10), (4, 16)])
def test_orders_torch_makes_itself_are_read(torchs: str, ours: str, v: int, p: int, m: int) -> None:
    shown = pytest.importorskip("torch.distributed.pipelining._schedule_visualizer")
    rows = shown.get_schedule_ops(torchs, p, m, v)
    text = "".join(
        ",".join("" if action is None else repr(action) for action in row) + "\r\n" for row in rows
    )
    found = from_torch_csv(text, name=ours)
    assert (found.n_devices, found.n_stages, found.n_microbatches) == (p, p * v, m)
    if ours in ("zb-v", "dualpipe-v", "interleaved"):
        assert found == sim.FAMILIES[ours](p, m)


def test_the_order_of_1f1b_with_a_microbatch_too_many_is_refused() -> None:
    # What torch 2.13 shows for 1F1B: on the last rank every forward is one microbatch ahead.
    text = "0F0,0F1,0B0,0B1,0REDUCE_GRAD\n1F1,1B0,1F2,1B1,1REDUCE_GRAD\n"
    with pytest.raises(sim.InvalidSchedule, match="F2@0 is missing"):
        from_torch_csv(text)


def test_a_closing_cell_of_a_stage_that_is_elsewhere_is_refused() -> None:
    with pytest.raises(ValueError, match=r"row 1, column 3: '1REDUCE_GRAD' is not a pass"):
        from_torch_csv("0F0,0B0,1REDUCE_GRAD\n1F0,1B0,1REDUCE_GRAD\n")
