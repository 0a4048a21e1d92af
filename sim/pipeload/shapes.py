"""Models whose memory is published, by shape: the bytes of a layer and those that stay."""

from __future__ import annotations

from typing import NamedTuple

from ..base.numbers import Number
from .layers import Layer, StreamedModel


class Shape(NamedTuple):
    """Layers of `layer` parameters each, and `resident` ones outside them, `width` bytes apiece."""

    n_layers: int
    layer: int
    resident: int
    width: int
    source: str


def _bert(layers: int, hidden: int, vocabulary: int, positions: int) -> tuple[int, int, int]:
    h = hidden
    attention = 4 * h * h + 4 * h
    feed_forward = 8 * h * h + 5 * h
    norms = 4 * h
    return layers, attention + feed_forward + norms, (vocabulary + positions + 2 + 2) * h


def _gpt_j(layers: int, hidden: int, vocabulary: int) -> tuple[int, int, int]:
    h = hidden
    attention, feed_forward, norm = 4 * h * h, 8 * h * h + 5 * h, 2 * h
    return layers, attention + feed_forward + norm, 2 * vocabulary * h + vocabulary + 2 * h


SHAPES: dict[str, Shape] = {
    "bert-large": Shape(
        *_bert(24, 1024, 30522, 512), 4, "Devlin et al. 2018, arXiv 1810.04805, and its released "
        "config.json; encoder and embedding in 32 bits"
    ),
    "gpt-j": Shape(
        *_gpt_j(28, 4096, 50400), 2, "Wang and Komatsuzaki 2021, released config.json: attention "
        "without biases, one norm per layer, a head of its own; 16 bits"
    ),
}  # fmt: skip


def equal_layers(
    n_layers: int,
    *,
    layer_bytes: Number = 1,
    load: Number = 1,
    compute: Number = 1,
    resident_bytes: Number = 0,
    name: str = "equal layers",
) -> StreamedModel:
    """A model of `n_layers` layers that are all alike."""
    layer = Layer(layer_bytes, load, compute)
    return StreamedModel((layer,) * n_layers, resident_bytes, name)


def shaped(name: str, *, load: Number, compute: Number) -> StreamedModel:
    """A model of `SHAPES` with these times per layer; ValueError names the ones there are."""
    if name not in SHAPES:
        raise ValueError(f"no shape {name!r}: there are {', '.join(SHAPES)}")
    shape = SHAPES[name]
    return equal_layers(
        shape.n_layers,
        layer_bytes=shape.layer * shape.width,
        load=load,
        compute=compute,
        resident_bytes=shape.resident * shape.width,
        name=name,
    )
