"""Shapes of published models against their published sizes, and the config.json reader."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim.planner.cost_model import model_flops
from sim.planner.models import (
    ARCHITECTURES,
    MODELS,
    PUBLISHED_BILLIONS,
    Attention,
    Experts,
    Layer,
    Model,
    active_parameters,
    model_from_config,
    nearest_divisor,
    parameters,
    read_config,
)
from sim.planner.search import model_of


@pytest.mark.parametrize("name", MODELS)
def test_every_preset_has_its_published_size_within_one_percent(name: str) -> None:
    published, found = PUBLISHED_BILLIONS[name], parameters(MODELS[name]) / 1e9
    if name == "gpt-1.5b":  # 1.476: printed with two digits, which hold it to 3 % only
        assert f"{found:.1f}" == published
    else:
        assert found == pytest.approx(float(published), rel=0.01)


@pytest.mark.parametrize(
    "name", [name for name in MODELS if name.startswith("gpt-") and "3-" not in name]
)
def test_the_papers_gpts_come_out_to_the_printed_digit(name: str) -> None:
    digits = len(PUBLISHED_BILLIONS[name].partition(".")[2])
    assert f"{parameters(MODELS[name]) / 1e9:.{digits}f}" == PUBLISHED_BILLIONS[name]


@pytest.mark.parametrize(
    ("name", "exact"),
    [("llama-2-7b", 6_738_415_616), ("llama-3-8b", 8_030_261_248), ("llama-3-70b", 70_553_706_496),
     ("mixtral-8x7b", 46_702_792_704)],
)  # fmt: skip
def test_released_checkpoints_are_counted_to_the_last_parameter(name: str, exact: int) -> None:
    assert parameters(MODELS[name]) == exact


def test_a_token_meets_only_its_experts() -> None:
    assert active_parameters(MODELS["mixtral-8x7b"]) == pytest.approx(12.9e9, rel=0.01)
    assert active_parameters(MODELS["deepseek-v3"]) == pytest.approx(37e9, rel=0.02)
    assert active_parameters(MODELS["llama-3-8b"]) == parameters(MODELS["llama-3-8b"])


def test_every_preset_names_its_source() -> None:
    assert all(model.source for model in MODELS.values())


CONFIGS = {
    "llama-3-8b": {
        "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "vocab_size": 128256, "tie_word_embeddings": False, "attention_dropout": 0.0,
    },
    "mixtral-8x7b": {
        "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "vocab_size": 32000, "num_local_experts": 8, "num_experts_per_tok": 2,
        "tie_word_embeddings": False,
    },
    "deepseek-v3": {
        "model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432,
        "moe_intermediate_size": 2048, "num_hidden_layers": 61, "num_attention_heads": 128,
        "num_key_value_heads": 128, "vocab_size": 129280, "n_routed_experts": 256,
        "n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 3,
        "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64, "v_head_dim": 128, "tie_word_embeddings": False,
    },
}  # fmt: skip


def test_latent_attention_without_a_query_rank_is_read(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "config.json"
    lite = {
        "hidden_size": 2048, "intermediate_size": 10944, "moe_intermediate_size": 1408,
        "num_hidden_layers": 27, "num_attention_heads": 16, "vocab_size": 102400,
        "n_routed_experts": 64, "n_shared_experts": 2, "num_experts_per_tok": 6,
        "q_lora_rank": None, "first_k_dense_replace": 1, "tie_word_embeddings": False,
    }  # fmt: skip
    path.write_text(json.dumps(CONFIGS["deepseek-v3"] | lite))
    assert parameters(read_config(path)) == pytest.approx(15.7e9, rel=0.005)  # DeepSeek-V2-Lite


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_json_gives_the_presets_size(name, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIGS[name]))
    assert parameters(read_config(path)) == parameters(MODELS[name])


def test_gpt2s_config_gives_its_124_million(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps({"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12,
                    "vocab_size": 50257, "n_positions": 1024, "attn_pdrop": 0.1})
    )  # fmt: skip
    model = read_config(path)
    assert parameters(model) == 124_439_808
    assert model.dropout
    assert not model.gated


def _llama(
    layers: int, hidden: int, heads: int, kv: int, ffn: int, vocabulary: int
) -> dict[str, Any]:
    return {
        "num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads,
        "num_key_value_heads": kv, "intermediate_size": ffn, "vocab_size": vocabulary,
    }  # fmt: skip


RELEASED: dict[str, tuple[int, dict[str, Any]]] = {
    "Qwen1.5-MoE-A2.7B": (14_315_784_192, {
        **_llama(24, 2048, 16, 16, 5632, 151936), "model_type": "qwen2_moe", "num_experts": 60,
        "num_experts_per_tok": 4, "moe_intermediate_size": 1408,
        "shared_expert_intermediate_size": 5632, "decoder_sparse_step": 1, "mlp_only_layers": [],
    }),
    "Qwen2-57B-A14B": (57_409_011_712, {
        **_llama(28, 3584, 28, 4, 18944, 151936), "model_type": "qwen2_moe", "num_experts": 64,
        "num_experts_per_tok": 8, "moe_intermediate_size": 2560,
        "shared_expert_intermediate_size": 20480,
    }),
    "Qwen3-30B-A3B": (30_532_122_624, {
        **_llama(48, 2048, 32, 4, 6144, 151936), "model_type": "qwen3_moe", "num_experts": 128,
        "num_experts_per_tok": 8, "moe_intermediate_size": 768, "head_dim": 128,
    }),
    "Gemma-2-9B": (9_241_705_984, {
        **_llama(42, 3584, 16, 8, 14336, 256000), "model_type": "gemma2", "head_dim": 256,
    }),
    "Command R": (34_980_831_232, {
        **_llama(40, 8192, 64, 64, 22528, 256000), "model_type": "cohere",
    }),
    "Phi-2": (2_779_683_840, {
        **_llama(32, 2560, 32, 32, 10240, 51200), "model_type": "phi", "tie_word_embeddings": False,
    }),
    "Pythia-6.9B": (6_857_302_016, {
        **_llama(32, 4096, 32, 0, 16384, 50432), "model_type": "gpt_neox",
    }),
    "Falcon-7B": (6_921_720_704, {
        "model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32,
        "num_attention_heads": 71, "num_kv_heads": 71, "multi_query": True, "vocab_size": 65024,
    }),
    "Falcon-40B": (41_303_293_952, {
        "model_type": "falcon", "hidden_size": 8192, "num_hidden_layers": 60,
        "num_attention_heads": 128, "num_kv_heads": 8, "multi_query": True,
        "new_decoder_architecture": True, "vocab_size": 65024,
    }),
    "StarCoder": (15_517_456_384, {
        "model_type": "gpt_bigcode", "n_embd": 6144, "n_layer": 40, "n_head": 48, "n_inner": 24576,
        "n_positions": 8192, "vocab_size": 49152, "multi_query": True,
    }),
    "StarCoder2-3B": (3_030_371_328, {
        **_llama(30, 3072, 24, 2, 12288, 49152), "model_type": "starcoder2", "use_bias": True,
    }),
    "MiniCPM-2B": (2_724_880_896, {
        **_llama(40, 2304, 36, 36, 5760, 122753), "model_type": "minicpm", "scale_depth": 1.4,
        "scale_emb": 12, "dim_model_base": 256,
    }),
    "EXAONE-3.5-2.4B": (2_405_327_360, {
        **_llama(30, 2560, 32, 8, 7168, 102400), "model_type": "exaone",
    }),
    "MPT-7B": (6_649_286_656, {
        "model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32, "expansion_ratio": 4,
        "vocab_size": 50432, "no_bias": True,
    }),
    "OPT-1.3B": (1_315_758_080, {
        "model_type": "opt", "hidden_size": 2048, "ffn_dim": 8192, "num_hidden_layers": 24,
        "num_attention_heads": 32, "vocab_size": 50272, "max_position_embeddings": 2048,
        "word_embed_proj_dim": 2048,
    }),
    "BLOOM-7B1": (7_069_016_064, {
        "model_type": "bloom", "hidden_size": 4096, "n_layer": 30, "n_head": 32,
        "vocab_size": 250880,
    }),
}  # fmt: skip


@pytest.mark.parametrize("name", RELEASED)
def test_released_configs_of_many_families_give_the_checkpoints_size(
    name: str, tmp_path: Path
) -> None:
    checkpoint, config = RELEASED[name]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert parameters(read_config(tmp_path)) == pytest.approx(checkpoint, rel=5e-4)


@pytest.mark.parametrize(
    ("config", "norms"),
    [
        ({"model_type": "gptj"}, 1), ({"model_type": "phi"}, 1), ({"model_type": "cohere"}, 1),
        ({"model_type": "cohere2"}, 1), ({"model_type": "gpt_neox"}, 2),
        ({"model_type": "gpt_neox", "use_parallel_residual": False}, 0),
        ({"model_type": "stablelm", "use_parallel_residual": True}, 1),
        ({"model_type": "stablelm"}, 0), ({"model_type": "llama"}, 0), ({"model_type": "mpt"}, 0),
        ({"model_type": "falcon"}, 1), ({"model_type": "falcon", "parallel_attn": False}, 0),
        ({"model_type": "falcon", "new_decoder_architecture": True}, 2),
        ({"model_type": "falcon", "new_decoder_architecture": True,
          "num_ln_in_parallel_attn": 1}, 1),
    ],
)  # fmt: skip
def test_families_whose_blocks_stand_beside_each_other(config: dict[str, Any], norms: int) -> None:
    assert model_from_config({**_llama(2, 64, 4, 4, 256, 1000), **config}).parallel == norms


def test_the_text_part_of_a_config_with_pictures_is_read(tmp_path: Path) -> None:
    text = {**_llama(34, 2560, 8, 4, 10240, 262208), "model_type": "gemma3_text", "head_dim": 256}
    whole = {"model_type": "gemma3", "text_config": text, "vision_config": {"hidden_size": 1152}}
    (tmp_path / "config.json").write_text(json.dumps(whole))
    assert parameters(read_config(tmp_path)) == pytest.approx(3.88e9, rel=1e-3)


@pytest.mark.parametrize(
    ("kind", "heads", "keys", "width", "vocabulary", "window"),
    [
        ("gemma3", 8, 4, 256, 262208, 4096), ("gemma4", 8, 4, 256, 262144, 512),
        ("gemma2", 4, 4, 256, 1000, 4096), ("gpt_oss", 4, 4, 64, 1000, 128),
        ("qwen3", 4, 4, 128, 1000, 0), ("gemma", 4, 4, 256, 1000, 0),
        ("qwen3_next", 4, 4, 256, 1000, 0),
    ],
)  # fmt: skip
def test_what_files_of_a_family_leave_out(
    kind: str, heads: int, keys: int, width: int, vocabulary: int, window: int
) -> None:
    """Defaults of the configuration classes of Hugging Face's transformers."""
    needed = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 256}
    told = {} if kind in ("gemma3", "gemma4") else {"num_attention_heads": 4, "vocab_size": 1000}
    found = model_from_config({**needed, **told, "model_type": kind})
    own = next((m for m in found.mixers if isinstance(m, Attention)), found)
    assert (found.heads, own.kv_heads, own.head_width) == (heads, keys, width)
    assert found.vocabulary == vocabulary
    assert max(found.windows, default=0) == window


