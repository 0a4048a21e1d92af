"""From a model, a machine and a configuration to the `Costs` of every stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from ...engine.costs import Costs
from ..models.shape import Layer
from .communication import reduce_seconds, send_seconds, sharding_seconds
from .flops import Passes
from .kernels import Bench
from .memory import (
    Held,
    Kept,
    PerParameter,
    activation,
    boundary_bytes,
    copied_parameters,
    edge_parameters,
    embedding_activation,
    gradient_copy,
    head_activation,
    held_by_prediction,
    held_parameters,
    largest_matrix,
    prediction_activation,
    static,
    transient_bytes,
)
from .passes import (
    embedding_spent,
    fused_saving,
    head_spent,
    layer_spent,
    optimizer_seconds,
    prediction_spent,
)
from .spent import NONE, Spent, added, total
from .split import Part, Split, balanced_split, evened, with_predictions
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


class Tail(NamedTuple):
    """Seconds after a device's last pass: waiting for data parallelism, and the optimizer."""

    data: float
    optimizer: float

    @property
    def seconds(self) -> float:
        return self.data + self.optimizer


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
    share = _together([_first(cut), _head(cut)])
    nothing = Stage(NONE, Kept(0.0, 0.0), Held(0.0, 0.0))
    return Parts(layers, nothing, nothing, further, plain, frozen, share)


def automatic_split(bench: Bench, pieces: Parts, placement: Sequence[int] = ()) -> Split:
    """The split that makes the slowest stage as fast as can be, and on a placement with several
    stages per device the slowest device too."""
    model = bench.model
    kinds = [model.kind(layer) for layer in range(model.layers)]
    head = pieces.head.seconds.total
    if pieces.prediction:
        head += model.mtp_layers * pieces.prediction.seconds.total
    split = balanced_split(
        [
            (pieces.frozen if i < bench.configuration.frozen else pieces.layers)[kind].seconds.total
            for i, kind in enumerate(kinds)
        ],
        bench.configuration.n_stages,
        embedding=pieces.embedding.seconds.total,
        head=head,
    )
    kind, *others = dict.fromkeys(kinds)
    if others or bench.configuration.frozen or len(set(placement)) == len(placement):
        return split
    return evened(
        split,
        placement,
        layer=pieces.layers[kind].seconds.total,
        embedding=pieces.embedding.seconds.total,
        head=head,
    )


def stages_of(
    bench: Bench, split: Split, pieces: Parts, placement: Sequence[int] = ()
) -> tuple[Stage, ...]:
    """What every stage of a split costs.

    placement: the schedule's; without one, first and last stage are taken to be on different
    devices. On a V they are on one, and a tied head there uses the embedding itself. Layers that
    predict further tokens are on the last stage, unless the split says where.
    """
    if split.n_layers != bench.model.layers:
        raise ValueError(
            f"the split has {split.n_layers} layers, but {bench.model.name} has "
            f"{bench.model.layers}"
        )
    split = with_predictions(split, bench.model.mtp_layers)
    if len(split.stages) != bench.configuration.n_stages:
        raise ValueError(
            f"the split has {len(split.stages)} stages, but the configuration has "
            f"{bench.configuration.n_stages}"
        )
    seen: dict[tuple[Part, tuple[Layer, ...], int], Stage] = {}
    found = []
    for part, first in zip(split.stages, split.first_layers, strict=True):
        kinds = tuple(bench.model.kind(layer) for layer in range(first, first + part.layers))
        still = min(max(bench.configuration.frozen - first, 0), part.layers)
        if (part, kinds, still) not in seen:
            again = bench.configuration.recompute_layers or part.layers
            layers = [
                (
                    pieces.frozen if i < still
                    else pieces.layers if i - still < again or not pieces.plain
                    else pieces.plain
                )[kind]
                for i, kind in enumerate(kinds)
            ]  # fmt: skip
            away = bench.configuration.offloaded
            layers[:away] = map(_offloaded, layers[:away])
            seen[part, kinds, still] = _stage(part, layers, pieces, bench)
        found.append(seen[part, kinds, still])
    for stage, more in (_copies(bench, split, placement) if not pieces.share else {}).items():
        held = found[stage].held
        name = "frozen" if bench.configuration.lora else "common"
        changed: dict[str, float] = {name: getattr(held, name) + more}
        if not bench.configuration.lora:
            changed["vectors"] = held.vectors + more
        found[stage] = found[stage]._replace(held=held._replace(**changed))
    return tuple(found)


