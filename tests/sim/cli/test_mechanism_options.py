"""Options about what real runs do beyond a chain: sums of gradients, vocabulary, all-to-alls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import sim
from sim.cli.commands import main


def simulated(capsys: pytest.CaptureFixture[str], arguments: str) -> Any:
    assert main(["simulate", *arguments.split(), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_sum_of_gradients_is_the_last_thing_to_happen(capsys: pytest.CaptureFixture[str]) -> None:
    """Chimera p=4, m=4: 16 and the sum; with bytes, 30 of them at 10 a time from either device."""
    assert simulated(capsys, "chimera -p 4 -m 4 --gradient-sum 3")["makespan"] == 19
    wire = "--gradient-bytes 30 --bandwidth 10"
    assert simulated(capsys, f"chimera -p 4 -m 4 {wire}")["makespan"] == 19


def test_s_and_t_have_times_and_bytes_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    """(p-1)(F+B+W) = 9 and m (F+B+W+S+T) = 32, with two barriers; scores of one microbatch."""
    asked = "vocab-1f1b -p 4 -m 8 --barriers 2 --vocabulary-scores 0.5 --vocabulary-gradients 0.5"
    found = simulated(capsys, f"{asked} --logits-bytes 7")
    assert found["makespan"] == found["lower_bound"] == 32 + 9
    assert found["peak_activations"][0] == 4 + 2
    assert found["peak_bytes"] == [7] * 4
    late = simulated(capsys, f"{asked} --all-reduce 3 --send 1")["makespan"]
    assert late > simulated(capsys, f"{asked} --all-reduce 0 --send 1")["makespan"]
    # An activation of 10 bytes takes as long to every other device as to the next one.
    slow = simulated(capsys, "vocab-1f1b -p 4 -m 1 --boundary-bytes 10 --bandwidth 10")
    assert slow["makespan"] == 4 * 3 + 2 * 3 + 2  # and to all parts, and their gradients back


def test_exposed_all_to_alls_are_added_up(capsys: pytest.CaptureFixture[str]) -> None:
    found = simulated(capsys, "1f1b -p 2 -m 4 --all-to-all 1 --all-to-all-backward 2")
    assert found["exposed_all_to_all"] == [12, 12]
    paired = simulated(capsys, "dualpipe -p 2 -m 4 --all-to-all 1 --all-to-all-backward 2")
    assert max(paired["exposed_all_to_all"]) < 12


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("1f1b -p 4 -m 8 --gradient-sum 3", "1f1b holds every stage once, so there is nothing to"),
        ("1f1b -p 4 -m 8 --all-reduce 3", "1f1b does not cut the vocabulary: leave --all-reduce"),
        ("1f1b -p 4 -m 8 --barriers 2", "1f1b does not take --barriers"),
        ("vocab-1f1b -p 4 -m 8 --barriers 3", "barriers is 3: it must be 1 or 2"),
        ("chimera -p 4 -m 4 --bandwidth 1", "add --boundary-bytes or --gradient-bytes"),
        ("chimera -p 4 -m 4 --gradient-bytes 1", "take no time without --bandwidth: add it"),
        ("1f1b -p 4 -m 4 --frozen 0-1 --frozen-weights 1", "-weights both name stage 1: a stage"),
        ("gpipe -p 4 -m 4 --forward-only --frozen 0", "no backward pass: leave --frozen out"),
        ("gpipe -p 4 -m 4 --forward-only --recompute full", "leave --recompute out"),
        ("1f1b -p 4 -m 3 --microbatch-scale 1,,1", "is '1,,1': write numbers with one comma"),
    ],
)
def test_what_does_not_fit_is_told_in_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: str, words: str
) -> None:
    assert main(["simulate", *arguments.split()]) != 0
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_families_lists_those_that_cut_the_vocabulary(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["families", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert all(rows[name]["options"] == ["barriers"] for name in ("vocab-1f1b", "vocab-v-half"))


def test_copies_to_a_partner_take_the_time_of_the_wire_between_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """10 bytes over 1 a unit: an eviction takes 10, as over a host's link of that bandwidth."""
    size = ["-p", "8", "-m", "16", "--activation-bytes", "10", "--boundary-bytes", "1"]
    spans = []
    for link in (["--bandwidth", "1"], ["--bandwidth", "1", "--host-bandwidth", "1"]):
        assert main(["simulate", "bpipe", *size, *link, "--json"]) == 0
        spans.append(json.loads(capsys.readouterr().out)["makespan"])
    assert spans == [149, 149]
    assert main(["simulate", "bpipe", "-p", "4", "-m", "8", "--host-memory", "5",
                 "--activation-bytes", "1"]) == 2  # fmt: skip
    assert "bpipe offloads to other devices, not to a host" in capsys.readouterr().err


