"""What a `config.json` says of single layers: how far attention sees, and which have experts.

Rules of the families where a file does not list its layers: the configuration classes of
Hugging Face's transformers, version 4.57.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .config_keys import number, required
from .shape import Experts

ALL_TOKENS_EVERY = {
    "gemma2": 2, "gpt_oss": 2, "gemma3": 6, "cohere2": 4, "exaone4": 4, "olmo3": 4, "llama4": 4,
}  # fmt: skip
"""Of so many layers one, the last, sees all tokens, and the others a window or a chunk. Families
that are not here have the window in every layer."""
WINDOW_IF_ASKED = ("qwen2", "qwen2_moe", "qwen2_vl", "qwen2_5_vl", "qwen3", "qwen3_moe", "smollm3")
"""Families whose window counts only with `use_sliding_window`."""
WINDOW_KEYS = frozenset(
    {
        "layer_types", "sliding_window", "use_sliding_window", "max_window_layers",
        "sliding_window_pattern", "_sliding_window_pattern", "attention_chunk_size",
        "no_rope_layers", "no_rope_layer_interval", "attention_types", "attention_layers",
        "window_size",
    }
)  # fmt: skip
EXPERT_KEYS = frozenset(
    {
        "num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts",
        "num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_k", "moe_topk",
        "moe_intermediate_size", "n_shared_experts", "num_shared_experts", "num_shared_expert",
        "moe_num_shared_experts", "shared_expert_intermediate_size",
        "moe_shared_expert_intermediate_size", "shared_intermediate_size",
        "first_k_dense_replace", "mlp_only_layers",
        "decoder_sparse_step", "moe_layer_freq", "interleave_moe_layer_step", "moe_layers",
        "moe_layer_start_index", "moe_layer_end_index", "moe_layer_interval", "mlp_layer_types",
        "moe_latent_size",
    }
)  # fmt: skip


def windows_of(config: dict[str, Any], name: str, layers: int) -> tuple[int, ...]:
    """How many tokens back each layer's attention sees, 0 for all of them."""
    kind = str(config.get("model_type") or "").removesuffix("_text")
    if kind == "gpt_neo":
        return _of_gpt_neo(config, name, layers)
    window = number(config, name, "sliding_window")
    asked = config.get("use_sliding_window", kind not in WINDOW_IF_ASKED)
    chunk = number(config, name, "attention_chunk_size")
    listed = config.get("layer_types")
    if listed is not None:
        return tuple(_listed(listed, name, layers, window, chunk))
    span = chunk if kind == "llama4" else (window if asked else 0)
    if not span:
        return ()
    if kind == "llama4" and config.get("no_rope_layers"):  # 0 where there is no rotation: all seen
        return tuple(span if rotated else 0 for rotated in config["no_rope_layers"])
    every = _pattern(config, name) or ALL_TOKENS_EVERY.get(kind, 0)
    if kind == "llama4":
        every = number(config, name, "no_rope_layer_interval") or every
    first = number(config, name, "max_window_layers") if kind in WINDOW_IF_ASKED else 0
    return tuple(
        span if i >= first and not (every and (i + 1) % every == 0) else 0 for i in range(layers)
    )


def _listed(listed: object, name: str, layers: int, window: int, chunk: int) -> Iterable[int]:
    spans = {"full_attention": 0, "sliding_attention": window, "chunked_attention": chunk}
    if not isinstance(listed, list) or len(listed) != layers:
        raise ValueError(
            f"layer_types in {name}: expected one of {', '.join(spans)} for each of the {layers} "
            "layers"
        )
    for kind in listed:
        if kind not in spans:
            raise ValueError(
                f"layer_types in {name} has {kind!r}, which is not known here: known are "
                f"{', '.join(spans)}"
            )
        if kind != "full_attention" and not spans[kind]:
            key = "sliding_window" if kind == "sliding_attention" else "attention_chunk_size"
            raise ValueError(f"layer_types in {name} has {kind!r}, but {key} is missing")
        yield spans[kind]


