"""Released models whose layers differ, by the keys of their `config.json`.

The first number is how many parameters the model has when it is built from the same keys with
Hugging Face's transformers 5.24 (on the meta device, layers for further tokens aside); those that
transformers does not have are counted by what their authors state. The second is the number of
billions that the authors state a token meets, where that includes embedding and head.
"""

from __future__ import annotations

from typing import Any

import pytest

from sim.planner.models import (
    active_parameters,
    model_from_config,
    parameters,
    prediction_parameters,
)


def _shape(
    layers: int, hidden: int, heads: int, keys: int, ffn: int, vocabulary: int
) -> dict[str, Any]:
    return {
        "num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads,
        "num_key_value_heads": keys, "intermediate_size": ffn, "vocab_size": vocabulary,
    }  # fmt: skip


_DELTA = {
    "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
    "linear_num_key_heads": 16, "linear_num_value_heads": 32, "full_attention_interval": 4,
    "head_dim": 256,
}  # fmt: skip
_MAMBA2 = {
    "mamba_n_heads": 128, "mamba_d_head": 64, "mamba_d_state": 128, "mamba_n_groups": 1,
    "mamba_expand": 2, "mamba_d_conv": 4, "mamba_chunk_size": 256,
}  # fmt: skip
_NEMOTRON = {
    "model_type": "nemotron_h", "head_dim": 128, "mamba_head_dim": 64, "ssm_state_size": 128,
    "n_groups": 8, "conv_kernel": 4, "expand": 2, "chunk_size": 128,
    "time_step_limit": [0.0, 1.0], "use_mamba_kernels": True,
}  # fmt: skip
_LATENT = {
    "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
    "v_head_dim": 128, "n_shared_experts": 1, "num_experts_per_tok": 8,
    "moe_intermediate_size": 2048,
}  # fmt: skip
_GLM = {
    "model_type": "glm4_moe", "head_dim": 128, "attention_bias": True, "n_shared_experts": 1,
    "num_experts_per_tok": 8, "num_nextn_predict_layers": 1, "norm_topk_prob": True,
}  # fmt: skip
_GEMMA4 = {
    "model_type": "gemma4_text", "head_dim": 256, "global_head_dim": 512, "sliding_window": 1024,
    "attention_k_eq_v": True, "hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0,
}  # fmt: skip

