"""The keys of a `config.json` that every model built like Llama has."""

from __future__ import annotations

from typing import Any


def llama(
    layers: int, hidden: int, heads: int, kv: int, ffn: int, vocabulary: int
) -> dict[str, Any]:
    return {
        "num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads,
        "num_key_value_heads": kv, "intermediate_size": ffn, "vocab_size": vocabulary,
    }  # fmt: skip
