"""Windows and experts of every layer, as a config.json tells them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from llama_config import llama

from sim.planner.cost_model import model_flops
from sim.planner.models import (
    Layer,
    Model,
    active_parameters,
    model_from_config,
    parameters,
)

GPT_OSS = {
    **llama(36, 2880, 64, 8, 2880, 201088), "model_type": "gpt_oss", "head_dim": 64,
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
        **llama(28, 2560, 20, 4, 12288, 103424), "model_type": "ernie4_5_moe", "head_dim": 128,
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
        **llama(32, 4096, 32, 8, 3072, 128167), "model_type": "hunyuan_v1_moe", "head_dim": 128,
        "num_experts": 64, "moe_topk": [8] * 32, "num_shared_expert": [1] * 32,
        "moe_intermediate_size": [3072] * 32, "tie_word_embeddings": True,
    }  # fmt: skip
    assert parameters(model_from_config(hunyuan)) == pytest.approx(80.4e9, rel=2e-3)
    assert active_parameters(model_from_config(hunyuan)) == pytest.approx(12.8e9, rel=1e-2)


def test_experts_may_be_in_some_layers_only() -> None:
    maverick = {
        **llama(48, 5120, 40, 8, 8192, 202048), "model_type": "llama4_text", "head_dim": 128,
        "intermediate_size_mlp": 16384, "num_local_experts": 128, "num_experts_per_tok": 1,
        "interleave_moe_layer_step": 2, "attention_chunk_size": 8192, "tie_word_embeddings": False,
    }  # fmt: skip
    model = model_from_config(maverick)
    assert [model.kind(i).feed_forward for i in range(4)] == ["dense", "experts"] * 2
    assert parameters(model) == pytest.approx(400.7e9, rel=1e-3)  # published: 400B
    assert active_parameters(model) == pytest.approx(17.2e9, rel=2e-2)  # published: 17B
    assert model.windows[:8] == (8192, 8192, 8192, 0) * 2
    qwen = {
        **llama(6, 64, 4, 4, 256, 1000), "model_type": "qwen2_moe", "num_experts": 8,
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
    assert model_from_config({**llama(6, 64, 4, 4, 256, 1000), **more}).windows == windows


def test_a_model_has_a_window_per_layer_or_none() -> None:
    with pytest.raises(ValueError, match="2 windows for 3 layers: give one per layer"):
        Model("odd", 3, 64, 8, 100, windows=(4, 0))
    with pytest.raises(ValueError, match="window of layer 1 is -1"):
        Model("odd", 2, 64, 8, 100, windows=(4, -1))
    assert Model("all", 2, 64, 8, 100, windows=(0, 0)) == Model("all", 2, 64, 8, 100)
