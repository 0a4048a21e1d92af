"""The modules of a stored model, rebuilt from the recipe in its list, and tokens for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from . import demo
from .checkpoints.llama import Llama, llama_modules, llama_of
from .layer_files import LayerFileError, StoredModel


def skeletons(stored: StoredModel) -> list[nn.Module]:
    """The modules of a stored demo or of a converted checkpoint, without weights."""
    if "kind" not in stored.recipe:
        return demo.skeletons(stored)
    llama = _llama(stored)
    try:
        with torch.device("meta"):
            return llama_modules(llama)
    except (ArithmeticError, AttributeError, RuntimeError, TypeError) as error:
        raise _senseless(stored, error) from None


def inputs_for(
    stored: StoredModel, *, batch: int = 1, sequence: int = 128, seed: int = 0
) -> Tensor:
    """Random tokens for it, shape `(batch, sequence)`; a demo has a sequence of its own."""
    if "kind" not in stored.recipe:
        return demo.demo_inputs(stored, batch=batch, seed=seed)
    if sequence < 1:
        raise ValueError(f"sequence is {sequence}: it must be at least 1")
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(_llama(stored).vocabulary, (batch, sequence), generator=generator)


def _llama(stored: StoredModel) -> Llama:
    recipe = dict(stored.recipe)
    if (kind := recipe.pop("kind")) != "llama":
        raise LayerFileError(
            f"{stored.directory} holds modules of kind {kind!r}, which is not known here: run it "
            "from Python with run_streamed and your own modules"
        )
    try:
        return llama_of(recipe)
    except (KeyError, TypeError, ValueError) as error:
        raise _senseless(stored, error) from None


def _senseless(stored: StoredModel, error: Exception) -> LayerFileError:
    return LayerFileError(
        f"{stored.directory} has a recipe that makes no sense ({error}): convert it again"
    )
