"""Decoder transformers by shape: presets with sources, and a reader for Hugging Face configs."""

from __future__ import annotations

from .architectures import ARCHITECTURES
from .hf_config import model_from_config, read_config
from .mixers import (
    Attention,
    Both,
    Convolution,
    DeltaNet,
    LatentAttention,
    Lightning,
    Mixer,
    Nothing,
    SelectiveState,
    StateSpace,
)
from .mixing import Mixing, heads_of, mixing
from .presets import MODELS, PAPER_VOCABULARY, PUBLISHED_BILLIONS
from .shape import (
    Experts,
    Layer,
    Model,
    Projection,
    Tower,
    nearest_divisor,
)
from .sizes import (
    active_parameters,
    embedding_parameters,
    head_parameters,
    layer_parameters,
    parameters,
    prediction_parameters,
    tower_parameters,
)
from .templates import model_template
from .towers import images_told, with_images

__all__ = [
    "ARCHITECTURES",
    "MODELS",
    "PAPER_VOCABULARY",
    "PUBLISHED_BILLIONS",
    "Attention",
    "Both",
    "Convolution",
    "DeltaNet",
    "Experts",
    "LatentAttention",
    "Layer",
    "Lightning",
    "Mixer",
    "Mixing",
    "Model",
    "Nothing",
    "Projection",
    "SelectiveState",
    "StateSpace",
    "Tower",
    "active_parameters",
    "embedding_parameters",
    "head_parameters",
    "heads_of",
    "images_told",
    "layer_parameters",
    "mixing",
    "model_from_config",
    "model_template",
    "nearest_divisor",
    "parameters",
    "prediction_parameters",
    "read_config",
    "tower_parameters",
    "with_images",
]
