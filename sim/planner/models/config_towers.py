"""Reads the tower for pictures in a `config.json`, by the type of its `vision_config`.

Shapes and names of keys: the configuration and modelling classes of Hugging Face's transformers,
version 5.24, for each type; projectors by the type of the whole model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .config_keys import number
from .shape import Model, Projection, Tower

Keys = dict[str, Any]
ADAPTIVE = 1024
"""Patches of a picture where a tower takes pictures of any size: 448 x 448 pixels in patches of
14. Where it has a size of its own, its pictures have that."""

TWO_TOWERS = ("video_llava", "deepseek_vl_hybrid", "janus")
"""Whole models that do more with pictures than their `vision_config` says."""


def tower_of(config: Keys, name: str, hidden: int) -> Tower | None:
    """The tower of a file whose decoder is so wide; None if its type is not one known here."""
    vision = config.get("vision_config")
    if not isinstance(vision, dict):
        return None
    kind = str(vision.get("model_type") or _by_keys(config)).removesuffix("_model")
    kind = kind.removesuffix("_vision")
    if kind not in _READERS or config.get("model_type") in TWO_TOWERS:
        return None
    defaults, reader = _READERS[kind]
    vision = {**defaults, **{key: value for key, value in vision.items() if value is not None}}
    return reader(vision, config, hidden, f"vision_config of {name}")


def _by_keys(config: Keys) -> object:
    """Towers of Qwen's files do not always repeat their type."""
    return config.get("model_type")


def _encoder(v: Keys, name: str, *, gated: bool = False, biases: bool = True) -> Model:
    hidden = number(v, name, "embed_dim", "hidden_size")
    return Model(
        "vision tower",
        number(v, name, "depth", "num_hidden_layers"),
        hidden,
        number(v, name, "num_heads", "num_attention_heads"),
        1,
        ffn=number(v, name, "intermediate_size") or int(hidden * v.get("mlp_ratio", 4)),
        head_width=number(v, name, "head_dim"),
        gated=gated,
        biases=biases,
    )


def _clip(v: Keys, config: Keys, hidden: int, name: str) -> Tower:
    """CLIP: a class token, norms before and behind, no bias at the patches."""
    encoder, (pixels, patches) = _encoder(v, name), _patches(v, name)
    w = encoder.hidden
    projections, other = _projector(config, w, hidden, patches)
    return Tower(
        encoder, (Projection(pixels, w), *projections), w + (patches + 1) * w + 4 * w + other,
        patches,
    )  # fmt: skip


def _siglip(v: Keys, config: Keys, hidden: int, name: str) -> Tower:
    """SigLIP: a bias at the patches, one norm behind. A head for contrasts is not trained here."""
    encoder, (pixels, patches) = _encoder(v, name), _patches(v, name)
    w = encoder.hidden
    projections, other = _projector(config, w, hidden, patches)
    return Tower(
        encoder, (Projection(pixels, w), *projections), w + patches * w + 2 * w + other, patches
    )


def _pixtral(v: Keys, config: Keys, hidden: int, name: str) -> Tower:
    encoder = _encoder(v, name, gated=True, biases=False)
    pixels, w = 3 * _one(v, "patch_size") ** 2, encoder.hidden
    projections, other = _projector(config, w, hidden, ADAPTIVE)
    return Tower(encoder, (Projection(pixels, w), *projections), w + other, ADAPTIVE)


def _qwen2_vl(v: Keys, config: Keys, hidden: int, name: str) -> Tower:
    """`hidden_size` is the decoder's width there, and the tower's stands under `embed_dim`."""
    v.pop("intermediate_size", None)
    encoder = _encoder(v, name)
    merged, other = _merger(v, encoder.hidden, hidden)
    return Tower(encoder, (_video(v, encoder.hidden), *merged), 2 * encoder.hidden + other)


