"""What a decoder transformer is made of: all that decides its size, its work and its memory."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

from .mixers import LatentAttention, Mixer, Nothing

FeedForward = Literal["dense", "experts", "none"]


class Layer(NamedTuple):
    """A kind of layer: its feed-forward block, how many tokens back its attention sees, itself
    included, all of them where `window` is 0, and what mixes its tokens where that is not the
    model's own attention."""

    feed_forward: FeedForward = "dense"
    window: int = 0
    mixer: Mixer | None = None

    def span(self, sequence: int) -> int:
        """Keys that a query is multiplied by, of a sequence of so many tokens."""
        return min(self.window, sequence) if self.window else sequence

    @property
    def blocks(self) -> int:
        """How many of the two blocks it has."""
        return (self.feed_forward != "none") + (not isinstance(self.mixer, Nothing))

    @property
    def block(self) -> Layer:
        """Its feed-forward block alone."""
        return Layer(self.feed_forward, mixer=Nothing())

    def __str__(self) -> str:
        window = f"window {self.window}" if self.window else ""
        if self.feed_forward == "none":
            return ", ".join(filter(None, (f"{self.mixer or 'attention'} alone", window)))
        if isinstance(self.mixer, Nothing):
            return f"{self.feed_forward} alone"
        mixer = str(self.mixer) if self.mixer else ""
        return ", ".join(filter(None, (self.feed_forward, window, mixer)))


DENSE = Layer()


@dataclass(frozen=True)
class Experts:
    """A mixture of experts in place of the feed-forward block.

    count: routed experts per layer. per_token: how many of them see a token. ffn: inner width of
    one expert. shared: experts that see every token. dense_layers: how many layers, from the
    first on, keep the plain feed-forward block; also_dense: the numbers of others that do. latent:
    how wide tokens are inside the routed experts, between two projections that all tokens pass
    (Nemotron 3 Super); 0: as wide as the model.
    """

    count: int
    per_token: int
    ffn: int
    shared: int = 0
    dense_layers: int = 0
    also_dense: tuple[int, ...] = ()
    latent: int = 0

    def on(self, layer: int) -> bool:
        """Whether that layer has them."""
        return layer >= self.dense_layers and layer not in self.also_dense


