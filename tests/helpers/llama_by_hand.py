"""Logits of a checkpoint of the Llama family by arithmetic written out number by number, which
knows nothing of tensors, heads as axes, or kernels."""

from __future__ import annotations

import cmath
import math

from llama_checkpoints import Config, Weights

Row = list[float]


def by_hand(config: Config, weights: Weights, tokens: list[int]) -> list[Row]:
    """Logits of every token, one multiplication after the other."""
    kept = {name: tensor.double().tolist() for name, tensor in weights.items()}
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    size = config.get("head_dim", config["hidden_size"] // heads)

    def linear(name: str, x: Row) -> Row:
        rows = kept[f"{name}.weight"]
        bias = kept.get(f"{name}.bias", [0.0] * len(rows))
        return [
            sum(a * b for a, b in zip(row, x, strict=True)) + more
            for row, more in zip(rows, bias, strict=True)
        ]

    def norm(name: str, x: Row) -> Row:
        root = math.sqrt(sum(v * v for v in x) / len(x) + config["rms_norm_eps"])
        return [v / root * w for v, w in zip(x, kept[f"{name}.weight"], strict=True)]

    def head(x: Row, number: int) -> Row:
        return x[number * size : (number + 1) * size]

    def turned(x: Row, place: int) -> Row:
        """Pair i, as a complex number, times e to the i angle."""
        half = size // 2
        pairs = [
            complex(x[i], x[i + half]) * cmath.exp(1j * place * pace(config, i, size))
            for i in range(half)
        ]
        return [pair.real for pair in pairs] + [pair.imag for pair in pairs]

    stream = [kept["model.embed_tokens.weight"][token] for token in tokens]
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}"
        window = window_of(config, layer)
        seen: list[tuple[list[Row], list[Row]]] = []
        after = []
        for place, x in enumerate(stream):
            normed = norm(f"{at}.input_layernorm", x)
            query, key, value = (linear(f"{at}.self_attn.{n}_proj", normed) for n in "qkv")
            queries = [head(query, n) for n in range(heads)]
            keys = [head(key, n) for n in range(groups)]
            if config["model_type"] == "qwen3":
                queries = [norm(f"{at}.self_attn.q_norm", each) for each in queries]
                keys = [norm(f"{at}.self_attn.k_norm", each) for each in keys]
            seen.append(
                ([turned(each, place) for each in keys], [head(value, n) for n in range(groups)])
            )
            mixed: Row = []
            for number, each in enumerate(queries):
                asked = turned(each, place)
                group = number // (heads // groups)
                past = seen[max(0, place + 1 - window) :] if window else seen
                scores = [
                    math.exp(
                        sum(a * b for a, b in zip(asked, there[group], strict=True))
                        / math.sqrt(size)
                    )
                    for there, _ in past
                ]
                mixed += [
                    sum(s * there[group][i] for s, (_, there) in zip(scores, past, strict=True))
                    / sum(scores)
                    for i in range(size)
                ]
            x = [a + b for a, b in zip(x, linear(f"{at}.self_attn.o_proj", mixed), strict=True)]
            normed = norm(f"{at}.post_attention_layernorm", x)
            gate, up = (linear(f"{at}.mlp.{n}_proj", normed) for n in ("gate", "up"))
            fed = [g / (1 + math.exp(-g)) * u for g, u in zip(gate, up, strict=True)]
            after.append(
                [a + b for a, b in zip(x, linear(f"{at}.mlp.down_proj", fed), strict=True)]
            )
        stream = after
    tied = config["tie_word_embeddings"]
    out = "model.embed_tokens" if tied else "lm_head"
    return [linear(out, norm("model.norm", x)) for x in stream]


def pace(config: Config, pair: int, size: int) -> float:
    """Radians that a pair turns per token, by the rule's own words."""
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    theta = scaling.get("rope_theta") or config["rope_theta"]
    plain: float = 1 / theta ** (2 * pair / size)
    if not scaling:
        return plain
    slower: float = plain / scaling["factor"]
    if scaling.get("type") == "linear":
        return slower
    wavelength, length = 2 * math.pi / plain, scaling["original_max_position_embeddings"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    if wavelength < length / high:
        return plain
    if wavelength > length / low:
        return slower
    share: float = (length / wavelength - low) / (high - low)
    return (1 - share) * slower + share * plain


def window_of(config: Config, layer: int) -> int:
    if config["model_type"] == "mistral":
        return config["sliding_window"] or 0
    if not config.get("use_sliding_window"):
        return 0
    if types := config.get("layer_types"):
        return config["sliding_window"] if types[layer] == "sliding_attention" else 0
    return config["sliding_window"] if layer >= config["max_window_layers"] else 0
