"""Reads the shape of a model from a Hugging Face `config.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...base.json_text import object_in
from .architectures import architecture_of
from .shape import Experts, LatentAttention, Model

_NAMES = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "vocabulary": ("vocab_size",),
}
_DROPOUTS = ("attn_pdrop", "resid_pdrop", "attention_dropout", "hidden_dropout", "residual_dropout")
_WIDTHS = ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")


def read_config(path: str | Path) -> Model:
    """The model in a `config.json`, or in a folder that has one; ValueError with one sentence if
    it describes none.

    Reads the Llama family (Llama, Mistral, Qwen, Gemma, ...: gated, no biases), the GPT family
    (two matrices, biases), Falcon and MPT (two matrices, no biases), mixtures of experts, and
    DeepSeek's latent attention: see `architectures.ARCHITECTURES`. Layers of prediction modules
    that are not part of the decoder (DeepSeek-V3's) are left out, as its authors count.
    """
    path = Path(path)
    path = path / "config.json" if path.is_dir() else path
    found = object_in(path, "a config.json")
    if isinstance(found.get("text_config"), dict):
        found = {**found, **found["text_config"]}
    return model_from_config(found, name=path.parent.name if path.parent.name else path.stem)


def model_from_config(config: dict[str, Any], *, name: str = "config.json") -> Model:
    """The model that such a JSON object describes."""
    kind = architecture_of(config.get("model_type"), name)
    if config.get("is_encoder_decoder"):
        raise ValueError(f"{name} is an encoder with a decoder: plans are for decoders alone")
    shape = {ours: _first(config, ours, theirs, name) for ours, theirs in _NAMES.items()}
    narrow = _number(config, name, "word_embed_proj_dim")
    if narrow not in (0, shape["hidden"]):
        raise ValueError(
            f"{name} has embeddings {narrow} wide for layers {shape['hidden']} wide: "
            "projections between them are not known here"
        )
    latent = _latent(config, name)
    ffn = _number(
        config, name, "intermediate_size_mlp", "intermediate_size", "n_inner", "ffn_dim",
        "ffn_hidden_size",
    ) or shape["hidden"] * _number(config, name, "expansion_ratio")  # fmt: skip
    positions = _number(config, name, "max_position_embeddings", "n_positions")
    return Model(
        str(config.get("_name_or_path") or name),
        **shape,
        kv_heads=0 if latent else _key_value_heads(config, name),
        ffn=ffn,
        head_width=0 if latent else _number(config, name, "head_dim"),
        gated=kind.gated,
        tied=bool(config.get("tie_word_embeddings", kind.tied)),
        biases=kind.biases,
        positions=positions if kind.positions else 0,
        dropout=any(config.get(key) for key in _DROPOUTS),
        experts=_experts(config, name, ffn, shape["layers"]),
        latent=latent,
        source=f"{name}/config.json",
    )


def _first(config: dict[str, Any], ours: str, theirs: tuple[str, ...], name: str) -> int:
    value = next((config[key] for key in theirs if key in config), None)
    if value is None:
        raise ValueError(f"{name} has no {ours}: expected one of the keys {', '.join(theirs)}")
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{ours} in {name} is {value!r}: it must be a whole number >= 1")
    return value


def _number(config: dict[str, Any], name: str, *keys: str) -> int:
    """The first of some keys that has a value; 0 if none has."""
    for key in keys:
        if value := config.get(key):
            return _first({key: value}, key, (key,), name)
    return 0


def _key_value_heads(config: dict[str, Any], name: str) -> int:
    """Grouped heads by any of their names; one for all queries where Falcon's first generation
    and GPT-BigCode say so, whatever number stands beside it."""
    kind = config.get("model_type")
    one = config.get("multi_query", kind in ("falcon", "gpt_bigcode"))
    if one and kind in ("falcon", "gpt_bigcode") and not config.get("new_decoder_architecture"):
        return 1
    inner = config.get("attn_config")
    grouped = _number(inner, name, "kv_n_heads") if isinstance(inner, dict) else 0
    return _number(config, name, "num_key_value_heads", "num_kv_heads") or grouped


def _experts(config: dict[str, Any], name: str, ffn: int, layers: int) -> Experts | None:
    count = _number(config, name, "num_local_experts", "n_routed_experts", "num_experts")
    if count < 2:
        return None
    for key in ("decoder_sparse_step", "moe_layer_freq", "interleave_moe_layer_step"):
        if config.get(key, 1) != 1:
            raise ValueError(
                f"{name} has experts in some layers only ({key} is {config[key]!r}): "
                "all layers after the first ones must have them"
            )
    plain = config.get("mlp_only_layers") or []
    if plain != [*range(len(plain))] or len(plain) >= layers:
        raise ValueError(
            f"{name} has plain layers between those with experts (mlp_only_layers is {plain}): "
            "only the first ones may be plain"
        )
    llama4 = "intermediate_size_mlp" in config
    inner = _number(config, name, "intermediate_size") if llama4 else ffn
    inner = _number(config, name, "moe_intermediate_size") or inner
    shared = _number(config, name, "n_shared_experts") or int(llama4)
    wide = _number(config, name, "shared_expert_intermediate_size")
    if wide % inner:
        raise ValueError(
            f"shared_expert_intermediate_size in {name} is {wide}: it must be a multiple of "
            f"an expert's {inner}"
        )
    return Experts(
        count,
        _number(config, name, "num_experts_per_tok") or 1,
        inner,
        shared=shared or wide // inner,
        dense_layers=_number(config, name, "first_k_dense_replace") or len(plain),
    )


def _latent(config: dict[str, Any], name: str) -> LatentAttention | None:
    rank = _number(config, name, "kv_lora_rank")
    if not rank:
        return None
    plain, rotary, value = (_first(config, key, (key,), name) for key in _WIDTHS)
    return LatentAttention(_number(config, name, "q_lora_rank"), rank, plain, rotary, value)
