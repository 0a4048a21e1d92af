"""What a checkpoint's `config.json` says of a model of the Llama family, or why it is another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sim.base.json_text import object_in
from sim.planner.models import model_from_config

from .llama import Llama, Rope


class ModelType(NamedTuple):
    """What a `model_type` says, and what it assumes where the file is silent: biases of queries,
    keys and values (None: `attention_bias` decides, also for the output's), norms of heads, width
    of a head (0: width / heads), and the window of all layers or of those past
    `max_window_layers`."""

    biases: bool | None = None
    head_norms: bool = False
    head_width: int = 0
    windows: str = "none"


MODEL_TYPES = {
    "llama": ModelType(),
    "mistral": ModelType(biases=False, windows="all"),
    "qwen2": ModelType(biases=True, windows="upper"),
    "qwen3": ModelType(head_norms=True, head_width=128, windows="upper"),
}
"""What is known of each `model_type`."""

_KNOWN_VALUES: Mapping[str, tuple[Any, ...]] = {
    "hidden_act": ("silu", "swish"),
    "partial_rotary_factor": (1,),
    "quantization_config": (),
    "compression_config": (),
}
"""Keys with the only values that can be converted; None is always meant as absent."""


def read_llama(source: Path) -> Llama:
    """The model of the `config.json` in a directory; ValueError with one sentence if it asks for
    something that our blocks do not compute. The type of the weights is left to their files."""
    path = source / "config.json"
    config = object_in(path, "a config.json")
    kind = MODEL_TYPES.get(str(config.get("model_type")))
    if kind is None:
        raise ValueError(
            f"model_type in {path} is {config.get('model_type')!r}: models that can be converted "
            f"are {', '.join(MODEL_TYPES)}; store others with "
            "backend.pipeload.layer_files.store_model"
        )
    for key, known in _KNOWN_VALUES.items():
        if (value := config.get(key)) is not None and value not in known:
            fix = f"only {known[0]!r} is known here" if known else "quantized weights are not known"
            raise ValueError(f"{key} in {path} is {_short(value)}: {fix}")
    shape = model_from_config(config, name=source.name or path.stem)
    head_width = shape.head_width or kind.head_width or shape.hidden // shape.heads
    kv_heads = shape.kv_heads or shape.heads
    if head_width % 2:
        raise ValueError(f"heads in {path} are {head_width} wide: rotary positions need pairs")
    if shape.heads % kv_heads:
        raise ValueError(
            f"num_attention_heads in {path} is {shape.heads}: it must be a multiple of "
            f"num_key_value_heads, {kv_heads}"
        )
    biased = bool(config.get("attention_bias")) if kind.biases is None else kind.biases
    return Llama(
        windows=_windows(config, kind, shape.layers, path),
        width=shape.hidden,
        heads=shape.heads,
        kv_heads=kv_heads,
        head_width=head_width,
        inner=shape.ffn or 4 * shape.hidden,
        vocabulary=shape.vocabulary,
        epsilon=_positive(config, "rms_norm_eps", path, 1e-6),
        rope=_rope(config, path),
        tied=shape.tied,
        query_biases=biased,
        out_bias=biased and kind.biases is None,
        feed_biases=config["model_type"] == "llama" and bool(config.get("mlp_bias")),
        head_norms=kind.head_norms,
    )


def _rope(config: Mapping[str, Any], path: Path) -> Rope:
    """Of the older keys, `rope_theta` and `rope_scaling`, and the newer one, `rope_parameters`."""
    key = next((key for key in ("rope_parameters", "rope_scaling") if config.get(key)), None)
    found = config[key] if key else {}
    if not isinstance(found, dict) or any(isinstance(value, dict) for value in found.values()):
        raise ValueError(
            f"{key} in {path} is {_short(found)}: expected one JSON object for all layers"
        )
    given = {"rope_theta": config.get("rope_theta", 10_000.0), **found}
    theta = _positive(given, "rope_theta", path)
    if _positive({"partial_rotary_factor": 1, **found}, "partial_rotary_factor", path) != 1:
        raise ValueError(f"partial_rotary_factor in {path} is not 1: all of a head must turn")
    kind = found.get("rope_type", found.get("type"))
    if kind == "default" or (kind is None and {*found} <= {"rope_theta", "partial_rotary_factor"}):
        return Rope(theta)
    if kind == "linear":
        return Rope(theta, _positive(found, "factor", path))
    if kind != "llama3":
        raise ValueError(
            f"{key} in {path} has type {kind!r}: positions known here are default, linear, llama3"
        )
    low, high, length = (
        _positive(found, name, path)
        for name in ("low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
    )
    if low >= high:
        raise ValueError(
            f"low_freq_factor in {path} is {low}: it must be below high_freq_factor, {high}"
        )
    return Rope(theta, _positive(found, "factor", path), (low, high, length))


def _windows(
    config: Mapping[str, Any], kind: ModelType, layers: int, path: Path
) -> tuple[int, ...]:
    size = config.get("sliding_window", 4096)
    used = kind.windows == "all" or (kind.windows == "upper" and config.get("use_sliding_window"))
    if not used or size is None:
        return (0,) * layers
    window = _whole({"sliding_window": size}, "sliding_window", path)
    if kind.windows == "all":
        return (window,) * layers
    types = config.get("layer_types")
    if types is None:
        first = _whole({"max_window_layers": 28, **config}, "max_window_layers", path, least=0)
        return tuple(window if i >= first else 0 for i in range(layers))
    named = {"full_attention": 0, "sliding_attention": window}
    if not isinstance(types, list) or len(types) != layers or not {*map(str, types)} <= {*named}:
        raise ValueError(
            f"layer_types in {path} is {_short(types)}: expected one of {', '.join(named)} for "
            f"each of the {layers} layers"
        )
    return tuple(named[name] for name in types)


def _positive(
    config: Mapping[str, Any], key: str, path: Path, default: float | None = None
) -> float:
    value = config.get(key, default)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value < float("inf"):
        raise ValueError(f"{key} in {path} is {_short(value)}: it must be a number above 0")
    return float(value)


def _whole(config: Mapping[str, Any], key: str, path: Path, *, least: int = 1) -> int:
    value = config[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{key} in {path} is {value!r}: it must be a whole number >= {least}")
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:56]} ..."