def test_copies_that_take_no_time_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    ask = ["simulate", "po-h", "-p", "4", "-m", "4"]
    assert main(ask) == 0
    assert "send 0, copies 0" in capsys.readouterr().out
    assert main([*ask, "--host-bandwidth", "2"]) == 0
    assert "copies" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["po-h", "po-f", "bpipe"])
def test_recompute_in_waits_counts_steps_that_compute(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ["simulate", name, "-p", "4", "-m", "8", "--recompute", "0", "--json"]
    assert main(ask) == 0
    late = json.loads(capsys.readouterr().out)["makespan"]
    assert main([*ask, "--recompute-place", "in-waits"]) == 0
    assert json.loads(capsys.readouterr().out)["makespan"] <= late


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("search -p 4 -m 8 --memory-bytes 1.5",
         "--memory-bytes needs the bytes that fill it: add --activation-bytes or --static-bytes"),
        ("search -p 2 -m 4 --memory-limit 1 --levers offload --host-bandwidth 1",
         "--host-bandwidth needs the bytes that cross it: add --activation-bytes"),
        ("search -p 2 -m 4 --memory-bytes 3 --profile times.json",
         "--memory-bytes needs the bytes that fill it: times.json has none"),
        ("simulate gpipe -p 2 -m 4 --memory 3 --profile times.json",
         "--memory needs the bytes that fill it: times.json has none"),
        ("simulate gpipe -p 2 -m 4 --bandwidth 3 --profile times.json",
         "--bandwidth needs the bytes that cross it: times.json has none"),
    ],
)  # fmt: skip
def test_a_limit_on_bytes_that_nobody_has_is_refused(
    asked: str, told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    stages = 4 if "search" in asked else 2
    costs = sim.Costs.of(stages, forward=1, backward=1, weight=1)
    Path("times.json").write_text(sim.costs_to_json(costs))
    assert main(asked.split()) == 2
    assert capsys.readouterr().err == f"error: {told}\n"


def test_what_recomputed_forwards_keep_counts_under_jitter_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Device d has 4 - d microbatches alive: one whole, of the others a quarter."""
    asked = "1f1b -p 4 -m 8 --recompute full --recompute-keeps 0.25 --jitter"
    for sigma in ("0", "0.01"):
        found = simulated(capsys, f"{asked} {sigma}")
        assert found["peak_activations"] == [1.75, 1.5, 1.25, 1]


def profile(folder: Path, **more: Any) -> Path:
    """A file of costs of four stages: F = B = W = 1."""
    ones = [1] * 4
    path = folder / "costs.json"
    path.write_text(json.dumps({"forward": ones, "backward": ones, "weight": ones} | more))
    return path


def test_the_speed_of_the_host_link_is_that_of_copies_both_ways(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Whatever a profile says about copies: 2 bytes at 1 a time take 2, out and back."""
    asked = "gpipe -p 4 -m 4 --host-bandwidth 1 --offload 0 --profile {}"
    measured = profile(tmp_path, activation_bytes=[2] * 4, offload=[7] * 4, load=[9] * 4)
    found = simulated(capsys, asked.format(measured))
    plain = profile(tmp_path, activation_bytes=[2] * 4)
    assert found == simulated(capsys, asked.format(plain))


def test_gradients_of_a_profile_cross_the_same_wires_as_those_of_an_option(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Of a sum on its wire: 30 bytes at 10 a time after 16, between devices that are no neighbours
    too."""
    costs = profile(tmp_path, gradient_bytes=[30] * 4)
    found = simulated(capsys, f"chimera -p 4 -m 4 --profile {costs} --bandwidth 10")
    assert found["makespan"] == 19


def test_the_share_that_is_kept_is_one_of_bytes_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Whatever a profile says of bytes: a quarter of 8 for each of 4, and the rest of one."""
    costs = profile(tmp_path, activation_bytes=[8] * 4, recompute_bytes=[7] * 4)
    asked = f"gpipe -p 4 -m 4 --recompute full --profile {costs}"
    assert simulated(capsys, asked)["peak_bytes"] == [4 * 7 + 1] * 4
    found = simulated(capsys, f"{asked} --recompute-keeps 0.25")
    assert found["peak_bytes"] == [4 * 2 + 6] * 4
    assert found["peak_activations"] == [4 * 0.25 + 0.75] * 4
    search = f"-p 4 -m 4 --placement straight --profile {costs} --levers recompute --moves 1000"
    assert main(["search", *search.split(), "--recompute-keeps", "0", "--memory-bytes", "8"]) == 0