def test_a_key_left_out_means_what_its_architecture_means() -> None:
    shape = _llama(2, 64, 4, 4, 256, 1000)
    tied = {kind: model_from_config({**shape, "model_type": kind}).tied for kind in ARCHITECTURES}
    assert all(tied[kind] for kind in ("gemma", "gpt2", "falcon", "opt", "starcoder2"))
    assert not any(tied[kind] for kind in ("llama", "gpt_neox", "gptj", "deepseek_v3"))


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
        model_from_config({**_llama(2, 64, 4, 4, 256, 1000), **more})


def test_a_folder_without_a_file_says_so_and_a_byte_order_mark_is_no_matter(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"no config.json in {tmp_path}: use a folder that has"):
        read_config(tmp_path)
    with pytest.raises(ValueError, match=f"no config.json in {tmp_path}"):
        model_of(str(tmp_path))
    text = json.dumps(_llama(2, 64, 4, 4, 256, 1000))
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


GPT_OSS = {
    **_llama(36, 2880, 64, 8, 2880, 201088), "model_type": "gpt_oss", "head_dim": 64,
    "num_local_experts": 128, "num_experts_per_tok": 4, "sliding_window": 128,
    "tie_word_embeddings": False, "router_aux_loss_coef": 0.9, "output_router_logits": False,
    "swiglu_limit": 7.0, "attention_bias": True,
}  # fmt: skip