def _qwen2_5_vl(v: Keys, config: Keys, hidden: int, name: str) -> Tower:
    """Norms have no biases, linear layers do. Some layers see whole pictures, the others windows
    of `window_size` pixels squared."""
    v.pop("embed_dim", None)
    encoder = _encoder(v, name, gated=True)
    side = number(v, name, "window_size") // _one(v, "patch_size")
    everywhere = set(v.get("fullatt_block_indexes", ()))
    windows = [0 if i in everywhere else side**2 for i in range(encoder.layers)]
    encoder = Model(**{**vars(encoder), "windows": tuple(windows)})
    merged, other = _merger(v, encoder.hidden, hidden)
    norms = encoder.hidden - 2 * encoder.layers * encoder.hidden
    return Tower(encoder, (_video(v, encoder.hidden), *merged), norms + other)


def _qwen3_vl(v: Keys, config: Keys, hidden: int, name: str) -> Tower:
    """A table of positions; what some layers give is merged too and added to the decoder's first
    layers (`deepstack_visual_indexes`)."""
    encoder = _encoder(v, name)
    w = encoder.hidden
    merged, other = _merger(v, w, hidden)
    deep = len(v.get("deepstack_visual_indexes", ()))
    wide = merged[0].wide
    other += w + number(v, name, "num_position_embeddings") * w + 2 * w
    other += deep * (2 * wide + wide + merged[1].out)
    return Tower(encoder, (_video(v, w), *merged * (1 + deep)), other)


def _llama4(v: Keys, config: Keys, hidden: int, name: str) -> Tower:
    """Patches are shuffled together by `pixel_shuffle_ratio` and pass two matrices before the
    projector."""
    encoder, (pixels, patches) = _encoder(v, name), _patches(v, name)
    w, merge = encoder.hidden, round(1 / v["pixel_shuffle_ratio"] ** 2)
    inner = number(v, name, "projector_input_dim")
    out = number(v, name, "vision_output_dim")
    outer = number(v, name, "projector_output_dim")
    projections = (
        Projection(pixels, w),
        Projection(w * merge, inner, merge),
        Projection(inner, outer, merge),
        Projection(out, hidden, merge),
    )
    return Tower(encoder, projections, w + (patches + 1) * w + 4 * w, patches)


def _internvl(v: Keys, config: Keys, hidden: int, name: str) -> Tower:
    """Layers have scales of their outputs. `attention_bias` is Hugging Face's word, `qkv_bias`
    the authors'."""
    encoder, (pixels, patches) = _encoder(v, name), _patches(v, name)
    w, merge = encoder.hidden, round(1 / config.get("downsample_ratio", 0.5) ** 2)
    plain = not v.get("attention_bias", v.get("qkv_bias", False))
    normed = bool(v.get("use_qk_norm", v.get("qk_normalization", False)))
    scales = 2 * w - 3 * w * plain + 2 * w * normed
    projections = (
        Projection(pixels, w),
        Projection(merge * w, hidden, merge),
        Projection(hidden, hidden, merge),
    )
    other = w + w + (patches + 1) * w + 2 * merge * w + 2 * hidden
    return Tower(encoder, projections, other + encoder.layers * scales, patches)


def _gemma4(v: Keys, config: Keys, hidden: int, name: str) -> Tower:
    """Norms before and behind each block and inside attention; two tables of positions. A picture
    has 280 words of nine patches, if not said otherwise."""
    encoder = _encoder(v, name, gated=True, biases=False)
    pixels, w = 3 * _one(v, "patch_size") ** 2, encoder.hidden
    merge = number(v, name, "pooling_kernel_size") ** 2
    words = number(config, name, "vision_soft_tokens_per_image") or 280
    norms = encoder.layers * (2 * w + 2 * encoder.head_width)
    return Tower(
        encoder,
        (Projection(pixels, w), Projection(w, hidden, merge)),
        2 * number(v, name, "position_embedding_size") * w + norms,
        words * merge,
    )