RELEASED: dict[str, tuple[int, dict[str, Any]]] = {
    "Qwen3-Next-80B-A3B": (79_674_391_296, {
        **_shape(48, 2048, 16, 2, 5120, 151936), **_DELTA, "model_type": "qwen3_next",
        "num_experts": 512, "num_experts_per_tok": 10, "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512, "decoder_sparse_step": 1, "mlp_only_layers": [],
    }),
    "Qwen3.5-9B, text": (8_953_803_264, {
        **_shape(32, 4096, 16, 4, 12288, 248320), **_DELTA, "model_type": "qwen3_5_text",
        "attn_output_gate": True, "mamba_ssm_dtype": "float32", "mtp_num_hidden_layers": 1,
        "mtp_use_dedicated_embeddings": False, "output_gate_type": "swish",
    }),
    "Qwen3.5-35B-A3B, text": (34_660_610_688, {
        **_shape(40, 2048, 16, 2, 5120, 248320), **_DELTA, "model_type": "qwen3_5_moe_text",
        "num_experts": 256, "num_experts_per_tok": 8, "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512, "layer_types":
            (["linear_attention"] * 3 + ["full_attention"]) * 10,
    }),
    "OLMo-Hybrid-7B": (7_430_870_688, {
        **_shape(32, 3840, 30, 30, 11008, 100352), "model_type": "olmo_hybrid",
        "linear_num_key_heads": 30, "linear_num_value_heads": 30, "linear_key_head_dim": 96,
        "linear_value_head_dim": 192, "linear_conv_kernel_dim": 4, "linear_a_log_max": 16.0,
        "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * 8,
    }),
    "Kimi-Linear-48B-A3B": (49_133_074_464, {
        **_shape(27, 2304, 32, 32, 9216, 163840), "model_type": "kimi_linear",
        "num_experts": 256, "num_experts_per_token": 8, "num_shared_experts": 1,
        "moe_intermediate_size": 1024, "first_k_dense_replace": 1, "kv_lora_rank": 512,
        "q_lora_rank": None, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "linear_attn_config": {
            "kda_layers": [i for i in range(1, 28) if i not in (5, 9, 13, 17, 21, 25)],
            "head_dim": 128, "num_heads": 32, "short_conv_kernel_size": 4,
        },
        "moe_renormalize": True, "num_expert_group": 1, "mla_use_nope": True,
    }),
    "Nemotron-H-8B": (8_100_852_736, {  # 8.1 billion
        **_shape(52, 4096, 32, 8, 21504, 131072), **_NEMOTRON, "mamba_num_heads": 128,
        "hybrid_override_pattern": "M-M-M-M*-" + "M-M-M-M-M*-" * 3 + "M-M-M-M-M-",
    }),
    "Nemotron-3-Nano-30B-A3B": (31_577_937_344, {
        **_shape(52, 2688, 32, 2, 1856, 131072), **_NEMOTRON, "mamba_num_heads": 64,
        "n_routed_experts": 128, "n_shared_experts": 1, "num_experts_per_tok": 6,
        "moe_intermediate_size": 1856, "moe_shared_expert_intermediate_size": 3712,
        "moe_shared_expert_overlap": True, "mamba_ssm_cache_dtype": "float32",
        "hybrid_override_pattern": "MEMEM*" + "EMEMEM*" * 4 + "EMEMEMEM*EMEMEMEME",
    }),
    "four layers of Nemotron 3 Super": (6_965_246_336, {
        **_shape(4, 4096, 32, 2, 2688, 131072), **_NEMOTRON, "mamba_num_heads": 128,
        "n_routed_experts": 512, "n_shared_experts": 1, "num_experts_per_tok": 22,
        "moe_intermediate_size": 2688, "moe_shared_expert_intermediate_size": 5376,
        "moe_latent_size": 1024, "hybrid_override_pattern": "ME*E",
    }),
    "Jamba-v0.1": (51_570_323_328, {
        **_shape(32, 4096, 32, 8, 14336, 65536), "model_type": "jamba", "num_experts": 16,
        "num_experts_per_tok": 2, "attn_layer_period": 8, "attn_layer_offset": 4,
        "expert_layer_period": 2, "expert_layer_offset": 1, "mamba_d_state": 16,
        "mamba_d_conv": 4, "mamba_expand": 2, "mamba_dt_rank": 256,
    }),
    "Bamba-9B": (9_780_235_392, {
        **_shape(32, 4096, 32, 8, 14336, 128256), **_MAMBA2, "model_type": "bamba",
        "attn_layer_indices": [9, 18, 27],
    }),
    "Granite-4.0-H-Small": (32_207_337_984, {
        **_shape(40, 4096, 32, 8, 768, 100352), **_MAMBA2, "model_type": "granitemoehybrid",
        "num_local_experts": 72, "num_experts_per_tok": 10, "shared_intermediate_size": 1536,
        "tie_word_embeddings": True,
        "layer_types": ["attention" if i % 10 == 5 else "mamba" for i in range(40)],
    }),
    "Falcon-H1-34B": (33_642_221_312, {
        **_shape(72, 5120, 20, 4, 21504, 261120), **_MAMBA2, "model_type": "falcon_h1",
        "head_dim": 128, "mamba_d_ssm": 4096, "mamba_n_heads": 32, "mamba_d_head": 128,
        "mamba_d_state": 256, "mamba_n_groups": 2, "mamba_rms_norm": False,
    }),
    "MiniMax-Text-01": (456_089_655_296, {
        **_shape(80, 6144, 64, 8, 9216, 200064), "model_type": "minimax_m1", "head_dim": 128,
        "num_local_experts": 32, "num_experts_per_tok": 2, "shared_intermediate_size": 0,
        "attn_type_list": ([0] * 7 + [1]) * 10, "shared_moe_mode": "sigmoid",
    }),
    "MiniMax-M2": (228_689_748_992, {
        **_shape(62, 3072, 48, 8, 1536, 200064), "model_type": "minimax_m2", "head_dim": 128,
        "num_local_experts": 256, "num_experts_per_tok": 8, "attn_type_list": [1] * 62,
        "use_mtp": True, "num_mtp_modules": 3, "mtp_transformer_layers": 1,
    }),
    "GLM-4.5": (352_797_814_784, {
        **_shape(92, 5120, 96, 8, 12288, 151552), **_GLM, "n_routed_experts": 160,
        "moe_intermediate_size": 1536, "first_k_dense_replace": 3, "use_qk_norm": True,
    }),
    "GLM-4.5-Air": (106_852_245_504, {
        **_shape(46, 4096, 96, 8, 10944, 151552), **_GLM, "n_routed_experts": 128,
        "moe_intermediate_size": 1408, "first_k_dense_replace": 1,
    }),
    "DeepSeek-V3.2": (671_877_929_216, {
        **_shape(61, 7168, 128, 128, 18432, 129280), **_LATENT, "model_type": "deepseek_v32",
        "n_routed_experts": 256, "first_k_dense_replace": 3, "index_topk": 2048,
        "index_n_heads": 64, "index_head_dim": 128, "num_nextn_predict_layers": 1,
    }),
    "GLM-4.7-Flash": (29_943_390_976, {
        **_shape(47, 2048, 20, 20, 10240, 154880), **_LATENT, "model_type": "glm4_moe_lite",
        "q_lora_rank": 768, "qk_nope_head_dim": 192, "v_head_dim": 256, "n_routed_experts": 64,
        "num_experts_per_tok": 4, "moe_intermediate_size": 1536, "first_k_dense_replace": 1,
    }),
    "GLM-5": (743_911_199_232, {
        **_shape(78, 6144, 64, 64, 12288, 154880), **_LATENT, "model_type": "glm_moe_dsa",
        "q_lora_rank": 2048, "qk_nope_head_dim": 192, "v_head_dim": 256, "n_routed_experts": 256,
        "first_k_dense_replace": 3, "index_topk": 2048, "index_n_heads": 32,
        "index_head_dim": 128, "head_dim": 64,
    }),
    "Kimi-K2": (1_026_408_209_408, {  # 1.03 trillion
        **_shape(61, 7168, 64, 64, 18432, 163840), **_LATENT, "model_type": "kimi_k2",
        "n_routed_experts": 384, "first_k_dense_replace": 1,
    }),
    "Phi-3.5-MoE": (41_873_153_344, {
        **_shape(32, 4096, 32, 8, 6400, 32064), "model_type": "phimoe", "num_local_experts": 16,
        "num_experts_per_tok": 2, "attention_bias": True, "lm_head_bias": True,
    }),
    "Gemma-4-31B": (30_697_345_280, {
        **_shape(60, 5376, 32, 16, 21504, 262144), **_GEMMA4, "num_global_key_value_heads": 4,
    }),
    "Gemma-4-26B-A4B": (25_233_141_760, {
        **_shape(30, 2816, 16, 8, 2112, 262144), **_GEMMA4, "num_global_key_value_heads": 2,
        "enable_moe_block": True, "num_experts": 128, "top_k_experts": 8,
        "moe_intermediate_size": 704,
    }),
    "LFM2-1.2B": (1_170_340_608, {
        **_shape(16, 2048, 32, 8, 12288, 65536), "model_type": "lfm2", "conv_L_cache": 3,
        "full_attn_idxs": [2, 5, 8, 10, 12, 14], "block_auto_adjust_ff_dim": True,
        "block_multiple_of": 256, "block_ffn_dim_multiplier": 1.0,
    }),
    "LFM2-8B-A1B": (8_339_929_856, {
        **_shape(24, 2048, 32, 8, 7168, 65536), "model_type": "lfm2_moe", "conv_L_cache": 3,
        "layer_types": ["full_attention" if i in (2, 6, 10, 14, 18, 21) else "conv"
                        for i in range(24)],
        "moe_intermediate_size": 1792, "num_dense_layers": 2, "num_experts": 32,
        "num_experts_per_tok": 4,
    }),
}  # fmt: skip
NEARLY = {
    "Qwen3-Next-80B-A3B", "Qwen3.5-35B-A3B, text", "MiniMax-M2", "GLM-4.5", "GLM-4.5-Air",
    "Phi-3.5-MoE", "Gemma-4-26B-A4B", "LFM2-1.2B", "LFM2-8B-A1B",
}  # fmt: skip
"""Models of which some norms, biases or gates of shared experts are not counted."""
ACTIVE = {
    "Nemotron-3-Nano-30B-A3B": 3.6, "Jamba-v0.1": 12, "Granite-4.0-H-Small": 9,
    "Phi-3.5-MoE": 6.6, "Gemma-4-26B-A4B": 3.8, "LFM2-8B-A1B": 1.5,
}  # fmt: skip