def test_windows_change_the_work_per_token() -> None:
    """gpt-oss-120b: 6 x 5.704e9 weights that multiply, less the embedding, and attention of 18
    layers over 4096 tokens and of 18 over 128: 12 x 64 heads x 64 x (4096 + 128) x 18."""
    model = model_from_config(GPT_OSS)
    weights = active_parameters(model) - 201088 * 2880 - 36 * 2 * 2880 - 2880
    pairs = 18 * (4096 + 128)
    assert model_flops(model, 4096) / 4096 == 6 * weights + 12 * 4096 * pairs
    assert model_flops(model, 4096) / 4096 == pytest.approx(3.4524e10, rel=1e-4)
    everything = replace(model, windows=())
    assert model_flops(everything, 4096) / 4096 == pytest.approx(3.8034e10, rel=1e-4)


def test_experts_are_found_under_the_keys_of_their_authors() -> None:
    openai = {
        k: v for k, v in GPT_OSS.items() if k not in ("num_local_experts", "num_experts_per_tok")
    }
    openai |= {"num_experts": 128, "experts_per_token": 4}
    assert model_from_config(openai) == model_from_config(GPT_OSS)
    assert active_parameters(model_from_config(openai)) == pytest.approx(5.710e9, rel=1e-3)
    ernie = {
        **_llama(28, 2560, 20, 4, 12288, 103424), "model_type": "ernie4_5_moe", "head_dim": 128,
        "moe_num_experts": 64, "moe_k": 6, "moe_intermediate_size": 1536, "use_bias": False,
        "moe_num_shared_experts": 2, "moe_layer_start_index": 1, "moe_layer_end_index": -1,
        "moe_layer_interval": 1, "moe_capacity": [64, 64, 64], "tie_word_embeddings": True,
        "moe_use_aux_free": True, "router_aux_loss_coef": 0.001, "moe_norm_min": 1e-12,
    }  # fmt: skip
    # Layer 0: 3 x 2560 x 12288. 27 layers: 66 experts of 3 x 2560 x 1536. 28 of attention,
    # 2560 x (2 x 2560 + 2 x 512); embedding 103424 x 2560; 27 routers of 2560 x 64; norms.
    counted = (
        3 * 2560 * 12288 + 27 * 66 * 3 * 2560 * 1536 + 28 * 2560 * (5120 + 1024)
        + 103424 * 2560 + 27 * 2560 * 64 + 57 * 2560
    )  # fmt: skip
    assert parameters(model_from_config(ernie)) == counted
    assert counted == pytest.approx(21.8e9, rel=2e-3)
    hunyuan = {
        **_llama(32, 4096, 32, 8, 3072, 128167), "model_type": "hunyuan_v1_moe", "head_dim": 128,
        "num_experts": 64, "moe_topk": [8] * 32, "num_shared_expert": [1] * 32,
        "moe_intermediate_size": [3072] * 32, "tie_word_embeddings": True,
    }  # fmt: skip
    assert parameters(model_from_config(hunyuan)) == pytest.approx(80.4e9, rel=2e-3)
    assert active_parameters(model_from_config(hunyuan)) == pytest.approx(12.8e9, rel=1e-2)


