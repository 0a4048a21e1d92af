"""A transformer on disk to stream: made from its sizes, and rebuilt from the recipe in its list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..stages.transformer import Model, tokens, transformer_stages
from .layer_files import LayerFileError, StoredModel, store_model

SIZES = ("layers", "width", "heads", "vocabulary", "sequence", "seed")


def make_demo(directory: str | Path, **sizes: int) -> StoredModel:
    """Stores a transformer with random weights: the embedding and the head resident, a file per
    block. sizes: some of `SIZES`."""
    recipe = {
        "layers": 12,
        "width": 512,
        "heads": 8,
        "vocabulary": 8192,
        "sequence": 128,
        "seed": 0,
    }
    if unknown := set(sizes) - set(SIZES):
        raise ValueError(f"a demo has no {min(unknown)!r}: it has {', '.join(SIZES)}")
    recipe |= sizes
    if recipe["layers"] < 1:
        raise ValueError(f"layers is {recipe['layers']}: a model to stream has at least 1")
    modules = transformer_stages(_sizes(recipe), seed=recipe["seed"])
    return store_model(modules, directory, resident={0, len(modules) - 1}, recipe=recipe)


def skeletons(stored: StoredModel) -> list[nn.Module]:
    """The modules of a stored demo, without weights."""
    with torch.device("meta"):
        return transformer_stages(_known(stored))


def demo_inputs(stored: StoredModel, *, batch: int = 1, seed: int = 0) -> Tensor:
    """Random tokens for it, shape `(batch, sequence)`."""
    return tokens(_known(stored), batch, seed=seed)[0]


def _known(stored: StoredModel) -> Model:
    missing = [name for name in SIZES if not isinstance(stored.recipe.get(name), int)]
    if missing:
        raise LayerFileError(
            f"{stored.directory} has no recipe for its modules (no {missing[0]!r}): run it from "
            "Python with run_streamed and your own modules"
        )
    return _sizes(stored.recipe)


def _sizes(recipe: Mapping[str, Any]) -> Model:
    layers = (0, *(1,) * recipe["layers"], 0)
    return Model(
        layers,
        width=recipe["width"],
        heads=recipe["heads"],
        vocabulary=recipe["vocabulary"],
        sequence=recipe["sequence"],
    )
