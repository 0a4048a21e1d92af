"""What a `model_type` of Hugging Face says that its `config.json` need not repeat."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Architecture(NamedTuple):
    """gated: three matrices in the feed-forward block. biases: linear layers and norms have them.
    tied: embedding and head share a matrix unless the file says otherwise. positions: embeddings
    of positions are learned. parallel: the blocks of a layer stand beside each other, behind so
    many norms. defaults: keys that released files leave out, and what they mean."""

    gated: bool = True
    biases: bool = False
    tied: bool = False
    positions: bool = False
    parallel: int = 0
    defaults: Mapping[str, Any] = MappingProxyType({})


LLAMA = Architecture()
_TIED = LLAMA._replace(tied=True)
_GPT = Architecture(gated=False, biases=True, tied=True)
_LLAMAS = (
    "llama llama4 mistral mistral3 ministral mixtral qwen2 qwen2_moe qwen2_vl qwen2_5_vl "
    "qwen3_moe qwen3_vl qwen3_vl_moe phi3 olmo olmo2 olmo3 olmoe deepseek deepseek_v2 deepseek_v3 "
    "kimi_k2 glm glm4 glm4_moe internlm2 internlm3 baichuan yi stablelm granite granitemoe "
    "exaone4 seed_oss glm4_moe_lite glm_moe_dsa deepseek_v32 minimax minimax_m1 "
    "minimax_m2 minimax_text_01 MiniMaxText01 jamba bamba granitemoehybrid falcon_h1 "
    "qwen3_5_moe phimoe aria bitnet cwm diffllama exaone_moe flex_olmo granitemoeshared helium "
    "hyperclovax ministral3 mistral4 solar_open youtu axk1 sarvam_mla sarvam_moe glm4v "
    "glm4v_moe dots1 olmo_hybrid kimi_linear"
)
ARCHITECTURES: dict[str, Architecture] = {
    **dict.fromkeys(_LLAMAS.split(), LLAMA),
    **dict.fromkeys(["cohere", "cohere2"], _TIED._replace(parallel=1)),
    **dict.fromkeys(["smollm3", "ernie4_5", "ernie4_5_moe"], _TIED),
    **dict.fromkeys(["hunyuan_v1_dense", "hunyuan_v1_moe", "hunyuan"], _TIED),
    **dict.fromkeys(["minicpm", "minicpm3", "exaone"], _TIED),
    "vaultgemma": _TIED,
    "gemma": _TIED._replace(defaults={"head_dim": 256}),
    "gemma2": _TIED._replace(defaults={"head_dim": 256, "sliding_window": 4096}),
    "gemma3": _TIED._replace(
        defaults={
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "vocab_size": 262208,
            "sliding_window": 4096,
        }
    ),
    "gpt_oss": LLAMA._replace(defaults={"head_dim": 64, "sliding_window": 128}),
    "qwen3": LLAMA._replace(defaults={"head_dim": 128}),
    **dict.fromkeys(("gpt2", "gpt_neo", "gpt_bigcode", "opt"), _GPT._replace(positions=True)),
    **dict.fromkeys(("bloom", "starcoder2"), _GPT),
    "gpt_neox": _GPT._replace(tied=False, parallel=2),
    **dict.fromkeys(("gptj", "phi"), _GPT._replace(tied=False, parallel=1)),
    "mpt": _GPT._replace(biases=False),
    "falcon": _GPT._replace(biases=False, parallel=1),
    **dict.fromkeys(
        ("gemma4", "gemma4_unified"),
        _TIED._replace(
            defaults={
                "num_attention_heads": 8,
                "num_key_value_heads": 4,
                "head_dim": 256,
                "vocab_size": 262144,
                "sliding_window": 512,
            }
        ),
    ),
    **dict.fromkeys(("qwen3_next", "qwen3_5"), LLAMA._replace(defaults={"head_dim": 256})),
    **dict.fromkeys(("lfm2", "lfm2_moe"), _TIED),
    **dict.fromkeys(("nemotron", "arcee", "apertus"), LLAMA._replace(gated=False)),
}
"""By `model_type`. Not told apart, because they change a count by less than 0.05 %: biases of
queries, keys and values alone (Qwen2), norms inside attention, second norms of a block."""
LISTED = {"nemotron_h": LLAMA._replace(gated=False)}
"""Families whose files must say what each layer is."""

SPARSE: dict[str, dict[str, int]] = {
    "llama": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
              "num_attention_heads": 32, "vocab_size": 32000},
    "mistral": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
                "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 32000},
}  # fmt: skip
"""What a `text_config` of these types leaves out where it is as in the configuration class of
Hugging Face's transformers (LLaVA's files do so)."""


def architecture_of(model_type: object, name: str) -> Architecture:
    """What the type says; Llama's where a file names none. ValueError for an unknown type."""
    if model_type is None:
        return LLAMA
    kind = str(model_type).removesuffix("_text")
    found = ARCHITECTURES.get(kind) or LISTED.get(kind)
    if found is None:
        raise ValueError(
            f"model_type of {name} is {model_type!r}, which is not a decoder known here: if it is "
            "built like Llama (three matrices, no biases), GPT-2 (two, biases) or MPT (two, no "
            "biases), write llama, gpt2 or mpt into the file; gpt_neox and falcon stand for blocks "
            "beside each other"
        )
    return found