def test_experts_may_be_in_some_layers_only() -> None:
    maverick = {
        **_llama(48, 5120, 40, 8, 8192, 202048), "model_type": "llama4_text", "head_dim": 128,
        "intermediate_size_mlp": 16384, "num_local_experts": 128, "num_experts_per_tok": 1,
        "interleave_moe_layer_step": 2, "attention_chunk_size": 8192, "tie_word_embeddings": False,
    }  # fmt: skip
    model = model_from_config(maverick)
    assert [model.kind(i).feed_forward for i in range(4)] == ["dense", "experts"] * 2
    assert parameters(model) == pytest.approx(400.7e9, rel=1e-3)  # published: 400B
    assert active_parameters(model) == pytest.approx(17.2e9, rel=2e-2)  # published: 17B
    assert model.windows[:8] == (8192, 8192, 8192, 0) * 2
    qwen = {
        **_llama(6, 64, 4, 4, 256, 1000), "model_type": "qwen2_moe", "num_experts": 8,
        "num_experts_per_tok": 2, "decoder_sparse_step": 2, "mlp_only_layers": [3],
    }  # fmt: skip
    kinds = model_from_config(qwen).kinds()
    assert kinds == {Layer("dense"): 4, Layer("experts"): 2}


@pytest.mark.parametrize(
    ("more", "windows"),
    [
        ({"model_type": "mistral", "sliding_window": 4096}, (4096,) * 6),
        ({"model_type": "mistral", "sliding_window": None}, ()),
        ({"model_type": "mistral", "sliding_window": 8, "use_sliding_window": False}, ()),
        ({"model_type": "qwen2", "sliding_window": 8}, ()),
        ({"model_type": "qwen2", "sliding_window": 8, "use_sliding_window": False}, ()),
        ({"model_type": "qwen2", "sliding_window": 8, "use_sliding_window": True,
          "max_window_layers": 4}, (0, 0, 0, 0, 8, 8)),
        ({"model_type": "gemma2"}, (4096, 0) * 3),
        ({"model_type": "gemma3_text", "sliding_window": 512}, (512,) * 5 + (0,)),
        ({"model_type": "gemma3_text", "sliding_window": 512, "sliding_window_pattern": 3},
         (512, 512, 0) * 2),
        ({"model_type": "exaone4", "sliding_window": 64, "sliding_window_pattern": "LLG"},
         (64, 64, 0) * 2),
        ({"model_type": "llama4_text", "attention_chunk_size": 32}, (32, 32, 32, 0, 32, 32)),
        ({"model_type": "llama4_text", "attention_chunk_size": 32, "no_rope_layers": [1, 0] * 3},
         (32, 0) * 3),
        ({"model_type": "olmo3", "sliding_window": 16,
          "layer_types": ["full_attention"] * 5 + ["sliding_attention"]}, (0,) * 5 + (16,)),
        ({"model_type": "gpt_neo", "attention_types": [[["global", "local"], 3]]}, (0, 256) * 3),
    ],
)  # fmt: skip
def test_how_far_each_layer_sees_is_read_as_its_family_means_it(
    more: dict[str, Any], windows: tuple[int, ...]
) -> None:
    assert model_from_config({**_llama(6, 64, 4, 4, 256, 1000), **more}).windows == windows


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
    shape = _llama(6, 64, 4, 4, 256, 1000)
    assert model_from_config(shape).notes == ()
    seen = model_from_config({**shape, "vision_config": {"depth": 24}})
    assert seen.notes == (
        "the vision tower (vision_config) is not counted: neither its parameters nor its work",
    )
    heard = model_from_config({**shape, "audio_config": {"depth": 24}})
    assert heard.notes[0].startswith("the audio tower (audio_config) is not counted")


