"""What a config.json may leave out, and what is refused in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from llama_config import llama

from sim.planner.models import (
    Experts,
    Model,
    model_from_config,
    nearest_divisor,
    parameters,
    read_config,
)
from sim.planner.search import model_of


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"model_type": "bert"}, "is 'bert', which is not a decoder known here"),
        ({"is_encoder_decoder": True}, "an encoder with a decoder"),
        ({"num_local_experts": "8"}, "num_local_experts in .* is '8'"),
        ({"num_experts": 8}, "does not say how many see a token: expected one of the keys num_exp"),
        ({"num_experts": 8, "moe_k": 2, "mlp_only_layers": [0, 1]}, "no layer that has them"),
        ({"num_experts": 8, "moe_intermediate_size": -3}, "moe_intermediate_size in .* is -3"),
        ({"num_experts": 8, "moe_topk": [1, 2]}, "moe_topk in .* differs from layer to layer"),
        ({"num_mixed_experts": 4}, "has num_mixed_experts = 4, which is about a mixture of exp"),
        ({"moe_layers_enum": "1,3"}, "has moe_layers_enum = '1,3', which is about a mixture"),
        ({"mamba_d_state": 16}, "has mamba_d_state = 16, which is about state-space layers"),
        ({"attn_layer_period": 8}, "has attn_layer_period = 8, which is about layers of several"),
        ({"expert_layer_period": 2}, "has expert_layer_period = 2"),
        ({"linear_num_key_heads": 16}, "has linear_num_key_heads = 16, which is about linear or"),
        ({"hybrid_override_pattern": "M-M*"}, "has hybrid_override_pattern = 'M-M\\*'"),
        ({"index_topk": 2048}, "has index_topk = 2048, which is about sparse attention"),
        ({"layer_types": ["full_attention", "linear_attention"]}, "has 'linear_attention', which"),
        ({"layer_types": ["full_attention"]}, "layer_types in .*: expected one of full_attention"),
        ({"layer_types": ["sliding_attention"] * 2}, "but sliding_window is missing"),
        ({"kv_lora_rank": 16}, "has no qk_nope_head_dim"),
        ({"word_embed_proj_dim": 32}, "embeddings 32 wide for layers 64 wide"),
        ({"head_dim": 1.5}, "head_dim in .* is 1.5: it must be a whole number"),
    ],
)  # fmt: skip
def test_what_the_reader_does_not_know_is_refused_by_its_key(
    more: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        model_from_config({**llama(2, 64, 4, 4, 256, 1000), **more})


def test_a_folder_without_a_file_says_so_and_a_byte_order_mark_is_no_matter(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"no config.json in {tmp_path}: use a folder that has"):
        read_config(tmp_path)
    with pytest.raises(ValueError, match=f"no config.json in {tmp_path}"):
        model_of(str(tmp_path))
    text = json.dumps(llama(2, 64, 4, 4, 256, 1000))
    (tmp_path / "config.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert model_of(str(tmp_path)).hidden == 64


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not JSON"),
        ("[]", "expected a JSON object"),
        ("{}", "has no layers: expected one of the keys num_hidden_layers"),
        ('{"num_hidden_layers": -2}', "layers in .* is -2: it must be a whole number >= 1"),
    ],
)
def test_a_file_that_describes_no_model_is_refused(text, sentence, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_config(path)


def test_a_missing_file_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="cannot read"):
        read_config(tmp_path / "nothing.json")


def test_shapes_that_cannot_be_are_refused_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match="nearest number of heads that fits is 8"):
        Model("odd", 2, 64, 7, 100)
    with pytest.raises(ValueError, match="nearest number that fits is 4"):
        Model("odd", 2, 64, 8, 100, kv_heads=5)
    with pytest.raises(ValueError, match="layers of odd is 0"):
        Model("odd", 0, 64, 8, 100)
    with pytest.raises(ValueError, match="9 experts per token of 8"):
        Model("odd", 2, 64, 8, 100, experts=Experts(8, 9, 64))


def test_the_nearest_divisor_prefers_the_smaller_of_two() -> None:
    assert [nearest_divisor(12, n) for n in (1, 5, 8, 100)] == [1, 4, 6, 12]


def test_a_sparse_file_gets_its_familys_defaults() -> None:
    """gemma-3-4b's text_config has no heads and no vocabulary: 8 heads of 256, 4 of keys and
    values, 262208 words."""
    text = {
        "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34,
        "model_type": "gemma3_text", "sliding_window": 1024,
    }  # fmt: skip
    model = model_from_config({"model_type": "gemma3", "text_config": text})
    assert parameters(model) == pytest.approx(3.880e9, rel=1e-3)


def test_what_is_left_out_is_told() -> None:
    shape = llama(6, 64, 4, 4, 256, 1000)
    assert model_from_config(shape).notes == ()
    seen = model_from_config({**shape, "vision_config": {"depth": 24}})
    assert seen.notes == (
        "the vision tower (vision_config) is not counted: neither its parameters nor its work",
    )
    heard = model_from_config({**shape, "audio_config": {"depth": 24}})
    assert heard.notes[0].startswith("the audio tower (audio_config) is not counted")


def test_blocks_of_two_matrices_are_not_read_as_three() -> None:
    """Persimmon, Nanochat and Jais 2 have squared ReLU between two matrices, and no gate."""
    shape = llama(6, 64, 4, 4, 256, 1000)
    with pytest.raises(ValueError, match=r"hidden_act in .* is 'relu2', which stands in blocks of"):
        model_from_config({**shape, "model_type": "llama", "hidden_act": "relu2"})
    assert not model_from_config({**shape, "model_type": "nemotron", "hidden_act": "relu2"}).gated
    assert model_from_config({**shape, "model_type": "bitnet", "hidden_act": "relu2"}).gated


def test_a_list_of_layers_says_how_many_there_are() -> None:
    shape = llama(6, 64, 4, 4, 256, 1000)
    del shape["num_hidden_layers"]
    listed = {**shape, "sliding_window": 8, "layer_types": ["sliding_attention"] * 3}
    assert model_from_config(listed).windows == (8, 8, 8)
    with pytest.raises(ValueError, match="has no layers: expected one of the keys num_hidden"):
        model_from_config(shape)


def test_of_two_words_on_tied_weights_the_outer_one_counts_and_is_told() -> None:
    text = {**llama(6, 64, 4, 4, 256, 1000), "tie_word_embeddings": False}
    model = model_from_config({"tie_word_embeddings": True, "text_config": text})
    assert model.tied
    assert model.notes[0].startswith("tie_word_embeddings is False in text_config and True beside")
    assert not model_from_config({"text_config": text}).tied


def test_what_a_file_does_not_say_is_told_and_a_word_for_a_truth_value_is_refused() -> None:
    config = {
        "model_type": "llama", "hidden_size": 512, "num_hidden_layers": 2,
        "num_attention_heads": 8, "vocab_size": 1000,
    }  # fmt: skip
    assert "taken to be 2048 wide" in model_from_config(config, name="mine").notes[0]
    whole = model_from_config({**config, "intermediate_size": 1024}, name="mine")
    assert whole.notes == ()
    with pytest.raises(ValueError, match="tie_word_embeddings of mine is 'false': it must be true"):
        model_from_config({**config, "tie_word_embeddings": "false"}, name="mine")
    with pytest.raises(ValueError, match="mine has 1,000,000,000 layers: at most 10,000 are read"):
        model_from_config({**config, "num_hidden_layers": 10**9}, name="mine")
