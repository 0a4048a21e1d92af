"""Layers that predict further tokens, and what the last stage holds of the embedding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import sim
from sim.planner import Problem, megatron, torchtitan
from sim.planner.cost_model import (
    Bench,
    Configuration,
    Efficiency,
    Stage,
    activation,
    even_split,
    head_flops,
    head_seconds,
    layer_flops,
    layer_seconds,
    model_flops,
    parts,
    prediction_flops,
    stages_of,
)
from sim.planner.estimate import prepare
from sim.planner.hardware import machine_of
from sim.planner.models import (
    MODELS,
    Experts,
    Model,
    active_parameters,
    model_from_config,
    parameters,
    prediction_parameters,
)
from sim.planner.slices.costs import sequence_costs

PLAIN = Model("plain", 4, 64, 4, 100, ffn=128)
FURTHER = replace(PLAIN, mtp_layers=1)
LAYER = 4 * 64 * 64 + 3 * 64 * 128 + 2 * 64
DEEPSEEK = replace(MODELS["deepseek-v3"], mtp_layers=1)


def test_one_such_layer_of_deepseek_v3_is_2_37_of_its_layers() -> None:
    """Multiplications per token, forward, at 4096 tokens: attention 187.1 million weights, nine
    experts 396.4, router 1.8, pairs 4096 x 128 x (192 + 128) = 167.8: 753.1 for a layer. To that
    come 2 x 7168 x 7168 = 102.8 of the projection and 7168 x 129280 = 926.7 of the head."""
    layer = layer_flops(DEEPSEEK, 4096, kind=DEEPSEEK.kind(60))
    attention = 7168 * (1536 + 576) + 1536 * 24576 + 512 * 32768 + 16384 * 7168
    once = attention + 9 * 3 * 7168 * 2048 + 7168 * 256 + 4096 * (24576 + 16384)
    assert layer.forward == 2 * 4096 * once
    further = prediction_flops(DEEPSEEK, 4096)
    assert further.forward == 2 * 4096 * (once + 2 * 7168**2 + 7168 * 129280)
    assert further.forward / layer.forward == pytest.approx(2.37, abs=0.005)
    more = model_flops(DEEPSEEK, 4096, 2) - model_flops(MODELS["deepseek-v3"], 4096, 2)
    assert more == 2 * further.total


def test_it_has_a_layers_weights_a_projections_and_three_norms() -> None:
    assert prediction_parameters(FURTHER) == LAYER + 2 * 64 * 64 + 3 * 64
    assert parameters(replace(PLAIN, mtp_layers=2)) == parameters(PLAIN) + 2 * (
        LAYER + 2 * 64 * 64 + 3 * 64
    )
    # 14 billion with its copies of embedding and head, 2 x 129280 x 7168 (the model's own README).
    copies = 2 * 129280 * 7168
    assert prediction_parameters(DEEPSEEK) + copies == pytest.approx(14e9, rel=0.05)
    idle = parameters(DEEPSEEK) - active_parameters(DEEPSEEK)
    assert idle == 59 * 248 * 3 * 7168 * 2048  # 58 layers and the further one


@pytest.mark.parametrize(
    ("more", "layers"),
    [
        ({"num_nextn_predict_layers": 1}, 1),
        ({"mtp_num_layers": 2}, 2),
        ({"mtp_num_hidden_layers": 1}, 1),
        ({"num_mtp_modules": 3, "mtp_transformer_layers": 1, "use_mtp": True}, 3),
        ({"num_mtp_modules": 3, "mtp_transformer_layers": 1, "use_mtp": False}, 0),
        ({}, 0),
    ],
)
def test_its_number_is_read_and_told(more: dict[str, Any], layers: int) -> None:
    shape = {
        "num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 100,
        "num_key_value_heads": 4, "intermediate_size": 128,
    }  # fmt: skip
    model = model_from_config({**shape, **more})
    assert model.mtp_layers == layers
    assert [note.split(" for ")[0] for note in model.notes] == [
        f"{layers} layer{'s' * (layers > 1)}"
    ][: bool(layers)]


def _stages(model: Model, **more: Any) -> tuple[Stage, ...]:
    c = Configuration(64, 8, pipeline=2, **more)
    bench = Bench(model, c, machine_of("8xh100"), Efficiency(launch=0, ramp=0, collective=0))
    return stages_of(bench, even_split(4, c.n_stages), parts(bench))


def test_the_last_stage_has_it_with_a_second_head_and_the_embedding() -> None:
    plain, further = _stages(PLAIN), _stages(FURTHER)
    assert further[0] == plain[0]
    assert further[1].held.common - plain[1].held.common == (
        prediction_parameters(FURTHER) + 100 * 64
    )
    c = Configuration(64, 8, pipeline=2)
    bench = Bench(PLAIN, c, machine_of("8xh100"), Efficiency(launch=0, ramp=0, collective=0))
    both = layer_seconds(bench).weight + head_seconds(bench).weight
    assert further[1].seconds.weight - plain[1].seconds.weight > both
    # A layer, logits in 32 bits and the head's two inputs, and 8 x 64 bytes per token before it.
    kept = activation(PLAIN, c).after_forward + 64 * (4 * 100 + 4 * 64 + 8 * 64)
    assert further[1].kept.after_forward - plain[1].kept.after_forward == kept
    pending = activation(PLAIN, c).after_backward + 64 * (2 * 100 + 2 * 64 + 6 * 64)
    assert further[1].kept.after_backward - plain[1].kept.after_backward == pending
    two = _stages(replace(PLAIN, mtp_layers=2))[1].seconds.forward - plain[1].seconds.forward
    assert two == pytest.approx(2 * (further[1].seconds.forward - plain[1].seconds.forward))


def test_experts_of_it_are_shared_out_like_those_of_layers() -> None:
    model = replace(FURTHER, experts=Experts(8, 2, 32))
    held = parts(
        Bench(model, Configuration(64, 8, pipeline=2, data=4, expert=4, tensor=2),
              machine_of("16xh100"), Efficiency())
    ).prediction  # fmt: skip
    assert held
    assert held.held.experts == 8 * 3 * 64 * 32 / 8
    assert held.held.common * 2 + held.held.experts * 8 == prediction_parameters(model)


def test_stages_are_balanced_with_it() -> None:
    """A layer and a second head on the last stage take layers off it."""
    problem = Problem(replace(PLAIN, layers=12), machine_of("4xh100"))
    further = replace(problem, model=replace(problem.model, mtp_layers=1))
    c = Configuration(4096, 8, pipeline=4)
    counts = [
        [part.layers for part in prepare(each, c).split.stages] for each in (problem, further)
    ]
    assert counts[1][-1] < counts[0][-1]
    assert sum(counts[1]) == 12


def _held(model: Model, schedule: str, virtual: int) -> list[float]:
    """Parameters of every stage of two devices."""
    problem = Problem(model, machine_of("2xh100"), cut="even")
    c = Configuration(64, 8, pipeline=2, virtual=virtual, schedule=schedule)
    return [stage.held.total for stage in prepare(problem, c).stages]


@pytest.mark.parametrize("model", [replace(PLAIN, tied=True), FURTHER])
def test_first_and_last_stage_share_the_embedding_only_on_a_v(model: Model) -> None:
    """The embedding, 100 x 64, is copied to the last stage of a straight pipeline and of a loop; on
    a V that stage is on the first one's device and uses what is there."""
    head = 64 + (0 if model.tied else 100 * 64)
    last = LAYER + head + (prediction_parameters(model) if model.mtp_layers else 0)
    assert _held(model, "zb-v", 2) == [LAYER + 6400, LAYER, LAYER, last]
    assert _held(model, "interleaved", 2) == [LAYER + 6400, LAYER, LAYER, last + 6400]
    assert _held(model, "1f1b", 1)[1] == LAYER + last + 6400
    assert sum(_held(model, "zb-v", 2)) == parameters(model)


