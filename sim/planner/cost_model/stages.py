"""From a model, a machine and a configuration to the `Costs` of every stage."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from ...engine.costs import Costs
from ..models.shape import Layer
from .communication import reduce_seconds, send_seconds, sharding_seconds
from .flops import Passes
from .memory import (
    Held,
    Kept,
    PerParameter,
    activation,
    boundary_bytes,
    copied_parameters,
    edge_parameters,
    embedding_activation,
    head_activation,
    held_by_prediction,
    held_parameters,
    prediction_activation,
    static,
    transient_bytes,
)
from .passes import (
    Bench,
    embedding_seconds,
    fused_saving,
    head_seconds,
    layer_seconds,
    optimizer_seconds,
    prediction_seconds,
)
from .split import Part, Split, balanced_split, evened, with_predictions
from .tower import held_by_tower, tower_activation, tower_seconds


class Stage(NamedTuple):
    """One stage on one device: seconds and bytes of one microbatch, its parameters, and the seconds
    that a fused backward saves."""

    seconds: Passes
    kept: Kept
    held: Held
    saving: float = 0.0


class Parts(NamedTuple):
    """Seconds, bytes and parameters of the pieces a model is made of, on one device. A tower for
    pictures belongs to the embedding. prediction: one layer that predicts a further token, beside
    the head; None where there is none."""

    layers: dict[Layer, Stage]
    embedding: Stage
    head: Stage
    prediction: Stage | None = None


def parts(bench: Bench) -> Parts:
    """The pieces: a layer of each kind, the embedding and the head."""
    model, c = bench.model, bench.configuration
    return Parts(
        {
            kind: _sharded(
                bench,
                Stage(
                    layer_seconds(bench, kind),
                    activation(model, c, kind),
                    held_parameters(model, c, kind),
                    fused_saving(bench, kind),
                ),
            )
            for kind in model.kinds()
        },
        _sharded(bench, _first(bench)),
        _sharded(
            bench,
            Stage(
                head_seconds(bench),
                head_activation(model, c),
                Held(edge_parameters(model, c, last=True), 0),
            ),
        ),
        _sharded(bench, _further(bench)) if model.mtp_layers else None,
    )


def automatic_split(bench: Bench, pieces: Parts, placement: Sequence[int] = ()) -> Split:
    """The split that makes the slowest stage as fast as can be, and on a placement with several
    stages per device the slowest device too."""
    model = bench.model
    kinds = [model.kind(layer) for layer in range(model.layers)]
    head = pieces.head.seconds.total
    if pieces.prediction:
        head += model.mtp_layers * pieces.prediction.seconds.total
    split = balanced_split(
        [pieces.layers[kind].seconds.total for kind in kinds],
        bench.configuration.n_stages,
        embedding=pieces.embedding.seconds.total,
        head=head,
    )
    if len(set(kinds)) > 1 or len(set(placement)) == len(placement):
        return split
    return evened(
        split,
        placement,
        layer=pieces.layers[kinds[0]].seconds.total,
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
    seen: dict[tuple[Part, tuple[Layer, ...]], Stage] = {}
    found = []
    for part, first in zip(split.stages, split.first_layers, strict=True):
        kinds = tuple(bench.model.kind(layer) for layer in range(first, first + part.layers))
        if (part, kinds) not in seen:
            layers = [pieces.layers[kind] for kind in kinds]
            seen[part, kinds] = _stage(part, layers, pieces)
        found.append(seen[part, kinds])
    for stage, more in _copies(bench, split, placement).items():
        held = found[stage].held
        found[stage] = found[stage]._replace(held=held._replace(common=held.common + more))
    return tuple(found)


def costs_of(
    bench: Bench, stages: Sequence[Stage], placement: Sequence[int], *,
    per: PerParameter = PerParameter(), ticks: int = 0, sends: bool = True,  # noqa: B008
) -> Costs:  # fmt: skip
    """The `Costs` a simulation needs, in seconds; `placement` is the schedule's.

    ticks: count time in whole numbers of so many per second instead, which is faster to evaluate.
    sends: with the time of sends; without, where a cluster's links already have it.
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

    edge = (boundary_bytes(bench.model, c),)
    return Costs(
        forward=tuple((counted(stage.seconds.forward),) for stage in stages),
        backward=tuple((counted(stage.seconds.backward),) for stage in stages),
        weight=tuple((counted(stage.seconds.weight),) for stage in stages),
        fused_backward=tuple(
            (counted(s.seconds.backward + s.seconds.weight - s.saving),) for s in stages
        ),
        send=tuple(counted(times.get(pair, 0.0)) for pair in pairwise(placement)),
        activation_bytes=tuple((round(stage.kept.after_forward),) for stage in stages),
        backward_bytes=tuple(
            (round(stage.kept.after_backward) - round(stage.kept.after_forward),)
            for stage in stages
        ),
        boundary_bytes=(edge,) * last,
        static_bytes=tuple(
            round(static(stage.held, c, per).total + scratch)
            for stage, scratch in zip(stages, _scratch(stages, placement), strict=True)
        ),
    )


