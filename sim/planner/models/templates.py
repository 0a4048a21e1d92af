"""A model as the `config.json` that `read_config` reads, to be filled in."""

from __future__ import annotations

from typing import Any

from .shape import Model

_TYPES = {(True, False): "llama", (False, True): "gpt_neox", (False, False): "falcon"}
"""By gated and biases. Positions that are learned make GPT-2."""


def model_template(model: Model) -> dict[str, Any]:
    """Its shape in keys of Hugging Face; reading them gives the same model, but for its name's
    source. ValueError for what such a file cannot say: of models read from one, take that one.

    >>> from sim.planner.models import MODELS
    >>> model_template(MODELS["llama-3-8b"])["num_key_value_heads"]
    8
    """
    plain = not (model.tower or model.mixers or model.bare or model.windows or model.mtp_layers)
    kind = _TYPES.get((model.gated, model.biases), "")
    if not plain or model.parallel not in {"gpt_neox": (0, 2), "falcon": (0, 1, 2)}.get(kind, (0,)):
        kind = ""
    if not kind or (model.positions and model.parallel):
        raise ValueError(
            f"{model.name} has parts that this template does not: start from its own config.json"
        )
    found: dict[str, Any] = {
        "_name_or_path": model.name,
        "model_type": "gpt2" if model.positions else kind,
        "num_hidden_layers": model.layers,
        "hidden_size": model.hidden,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        "intermediate_size": model.ffn,
        "vocab_size": model.vocabulary,
        "tie_word_embeddings": model.tied,
        "attention_dropout": 0.1 if model.dropout else 0.0,
    }
    if found["model_type"] == "gpt_neox":
        found["use_parallel_residual"] = bool(model.parallel)
    if found["model_type"] == "falcon":
        found |= {"parallel_attn": bool(model.parallel), "num_ln_in_parallel_attn": model.parallel}
        found["new_decoder_architecture"] = True  # heads of keys as said, not one
    if model.positions:
        found["max_position_embeddings"] = model.positions
    if model.latent:
        latent = model.latent
        found |= {
            "q_lora_rank": latent.query_rank,
            "kv_lora_rank": latent.key_value_rank,
            "qk_nope_head_dim": latent.plain_width,
            "qk_rope_head_dim": latent.rotary_width,
            "v_head_dim": latent.value_width,
        }
    else:
        found["head_dim"] = model.head_width
    if model.experts:
        experts = model.experts
        found |= {
            "num_experts": experts.count,
            "num_experts_per_tok": experts.per_token,
            "moe_intermediate_size": experts.ffn,
            "n_shared_experts": experts.shared,
            "first_k_dense_replace": experts.dense_layers,
            "mlp_only_layers": list(experts.also_dense),
        }
    return found