def _projector(
    config: Keys, wide: int, hidden: int, patches: int
) -> tuple[tuple[Projection, ...], int]:
    """What takes a tower's output to the decoder's width, by the type of the whole model: two
    matrices with biases as in LLaVA, if it is none of the others."""
    kind = config.get("model_type")
    if kind == "gemma3":
        merge = max(patches // config.get("mm_tokens_per_image", 256), 1)
        return (Projection(wide, hidden, merge),), wide
    if kind == "paligemma":
        return (Projection(wide, hidden),), hidden
    if kind == "mistral3":
        merge = config.get("spatial_merge_size", 2) ** 2
        return (
            Projection(merge * wide, wide, merge),
            Projection(wide, hidden, merge),
            Projection(hidden, hidden, merge),
        ), wide
    line = hidden if kind in ("llava_next", "llava_onevision") else 0  # ends a row of patches
    return (Projection(wide, hidden), Projection(hidden, hidden)), 2 * hidden + line


def _merger(v: Keys, wide: int, hidden: int) -> tuple[tuple[Projection, ...], int]:
    """Qwen's: a square of patches becomes one word; without its norm."""
    hidden = number(v, "vision_config", "out_hidden_size") or hidden
    merge = _one(v, "spatial_merge_size") ** 2
    return (
        Projection(merge * wide, merge * wide, merge),
        Projection(merge * wide, hidden, merge),
    ), merge * wide + hidden


def _video(v: Keys, wide: int) -> Projection:
    """Qwen's patches are of `temporal_patch_size` frames."""
    return Projection(3 * _one(v, "temporal_patch_size") * _one(v, "patch_size") ** 2, wide)


def _patches(v: Keys, name: str) -> tuple[int, int]:
    """Numbers in a patch, and patches in a picture of the tower's own size."""
    size, patch = _one(v, "image_size"), _one(v, "patch_size")
    return number(v, name, "num_channels") * patch**2, (size // patch) ** 2


def _one(v: Keys, key: str) -> int:
    """A length that may be written as two equal ones."""
    value = v[key]
    return int(value[0] if isinstance(value, list) else value)


_VIT = {"num_channels": 3}
_QWEN = {
    "depth": 32, "num_heads": 16, "patch_size": 14, "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}  # fmt: skip
_QWEN3 = _QWEN | {
    "depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "patch_size": 16,
    "num_position_embeddings": 2304,
}  # fmt: skip
_READERS: dict[str, tuple[Keys, Callable[[Keys, Keys, int, str], Tower]]] = {
    "clip": (_VIT | {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
                     "num_attention_heads": 12, "image_size": 224, "patch_size": 32}, _clip),
    "siglip": (_VIT | {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
                       "num_attention_heads": 12, "image_size": 224, "patch_size": 16}, _siglip),
    "pixtral": ({"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
                 "num_attention_heads": 16, "patch_size": 16}, _pixtral),
    "qwen2_vl": (_QWEN | {"embed_dim": 1280}, _qwen2_vl),
    "qwen2_5_vl": (_QWEN | {"hidden_size": 3584, "intermediate_size": 3420, "window_size": 112,
                            "fullatt_block_indexes": [7, 15, 23, 31]}, _qwen2_5_vl),
    **dict.fromkeys(
        ("qwen3_vl", "qwen3_vl_moe"),
        (_QWEN3 | {"deepstack_visual_indexes": [8, 16, 24]}, _qwen3_vl),
    ),
    **dict.fromkeys(("qwen3_5", "qwen3_5_moe"), (_QWEN3, _qwen3_vl)),
    "llama4": (_VIT | {"hidden_size": 768, "intermediate_size": 5632, "num_hidden_layers": 34,
                       "num_attention_heads": 16, "image_size": 448, "patch_size": 14,
                       "vision_output_dim": 7680, "projector_input_dim": 4096,
                       "projector_output_dim": 4096, "pixel_shuffle_ratio": 0.5}, _llama4),
    **dict.fromkeys(
        ("internvl", "intern_vit_6b"),
        (_VIT | {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
                 "num_attention_heads": 16, "image_size": 448, "patch_size": 14}, _internvl),
    ),
    "gemma4": ({"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 16,
                "num_attention_heads": 12, "head_dim": 64, "patch_size": 16,
                "pooling_kernel_size": 3, "position_embedding_size": 10240}, _gemma4),
}  # fmt: skip
"""By type: what its files leave out, and what reads the rest."""
