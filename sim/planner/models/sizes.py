"""How many weights a model has, part by part."""

from __future__ import annotations

from .mixers import Nothing
from .mixing import mixing
from .shape import DENSE, Layer, Model, Tower


def attention_parameters(model: Model, kind: Layer = DENSE) -> int:
    """Weights of the block of one layer that mixes tokens, with its norm."""
    if isinstance(kind.mixer, Nothing):
        return 0
    found = mixing(model, kind)
    norm = model.hidden * (2 if model.biases else 1)
    return norm + found.other + sum(each.wide * each.out for each in found.products)


def feed_forward_parameters(model: Model, kind: Layer = DENSE) -> int:
    """Weights of one feed-forward block, with its norm where it has one; of all experts and their
    router."""
    h, matrices = model.hidden, 3 if model.gated else 2
    own = model.norms(kind) == kind.blocks
    norm, biases = own * h * (2 if model.biases else 1), (matrices - 1) * model.ffn + h
    if kind.feed_forward == "none":
        return 0
    if kind.feed_forward == "experts" and model.experts:
        experts = model.experts
        routed = experts.count * matrices * model.expert_width * experts.ffn
        shared = experts.shared * matrices * h * experts.ffn
        return norm + h * experts.count + routed + shared + 2 * h * experts.latent
    return norm + matrices * h * model.ffn + (biases if model.biases else 0)


def layer_parameters(model: Model, kind: Layer = DENSE) -> int:
    """Weights of one whole layer."""
    return attention_parameters(model, kind) + feed_forward_parameters(model, kind)


def embedding_parameters(model: Model) -> int:
    """Weights of the token and position embedding."""
    return (model.vocabulary + model.positions) * model.hidden


def head_parameters(model: Model) -> int:
    """Weights of the last norm and, unless it is the embedding's, of the output projection."""
    norm = model.hidden * (2 if model.biases else 1)
    return norm + (0 if model.tied else model.vocabulary * model.hidden)


def tower_parameters(tower: Tower) -> int:
    """All weights of a tower.

    >>> from sim.planner.models import Projection
    >>> eye = Model("eye", 2, 64, 4, 1, gated=False)  # layers of 12 x 64 x 64 and two norms
    >>> tower_parameters(Tower(eye, (Projection(12, 64),), other=10)) == 2*(49152 + 128) + 768 + 10
    True
    """
    encoder = tower.encoder
    layers = sum(layer_parameters(encoder, kind) * n for kind, n in encoder.kinds().items())
    return layers + sum(each.wide * each.out for each in tower.projections) + tower.other


def prediction_parameters(model: Model) -> int:
    """Weights of one layer that predicts a further token: a layer like the last one, a projection
    of the hidden state and the next word's embedding together, 2h to h, and the norms of both and
    of its output. Embedding and head are the model's own."""
    h = model.hidden
    norms = 3 * h * (2 if model.biases else 1)
    return layer_parameters(model, model.kind(model.layers - 1)) + 2 * h * h + norms


def parameters(model: Model) -> int:
    """All weights of a model.

    >>> parameters(Model("gpt", 96, 12288, 96, 50257, gated=False, tied=True, biases=True,
    ...                  positions=2048)) // 10**9
    174
    """
    layers = sum(layer_parameters(model, kind) for kind in model.each)
    tower = tower_parameters(model.tower) if model.tower else 0
    further = model.mtp_layers * prediction_parameters(model) if model.mtp_layers else 0
    return tower + embedding_parameters(model) + layers + further + head_parameters(model)


def active_parameters(model: Model) -> int:
    """Weights that one token meets: all of them, but for the experts it is not sent to."""
    if not model.experts:
        return parameters(model)
    experts = model.experts
    idle = (experts.count - experts.per_token) * (3 if model.gated else 2)
    routed = [kind.feed_forward == "experts" for kind in model.each]
    n_layers = sum(routed) + model.mtp_layers * routed[-1]
    return parameters(model) - n_layers * idle * model.expert_width * experts.ffn