@pytest.mark.parametrize("name", RELEASED)
def test_released_models_of_mixed_layers_have_the_size_of_their_checkpoints(name: str) -> None:
    counted, config = RELEASED[name]
    model = model_from_config(config)
    further = model.mtp_layers * (prediction_parameters(model) if model.mtp_layers else 0)
    found = parameters(model) - further
    assert found == (pytest.approx(counted, rel=2e-5) if name in NEARLY else counted)
    if name in ACTIVE:
        assert active_parameters(model) == pytest.approx(ACTIVE[name] * 1e9, rel=0.04)


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ({**_DELTA, "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * 3},
         {"model_type": "qwen3_5_text"}),
        ({"head_dim": 256, "global_head_dim": 512, "num_key_value_heads": 4,
          "num_attention_heads": 8, "sliding_window": 512,
          "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 2},
         {"model_type": "gemma4_text"}),
        ({"mamba_num_heads": 128, "mamba_head_dim": 64, "ssm_state_size": 128, "n_groups": 8,
          "conv_kernel": 4}, {"model_type": "nemotron_h", "hybrid_override_pattern": "M-*-" * 3}),
        ({"mamba_expand": 2, "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_dt_rank": 4,
          "attn_layer_period": 8, "attn_layer_offset": 4, "expert_layer_period": 2,
          "expert_layer_offset": 1},
         {"model_type": "jamba", "num_experts": 4, "num_experts_per_tok": 2}),
        ({"mamba_n_heads": 128, "mamba_d_head": 1, "mamba_d_state": 256, "mamba_n_groups": 1,
          "mamba_d_conv": 4, "mamba_expand": 2, "attn_layer_indices": []}, {"model_type": "bamba"}),
        ({"mamba_n_heads": 128, "mamba_d_head": 1, "mamba_expand": 2, "layer_types": ["mamba"] * 12,
          "shared_intermediate_size": 1024}, {"model_type": "granitemoehybrid"}),
        ({"mamba_n_heads": 128, "mamba_d_ssm": 128, "head_dim": 8, "mamba_rms_norm": False},
         {"model_type": "falcon_h1"}),
        ({"layer_types": ["linear_attention", "full_attention"] * 6, "head_dim": 8},
         {"model_type": "minimax", "num_local_experts": 4, "num_experts_per_tok": 2}),
        ({"conv_L_cache": 3, "layer_types": ["full_attention"] * 12,
          "block_auto_adjust_ff_dim": True, "block_multiple_of": 256},
         {"model_type": "lfm2"}),
    ],
)  # fmt: skip
def test_what_a_file_leaves_out_is_as_in_its_configuration_class(
    left_out: dict[str, Any], said: dict[str, Any]
) -> None:
    """And a rank of "auto" is a sixteenth of the width, rounded up."""
    shape = _shape(12, 64, 8, 4, 256, 100)
    assert model_from_config({**shape, **said}) == model_from_config({**shape, **left_out, **said})


