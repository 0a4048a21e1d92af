"""What is streamed: layers with their bytes and times, and the part of a model that stays."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import NoReturn

from ..base.numbers import Number, checked

JSON_FORMAT = "pipebubble.layers/1"


class MemoryLimitTooSmall(ValueError):
    """No order of loads could run under this limit; `smallest` is the least that works."""

    def __init__(self, sentence: str, smallest: Number) -> None:
        super().__init__(sentence)
        self.smallest = smallest


@dataclass(frozen=True)
class Layer:
    """One layer: `bytes` it takes in memory, seconds to `load` it with the disk to oneself, seconds
    to `compute` it."""

    bytes: Number
    load: Number
    compute: Number
    name: str = ""

    def __post_init__(self) -> None:
        for what in ("bytes", "load", "compute"):
            checked(getattr(self, what), f"{what} of layer {self.name}".strip())


@dataclass(frozen=True)
class StreamedModel:
    """Layers in the order of computation, and the bytes that stay in memory throughout: embedding,
    head, activations."""

    layers: tuple[Layer, ...]
    resident_bytes: Number = 0
    name: str = "model"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise ValueError(f"{self.name} has no layers: there is nothing to stream")
        checked(self.resident_bytes, "resident_bytes")

    @property
    def bytes(self) -> Number:
        """The whole model in memory."""
        return self.resident_bytes + sum(layer.bytes for layer in self.layers)

    @property
    def smallest_limit(self) -> Number:
        """The least memory under which streaming can run: the resident part and one layer."""
        return self.resident_bytes + max(layer.bytes for layer in self.layers)


def require_room(model: StreamedModel, limit: Number | None, *, whole: bool = False) -> None:
    """MemoryLimitTooSmall unless the resident part and one layer (or all of them) fit."""
    if limit is None:
        return
    smallest = model.bytes if whole else model.smallest_limit
    if checked(limit, "memory limit") < smallest:
        if whole:
            _refuse(f"{model.name} is loaded whole and nothing freed", limit, smallest)
        layer = max(range(len(model.layers)), key=lambda i: model.layers[i].bytes)
        _refuse(
            f"layer {layer} takes {model.layers[layer].bytes} bytes beside the "
            f"{model.resident_bytes} that stay",
            limit,
            smallest,
        )


def model_to_json(model: StreamedModel) -> str:
    """The model as one JSON object; `model_from_json` reads it back."""
    return json.dumps({"format": JSON_FORMAT, **asdict(model)}, indent=1)


def model_from_json(text: str) -> StreamedModel:
    """The model in `text`; ValueError with one sentence if it is none."""
    try:
        found = json.loads(text)
        if found.get("format") != JSON_FORMAT:
            raise ValueError(f'expected "format": {JSON_FORMAT!r}')
        layers: Iterable[Layer] = (Layer(**row) for row in found["layers"])
        return StreamedModel(tuple(layers), found["resident_bytes"], found["name"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a profile of layers: {error}") from None


def _refuse(why: str, limit: Number, smallest: Number) -> NoReturn:
    raise MemoryLimitTooSmall(
        f"memory limit is {limit} bytes, but {why}: the smallest limit that works is {smallest}",
        smallest,
    )
