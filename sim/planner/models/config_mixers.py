"""Reads what mixes the tokens of each layer of a `config.json`, by its `model_type`.

Shapes and names of keys: the configuration and modelling classes of Hugging Face's transformers,
version 5.24, and the authors' own files where those are older.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .config_keys import number
from .config_kinds import Keys, Mixed, chosen, listed_kinds
from .config_states import bamba, falcon_h1, granite, jamba, nemotron_h
from .mixers import Attention, Convolution, DeltaNet, Lightning, Mixer


class Reader(NamedTuple):
    """keys: what it understands beyond the keys of all. read: of a file, its layers and name."""

    keys: frozenset[str]
    read: Callable[[Keys, int, str], Mixed]


def reader_of(config: Keys) -> Reader | None:
    """What reads a file's mixers; None for families whose layers all have their one attention."""
    return READERS.get(str(config.get("model_type") or "").removesuffix("_text"))


def _qwen3_next(config: Keys, layers: int, name: str) -> Mixed:
    """Of `full_attention_interval` layers the last has gated attention, the others a delta net."""
    every = number(config, name, "full_attention_interval") or 4
    listed = listed_kinds(config, name, layers) or [
        "full_attention" if (i + 1) % every == 0 else "linear_attention" for i in range(layers)
    ]
    width = number(config, name, "head_dim") or 256
    heads = number(config, name, "num_attention_heads")
    keys = number(config, name, "num_key_value_heads") or heads
    delta = DeltaNet(
        number(config, name, "linear_num_key_heads") or 16,
        number(config, name, "linear_num_value_heads") or 32,
        number(config, name, "linear_key_head_dim") or 128,
        number(config, name, "linear_value_head_dim") or 128,
        number(config, name, "linear_conv_kernel_dim") or 4,
    )
    gated = Attention(heads, keys, width, gated=True, other=2 * width)
    return Mixed(chosen(listed, {"full_attention": gated, "linear_attention": delta}, name))


def _olmo_hybrid(config: Keys, layers: int, name: str) -> Mixed:
    """As Qwen3-Next, but for attention without gates and with norms over all heads together."""
    gated, heads = _qwen3_next(config, layers, name), number(config, name, "num_attention_heads")
    width = number(config, name, "head_dim") or number(config, name, "hidden_size") // heads
    keys = number(config, name, "num_key_value_heads") or heads
    plain = Attention(heads, keys, width, other=(heads + keys) * width)
    return Mixed([plain if isinstance(each, Attention) else each for each in gated.each])


def _kimi_linear(config: Keys, layers: int, name: str) -> Mixed:
    """Layers of `kda_layers`, counted from 1, have delta attention, the others latent attention."""
    inner = config.get("linear_attn_config") or {}
    heads = number({**config, **inner}, name, "num_heads", "linear_num_heads") or 32
    width = number(inner, name, "head_dim") or number(config, name, "linear_head_dim") or 128
    convolution = number({**config, **inner}, name, "short_conv_kernel_size",
                         "linear_conv_kernel_dim") or 4  # fmt: skip
    delta = DeltaNet(heads, heads, width, width, convolution, rank=width)
    listed = listed_kinds(config, name, layers)
    if listed is None:
        at = {*inner.get("kda_layers", ())}
        listed = ["linear_attention" if i + 1 in at else "full_attention" for i in range(layers)]
    return Mixed(chosen(listed, {"linear_attention": delta, "full_attention": None}, name))


def _gemma4(config: Keys, layers: int, name: str) -> Mixed:
    """Layers that see all tokens have wider heads, fewer of keys, and may have values that are the
    keys. Norms of queries and keys, and two more norms in a layer. With experts there is a plain
    block beside them in every layer, which counts as shared ones."""
    listed = listed_kinds(config, name, layers) or [
        "full_attention" if (i + 1) % 6 == 0 else "sliding_attention" for i in range(layers)
    ]
    heads = number(config, name, "num_attention_heads") or 8
    keys = number(config, name, "num_key_value_heads") or 4
    near = number(config, name, "head_dim") or 256
    far = number(config, name, "global_head_dim") or 512
    both = bool(config.get("attention_k_eq_v"))
    fewer = number(config, name, "num_global_key_value_heads") if both else 0
    norms = 2 * number(config, name, "hidden_size")
    kinds: dict[str, Mixer | None] = {
        "sliding_attention": Attention(heads, keys, near, other=2 * near + norms),
        "full_attention": Attention(
            heads, fewer or keys, far, one_key_value=both, other=2 * far + norms
        ),
    }
    if not config.get("enable_moe_block"):
        return Mixed(chosen(listed, kinds, name), instead={"num_experts": 0})
    wide = number(config, name, "intermediate_size")
    instead = {
        "num_experts_per_tok": number(config, name, "top_k_experts"),
        "shared_expert_intermediate_size": wide,
    }
    return Mixed(chosen(listed, kinds, name), instead=instead)