def _kinds(name: str) -> dict[str, int]:
    return {str(kind): n for kind, n in model_from_config(RELEASED[name][1]).kinds().items()}


def test_kinds_of_layers_are_those_of_the_files() -> None:
    assert _kinds("Qwen3-Next-80B-A3B") == {
        "experts, gated delta net": 36, "experts, gated attention": 12,
    }  # fmt: skip
    assert _kinds("Nemotron-3-Nano-30B-A3B") == {
        "Mamba-2 alone": 23, "experts alone": 23, "attention alone": 6,
    }  # fmt: skip
    assert _kinds("Jamba-v0.1") == {"dense, Mamba": 12, "experts, Mamba": 16, "dense": 4}
    assert _kinds("MiniMax-Text-01") == {"experts, lightning attention": 70, "experts": 10}
    assert _kinds("Gemma-4-31B") == {
        "dense, window 1024, attention, heads of 256": 50, "dense, attention, heads of 512": 10,
    }  # fmt: skip
    assert _kinds("DeepSeek-V3.2") == {"dense, window 2048": 3, "experts, window 2048": 58}


@pytest.mark.parametrize(
    ("name", "more", "sentence"),
    [
        ("Nemotron-H-8B", {"hybrid_override_pattern": "M-X"}, "is 'M-X': expected a letter for"),
        ("Qwen3.5-9B, text", {"layer_types": ["linear_attention"]}, "expected a kind for each of"),
        ("Qwen3.5-9B, text", {"layer_types": ["chunked"] * 32}, "has 'chunked', which is not"),
        ("MiniMax-Text-01", {"attn_type_list": [0, 1]}, "expected 0 or 1 for each of 80 layers"),
        ("Gemma-4-31B", {"hidden_size_per_layer_input": 256}, "_per_layer_input = 256, which is"),
        ("Gemma-4-31B", {"num_kv_shared_layers": 20}, "has num_kv_shared_layers = 20"),
        ("Jamba-v0.1", {"model_type": "llama"}, "is about .*layers"),
        ("Qwen3.5-9B, text", {"model_type": "llama"}, "which is about linear or recurrent"),
        ("DeepSeek-V3.2", {"model_type": "deepseek_v3"}, "index_topk = 2048, which is about spars"),
    ],
)  # fmt: skip
def test_what_is_not_known_of_them_is_refused(
    name: str, more: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        model_from_config({**RELEASED[name][1], **more})


def test_further_tokens_of_layers_of_one_block_are_left_out_with_a_word() -> None:
    config = RELEASED["Nemotron-3-Nano-30B-A3B"][1] | {"num_nextn_predict_layers": 1}
    model = model_from_config(config)
    assert model.mtp_layers == 0
    assert model.notes[0] == "1 layer for predicting further tokens: not counted"


def test_that_seconds_of_recurrences_are_not_fitted_is_told() -> None:
    (told,) = model_from_config(RELEASED["Nemotron-3-Nano-30B-A3B"][1]).notes
    assert told.startswith("seconds of the recurrence in 23 layers are those of flash attention")
    assert model_from_config(RELEASED["LFM2-1.2B"][1]).notes == ()
