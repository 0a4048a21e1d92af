"""From a model, a machine and a configuration to the `Costs` of every stage."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from ...engine.costs import Costs
from ..models.shape import Layer
from .communication import reduce_seconds, send_seconds
from .flops import Passes
from .kernels import Bench
from .memory import (
    Kept,
    boundary_bytes,
)
from .parameters import (
    Held,
    PerParameter,
    copied_parameters,
    static,
)
from .passes import (
    optimizer_seconds,
)
from .pieces import Parts, Stage, together
from .split import Part, Split, balanced_split, evened, with_predictions


class Tail(NamedTuple):
    """Seconds after a device's last pass: waiting for data parallelism, and the optimizer."""

    data: float
    optimizer: float

    @property
    def seconds(self) -> float:
        return self.data + self.optimizer


def automatic_split(bench: Bench, pieces: Parts, placement: Sequence[int] = ()) -> Split:
    """The split that makes the slowest stage as fast as can be, and on a placement with several
    stages per device the slowest device too."""
    model = bench.model
    kinds, still = model.each, bench.configuration.frozen
    frozen, trained = (
        {kind: each[kind].seconds.total for kind in dict.fromkeys(part)}
        for each, part in ((pieces.frozen, kinds[:still]), (pieces.layers, kinds[still:]))
    )
    head = pieces.head.seconds.total
    if pieces.prediction:
        head += model.mtp_layers * pieces.prediction.seconds.total
    split = balanced_split(
        [*map(frozen.__getitem__, kinds[:still]), *map(trained.__getitem__, kinds[still:])],
        bench.configuration.n_stages,
        embedding=pieces.embedding.seconds.total,
        head=head,
    )
    kind, *others = dict.fromkeys(kinds)
    if others or still or len(set(placement)) == len(placement):
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
        kinds = bench.model.each[first : first + part.layers]
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


def _offloaded(piece: Stage) -> Stage:
    """The piece with what it keeps from F on in the host's memory, but while one of its passes
    runs."""
    kept = piece.kept
    return piece._replace(kept=Kept(0.0, 0.0, kept.scratch + kept.after_forward))


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
    return together(found)._replace(widest=widest)


def _shared_out(piece: Stage, n: int) -> Stage:
    """One of n equal parts of a piece, for each stage of a device."""
    spent = piece.spent.times(1 / n)
    kept, held = (type(of)(*(each / n for each in of)) for of in (piece.kept, piece.held))
    saved = piece.saving / n, spent, piece.hidden / n, piece.shared / n
    seconds = Passes(*(each / n for each in piece.seconds))
    return Stage(seconds, Kept(*kept), Held(*held), *saved)