def _pattern(config: dict[str, Any], name: str) -> int:
    """Of how many layers one sees all tokens; written as a number or as letters, LLLG."""
    for key in ("sliding_window_pattern", "_sliding_window_pattern"):
        if isinstance(config.get(key), str):
            return len(config[key])
    return number(config, name, "sliding_window_pattern", "_sliding_window_pattern")


def _of_gpt_neo(config: dict[str, Any], name: str, layers: int) -> tuple[int, ...]:
    """GPT-Neo alternates between all tokens and the last 256, if its file says nothing else."""
    kinds = config.get("attention_layers")
    if kinds is None:
        groups = config.get("attention_types", [[["global", "local"], (layers + 1) // 2]])
        kinds = [kind for some, times in groups for kind in some * times][:layers]
    window = number(config, name, "window_size") or 256
    return tuple(window if kind == "local" else 0 for kind in kinds)


def experts_of(config: dict[str, Any], name: str, ffn: int, layers: int) -> Experts | None:
    """The mixture of experts in a file, and the layers that do without."""
    config = {**config, **{key: _one(config, key, name) for key in EXPERT_KEYS & config.keys()}}
    count = number(
        config, name, "num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts"
    )
    if count < 2:
        return None
    llama4 = "intermediate_size_mlp" in config
    inner = number(config, name, "moe_intermediate_size") or (
        number(config, name, "intermediate_size") if llama4 else ffn
    )
    shared = number(
        config, name, "n_shared_experts", "num_shared_experts", "num_shared_expert",
        "moe_num_shared_experts",
    ) or int(llama4)  # fmt: skip
    wide = number(
        config, name, "shared_expert_intermediate_size", "moe_shared_expert_intermediate_size",
        "shared_intermediate_size",
    )  # fmt: skip
    if wide % inner:
        raise ValueError(
            f"shared_expert_intermediate_size in {name} is {wide}: it must be a multiple of "
            f"an expert's {inner}"
        )
    dense = sorted({*range(layers)} - _with_experts(config, name, layers))
    if len(dense) == layers:
        raise ValueError(f"{name} has {count} experts, and no layer that has them")
    first = next((i for i, layer in enumerate(dense) if layer != i), len(dense))
    return Experts(
        count,
        _per_token(config, name, count),
        inner,
        shared=wide // inner or shared,
        dense_layers=first,
        also_dense=tuple(dense[first:]),
        latent=number(config, name, "moe_latent_size"),
    )


def _one(config: dict[str, Any], key: str, name: str) -> Any:
    """The value of a key that may be a list with a value for every layer, all of them equal."""
    value = config[key]
    if key in ("mlp_only_layers", "moe_layers", "mlp_layer_types") or not isinstance(value, list):
        return value
    if len({*map(repr, value)}) > 1:
        raise ValueError(f"{key} in {name} differs from layer to layer: one value is known here")
    return value[0] if value else None


def _per_token(config: dict[str, Any], name: str, count: int) -> int:
    keys = (
        "num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_k", "moe_topk",
    )  # fmt: skip
    if not any(key in config for key in keys):
        raise ValueError(
            f"{name} has {count} experts, but does not say how many see a token: expected one of "
            f"the keys {', '.join(keys)}"
        )
    return required(config, "experts per token", keys, name)


def _with_experts(config: dict[str, Any], name: str, layers: int) -> set[int]:
    """The layers that have experts, counted from 0."""
    if config.get("moe_layers"):
        return {*config["moe_layers"]}
    if listed := config.get("mlp_layer_types"):
        return {i for i, kind in enumerate(listed) if kind == "sparse"}
    every = number(
        config, name, "decoder_sparse_step", "moe_layer_freq", "interleave_moe_layer_step",
        "moe_layer_interval",
    ) or 1  # fmt: skip
    first = number(config, name, "first_k_dense_replace", "moe_layer_start_index")
    last = config.get("moe_layer_end_index", -1)
    last = layers - 1 if last in (-1, None) else last
    plain = {*(config.get("mlp_only_layers") or [])}
    # DeepSeek counts a step from layer 0, all others end a group with a layer that has experts.
    shift = 0 if "moe_layer_freq" in config else 1
    return {i for i in range(first, last + 1) if (i + shift) % every == 0} - plain