@pytest.mark.parametrize(
    ("tied", "schedule", "virtual", "layout", "held"),
    [
        # On a stage of its own before the head's: embedding and head, less what is there already.
        (False, "interleaved", 2, "Ett|tt|m|L", ["E", "", "L", "L"]),
        (True, "interleaved", 2, "Ett|tt|m|L", ["E", "", "", "E"]),
        (False, "zb-v", 2, "Ett|tt|m|L", ["E", "", "E+L", "L"]),
        (True, "zb-v", 2, "Ett|tt|m|L", ["E", "", "E", ""]),
        (False, "1f1b", 1, "Ett|ttmL", ["E", "E+L"]),
        (True, "1f1b", 1, "Ett|ttmL", ["E", "E"]),
    ],
)
def test_what_predicts_further_tokens_has_embedding_and_head_on_its_device(
    tied: bool, schedule: str, virtual: int, layout: str, held: list[str]
) -> None:
    """Stages 0 and 2 of a loop over two devices share one, stages 0 and 3 of a V."""
    model = replace(FURTHER, tied=tied)
    problem = Problem(model, machine_of("2xh100"), cut=layout)
    c = Configuration(64, 8, pipeline=2, virtual=virtual, schedule=schedule)
    prepared = prepare(problem, c)
    words = {"": 0, "E": 6400, "L": 6400, "E+L": 2 * 6400}
    expected = [
        words[more]
        + part.layers * LAYER
        + part.predictions * prediction_parameters(model)
        + 64 * part.head
        for more, part in zip(held, prepared.split.stages, strict=True)
    ]
    assert [stage.held.total for stage in prepared.stages] == expected


def test_a_layout_says_where_further_tokens_are_predicted() -> None:
    problem = Problem(FURTHER, machine_of("2xh100"), cut="Ett|ttmL")
    c = Configuration(64, 8, pipeline=2)
    assert prepare(problem, c).stages == prepare(replace(problem, cut="Ett|ttL"), c).stages
    with pytest.raises(ValueError, match=r"has 2 multi-token-prediction layers \(m\), but the mo"):
        prepare(replace(problem, cut="Ett|ttmmL"), c)
    with pytest.raises(ValueError, match="but the model has none: leave them out"):
        prepare(replace(problem, model=PLAIN), c)


def test_exports_know_them() -> None:
    problem = Problem(FURTHER, machine_of("2xh100"), cut="even")
    c = Configuration(64, 8, pipeline=2)
    flags = megatron(problem, c)
    assert "--mtp-num-layers 1" in flags
    assert "--pipeline-model-parallel-layout 'Ett|ttmL'" in flags
    with pytest.raises(ValueError, match="refuses layers for predicting further tokens with a pip"):
        torchtitan(problem, c)


def test_an_untied_head_is_the_same_on_every_placement() -> None:
    assert _held(PLAIN, "zb-v", 2) == _held(PLAIN, "interleaved", 2)


def test_slices_of_sequences_refuse_what_they_do_not_count() -> None:
    schedule = sim.FAMILIES["seq1f1b"](2, 4, slices=2)
    with pytest.raises(ValueError, match="plain has layers that predict further tokens, which"):
        sequence_costs(schedule, FURTHER, (32, 32))


def test_a_second_head_is_no_second_weight() -> None:
    assert head_flops(FURTHER, 64).weight == 2 * 64 * 64 * 100
    assert parameters(FURTHER) - prediction_parameters(FURTHER) == parameters(PLAIN)
