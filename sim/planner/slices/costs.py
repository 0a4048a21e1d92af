"""What slices of a sequence cost: time under causal attention, and the memory of keys and values.

    slice   | 0      | 1    | 2   | 3  |      the later a slice, the more it attends to
    keys    | ====== kept until the backward of slice 0 has used them last ======
    dK, dV           filled by slices 3, 2, 1 in turn; slice 0 takes what is there

Sources: Sun et al. 2024, arXiv 2406.03488, sections 3.5 and 4 (work per slice, key-value cache);
Korthikanti et al. 2022, arXiv 2205.05198 (activations of a layer).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Literal, NamedTuple, get_args

from ...base.numbers import Number, checked, exact, plain
from ...engine.costs import Costs
from ...metrics.metrics import peak_activations
from ...schedule.ir import Schedule
from ..cost_model.configuration import Configuration
from ..cost_model.flops import matmuls
from ..cost_model.memory import activation
from ..cost_model.parameters import edge_parameters, held_parameters
from ..models import Model, mixing
from .cut import attention_flops, even, layer_attention_flops

Sharing = Literal["shared", "concatenated"]


@dataclass(frozen=True)
class SliceEfficiency:
    """The fraction of a long slice's speed that kernels reach on a short one, by tokens.

    points: (tokens, fraction) measured, ascending; linear between two of them, constant outside.
        Empty: length does not matter. Where nothing was measured on the device in
        question, say so: the authors see 0.88 to 0.92 below about 4,000 tokens on an A100.
    """

    points: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", tuple((int(n), f) for n, f in self.points))
        lengths = [length for length, _ in self.points]
        if lengths != sorted(set(lengths)):
            raise ValueError(f"slice efficiency: lengths {lengths} must ascend")
        for length, fraction in self.points:
            if not 0 < fraction <= 1:
                raise ValueError(
                    f"slice efficiency at {length} tokens is {fraction}: use above 0, up to 1"
                )

    def at(self, tokens: int) -> Fraction:
        """The fraction for a slice of that many tokens."""
        if not self.points:
            return Fraction(1)
        spot = bisect_right(self.points, tokens, key=lambda point: point[0])
        if spot in (0, len(self.points)):
            return exact(self.points[min(spot, len(self.points) - 1)][1])
        (left, low), (right, high) = self.points[spot - 1], self.points[spot]
        rise = exact(high) - exact(low)
        return exact(low) + rise * Fraction(tokens - left, right - left)


def measured_efficiency(seconds: Mapping[int, float], model: Model) -> SliceEfficiency:
    """The efficiency that measured forward times of first slices show; the fastest counts as 1.

    seconds: time of one forward of a slice of that many tokens with nothing before it. `model` is
        what was measured (its layers; vocabulary work is left out).
    """
    per_token = _token_flops(model, range(model.layers))
    speeds = {
        length: float(attention_flops(model, length, length) + per_token * length) / time
        for length, time in sorted(seconds.items())
        if checked(time, f"time of {length} tokens") > 0
    }
    if not speeds:
        raise ValueError("no measured times: give seconds by number of tokens, above 0")
    best = max(speeds.values())
    return SliceEfficiency(tuple((length, speed / best) for length, speed in speeds.items()))


def sequence_costs(
    schedule: Schedule,
    model: Model,
    slices: Sequence[int],
    *,
    flops_per_second: Number = 1,
    tensor: int = 1,
    efficiency: SliceEfficiency = SliceEfficiency(),
    cache: Sharing = "shared",
    bytes_per_parameter: Number = 18,
) -> Costs:
    """Costs of `model` under `schedule`, whose microbatches are one sequence cut into `slices`.

    slices: lengths in tokens, shape `(n_slices,)`, e.g. of `computation_wise`.
    flops_per_second: of one device on long slices; with 1, times are FLOPs and exact.
    tensor: tensor-parallel size, with sequence parallelism: work and bytes are divided by it.
    efficiency: factor on that speed for short slices.
    cache: "shared" if attention reads keys and values where the slices saved them; "concatenated"
        if each slice saves its own copy of all keys and values up to it, as our backend does.
    bytes_per_parameter: weights, gradients and optimizer state; 18 is 16-bit mixed precision, Adam.

    Layers are spread over stages as evenly as they go; the last stage has the head on top. The
    backward of attention is twice its forward and belongs to B alone. Every slice but the last
    carries the accumulators of its dK and dV. They are charged from its F on, as if allocated with
    the cache: an upper bound of what an engine needs that allocates at the first B.
    """
    if len(slices) != schedule.n_slices:
        raise ValueError(
            f"{schedule.name} has {schedule.n_slices} slices, but {len(slices)} lengths are given"
        )
    if cache not in get_args(Sharing):
        raise ValueError(f"cache is {cache!r}: use one of {', '.join(get_args(Sharing))}")
    if model.layers < schedule.n_stages:
        raise ValueError(
            f"{model.name} has {model.layers} layers, too few for {schedule.n_stages} stages"
        )
    if model.mtp_layers or model.tower:
        part = "layers that predict further tokens" if model.mtp_layers else "a vision tower"
        raise ValueError(
            f"{model.name} has {part}, which the costs of slices do not count: take the model "
            "without, dataclasses.replace(model, mtp_layers=0, tower=None)"
        )
    if not checked(flops_per_second, "flops_per_second"):
        raise ValueError("flops_per_second is 0: nothing would ever end")
    n_layers = even(model.layers, schedule.n_stages)
    pieces = [
        _Stage(model, tuple(slices), range(sum(n_layers[:stage]), sum(n_layers[: stage + 1])))
        for stage in range(schedule.n_stages)
    ]
    speeds = [exact(flops_per_second) * tensor * efficiency.at(length) for length in slices]
    rows = [_flops(piece) for piece in pieces]
    forward, backward, weight = (
        [[plain(f / speed) for f, speed in zip(row[kind], speeds, strict=True)] for row in rows]
        for kind in range(3)
    )
    kept = [_bytes(piece, tensor, cache) for piece in pieces]
    crossing = [plain(Fraction(2 * length * model.hidden, tensor)) for length in slices]
    return Costs.of(
        schedule.n_stages,
        forward=forward,
        backward=backward,
        weight=weight,
        send=0,
        activation_bytes=[row[0] for row in kept],
        backward_bytes=[row[1] for row in kept],
        boundary_bytes=[crossing] * (schedule.n_stages - 1),
        static_bytes=[_parameters(piece, tensor) * bytes_per_parameter for piece in pieces],
    )


def predicted_peak(schedule: Schedule, measured: Mapping[Schedule, float]) -> float:
    """Peak bytes of `schedule`, from measured peaks of other schedules of the same model, devices
    and sequence: a straight line through (peak in shares, bytes) of the fullest device.

    The line's slope is a share, its height at zero is what does not depend on the schedule. Needs
    two measured schedules of different peak; more are fitted by least squares.
    """
    points = [(_fullest(other), float(peak)) for other, peak in measured.items()]
    n = len(points)
    if len({share for share, _ in points}) < 2:
        raise ValueError(
            f"measured peaks of {n} schedules do not tell a share from the rest: "
            "give two whose peaks in shares differ"
        )
    middle = sum(share for share, _ in points) / n, sum(peak for _, peak in points) / n
    spread = sum((share - middle[0]) ** 2 for share, _ in points)
    share = sum((x - middle[0]) * (y - middle[1]) for x, y in points) / spread
    return middle[1] + share * (_fullest(schedule) - middle[0])


def accumulator_bytes(model: Model, slices: Sequence[int], *, layers: int, tensor: int = 1) -> int:
    """Bytes that dK and dV of one microbatch take on a device with that many layers that attend to
    all tokens, 16 bits."""
    return 2 * model.key_value_width * sum(slices[:-1]) * layers // tensor


class _Stage(NamedTuple):
    model: Model
    slices: tuple[int, ...]
    layers: range

    @property
    def last(self) -> bool:
        return self.layers.stop == self.model.layers

    @property
    def ends(self) -> list[int]:
        return list(accumulate(self.slices))


def _flops(stage: _Stage) -> tuple[list[Fraction], list[Fraction], list[Fraction]]:
    """Work of F, B and W of every slice; the last stage has the head too."""
    model = stage.model
    linear = _token_flops(model, stage.layers)
    linear += 2 * model.hidden * model.vocabulary if stage.last else 0
    kinds = Counter(map(model.kind, stage.layers))
    attention = [
        sum(
            (layer_attention_flops(model, kind, first=end - length, end=end) * n_layers
             for kind, n_layers in kinds.items()),
            Fraction(0),
        )
        for length, end in zip(stage.slices, stage.ends, strict=True)
    ]  # fmt: skip
    weight = [Fraction(linear * length) for length in stage.slices]
    forward = [a + w for a, w in zip(attention, weight, strict=True)]
    backward = [2 * a + w for a, w in zip(attention, weight, strict=True)]
    return forward, backward, weight


def _bytes(stage: _Stage, tensor: int, cache: Sharing) -> tuple[list[Number], list[Number]]:
    """Bytes kept from F on, and the change at B, of every slice."""
    model, final = stage.model, len(stage.slices) - 1
    kept: list[Number] = []
    change: list[Number] = []
    for j, (length, end) in enumerate(zip(stage.slices, stage.ends, strict=True)):
        whole, after = Fraction(0), Fraction(0)
        for layer in stage.layers:
            found = activation(model, _cut(length, tensor), model.kind(layer))
            whole, after = whole + exact(found.after_forward), after + exact(found.after_backward)
        for kind, n_layers in Counter(map(model.kind, stage.layers)).items():
            copied = min(end, length + kind.span(end)) if cache == "concatenated" and j else 0
            accumulated = kind.span(length) if j < final else 0
            width = mixing(model, kind).key_values
            whole += Fraction(2 * width * (copied + accumulated) * n_layers, tensor)
        kept.append(plain(whole))
        change.append(plain(after - whole))
    return kept, change


def _parameters(stage: _Stage, tensor: int) -> Number:
    model, cut = stage.model, _cut(1, tensor)
    found = sum(held_parameters(model, cut, model.kind(layer)).total for layer in stage.layers)
    found += edge_parameters(model, cut, last=False) if stage.layers.start == 0 else 0
    found += edge_parameters(model, cut, last=True) if stage.last else 0
    return plain(exact(found))


def _cut(tokens: int, tensor: int) -> Configuration:
    return Configuration(tokens, 1, tensor=tensor, sequence_parallel=tensor > 1)


def _token_flops(model: Model, layers: range) -> int:
    return sum(int(m.flops) for layer in layers for m in matmuls(model, 1, model.kind(layer)))


def _fullest(schedule: Schedule) -> float:
    return float(max(peak_activations(schedule)))
