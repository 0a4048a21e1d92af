"""Decoder transformers by shape: presets with sources, and a reader for Hugging Face configs."""

from __future__ import annotations

from .architectures import ARCHITECTURES
from .hf_config import model_from_config, read_config
from .presets import MODELS, PAPER_VOCABULARY, PUBLISHED_BILLIONS
from .shape import (
    Experts,
    LatentAttention,
    Layer,
    Model,
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
from .towers import Projection, Tower, images_told, with_images

__all__ = [
    "ARCHITECTURES",
    "MODELS",
    "PAPER_VOCABULARY",
    "PUBLISHED_BILLIONS",
    "Experts",
    "LatentAttention",
    "Layer",
    "Model",
    "Projection",
    "Tower",
    "active_parameters",
    "embedding_parameters",
    "head_parameters",
    "images_told",
    "layer_parameters",
    "model_from_config",
    "nearest_divisor",
    "parameters",
    "prediction_parameters",
    "read_config",
    "tower_parameters",
    "with_images",
]
