"""Reads the shape of a model from a Hugging Face `config.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .shape import Experts, LatentAttention, Model

_GPT_LIKE = ("gpt2", "gpt_neo", "gpt_neox", "gptj", "opt", "bloom", "gpt_bigcode")
_NAMES = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "heads": ("num_attention_heads", "n_head", "num_heads"),
    "vocabulary": ("vocab_size",),
}


def read_config(path: str | Path) -> Model:
    """The model in a `config.json`; ValueError with one sentence if the file describes none.

    Reads the Llama family (Llama, Mistral, Qwen2, ...: gated, no biases counted), the GPT-2 family
    (two matrices, biases), Mixtral and Qwen-MoE experts, and DeepSeek's latent attention.
    """
    path = Path(path)
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is not a config.json: expected a JSON object")
    if isinstance(found.get("text_config"), dict):
        found = {**found, **found["text_config"]}
    return model_from_config(found, name=path.parent.name if path.parent.name else path.stem)


def model_from_config(config: dict[str, Any], *, name: str = "config.json") -> Model:
    """The model that such a JSON object describes."""
    shape = {ours: _first(config, ours, theirs, name) for ours, theirs in _NAMES.items()}
    gpt = config.get("model_type") in _GPT_LIKE
    learned = config.get("model_type") in ("gpt2", "opt", "gpt_neo", "gpt_bigcode")
    ffn = config.get("intermediate_size") or config.get("n_inner") or config.get("ffn_dim") or 0
    return Model(
        str(config.get("_name_or_path") or name),
        **shape,
        kv_heads=0 if _latent(config) else _number(config, "num_key_value_heads"),
        ffn=ffn,
        head_width=_number(config, "head_dim") if not _latent(config) else 0,
        gated=not gpt,
        tied=bool(config.get("tie_word_embeddings", gpt or _tied_by_default(config))),
        biases=gpt,
        positions=_number(config, "max_position_embeddings", "n_positions") if learned else 0,
        dropout=any(config.get(key) for key in ("attn_pdrop", "resid_pdrop", "attention_dropout")),
        experts=_experts(config, ffn),
        latent=_latent(config),
        source=f"{name}/config.json",
    )


def _first(config: dict[str, Any], ours: str, theirs: tuple[str, ...], name: str) -> int:
    value = next((config[key] for key in theirs if key in config), None)
    if value is None:
        raise ValueError(f"{name} has no {ours}: expected one of the keys {', '.join(theirs)}")
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{ours} in {name} is {value!r}: it must be a whole number >= 1")
    return value


def _number(config: dict[str, Any], *keys: str) -> int:
    return next((config[key] for key in keys if config.get(key)), 0)


def _experts(config: dict[str, Any], ffn: int) -> Experts | None:
    count = _number(config, "num_local_experts", "n_routed_experts", "num_experts")
    if count < 2:
        return None
    return Experts(
        count,
        _number(config, "num_experts_per_tok") or 1,
        _number(config, "moe_intermediate_size") or ffn,
        shared=_number(config, "n_shared_experts"),
        dense_layers=_number(config, "first_k_dense_replace"),
    )


def _tied_by_default(config: dict[str, Any]) -> bool:
    return str(config.get("model_type")).startswith("gemma")


def _latent(config: dict[str, Any]) -> LatentAttention | None:
    if not config.get("kv_lora_rank"):
        return None
    return LatentAttention(
        config.get("q_lora_rank") or 0,
        config["kv_lora_rank"],
        config["qk_nope_head_dim"],
        config["qk_rope_head_dim"],
        config["v_head_dim"],
    )
