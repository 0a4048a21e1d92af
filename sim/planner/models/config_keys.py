"""Reads keys of a `config.json`, and refuses those that change a model in a way not known here."""

from __future__ import annotations

import re
from typing import Any, NamedTuple


class Rule(NamedTuple):
    """Keys that change a model, as a regular expression, and what they are about."""

    keys: re.Pattern[str]
    about: str


CHANGES_THE_MODEL = tuple(
    Rule(re.compile(keys), about)
    for keys, about in (
        (r"moe|experts?(_|$)|^n_routed|^num_local_experts", "a mixture of experts"),
        (r"mamba|^ssm_|^state_size$|^time_step_|^d_(state|conv)$", "state-space layers"),
        (r"layer_(period|offset)$|^layers_block_type$|^hybrid_|_layer_idx$|^attn_type_list$",
         "layers of several kinds"),
        (r"^linear_(num|key|value|conv|attn)|^lightning_|^conv_L_cache$|^(rg)?lru_|^rwkv",
         "linear or recurrent layers"),
        (r"^index_(topk|n_heads|head_dim)$", "sparse attention chosen by an index"),
        (r"altup|laurel|_per_layer_input$|^num_kv_shared_layers$", "blocks beside the layers"),
        (r"^cross_attention_|^encoder_layers$", "attention to another sequence"),
    )
)  # fmt: skip
"""What to look for among the keys that nothing has read."""

NEUTRAL = re.compile(
    r"coef|loss|jitter|router_(dtype|bias|logits|type|scal)|logits|norm_topk|norm_min|topk_method"
    r"|^topk_group$|^n_group$|scoring|score_func|routed_scaling|_scaling_factor|^ep_size$|dropout"
    r"|_init|initializer|capacity|load_balanc|use_cpu|kernel|_backend$|^num_experts_per_tok$"
    r"|^experts_per_token$|group_(expert|num)|balance|_act|hidden_act|use_moe_bias|_aux|dtype$"
)
"""Keys among them that change neither a size nor a multiplication."""


def require_understood(config: dict[str, Any], understood: frozenset[str], name: str) -> None:
    """Raise ValueError for a key that changes the model and that the reader does not understand."""
    for key, value in config.items():
        if key in understood or not value or NEUTRAL.search(key):
            continue
        for rule in CHANGES_THE_MODEL:
            if rule.keys.search(key):
                raise ValueError(
                    f"{name} has {key} = {value!r}, which is about {rule.about} and is not known "
                    "here: what a plan would say of this model would be wrong. If it changes "
                    f"nothing, take {key} out of the file"
                )


def required(config: dict[str, Any], ours: str, theirs: tuple[str, ...], name: str) -> int:
    """The whole number under the first of some keys that the file has; ValueError if there is
    none."""
    value = next((config[key] for key in theirs if key in config), None)
    if value is None:
        raise ValueError(f"{name} has no {ours}: expected one of the keys {', '.join(theirs)}")
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{ours} in {name} is {value!r}: it must be a whole number >= 1")
    return value


def number(config: dict[str, Any], name: str, *keys: str) -> int:
    """The first of some keys that has a value; 0 if none has."""
    for key in keys:
        if value := config.get(key):
            return required({key: value}, key, (key,), name)
    return 0