def _minimax(config: Keys, layers: int, name: str) -> Mixed:
    """0 in `attn_type_list` is lightning attention, 1 the usual one."""
    heads = number(config, name, "num_attention_heads")
    width = number(config, name, "head_dim") or number(config, name, "hidden_size") // heads
    kinds: dict[str, Mixer | None] = {
        "linear_attention": Lightning(heads, width), "full_attention": None,
    }  # fmt: skip
    listed = listed_kinds(config, name, layers)
    if (coded := config.get("attn_type_list")) is not None:
        listed = ["full_attention" if one else "linear_attention" for one in coded]
    listed = listed or ["full_attention" if i % 2 else "linear_attention" for i in range(layers)]
    if len(listed) != layers:
        raise ValueError(f"attn_type_list in {name}: expected 0 or 1 for each of {layers} layers")
    return Mixed(chosen(listed, kinds, name))


def _minimax_m2(config: Keys, layers: int, name: str) -> Mixed:
    if not all(config.get("attn_type_list") or [1]):
        return _minimax(config, layers, name)
    return Mixed([None] * layers)


def _lfm2(config: Keys, layers: int, name: str) -> Mixed:
    """Short convolutions but for some layers; the feed-forward width is two thirds of what the file
    says, rounded up, if `block_auto_adjust_ff_dim`."""
    at = config.get("full_attn_idxs")
    listed = listed_kinds(config, name, layers) or [
        "full_attention" if at is None or i in at else "conv" for i in range(layers)
    ]
    short = Convolution(number(config, name, "conv_L_cache") or 3)
    kinds: dict[str, Mixer | None] = {"conv": short, "full_attention": None}
    ffn = number(config, name, "intermediate_size", "block_ff_dim")
    if config.get("block_auto_adjust_ff_dim", "num_experts" not in config):
        multiple = number(config, name, "block_multiple_of") or 256
        ffn = int(config.get("block_ffn_dim_multiplier", 1.0) * int(2 * ffn / 3))
        ffn = -(-ffn // multiple) * multiple
    first = number(config, name, "num_dense_layers")
    return Mixed(
        chosen(listed, kinds, name),
        instead={"intermediate_size": ffn, "first_k_dense_replace": first},
    )


_MAMBA2 = (
    "mamba_n_heads mamba_d_head mamba_n_groups mamba_d_state mamba_d_conv mamba_expand mamba_d_ssm "
    "mamba_chunk_size mamba_conv_bias mamba_proj_bias mamba_rms_norm mamba_norm_before_gate "
    "mamba_use_mlp time_step_limit time_step_min time_step_max time_step_floor time_step_rank "
)


def _keys(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEXT = Reader(
    _keys(
        "linear_conv_kernel_dim linear_key_head_dim linear_value_head_dim linear_num_key_heads "
        "linear_num_value_heads full_attention_interval attn_output_gate"
    ),
    _qwen3_next,
)
_MINIMAX = _keys("attn_type_list linear_attn_alpha_factor linear_attn_beta_factor shared_moe_mode")
READERS: dict[str, Reader] = {
    **dict.fromkeys(("qwen3_next", "qwen3_5", "qwen3_5_moe"), _NEXT),
    "olmo_hybrid": Reader(
        _NEXT.keys | _keys("linear_a_log_min linear_a_log_max linear_dt_min linear_dt_max "
                           "linear_dt_init_floor linear_allow_neg_eigval"),
        _olmo_hybrid,
    ),
    "kimi_linear": Reader(
        _keys("linear_attn_config linear_head_dim linear_num_heads linear_conv_kernel_dim "
              "moe_renormalize moe_router_activation_func num_expert_group mla_use_nope"),
        _kimi_linear,
    ),
    **dict.fromkeys(
        ("gemma4", "gemma4_unified"),
        Reader(_keys("top_k_experts enable_moe_block vocab_size_per_layer_input"), _gemma4),
    ),
    "nemotron_h": Reader(
        _keys(
            _MAMBA2 + "hybrid_override_pattern layers_block_type mamba_num_heads mamba_head_dim "
            "ssm_state_size n_groups conv_kernel mamba_hidden_act mamba_ssm_cache_dtype "
            "use_mamba_kernels mtp_hybrid_override_pattern mtp_layers_block_type "
            "moe_shared_expert_overlap"
        ),
        nemotron_h,
    ),
    "jamba": Reader(
        _keys(
            _MAMBA2 + "attn_layer_period attn_layer_offset expert_layer_period "
            "expert_layer_offset mamba_dt_rank mamba_inner_layernorms use_mamba_kernels"
        ),
        jamba,
    ),
    "bamba": Reader(_keys(_MAMBA2 + "attn_layer_indices"), bamba),
    "granitemoehybrid": Reader(_keys(_MAMBA2), granite),
    "falcon_h1": Reader(_keys(_MAMBA2 + "ssm_multipliers ssm_in_multiplier ssm_out_multiplier"),
                        falcon_h1),
    **dict.fromkeys(
        ("minimax", "minimax_m1", "minimax_text_01", "MiniMaxText01", "minimax_text01"),
        Reader(_MINIMAX, _minimax),
    ),
    "minimax_m2": Reader(_MINIMAX, _minimax_m2),
    **dict.fromkeys(
        ("lfm2", "lfm2_moe"),
        Reader(_keys("conv_L_cache full_attn_idxs num_dense_layers use_expert_bias"), _lfm2),
    ),
}  # fmt: skip
"""By `model_type`: the keys that a reader understands beyond those of all, and the reader."""
