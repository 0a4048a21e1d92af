"""The pieces a model is made of: layers, embedding and head, each with its seconds and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ..models.shape import Layer
from .communication import sharding_seconds
from .flops import Passes
from .kernels import Bench
from .memory import (
    Kept,
    activation,
    embedding_activation,
    head_activation,
    prediction_activation,
)
from .parameters import (
    Held,
    PerParameter,
    edge_parameters,
    gradient_copy,
    held_by_prediction,
    held_parameters,
    largest_matrix,
    transient_bytes,
)
from .passes import (
    embedding_spent,
    fused_saving,
    head_spent,
    layer_spent,
    prediction_spent,
)
from .spent import NONE, Spent, added, total
from .tower import held_by_tower, tower_activation, tower_spent
from .vocabulary import spread, vocabulary_share


class Stage(NamedTuple):
    """One stage on one device: seconds and bytes of one microbatch, its parameters, the seconds
    that a fused backward saves, what the seconds are spent on, and what is saved: collectives of
    tensor parallelism (hidden), and waiting for what is shared out (shared). widest: parameters of
    its largest weight matrix, with those of the vocabulary at an end."""

    seconds: Passes
    kept: Kept
    held: Held
    saving: float = 0.0
    spent: Spent = Spent()
    hidden: float = 0.0
    shared: float = 0.0
    widest: float = 0.0

    def scratch(self, per: PerParameter) -> float:
        """Bytes that its passes need while they run."""
        return self.kept.scratch + gradient_copy(self.widest, per)


class Parts(NamedTuple):
    """Seconds, bytes and parameters of the pieces a model is made of, on one device. A tower for
    pictures belongs to the embedding. prediction: one layer that predicts a further token, beside
    the head; None where there is none. plain: layers of which nothing is computed again, where only
    some of a stage's are. frozen, frozen_embedding: layers that are not trained, and the embedding
    before them. share: what every device holds of embedding and head, where they are cut
    over all; the ends are nothing then."""

    layers: dict[Layer, Stage]
    embedding: Stage
    head: Stage
    prediction: Stage | None = None
    plain: dict[Layer, Stage] = {}  # noqa: RUF012
    frozen: dict[Layer, Stage] = {}  # noqa: RUF012
    share: Stage | None = None


def parts(bench: Bench) -> Parts:
    """The pieces: a layer of each kind, the embedding and the head."""
    c = bench.configuration
    plain: dict[Layer, Stage] = {}
    if c.recompute != "none" and c.recompute_layers:
        plain = _layers(replace(bench, configuration=replace(c, recompute="none")))
    further = _further(bench) if bench.model.mtp_layers else None
    layers = _layers(bench)
    frozen = {kind: _frozen(layer) for kind, layer in layers.items()} if c.frozen else {}
    if not spread(c):
        first = _frozen(_first(bench)) if c.frozen else _first(bench)
        return Parts(layers, first, _head(bench), further, plain, frozen)
    cut = replace(bench, model=vocabulary_share(bench.model, c))
    share = together([_first(cut), _head(cut)])
    nothing = Stage(NONE, Kept(0.0, 0.0), Held(0.0, 0.0))
    return Parts(layers, nothing, nothing, further, plain, frozen, share)


def _layers(bench: Bench) -> dict[Layer, Stage]:
    model, c = bench.model, bench.configuration
    return {
        kind: _sharded(
            bench,
            layer_spent(bench, kind),
            activation(model, c, kind),
            held_parameters(model, c, kind),
            saving=fused_saving(bench, kind),
        )._replace(widest=largest_matrix(model, c, kind))
        for kind in model.kinds()
    }


def _first(bench: Bench) -> Stage:
    """The embedding, with a tower for pictures where there is one."""
    model, c = bench.model, bench.configuration
    words = _sharded(
        bench,
        embedding_spent(bench),
        embedding_activation(model, c),
        _edge(bench, last=False),
    )._replace(widest=_widest_edge(bench))
    if not model.tower:
        return words
    spent, saving = tower_spent(bench, model.tower)
    kept, held = tower_activation(bench, model.tower), held_by_tower(model.tower, c)
    return together([words, _sharded(bench, spent, kept, held, saving=saving)])


def _head(bench: Bench) -> Stage:
    model, c = bench.model, bench.configuration
    found = _sharded(bench, head_spent(bench), head_activation(model, c), _edge(bench, last=True))
    return found._replace(widest=_widest_edge(bench))


def _edge(bench: Bench, *, last: bool) -> Held:
    """Embedding or head: in no matrix of a layer, and not trained where adapters are."""
    count = edge_parameters(bench.model, bench.configuration, last=last)
    held = Held(count, 0.0, vectors=count, tensors=1)
    return held.still if bench.configuration.lora else held


def _widest_edge(bench: Bench) -> float:
    """Parameters of the vocabulary's matrix, where it has a gradient."""
    c = bench.configuration
    return 0.0 if c.lora else bench.model.vocabulary * bench.model.hidden / c.tensor


def _further(bench: Bench) -> Stage:
    model, c = bench.model, bench.configuration
    return _sharded(
        bench,
        prediction_spent(bench),
        prediction_activation(model, c),
        held_by_prediction(model, c),
        saving=fused_saving(bench, model.kind(model.layers - 1)),
    )


def _frozen(piece: Stage) -> Stage:
    """The piece without a backward: it runs F, keeps nothing and has weights alone."""
    spent = Spent(*(Passes(passes.forward, 0.0, 0.0) for passes in piece.spent))
    return Stage(spent.passes, Kept(0.0, 0.0), piece.held.still, spent=spent)


def _sharded(bench: Bench, spent: Spent, kept: Kept, held: Held, *, saving: float = 0.0) -> Stage:
    """The piece with what ZeRO moves in every pass, while the piece before it computes: a pass
    takes the longer of both."""
    c = bench.configuration
    moved = sharding_seconds(held, c, bench.machine, efficiency=bench.efficiency)
    alone = spent.passes
    if not any(moved):
        return Stage(alone, kept, held, saving, spent, saving)
    seconds = Passes(*map(max, alone, moved))
    fused = max(alone.backward + alone.weight - saving, moved.backward + moved.weight)
    waits = Passes(*(longer - own for longer, own in zip(seconds, alone, strict=True)))
    kept = kept._replace(scratch=kept.scratch + transient_bytes(held, c))
    whole = seconds.backward + seconds.weight - fused
    return Stage(seconds, kept, held, whole, spent._replace(sharding=waits), saving, whole - saving)


def together(pieces: Sequence[Stage]) -> Stage:
    """Pieces as one stage."""
    spent = added(tuple(piece.spent for piece in pieces))
    kept = Kept(
        sum(s.kept.after_forward for s in pieces),
        sum(s.kept.after_backward for s in pieces),
        max(s.kept.scratch for s in pieces),
    )
    held = Held(*map(sum, zip(*(s.held for s in pieces), strict=True)))
    saved, hidden, shared = (
        sum(getattr(s, name) for s in pieces) for name in ("saving", "hidden", "shared")
    )
    seconds, widest = total(tuple(s.seconds for s in pieces)), max(s.widest for s in pieces)
    return Stage(seconds, kept, held, saved, spent, hidden, shared, widest)
