"""The model of a published run: its JSON, as our `Model`."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

from sim.planner.models import Experts, LatentAttention, Model, model_from_config

from .row import Row

_NEMOTRON: dict[str, Any] = {
    "model_type": "nemotron_h", "num_attention_heads": 32, "num_key_value_heads": 2,
    "head_dim": 128, "mamba_head_dim": 64, "ssm_state_size": 128, "n_groups": 8,
    "vocab_size": 131072,
}  # fmt: skip
NAMED: dict[str, dict[str, Any]] = {
    "nemotron_3_nano": _NEMOTRON | {
        "hybrid_override_pattern": "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
        "hidden_size": 2688, "mamba_num_heads": 64, "intermediate_size": 1856,
        "n_routed_experts": 128, "num_experts_per_tok": 6, "moe_intermediate_size": 1856,
        "moe_shared_expert_intermediate_size": 3712,
    },
    "nemotron_3_super": _NEMOTRON | {
        "hybrid_override_pattern": "MEMEMEM*EMEMEMEM*EMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*"
        "EMEMEMEMEM*EMEMEMEM*EMEMEMEME",
        "hidden_size": 4096, "mamba_num_heads": 128, "intermediate_size": 2688,
        "n_routed_experts": 512, "num_experts_per_tok": 22, "moe_intermediate_size": 2688,
        "moe_shared_expert_intermediate_size": 5376, "moe_latent_size": 1024,
    },
}  # fmt: skip
"""Shapes that tables leave out, as a `config.json` has them. The Nemotron 3 family: the providers
in `models/nemotronh/nemotron_h_provider.py` of NVIDIA-NeMo/Megatron-Bridge (commit 160cccc), and
131,072 words as in the released config.json; Super's two layers that predict further tokens are
left out."""

_BESIDE = "parallel attention"
"""In a hint: attention and feed-forward block beside each other."""
_KNOWN = {field.name for field in fields(Model)}
_WORDS = {"mtp_layers": "multi-token prediction", "mamba": "Mamba layers"}


class Missing(ValueError):
    """A feature that a row needs and that cannot be expressed; the message is its name."""


def model(row: Row) -> Model:
    """The model of a row."""
    found = model_of(row.text("model", "model"), row.text("shape"))
    beside = _BESIDE in row.text("missing").lower() and not found.parallel
    return replace(found, parallel=1) if beside else found


@lru_cache(maxsize=1024)
def model_of(name: str, text: str) -> Model:
    """The model a shape describes; `Missing` names what cannot be said of it. A shape with a
    `model_type` is a config.json; without a shape the name may say it (`NAMED`)."""
    if not text:
        if name.lower() not in NAMED:
            raise Missing("shape of the model")
        return model_from_config(NAMED[name.lower()], name=name)
    try:
        found: dict[str, Any] = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError("not an object")
    except ValueError:
        raise Missing("shape of the model (not a JSON object)") from None
    if "model_type" in found:
        try:
            return model_from_config(found, name=name)
        except ValueError as error:
            raise Missing(f"this shape of a model ({error})") from None
    window, windowed = found.pop("sliding_window", 0), found.pop("windowed_layers", None)
    for key in sorted(set(found) - _KNOWN):
        if found.pop(key):
            raise Missing(_WORDS.get(key, f"{key} in the shape of a model"))
    try:
        if found.get("experts"):
            found["experts"] = Experts(**found["experts"])
        if found.get("latent"):
            found["latent"] = LatentAttention(**found["latent"])
        if window:
            found["windows"] = _windows(window, windowed, found["layers"])
        return Model(**{"name": name, **{k: v for k, v in found.items() if v is not None}})
    except (TypeError, ValueError, KeyError) as error:
        raise Missing(f"this shape of a model ({error})") from None


def _windows(window: int, windowed: int | None, layers: int) -> tuple[int, ...]:
    """The window in so many layers (all of them where that is not said), evenly spread."""
    some = layers if windowed is None else windowed
    return tuple(
        window if (layer + 1) * some // layers > layer * some // layers else 0
        for layer in range(layers)
    )
