"""What a decoder transformer is made of: all that decides its size, its work and its memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

FeedForward = Literal["dense", "experts"]


class Layer(NamedTuple):
    """A kind of layer: its feed-forward block, and how many tokens back its attention sees, itself
    included; all of them where `window` is 0."""

    feed_forward: FeedForward = "dense"
    window: int = 0

    def span(self, sequence: int) -> int:
        """Keys that a query is multiplied by, of a sequence of so many tokens."""
        return min(self.window, sequence) if self.window else sequence

    def __str__(self) -> str:
        return self.feed_forward + (f", window {self.window}" if self.window else "")


DENSE = Layer()


@dataclass(frozen=True)
class LatentAttention:
    """Attention through low-rank latents (DeepSeek-V2, arXiv 2405.04434, section 2.1): the ranks of
    the query and key-value latents, and the widths per head of the plain part, the rotary part and
    the value."""

    query_rank: int
    key_value_rank: int
    plain_width: int
    rotary_width: int
    value_width: int


@dataclass(frozen=True)
class Experts:
    """A mixture of experts in place of the feed-forward block.

    count: routed experts per layer. per_token: how many of them see a token. ffn: inner width of
    one expert. shared: experts that see every token. dense_layers: how many layers, from the
    first on, keep the plain feed-forward block; also_dense: the numbers of others that do.
    """

    count: int
    per_token: int
    ffn: int
    shared: int = 0
    dense_layers: int = 0
    also_dense: tuple[int, ...] = ()

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
    of attention counts as a window of its length. notes: a sentence for each part of the published
    model that is not counted.
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
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "heads", "vocabulary"):
            if not _whole(getattr(self, name)) or getattr(self, name) < 1:
                raise ValueError(
                    f"{name} of {self.name} is {getattr(self, name)!r}: "
                    "it must be a whole number >= 1"
                )
        for name in ("kv_heads", "ffn", "head_width", "positions"):
            if not _whole(getattr(self, name)) or getattr(self, name) < 0:
                raise ValueError(
                    f"{name} of {self.name} is {getattr(self, name)!r}: "
                    "it must be a whole number, 0 for the default"
                )
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

    def kind(self, layer: int) -> Layer:
        """What kind of layer that one is."""
        return Layer(
            "experts" if self.experts and self.experts.on(layer) else "dense",
            self.windows[layer] if self.windows else 0,
        )

    def kinds(self) -> dict[Layer, int]:
        """How many layers there are of every kind, in the order in which they come up."""
        return dict(Counter(self.kind(layer) for layer in range(self.layers)))


def attention_parameters(model: Model) -> int:
    """Weights of one attention block, with its norm."""
    h, latent = model.hidden, model.latent
    norm = h * (2 if model.biases else 1)
    if latent:
        down = h * (latent.query_rank + latent.key_value_rank + latent.rotary_width)
        norms = latent.query_rank + latent.key_value_rank
        up = (latent.query_rank or h) * model.query_width + latent.key_value_rank * model.heads * (
            latent.plain_width + latent.value_width
        )
        return norm + norms + down + up + model.value_width * h
    biases = model.query_width + model.key_value_width + h if model.biases else 0
    return norm + biases + h * (2 * model.query_width + model.key_value_width)


def feed_forward_parameters(model: Model, kind: Layer = DENSE) -> int:
    """Weights of one feed-forward block, with its norm; of all experts and their router."""
    h, matrices = model.hidden, 3 if model.gated else 2
    norm = h * (2 if model.biases else 1)
    if kind.feed_forward == "experts" and model.experts:
        experts = model.experts
        each = matrices * h * experts.ffn
        return norm + h * experts.count + (experts.count + experts.shared) * each
    return norm + matrices * h * model.ffn + (model.ffn + h if model.biases else 0)


def layer_parameters(model: Model, kind: Layer = DENSE) -> int:
    """Weights of one whole layer."""
    return attention_parameters(model) + feed_forward_parameters(model, kind)


def embedding_parameters(model: Model) -> int:
    """Weights of the token and position embedding."""
    return (model.vocabulary + model.positions) * model.hidden


def head_parameters(model: Model) -> int:
    """Weights of the last norm and, unless it is the embedding's, of the output projection."""
    norm = model.hidden * (2 if model.biases else 1)
    return norm + (0 if model.tied else model.vocabulary * model.hidden)


def parameters(model: Model) -> int:
    """All weights of a model.

    >>> parameters(Model("gpt", 96, 12288, 96, 50257, gated=False, tied=True, biases=True,
    ...                  positions=2048)) // 10**9
    174
    """
    layers = sum(layer_parameters(model, model.kind(layer)) for layer in range(model.layers))
    return embedding_parameters(model) + layers + head_parameters(model)


def active_parameters(model: Model) -> int:
    """Weights that one token meets: all of them, but for the experts it is not sent to."""
    if not model.experts:
        return parameters(model)
    experts = model.experts
    idle = (experts.count - experts.per_token) * (3 if model.gated else 2)
    n_layers = sum(experts.on(layer) for layer in range(model.layers))
    return parameters(model) - n_layers * idle * model.hidden * experts.ffn


def nearest_divisor(number: int, wanted: int) -> int:
    """The divisor of `number` nearest to `wanted`; the smaller one if two are equally near."""
    found = {d for i in range(1, int(number**0.5) + 1) if number % i == 0 for d in (i, number // i)}
    return min(found, key=lambda d: (abs(d - wanted), d))


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
