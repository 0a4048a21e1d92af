"""Measured pass times in place of the model's: as they were measured, or in proportion."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim.planner import Orders, Problem, Space, estimate, plan, prepare, read_pass_times
from sim.planner.breakdown import breakdown
from sim.planner.cost_model import Bench, Configuration, Efficiency, Stage, parts
from sim.planner.explanation import assumptions
from sim.planner.hardware import machine_of
from sim.planner.models import Model

SMALL = Model("small", 14, 512, 8, 32000, kv_heads=4)
PROBLEM = Problem(SMALL, machine_of("8xh100"), Efficiency(), cut="even")
LAYER = {"forward": 0.001, "backward": 0.0012, "weight": 0.0009}


def written(tmp_path: Path, *measured: dict[str, Any]) -> Path:
    path = tmp_path / "times.json"
    path.write_text(json.dumps({"source": "our nodes", "measured": list(measured)}))
    return path


def measured(tmp_path: Path, *entries: dict[str, Any]) -> Problem:
    return replace(PROBLEM, measured=read_pass_times(written(tmp_path, *entries)))


def stages(problem: Problem, c: Configuration) -> tuple[Stage, ...]:
    return prepare(problem, c).stages


def test_a_configuration_that_was_measured_takes_what_was_measured(tmp_path: Path) -> None:
    problem = measured(tmp_path, {"sequence": 1024, "layer": LAYER})
    c = Configuration(1024, 32, pipeline=2, data=4)
    first, last = stages(problem, c)
    plain, plain_last = stages(PROBLEM, c)
    embedding = parts(Bench(SMALL, c, PROBLEM.machine, PROBLEM.efficiency)).embedding.seconds
    assert first.seconds.forward == pytest.approx(7 * 0.001 + embedding.forward)
    assert first.seconds.backward == pytest.approx(7 * 0.0012)
    assert first.seconds.weight == pytest.approx(7 * 0.0009 + embedding.weight)
    assert (first.kept, first.held) == (plain.kept, plain.held)
    head = last.seconds.forward - 7 * 0.001
    modelled = (plain_last.seconds.forward - plain.seconds.forward) + embedding.forward
    assert head == pytest.approx(modelled)  # the head was not measured


def test_another_one_takes_the_models_times_in_proportion(tmp_path: Path) -> None:
    # Twice the model's forward where it was measured is twice the model's forward elsewhere.
    here = Configuration(1024, 32, data=8)
    there = Configuration(1024, 32, microbatch=2, tensor=2, data=4, sequence_parallel=True)
    seconds = [
        parts(Bench(SMALL, c, PROBLEM.machine, PROBLEM.efficiency)).layers[SMALL.kind(0)].seconds
        for c in (here, there)
    ]
    layer = {
        "forward": 2 * seconds[0].forward, "backward": 3 * seconds[0].backward,
        "weight": seconds[0].weight,
    }  # fmt: skip
    problem = measured(tmp_path, {"sequence": 1024, "layer": layer})
    for c, layers in ((here, seconds[0]), (there, seconds[1])):
        (found,), (plain,) = stages(problem, c), stages(PROBLEM, c)
        assert found.seconds.forward - plain.seconds.forward == pytest.approx(14 * layers.forward)
        assert found.seconds.backward - plain.seconds.backward == pytest.approx(
            14 * 2 * layers.backward
        )
        assert found.seconds.weight == pytest.approx(plain.seconds.weight)


def test_of_several_measurements_the_nearest_counts(tmp_path: Path) -> None:
    slow = {name: 10 * seconds for name, seconds in LAYER.items()}
    problem = measured(
        tmp_path,
        {"sequence": 1024, "layer": LAYER},
        {"sequence": 1024, "tensor": 8, "layer": slow},
        {"sequence": 1024, "recompute": "full", "layer": slow},
    )
    two, four = (
        stages(problem, Configuration(1024, 32, tensor=t, data=8 // t, sequence_parallel=True))
        for t in (2, 4)
    )
    assert four[0].seconds.forward > 3 * two[0].seconds.forward
    full = Configuration(1024, 32, data=8, recompute="full")
    assert stages(problem, full)[0].seconds.forward > 14 * 0.01


def test_a_fused_backward_that_was_measured_is_what_a_fused_pass_takes(tmp_path: Path) -> None:
    layer = LAYER | {"fused_backward": 0.0018}
    problem = measured(tmp_path, {"sequence": 1024, "layer": layer})
    (stage,) = stages(problem, Configuration(1024, 32, data=8))
    assert stage.saving == pytest.approx(14 * 0.0003)


def test_stages_that_were_measured_are_for_runs_with_those_stages(tmp_path: Path) -> None:
    times = [{"forward": f, "backward": 0.02, "weight": 0.01} for f in (0.010, 0.011)]
    problem = measured(tmp_path, {"sequence": 1024, "pipeline": 2, "stages": times})
    c = Configuration(1024, 32, pipeline=2, data=4)
    assert [stage.seconds for stage in stages(problem, c)] == [
        (0.010, 0.02, 0.01), (0.011, 0.02, 0.01),
    ]  # fmt: skip
    # 1F1B on two devices, the second one slower by its forward: 8 times the second's work, after
    # the first's forward and before its backward; then the transfers.
    found = estimate(problem, prepare(problem, c), Orders(), sends=False)
    assert found.pipeline == pytest.approx(0.010 + 8 * 0.041 + 0.03, rel=1e-9)
    for other in (replace(c, microbatch=2), Configuration(1024, 32, data=8)):
        assert stages(problem, other) == stages(PROBLEM, other)


def test_the_parts_of_measured_times_add_up(tmp_path: Path) -> None:
    problem = measured(tmp_path, {"sequence": 1024, "tensor": 2, "layer": LAYER})
    for schedule in ("1f1b", "zb-h1"):
        c = Configuration(1024, 32, pipeline=2, tensor=2, data=2, schedule=schedule, zero=2,
                          sequence_parallel=True, recompute="full")  # fmt: skip
        seconds = estimate(problem, prepare(problem, c), Orders()).seconds
        assert breakdown(problem, c, Orders()).total == pytest.approx(seconds, rel=1e-12)


def test_a_plan_says_that_times_were_measured(tmp_path: Path) -> None:
    path = written(tmp_path, {"sequence": 1024, "layer": LAYER})
    space = Space(schedules=("1f1b",), tensor=(1,), pipeline=(2,), recompute=("none",), zero=(1,))
    asked: dict[str, Any] = {"sequence": 1024, "batch": 32, "jobs": 1, "space": space}
    found = plan(SMALL, PROBLEM.machine, measured=read_pass_times(path), **asked)
    assert found["seconds"].iloc[0] > 2 * plan(SMALL, PROBLEM.machine, **asked)["seconds"].iloc[0]
    problem = replace(PROBLEM, measured=read_pass_times(path))
    c = Configuration(1024, 32, pipeline=2, data=4)
    assert assumptions(problem, c)["pass times"] == "our nodes"


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"layer": LAYER}, 'measurement 0 of .* lacks "sequence"'),
        ({"sequence": 1024}, "has no times: give layer, layers, embedding, head or stages"),
        ({"sequence": 1024, "layer": {"forward": 1}}, "needs the seconds of forward, backward, w"),
        ({"sequence": 1024, "layer": LAYER, "heads": LAYER}, "has no field 'heads': fields are"),
        ({"sequence": 0, "layer": LAYER}, "sequence of measurement 0 .* whole number >= 1"),
        ({"sequence": 1, "layer": LAYER | {"weight": -1}}, "weight of layer .* not be negative"),
        ({"sequence": 1, "recompute": "half", "layer": LAYER}, "use none, elementwise, selective"),
        ({"sequence": 1, "pipeline": 2, "stages": [LAYER]}, "give 2 of them, pipeline times virt"),
        ({"sequence": 1, "stages": [LAYER]}, "pipeline of measurement 0 .* is None"),
        ({"sequence": 1, "stages": [], "layer": LAYER}, "has stages and pieces: make two"),
        (7, "measurement 0 of .* is 7: expected an object"),
    ],
)
def test_a_file_that_says_something_else_is_refused(
    entry: Any, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_pass_times(written(tmp_path, entry))


def test_kinds_of_layers_that_the_model_has_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pass times of 'experts' layers: small has dense"):
        measured(tmp_path, {"sequence": 1024, "layers": {"experts": LAYER}})
    assert measured(tmp_path, {"sequence": 1024, "layers": {"dense": LAYER}})


def test_a_file_without_measurements_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match="has no measurement: give a list of them"):
        read_pass_times(path)


@pytest.mark.parametrize("changed", [{"context": 2, "data": 4}, {"precision": "fp8"}])
def test_measured_times_are_of_whole_sequences_in_16_bits(
    changed: dict[str, Any], tmp_path: Path
) -> None:
    here = Configuration(1024, 32, data=8)
    there = replace(here, **changed)
    plain, other = (
        parts(Bench(SMALL, c, PROBLEM.machine, PROBLEM.efficiency)).layers[SMALL.kind(0)].seconds
        for c in (here, there)
    )
    layer = {"forward": 3 * plain.forward, "backward": 0.1, "weight": 0.1}
    (found,) = stages(measured(tmp_path, {"sequence": 1024, "layer": layer}), there)
    (modelled,) = stages(PROBLEM, there)
    more = found.seconds.forward - modelled.seconds.forward
    assert more == pytest.approx(14 * 2 * other.forward)  # three times the model's, there as here


def test_measured_times_say_nothing_of_frozen_layers(tmp_path: Path) -> None:
    problem = measured(tmp_path, {"sequence": 1024, "layer": LAYER})
    with pytest.raises(ValueError, match="say nothing of frozen layers"):
        stages(problem, Configuration(1024, 32, data=8, frozen=2))