def test_blocks_of_two_matrices_are_not_read_as_three() -> None:
    """Persimmon, Nanochat and Jais 2 have squared ReLU between two matrices, and no gate."""
    shape = _llama(6, 64, 4, 4, 256, 1000)
    with pytest.raises(ValueError, match=r"hidden_act in .* is 'relu2', which stands in blocks of"):
        model_from_config({**shape, "model_type": "llama", "hidden_act": "relu2"})
    assert not model_from_config({**shape, "model_type": "nemotron", "hidden_act": "relu2"}).gated
    assert model_from_config({**shape, "model_type": "bitnet", "hidden_act": "relu2"}).gated


def test_a_list_of_layers_says_how_many_there_are() -> None:
    shape = _llama(6, 64, 4, 4, 256, 1000)
    del shape["num_hidden_layers"]
    listed = {**shape, "sliding_window": 8, "layer_types": ["sliding_attention"] * 3}
    assert model_from_config(listed).windows == (8, 8, 8)
    with pytest.raises(ValueError, match="has no layers: expected one of the keys num_hidden"):
        model_from_config(shape)


def test_of_two_words_on_tied_weights_the_outer_one_counts_and_is_told() -> None:
    text = {**_llama(6, 64, 4, 4, 256, 1000), "tie_word_embeddings": False}
    model = model_from_config({"tie_word_embeddings": True, "text_config": text})
    assert model.tied
    assert model.notes[0].startswith("tie_word_embeddings is False in text_config and True beside")
    assert not model_from_config({"text_config": text}).tied


def test_a_model_has_a_window_per_layer_or_none() -> None:
    with pytest.raises(ValueError, match="2 windows for 3 layers: give one per layer"):
        Model("odd", 3, 64, 8, 100, windows=(4, 0))
    with pytest.raises(ValueError, match="window of layer 1 is -1"):
        Model("odd", 2, 64, 8, 100, windows=(4, -1))
    assert Model("all", 2, 64, 8, 100, windows=(0, 0)) == Model("all", 2, 64, 8, 100)


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