@dataclass(frozen=True)
class Model:
    """A decoder transformer by its shape.

    layers, hidden, heads: as in the papers. kv_heads: key-value heads (as many as heads where 0).
    ffn: inner width of the feed-forward block (4 hidden where 0). vocabulary: rows of the
    embedding. head_width: width of a head (hidden / heads where 0). gated: SwiGLU-like, three
    matrices instead of two. tied: embedding and head share one matrix. biases: linear layers and
    norms have them, as in GPT. positions: rows of a learned position embedding. dropout: masks are
    kept for the backward pass. experts, latent: see the classes. windows: how many tokens back each
    layer's attention sees, 0 for all of them, shape `(layers,)`; empty where all see all. A chunk
    of attention counts as a window of its length. tower: an encoder of pictures. mtp_layers: layers
    behind the last one, like it, each of which predicts one token further (DeepSeek-AI 2024, arXiv
    2412.19437, section 2.2). mixers: what mixes tokens in layers that have not the attention above.
    mixing: for each layer, shape `(layers,)`, 0 for that attention or n for the n-th mixer; empty
    where all have it. bare: numbers of layers without a feed-forward block. parallel: 0 where the
    feed-forward block follows attention; else both stand beside each other behind so many norms, 1
    or 2, and one sum takes both outputs (Wang, Komatsuzaki 2021, GPT-J). notes: a sentence for each
    part of the published model that is not counted, and for what is assumed of it.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    vocabulary: int
    kv_heads: int = 0
    ffn: int = 0
    head_width: int = 0
    gated: bool = True
    tied: bool = False
    biases: bool = False
    positions: int = 0
    dropout: bool = False
    experts: Experts | None = None
    latent: LatentAttention | None = None
    source: str = field(default="", compare=False)
    windows: tuple[int, ...] = ()
    tower: Tower | None = None
    mtp_layers: int = 0
    mixers: tuple[Mixer, ...] = ()
    mixing: tuple[int, ...] = ()
    bare: tuple[int, ...] = ()
    parallel: int = 0
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "heads", "vocabulary"):
            if not _whole(getattr(self, name)) or getattr(self, name) < 1:
                raise ValueError(
                    f"{name} of {self.name} is {getattr(self, name)!r}: "
                    "it must be a whole number >= 1"
                )
        for name in ("kv_heads", "ffn", "head_width", "positions", "mtp_layers"):
            if not _whole(getattr(self, name)) or getattr(self, name) < 0:
                raise ValueError(
                    f"{name} of {self.name} is {getattr(self, name)!r}: "
                    "it must be a whole number, 0 for none or the default"
                )
        if self.latent and not self.head_width:
            width = self.latent.plain_width + self.latent.rotary_width
            object.__setattr__(self, "head_width", width)
        if not self.head_width and self.hidden % self.heads:
            near = nearest_divisor(self.hidden, self.heads)
            raise ValueError(
                f"{self.name}: hidden {self.hidden} is not divisible by {self.heads} heads: "
                f"the nearest number of heads that fits is {near}"
            )
        object.__setattr__(self, "kv_heads", self.kv_heads or self.heads)
        object.__setattr__(self, "ffn", self.ffn or 4 * self.hidden)
        object.__setattr__(self, "head_width", self.head_width or self.hidden // self.heads)
        if self.heads % self.kv_heads:
            near = nearest_divisor(self.heads, self.kv_heads)
            raise ValueError(
                f"{self.name}: {self.heads} heads cannot share {self.kv_heads} key-value heads: "
                f"the nearest number that fits is {near}"
            )
        object.__setattr__(self, "windows", tuple(self.windows) if any(self.windows) else ())
        if self.windows and len(self.windows) != self.layers:
            raise ValueError(
                f"{self.name}: {len(self.windows)} windows for {self.layers} layers: give one per "
                "layer, 0 where attention sees all tokens"
            )
        for layer, window in enumerate(self.windows):
            if not _whole(window) or window < 0:
                raise ValueError(
                    f"{self.name}: the window of layer {layer} is {window!r}: it must be a whole "
                    "number, 0 where attention sees all tokens"
                )
        if self.mixing and len(self.mixing) != self.layers:
            raise ValueError(
                f"{self.name}: {len(self.mixing)} mixers for {self.layers} layers: give one number "
                "per layer, 0 where it is the model's own attention"
            )
        for layer, which in enumerate(self.mixing):
            if not _whole(which) or not 0 <= which <= len(self.mixers):
                raise ValueError(
                    f"{self.name}: the mixer of layer {layer} is {which!r}: there are "
                    f"{len(self.mixers)}, and 0 is the model's own attention"
                )
        if self.parallel not in (0, 1, 2):
            raise ValueError(
                f"{self.name}: parallel is {self.parallel!r}: use 1 or 2 norms before blocks that "
                "stand beside each other, or 0 where one follows the other"
            )
        if self.experts and not 1 <= self.experts.per_token <= self.experts.count:
            raise ValueError(
                f"{self.name}: {self.experts.per_token} experts per token of {self.experts.count}: "
                f"use 1 to {self.experts.count}"
            )

    @property
    def query_width(self) -> int:
        """Width of all queries together; of the values' sum too, unless attention is latent."""
        if self.latent:
            return self.heads * (self.latent.plain_width + self.latent.rotary_width)
        return self.heads * self.head_width

    @property
    def value_width(self) -> int:
        """Width of what attention hands to its output projection."""
        return self.heads * (self.latent.value_width if self.latent else self.head_width)

    @property
    def key_value_width(self) -> int:
        """Width of all keys and values together, as the attention kernel sees them."""
        if self.latent:
            return self.query_width + self.value_width
        return 2 * self.kv_heads * self.head_width

    @property
    def expert_width(self) -> int:
        """How wide a token is for the routed experts."""
        return (self.experts.latent if self.experts else 0) or self.hidden

    def norms(self, kind: Layer) -> int:
        """Norms before the blocks of a layer."""
        return self.parallel if self.beside(kind) else kind.blocks

    def beside(self, kind: Layer) -> bool:
        """Whether a layer has two blocks and they stand beside each other."""
        return self.parallel > 0 and kind.blocks == 2

    def kind(self, layer: int) -> Layer:
        """What kind of layer that one is."""
        return self.each[layer]

    @property
    def each(self) -> tuple[Layer, ...]:
        """What kind of layer each one is, shape `(layers,)`."""
        return _layers(self)

    def kinds(self) -> dict[Layer, int]:
        """How many layers there are of every kind, in the order in which they come up."""
        return dict(_counted(self))


class Projection(NamedTuple):
    """A multiplication by weights outside the layers: from width `wide` to `out`, once for so many
    `patches`."""

    wide: int
    out: int
    patches: int = 1


@dataclass(frozen=True)
class Tower:
    """What makes words of pictures, on the first stage.

    encoder: its layers, as a model of its own, of which nothing but the layers counts.
    projections: what stands before and behind them. other: weights that multiply nothing beside
    those of the encoder's layers: positions, biases, norms. patches: of one picture. images:
    pictures of a sequence, on average; 0 where only text is trained.
    """

    encoder: Model
    projections: tuple[Projection, ...]
    other: int = 0
    patches: int = 1024
    images: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.patches, int) or self.patches < 1:
            raise ValueError(f"a picture of {self.patches!r} patches: use a whole number >= 1")
        if not (math.isfinite(self.images) and self.images >= 0):
            raise ValueError(f"{self.images!r} pictures per sequence: use a number >= 0")


@lru_cache(maxsize=64)
def _layers(model: Model) -> tuple[Layer, ...]:
    """The kind of every layer; asked for many times in a plan, and kept."""
    return tuple(
        Layer(
            "none" if layer in model.bare else _routed(model, layer),
            model.windows[layer] if model.windows else 0,
            model.mixers[model.mixing[layer] - 1] if model.mixing and model.mixing[layer] else None,
        )
        for layer in range(model.layers)
    )


@lru_cache(maxsize=64)
def _counted(model: Model) -> Counter[Layer]:
    return Counter(_layers(model))


def _routed(model: Model, layer: int) -> FeedForward:
    return "experts" if model.experts and model.experts.on(layer) else "dense"


def nearest_divisor(number: int, wanted: int) -> int:
    """The divisor of `number` nearest to `wanted`; the smaller one if two are equally near."""
    found = {d for i in range(1, int(number**0.5) + 1) if number % i == 0 for d in (i, number // i)}
    return min(found, key=lambda d: (abs(d - wanted), d))


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
