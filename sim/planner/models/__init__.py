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
    active_parameters,
    embedding_parameters,
    head_parameters,
    layer_parameters,
    nearest_divisor,
    parameters,
)

__all__ = [
    "ARCHITECTURES",
    "MODELS",
    "PAPER_VOCABULARY",
    "PUBLISHED_BILLIONS",
    "Experts",
    "LatentAttention",
    "Layer",
    "Model",
    "active_parameters",
    "embedding_parameters",
    "head_parameters",
    "layer_parameters",
    "model_from_config",
    "nearest_divisor",
    "parameters",
    "read_config",
]
