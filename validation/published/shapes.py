"""The model of a published run: its JSON, as our `Model`."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from sim.planner.models import Experts, LatentAttention, Model

_KNOWN = {field.name for field in fields(Model)}
_WORDS = {"mtp_layers": "multi-token prediction", "mamba": "Mamba layers"}


class Missing(ValueError):
    """A feature that a row needs and that cannot be expressed; the message is its name."""


def model_of(name: str, text: str) -> Model:
    """The model a shape describes; `Missing` names what cannot be said of it."""
    if not text:
        raise Missing("shape of the model")
    try:
        found: dict[str, Any] = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError("not an object")
    except ValueError:
        raise Missing("shape of the model (not a JSON object)") from None
    window, windowed = found.pop("sliding_window", 0), found.pop("windowed_layers", None)
    for key in sorted(set(found) - _KNOWN):
        if found.pop(key):
            raise Missing(_WORDS.get(key, f"{key} in the shape of a model"))
    try:
        if found.get("experts"):
            found["experts"] = Experts(**found["experts"])
        if found.get("latent"):
            found["latent"] = LatentAttention(**found["latent"])
        if window:
            found["windows"] = _windows(window, windowed, found["layers"])
        return Model(**{"name": name, **{k: v for k, v in found.items() if v is not None}})
    except (TypeError, ValueError, KeyError) as error:
        raise Missing(f"this shape of a model ({error})") from None


def _windows(window: int, windowed: int | None, layers: int) -> tuple[int, ...]:
    """The window in so many layers (all of them where that is not said), evenly spread."""
    some = layers if windowed is None else windowed
    return tuple(
        window if (layer + 1) * some // layers > layer * some // layers else 0
        for layer in range(layers)
    )