def tail_seconds(bench: Bench, held: Held, *, gradient_bytes: float = 2) -> float:
    """After a device's last pass: gradients over data parallelism, then the optimizer's step."""
    return reduce_seconds(
        held, bench.configuration, bench.machine,
        efficiency=bench.efficiency, gradient_bytes=gradient_bytes,
    ) + optimizer_seconds(bench, held.total)  # fmt: skip


def _sharded(bench: Bench, piece: Stage) -> Stage:
    """The piece with what ZeRO moves in every pass, while the piece before it computes: a pass
    takes the longer of both."""
    c = bench.configuration
    moved = sharding_seconds(piece.held, c, bench.machine, efficiency=bench.efficiency)
    if not any(moved):
        return piece
    seconds = Passes(*map(max, piece.seconds, moved))
    saved = piece.seconds.backward + piece.seconds.weight - piece.saving
    saving = seconds.backward + seconds.weight - max(saved, moved.backward + moved.weight)
    kept = piece.kept._replace(scratch=piece.kept.scratch + transient_bytes(piece.held, c))
    return Stage(seconds, kept, piece.held, saving)


def _first(bench: Bench) -> Stage:
    model, c = bench.model, bench.configuration
    words = Stage(
        embedding_seconds(bench),
        embedding_activation(model, c),
        Held(edge_parameters(model, c, last=False), 0),
    )
    if not model.tower:
        return words
    seconds, saving = tower_seconds(bench, model.tower)
    kept, held = tower_activation(bench, model.tower), held_by_tower(model.tower, c)
    return _together([words, Stage(seconds, kept, held, saving)])


def _further(bench: Bench) -> Stage:
    model, c = bench.model, bench.configuration
    return Stage(
        prediction_seconds(bench),
        prediction_activation(model, c),
        held_by_prediction(model, c),
        fused_saving(bench, model.kind(model.layers - 1)),
    )


def _scratch(stages: Sequence[Stage], placement: Sequence[int]) -> list[float]:
    """What passes need while they run: a device runs one at a time, so its largest one counts."""
    found = [0.0] * len(stages)
    for device in set(placement):
        on = [stage for stage, where in enumerate(placement) if where == device]
        largest = max(on, key=lambda stage: stages[stage].kept.scratch)
        found[largest] = stages[largest].kept.scratch
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


def _stage(part: Part, layers: Sequence[Stage], pieces: Parts) -> Stage:
    found = [*layers]
    if part.embedding:
        found.append(pieces.embedding)
    if part.head:
        found.append(pieces.head)
    if part.predictions and pieces.prediction:
        found += [pieces.prediction] * part.predictions
    return _together(found)


def _together(found: Sequence[Stage]) -> Stage:
    seconds = Passes(*(sum(column) for column in zip(*(s.seconds for s in found), strict=True)))
    kept = Kept(
        sum(s.kept.after_forward for s in found),
        sum(s.kept.after_backward for s in found),
        max(s.kept.scratch for s in found),
    )
    held = Held(sum(s.held.common for s in found), sum(s.held.experts for s in found))
    return Stage(seconds, kept, held, sum(s.saving for s in found))
