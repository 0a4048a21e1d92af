"""Checkpoints of the Llama family with random weights, as they are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from backend.pipeload.checkpoints.convert import convert_checkpoint
from backend.pipeload.layer_files import StoredModel

Config = dict[str, Any]
Weights = dict[str, Tensor]


SMALL: Config = {
    "model_type": "llama",
    "hidden_size": 12,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "vocab_size": 17,
    "rms_norm_eps": 1e-5,
    "rope_theta": 100.0,
    "tie_word_embeddings": False,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}


def config_of(**changes: Any) -> Config:
    """`SMALL` with changes; None takes a key out, but for a window, where it is a value."""
    merged = SMALL | changes
    return {k: v for k, v in merged.items() if v is not None or k == "sliding_window"}


def weights_of(config: Config, *, dtype: Any = torch.float32) -> Weights:
    """Random weights under the names and in the shapes of published checkpoints."""
    generator = torch.Generator().manual_seed(3)
    kind, width, inner = config["model_type"], config["hidden_size"], config["intermediate_size"]
    head = config.get("head_dim", width // config["num_attention_heads"])
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    biased = bool(config.get("attention_bias"))
    feed = bool(config.get("mlp_bias"))
    found: Weights = {}

    def matrix(name: str, rows: int, columns: int, bias: bool = False) -> None:
        found[f"{name}.weight"] = torch.randn(rows, columns, generator=generator) * 0.4
        if bias:
            found[f"{name}.bias"] = torch.randn(rows, generator=generator)

    def norm(name: str, size: int) -> None:
        found[f"{name}.weight"] = torch.rand(size, generator=generator) + 0.5

    matrix("model.embed_tokens", config["vocab_size"], width)
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}"
        norm(f"{at}.input_layernorm", width)
        norm(f"{at}.post_attention_layernorm", width)
        for name, rows in (("q", queries), ("k", keys), ("v", keys)):
            matrix(f"{at}.self_attn.{name}_proj", rows, width, biased or kind == "qwen2")
        matrix(f"{at}.self_attn.o_proj", width, queries, biased)
        if kind == "qwen3":
            norm(f"{at}.self_attn.q_norm", head)
            norm(f"{at}.self_attn.k_norm", head)
        matrix(f"{at}.mlp.gate_proj", inner, width, feed)
        matrix(f"{at}.mlp.up_proj", inner, width, feed)
        matrix(f"{at}.mlp.down_proj", width, inner, feed)
    norm("model.norm", width)
    if not config["tie_word_embeddings"]:
        matrix("lm_head", config["vocab_size"], width)
    return {name: tensor.to(dtype) for name, tensor in found.items()}


def checkpoint(directory: Path, config: Config, weights: Weights, *, shards: int = 1) -> Path:
    """A directory as save_pretrained leaves it; neighbouring tensors go to different shards."""
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config))
    if shards == 1:
        save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
        return directory
    place = {
        name: f"model-{i % shards + 1:05d}-of-{shards:05d}.safetensors"
        for i, name in enumerate(weights)
    }
    for file in set(place.values()):
        save_file({n: t for n, t in weights.items() if place[n] == file}, directory / file)
    index = {"metadata": {}, "weight_map": place}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    return directory


def converted(tmp_path: Path, *, shards: int = 3, **changes: Any) -> StoredModel:
    config = config_of(**changes)
    source = checkpoint(tmp_path / "published", config, weights_of(config), shards=shards)
    return convert_checkpoint(source, tmp_path / "stored")
