"""Reads layers with states, Mamba and Mamba-2, from a `config.json`: one function a family."""

from __future__ import annotations

import math

from .config_keys import number
from .config_kinds import Keys, Mixed, chosen, listed_kinds
from .mixers import Attention, Both, Mixer, Nothing, SelectiveState, StateSpace


def nemotron_h(config: Keys, layers: int, name: str) -> Mixed:
    """A layer is one block: M Mamba-2, * attention, - a plain feed-forward block, E experts."""
    letters = config.get("hybrid_override_pattern")
    names = {
        "mamba": "M", "linear_attention": "M", "attention": "*", "full_attention": "*",
        "mlp": "-", "moe": "E",
    }  # fmt: skip
    listed = config.get("layers_block_type") or config.get("layer_types")
    if letters is None and isinstance(listed, list):
        letters = "".join(names.get(each, "?") for each in listed)
    if not isinstance(letters, str) or set(letters) - set("M*-E") or len(letters) != layers:
        raise ValueError(
            f"hybrid_override_pattern in {name} is {letters!r}: expected a letter for each of the "
            f"{layers} layers, M Mamba-2, * attention, - a feed-forward block, E experts"
        )
    states = StateSpace(
        number(config, name, "mamba_num_heads") or 128,
        number(config, name, "mamba_head_dim") or 64,
        number(config, name, "ssm_state_size") or 128,
        number(config, name, "n_groups", "mamba_n_groups") or 8,
        number(config, name, "conv_kernel", "mamba_d_conv") or 4,
    )
    each = [{"M": states, "*": None}.get(letter, Nothing()) for letter in letters]
    instead: Keys = {"moe_layers": [i for i, letter in enumerate(letters) if letter == "E"]}
    if not instead["moe_layers"]:
        instead = {"n_routed_experts": 0}
    if width := number(config, name, "attention_head_dim"):
        instead["head_dim"] = width
    return Mixed(each, tuple(i for i, letter in enumerate(letters) if letter in "M*"), instead)


def jamba(config: Keys, layers: int, name: str) -> Mixed:
    """Mamba but for one layer of `attn_layer_period`; experts in one of `expert_layer_period`."""
    hidden = number(config, name, "hidden_size")
    rank = config.get("mamba_dt_rank", "auto")
    states = SelectiveState(
        (number(config, name, "mamba_expand") or 2) * hidden,
        number(config, name, "mamba_d_state") or 16,
        math.ceil(hidden / 16) if rank == "auto" else int(rank),
        number(config, name, "mamba_d_conv") or 4,
    )

    def every(what: str, period: int, offset: int) -> list[int]:
        period = number(config, name, f"{what}_layer_period") or period
        offset = int(config.get(f"{what}_layer_offset", offset))
        return [i for i in range(layers) if i % period == offset]

    attention = every("attn", 8, 4)
    each = [None if i in attention else states for i in range(layers)]
    return Mixed(each, instead={"moe_layers": every("expert", 2, 1)})


def bamba(config: Keys, layers: int, name: str) -> Mixed:
    at = {*(config.get("attn_layer_indices") or [])}
    states = _mamba2(config, name)
    return Mixed([None if i in at else states for i in range(layers)])


def granite(config: Keys, layers: int, name: str) -> Mixed:
    """Every layer has a plain block, beside experts or alone."""
    states = _mamba2(config, name)
    listed = listed_kinds(config, name, layers) or ["mamba"] * layers
    kinds: dict[str, Mixer | None] = {
        "mamba": states, "linear_attention": states, "attention": None, "full_attention": None,
    }  # fmt: skip
    shared = number(config, name, "shared_intermediate_size") or 1024
    instead: Keys = {"shared_expert_intermediate_size": shared}
    if not config.get("num_local_experts"):
        instead = {"intermediate_size": shared}
    return Mixed(chosen(listed, kinds, name), instead=instead)


def falcon_h1(config: Keys, layers: int, name: str) -> Mixed:
    heads = number(config, name, "num_attention_heads")
    width = number(config, name, "head_dim") or number(config, name, "hidden_size") // heads
    keys = number(config, name, "num_key_value_heads") or heads
    states = _mamba2(config, name, normed=bool(config.get("mamba_rms_norm", False)))
    return Mixed([Both(Attention(heads, keys, width), states)] * layers)


def _mamba2(config: Keys, name: str, *, normed: bool = True) -> StateSpace:
    heads = number(config, name, "mamba_n_heads") or 128
    inner = number(config, name, "mamba_d_ssm") or (
        number(config, name, "mamba_expand") or 2
    ) * number(config, name, "hidden_size")
    width = config.get("mamba_d_head", "auto")
    return StateSpace(
        heads,
        inner // heads if width in ("auto", None) else int(width),
        number(config, name, "mamba_d_state") or 256,
        number(config, name, "mamba_n_groups") or 1,
        number(config, name, "mamba_d_conv") or 4,
        normed=normed,
    )