def costs_of(
    bench: Bench, stages: Sequence[Stage], placement: Sequence[int], *,
    per: PerParameter = PerParameter(), ticks: int = 0, sends: bool = True,  # noqa: B008
) -> Costs:  # fmt: skip
    """The `Costs` a simulation needs, in seconds; `placement` is the schedule's.

    ticks: count time in whole numbers of so many per second instead, which is faster to evaluate.
    sends: with the time of sends; without, where a cluster's links already have it. Where the
    program blocks, a stage sends and receives in its own passes' time, each once in F and in B.
    """
    c, last = bench.configuration, len(stages) - 1
    times: dict[tuple[int, int], float] = {}
    for pair in pairwise(placement):
        if sends and pair not in times:
            times[pair] = send_seconds(
                bench.model, c, bench.machine, efficiency=bench.efficiency,
                source=pair[0], destination=pair[1],
            )  # fmt: skip

    def counted(seconds: float) -> float:
        return round(seconds * ticks) if ticks else seconds

    hops = [times.get(pair, 0.0) for pair in pairwise(placement)]
    busy = [0.0] * len(stages)
    if c.habits.blocks:
        busy = [sum(pair) for pair in pairwise((0.0, *hops, 0.0))]
        hops = [0.0] * last
    edge = (boundary_bytes(bench.model, c),)
    own = [(stage.seconds, wait, stage.saving) for stage, wait in zip(stages, busy, strict=True)]
    return Costs(
        forward=tuple((counted(s.forward + wait),) for s, wait, _ in own),
        backward=tuple((counted(s.backward + wait),) for s, wait, _ in own),
        weight=tuple((counted(s.weight),) for s, _, _ in own),
        fused_backward=tuple(
            (counted(s.backward + s.weight - saved + wait),) for s, wait, saved in own
        ),
        send=tuple(counted(hop) for hop in hops),
        activation_bytes=tuple((round(stage.kept.after_forward),) for stage in stages),
        backward_bytes=tuple(
            (round(stage.kept.after_backward) - round(stage.kept.after_forward),)
            for stage in stages
        ),
        boundary_bytes=(edge,) * last,
        static_bytes=tuple(
            round(static(stage.held, c, per).total + scratch)
            for stage, scratch in zip(stages, _scratch(stages, placement, per), strict=True)
        ),
    )


def tail_seconds(bench: Bench, stages: Sequence[Stage], *, gradient_bytes: float = 2) -> Tail:
    """After the last pass of a device with these stages: gradients over data parallelism as far as
    the last backward and the next first forward do not hide them, then the optimizer's step."""
    held = Held(*map(sum, zip(*(s.held for s in stages), strict=True)))
    backward = sum(s.seconds.backward + s.seconds.weight - s.saving for s in stages)
    reduced = reduce_seconds(
        held, bench.configuration, bench.machine,
        efficiency=bench.efficiency, gradient_bytes=gradient_bytes,
        beside=(backward, sum(s.seconds.forward for s in stages)),
    )  # fmt: skip
    return Tail(reduced, optimizer_seconds(bench, held.total, held.orthogonal))


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
    return _together([words, _sharded(bench, spent, kept, held, saving=saving)])


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


def _offloaded(piece: Stage) -> Stage:
    """The piece with what it keeps from F on in the host's memory, but while one of its passes
    runs."""
    kept = piece.kept
    return piece._replace(kept=Kept(0.0, 0.0, kept.scratch + kept.after_forward))


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


def _scratch(stages: Sequence[Stage], placement: Sequence[int], per: PerParameter) -> list[float]:
    """What passes need while they run: a device runs one at a time, so its largest one counts."""
    found = [0.0] * len(stages)
    for device in set(placement):
        on = [stage for stage, where in enumerate(placement) if where == device]
        largest = max(on, key=lambda stage: stages[stage].scratch(per))
        found[largest] = stages[largest].scratch(per)
    return found


def _copies(bench: Bench, split: Split, placement: Sequence[int]) -> dict[int, float]:
    """By stage, parameters of embedding and head that it holds beyond what its pieces say, or less:
    the head comes with a copy of the embedding if it is tied or meant to predict further tokens.
    Whatever predicts these needs both; a device needs nothing twice."""
    tied, copy = bench.model.tied, copied_parameters(bench.model, bench.configuration)
    if not copy:
        return {}
    last, p = len(split.stages) - 1, bench.configuration.pipeline
    on = placement or [stage % p for stage in range(last + 1)]
    at = next((stage for stage, part in enumerate(split.stages) if part.predictions), last)
    found = {}
    if on[last] == on[0] or not (tied or at == last):
        found[last] = -copy
    if at != last:
        embedding = on[at] != on[0] and not (tied and on[at] == on[last])
        head = not tied and on[at] != on[last]
        found[at] = copy * (embedding + head)
    return found


def _stage(part: Part, layers: Sequence[Stage], pieces: Parts, bench: Bench) -> Stage:
    found = [*layers]
    if pieces.share:
        found.append(_shared_out(pieces.share, bench.configuration.virtual))
    if part.embedding:
        found.append(pieces.embedding)
    if part.head:
        found.append(pieces.head)
    if part.predictions and pieces.prediction:
        found += [pieces.prediction] * part.predictions
    ends = sum(piece.widest for piece in found[len(layers) :])
    widest = max((layer.widest for layer in layers), default=0.0) + ends
    return _together(found)._replace(widest=widest)


def _shared_out(piece: Stage, n: int) -> Stage:
    """One of n equal parts of a piece, for each stage of a device."""
    spent = piece.spent.times(1 / n)
    kept, held = (type(of)(*(each / n for each in of)) for of in (piece.kept, piece.held))
    saved = piece.saving / n, spent, piece.hidden / n, piece.shared / n
    seconds = Passes(*(each / n for each in piece.seconds))
    return Stage(seconds, Kept(*kept), Held(*held), *saved)


def _together(pieces: Sequence[Stage]) -> Stage:
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
