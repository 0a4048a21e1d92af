"""Towers for pictures: read from configs, counted on the first stage.

Sizes of towers with their projectors were counted by building the model from the same keys with
Hugging Face's transformers 5.24 on the meta device.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim.cli import main
from sim.planner.cost_model import (
    Bench,
    Configuration,
    Efficiency,
    all_reduce,
    layer_seconds,
    model_flops,
    parts,
    tower_flops,
)
from sim.planner.hardware import DEVICES, Group, machine_of
from sim.planner.models import (
    Model,
    Projection,
    Tower,
    images_told,
    model_from_config,
    parameters,
    tower_parameters,
    with_images,
)

TEXT = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 4, "vocab_size": 100,
}  # fmt: skip
CLIP = {
    "model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096,
    "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14,
}  # fmt: skip
SIGLIP = {
    "model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304,
    "num_hidden_layers": 27, "num_attention_heads": 16, "image_size": 896, "patch_size": 14,
}  # fmt: skip
QWEN3_VL_2B = {
    "model_type": "qwen3_vl",
    "tie_word_embeddings": True,
    "text_config": {
        "model_type": "qwen3_vl_text", "hidden_size": 2048, "intermediate_size": 6144,
        "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
        "head_dim": 128, "vocab_size": 151936,
    },
    "vision_config": {
        "model_type": "qwen3_vl", "depth": 24, "hidden_size": 1024, "intermediate_size": 4096,
        "num_heads": 16, "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2,
        "num_position_embeddings": 2304, "deepstack_visual_indexes": [5, 11, 17],
    },
}  # fmt: skip
EYE = Tower(
    Model("eye", 2, 32, 2, 1, gated=False, biases=True),
    (Projection(12, 32), Projection(128, 64, 4)),
    other=7,
    patches=16,
)
SEEING = Model("seeing", 4, 64, 4, 100, tower=EYE)


def test_the_smallest_qwen3_vl_has_its_tower() -> None:
    """Patches 3 x 2 x 16 x 16 x 1024 + 1024, positions 2304 x 1024, 24 layers of
    12 x 1024 x 1024 + 13 x 1024, four mergers of 4096 x 4096 + 4096 x 2048 with biases, norms."""
    model = model_from_config(QWEN3_VL_2B)
    assert model.tower
    merger = 4096 * 4096 + 4096 + 4096 * 2048 + 2048
    counted = 1536 * 1024 + 1024 + 2304 * 1024 + 24 * (12 * 1024**2 + 13 * 1024)
    assert tower_parameters(model.tower) == counted + 4 * merger + 2 * 1024 + 3 * 2 * 4096
    assert tower_parameters(model.tower) == 406_957_056
    assert parameters(model) == pytest.approx(2_127_532_032, rel=1e-5)  # less norms in attention


@pytest.mark.parametrize(
    ("whole", "text", "vision", "counted"),
    [
        ({"model_type": "llava_next"}, "mistral", CLIP, 303_577_280),
        ({"model_type": "gemma3", "mm_tokens_per_image": 256}, "gemma3_text", SIGLIP, 416_940_912),
        ({"model_type": "qwen2_vl"}, "qwen2_vl_text",
         {"depth": 32, "embed_dim": 1280, "mlp_ratio": 4, "num_heads": 16, "patch_size": 14,
          "hidden_size": 64}, 657_733_184),
        ({"model_type": "qwen2_5_vl"}, "qwen2_5_vl_text",
         {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
          "patch_size": 14}, 658_524_224),
        ({"model_type": "mistral3", "spatial_merge_size": 2}, "mistral",
         {"model_type": "pixtral", "hidden_size": 1024, "intermediate_size": 4096,
          "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 1540,
          "patch_size": 14}, 407_570_432),
        ({"model_type": "llama4"}, "llama4_text",
         {"model_type": "llama4_vision_model", "hidden_size": 1408, "intermediate_size": 5632,
          "num_hidden_layers": 34, "num_attention_heads": 16, "image_size": 336,
          "patch_size": 14, "vision_output_dim": 4096}, 851_223_040),
        ({"model_type": "internvl"}, "qwen2",
         {"model_type": "internvl_vision", "image_size": [448, 448], "patch_size": [14, 14],
          "attention_bias": True}, 304_286_848),
    ],
)  # fmt: skip
def test_towers_of_many_families_are_counted_to_the_last_parameter(
    whole: dict[str, Any], text: str, vision: dict[str, Any], counted: int
) -> None:
    model = model_from_config(
        {**whole, "text_config": {"model_type": text, **TEXT}, "vision_config": vision}
    )
    assert model.tower
    assert tower_parameters(model.tower) == counted


def test_the_authors_own_file_of_internvl_is_read() -> None:
    """InternVL2.5-8B: InternViT-300M has 304,012,288 parameters; a norm of 4 x 1024 and two
    matrices with biases take its words to the decoder."""
    model = model_from_config({
        "model_type": "internvl_chat", "downsample_ratio": 0.5,
        "llm_config": {
            "model_type": "internlm2", "hidden_size": 4096, "intermediate_size": 14336,
            "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
            "vocab_size": 92553, "tie_word_embeddings": False,
        },
        "vision_config": {
            "model_type": "intern_vit_6b", "hidden_size": 1024, "intermediate_size": 4096,
            "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 448,
            "patch_size": 14, "qkv_bias": True, "qk_normalization": False,
        },
    })  # fmt: skip
    assert model.tower
    projector = 2 * 4096 + 2 * (4096 * 4096 + 4096)
    assert tower_parameters(model.tower) == 304_012_288 + projector
    assert parameters(model) == pytest.approx(8.08e9, rel=1e-2)


def test_llava_is_read_from_a_file_that_leaves_its_familys_defaults_out() -> None:
    """LLaVA 1.5 7B: its checkpoint has 7,063,427,072 parameters."""
    text = {"model_type": "llama", "vocab_size": 32064}
    model = model_from_config({"model_type": "llava", "text_config": text, "vision_config": CLIP})
    assert parameters(model) == 7_063_427_072
    assert "leaves out what its family has by default: hidden_size 4096" in model.notes[0]


@pytest.mark.parametrize(
    ("left_out", "vision"),
    [
        ({"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "image_size": 224,
          "num_attention_heads": 12, "patch_size": 32}, {"model_type": "clip_vision_model"}),
        ({"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "image_size": 224,
          "num_attention_heads": 12, "patch_size": 16}, {"model_type": "siglip_vision_model"}),
        ({"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
          "num_attention_heads": 16, "patch_size": 16}, {"model_type": "pixtral"}),
        ({"depth": 32, "embed_dim": 1280, "num_heads": 16, "patch_size": 14, "mlp_ratio": 4,
          "spatial_merge_size": 2, "temporal_patch_size": 2}, {"model_type": "qwen2_vl"}),
        ({"depth": 32, "intermediate_size": 3420, "num_heads": 16, "patch_size": 14,
          "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31], "temporal_patch_size": 2},
         {"model_type": "qwen2_5_vl", "hidden_size": 1280}),
        ({"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16,
          "patch_size": 16, "num_position_embeddings": 2304, "deepstack_visual_indexes": [1] * 3},
         {"model_type": "qwen3_vl"}),
        ({"num_hidden_layers": 34, "num_attention_heads": 16, "image_size": 448, "patch_size": 14,
          "intermediate_size": 5632, "projector_input_dim": 4096, "projector_output_dim": 4096,
          "pixel_shuffle_ratio": 0.5, "hidden_size": 768, "vision_output_dim": 7680},
         {"model_type": "llama4_vision_model"}),
        ({"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
          "num_attention_heads": 16, "image_size": 448, "patch_size": 14},
         {"model_type": "internvl_vision"}),
        ({"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 16, "head_dim": 64,
          "num_attention_heads": 12, "patch_size": 16, "pooling_kernel_size": 3,
          "position_embedding_size": 10240}, {"model_type": "gemma4_vision"}),
    ],
)  # fmt: skip
def test_what_a_vision_config_leaves_out_is_as_in_its_configuration_class(
    left_out: dict[str, Any], vision: dict[str, Any]
) -> None:
    text = {**TEXT, "model_type": "llama"}
    sparse, whole = (
        model_from_config({"text_config": text, "vision_config": {**vision, **more}}).tower
        for more in ({}, left_out)
    )
    assert sparse
    assert sparse == whole


def test_a_tower_that_is_not_known_is_left_out_with_a_word() -> None:
    found = model_from_config({**TEXT, "vision_config": {"model_type": "new_eye", "depth": 24}})
    assert found.tower is None
    assert found.notes == (
        "the vision tower (vision_config) is not counted: neither its parameters nor its work",
    )


def test_a_model_with_a_second_tower_does_not_count_the_one_that_is_known() -> None:
    found = model_from_config({**TEXT, "model_type": "llama", "vision_config": CLIP})
    assert found.tower
    text = {**TEXT, "model_type": "llama"}
    twice = {"model_type": "video_llava", "text_config": text, "vision_config": CLIP}
    assert model_from_config(twice).tower is None


def test_the_work_of_a_picture_is_its_layers_and_its_projections() -> None:
    """A layer multiplies 16 patches by 12 x 32 x 32 weights and, twice, 16 x 16 pairs of 32; the
    projections are 12 x 32 for each patch and 128 x 64 for each four."""
    once = 2 * 16 * (2 * 12 * 32 * 32 + 12 * 32) + 2 * 4 * 128 * 64
    pairs = 2 * 2 * 2 * 16 * 16 * 32
    assert tower_flops(EYE, 1) == (once + pairs, once + 2 * pairs, once)
    text = replace(SEEING, tower=None)
    more = model_flops(SEEING, 64, 3) - model_flops(text, 64, 3)
    assert more == 3 * sum(tower_flops(EYE, 1))
    assert model_flops(with_images(SEEING, 0), 64, 3) == model_flops(text, 64, 3)
    assert tower_flops(replace(EYE, patches=32), 1).weight == 2 * once


def _first(model: Model, **more: Any) -> Any:
    c = Configuration(64, 8, microbatch=2, pipeline=2, **more)
    bench = Bench(model, c, machine_of("8xh100"), Efficiency(launch=0, ramp=0, collective=0))
    return parts(bench).embedding


def test_the_tower_is_on_the_first_stage_with_all_it_costs() -> None:
    text, seen = _first(replace(SEEING, tower=None)), _first(SEEING)
    assert seen.held.common - text.held.common == tower_parameters(EYE)
    assert all(a > b for a, b in zip(seen.seconds, text.seconds, strict=True))
    # Two pictures of 16 patches: 34 - 2 (no dropout) bytes per number of a layer's width, 4 per
    # token and head for flash attention, and what goes into and out of the projections.
    kept = 2 * (32 * 16 * 2 * 32 + 4 * 2 * 32) + 2 * 32 * (12 + 32) + 2 * 8 * (128 + 64)
    assert seen.kept.after_forward - text.kept.after_forward == kept
    # For W 32 bytes per number of a layer's width, and the same of the projections.
    pending = 2 * 32 * 16 * 2 * 32 + 2 * 32 * (12 + 32) + 2 * 8 * (128 + 64)
    assert seen.kept.after_backward - text.kept.after_backward == pending
    half = _first(SEEING, tensor=2)
    assert half.held.common == seen.held.common / 2


def test_the_time_of_a_tower_is_that_of_its_layers_over_patches() -> None:
    none = replace(EYE, projections=(Projection(1, 1),))
    model = replace(SEEING, tower=none)
    e = Efficiency(launch=0, ramp=0, collective=0)
    machine, c = machine_of("1xh100"), Configuration(64, 2, microbatch=2)
    layer = layer_seconds(Bench(EYE.encoder, Configuration(16, 2, microbatch=2), machine, e))
    found = parts(Bench(model, c, machine, e)).embedding.seconds
    text = parts(Bench(replace(model, tower=None), c, machine, e)).embedding.seconds
    assert found.forward - text.forward == pytest.approx(2 * layer.forward, rel=1e-3)
    alone = layer_seconds(Bench(EYE.encoder, Configuration(16, 1), machine, e))
    few = parts(Bench(with_images(model, 0.25), c, machine, e)).embedding.seconds
    # A quarter of a picture in each of two sequences: half the time of one.
    assert few.backward - text.backward == pytest.approx(2 * alone.backward / 2, rel=1e-3)


def test_projections_cost_their_weights_traffic_and_a_sum_over_tensor_parallelism() -> None:
    """Of 16 patches four rows of 4096 x 4096 weights: the device reads and writes 16-bit numbers of
    both sides and the weights, which takes longer than multiplying."""
    e = Efficiency(matmul=1, memory=1, wire=1, ramp=0, launch=0, collective=0)
    machine = machine_of("8xh100")
    wide = replace(EYE, projections=(*EYE.projections[:1], Projection(4096, 4096, 4)))
    for tensor in (1, 2):
        c = Configuration(64, 2, tensor=tensor)
        found = [
            parts(Bench(replace(SEEING, tower=tower), c, machine, e)).embedding.seconds
            for tower in (replace(wide, projections=wide.projections[:1]), wide)
        ]
        moved = 2 * (4 * (4096 + 4096 / tensor) + 4096 * 4096 / tensor) / DEVICES["h100"].bandwidth
        group = Group(tensor, 1)
        words = [2 * 4 * 4096, 2 * 16 * 32]  # what is summed: of the last projection's output
        sums = [all_reduce(size, group, machine=machine, efficiency=e) for size in words]
        more = moved + sums[0] - sums[1]
        assert found[1].weight - found[0].weight == pytest.approx(moved)
        assert found[1].forward - found[0].forward == pytest.approx(more)
        assert found[1].backward - found[0].backward == pytest.approx(more)


def test_heads_that_tensor_parallelism_cannot_share_out_are_on_every_device() -> None:
    assert _first(SEEING, tensor=4).held.common == pytest.approx(
        100 * 64 / 4 + tower_parameters(EYE)
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("many", "images is 'many': give pictures"), ("2", ""), ("2xq", "images is '2xq'"),
     ("2x", "images is '2x': give pictures per sequence"),
     ("-1", "-1.0 pictures per sequence: use a number >= 0")],
)  # fmt: skip
def test_pictures_are_given_as_a_number_and_patches(text: str, sentence: str) -> None:
    if not sentence:
        assert with_images(SEEING, *images_told(text)).tower == replace(EYE, images=2)
        return
    with pytest.raises(ValueError, match=sentence):
        with_images(SEEING, *images_told(text))
    with pytest.raises(ValueError, match="text has no vision tower that is counted"):
        with_images(Model("text", 2, 64, 4, 100), 1)


def test_the_commands_take_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(QWEN3_VL_2B))
    assert main(["model", str(path), "--images", "2x256"]) == 0
    said = capsys.readouterr().out
    assert "vision tower       406,957,056 of them, on the first stage\n" in said
    assert "note: the vision tower's work is that of 2 x 256 patches per sequence" in said
    line = ["plan", "--model", str(path), "--cluster", "2xh200", "--batch", "4", "--jobs", "1"]
    line += ["--schedules", "1f1b", "--pipeline", "2", "--microbatch", "1", "--recompute", "none"]
    speeds = []
    for images in ("0", "1", "40"):
        assert main([*line, "--images", images, "--json"]) == 0
        speeds.append(json.loads(capsys.readouterr().out)["rows"][0]["samples_per_second"])
    assert speeds[0] > speeds[1] > speeds[2]


@pytest.mark.parametrize(("patches", "parallel"), [(16, True), (15, True), (16, False)])
def test_a_tower_is_sequence_parallel_where_its_patches_can_be_shared_out(
    patches: int, parallel: bool
) -> None:
    """Inputs of two norms, 2 bytes each, and of what comes behind them stand on both devices where
    fifteen patches cannot be halved, or where the plan is not sequence parallel."""
    tower = replace(EYE, patches=patches, projections=(Projection(1, 0),))
    found = [
        _first(replace(SEEING, tower=each), tensor=2, sequence_parallel=parallel).kept.after_forward
        for each in (tower, None)
    ]
    cut = 2 if parallel and patches == 16 else 1
    whole, halved = 4 * 2 * 32, (32 - 8) * 32 + 4 * 2  # of a layer's 32 bytes a number
    kept = 2 * 2 * patches * (whole / cut + halved / 2) + 2 * 2 * patches
    assert found[0] - found[1] == kept
