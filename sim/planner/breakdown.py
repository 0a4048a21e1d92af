"""Where an iteration's seconds go: parts that add up to it, each found by leaving something out.

With S stages on p devices, m microbatches, and every pass as long as the schedule runs it:

    work, recompute, tensor, context,      seconds of all passes over p, m times, by what they are
    experts, vocabulary, sharding          spent on
    split backward                         what B and W apart cost more than one fused pass
    sends          the time line, less the time line in which transfers take no time
    imbalance      that, less the time line in which all stages take the average stage's times
    fill and drain that, less what the average device works
    data           after the last pass: gradients and weights over data parallelism
    optimizer      the rest of what comes after the last pass

A time line in which stages are equal can be longer than one in which the last one has little to
do: then there is no imbalance, and fill and drain is what the average device does not work.
"""

from __future__ import annotations

from typing import NamedTuple

from ..families import FAMILIES
from .cost_model import Configuration, Stage
from .cost_model.flops import Passes
from .cost_model.spent import added
from .estimate import Prepared, estimate, prepare
from .orders import Orders
from .problem import Problem


class Breakdown(NamedTuple):
    """Seconds of one iteration on the average device.

    work: kernels of passes, once. recompute: what is computed again. tensor, context, experts:
    waiting for collectives of tensor parallelism, for parts of the sequence, for tokens on their
    way to experts. vocabulary: waiting for sums over the pipeline. sharding: waiting for what ZeRO
    moves in every pass. split_backward, sends, imbalance, fill_drain, data,
    optimizer: see above.
    """

    work: float
    recompute: float
    tensor: float
    context: float
    experts: float
    vocabulary: float
    sharding: float
    split_backward: float
    sends: float
    imbalance: float
    fill_drain: float
    data: float
    optimizer: float

    @property
    def named(self) -> dict[str, float]:
        """The parts by name."""
        return self._asdict()

    @property
    def total(self) -> float:
        """The iteration."""
        return sum(self)


PARTS = {
    "work": "work",
    "recompute": "again",
    "tensor": "TP",
    "context": "CP",
    "experts": "EP",
    "vocabulary": "words",
    "sharding": "ZeRO",
    "split_backward": "split",
    "sends": "sends",
    "imbalance": "uneven",
    "fill_drain": "fill",
    "data": "DP",
    "optimizer": "Adam",
}
"""What each part is called at the head of a narrow column."""


def breakdown(problem: Problem, configuration: Configuration, orders: Orders) -> Breakdown:
    """The parts of a configuration's iteration; they add up to its seconds."""
    prepared = prepare(problem, configuration)
    found = estimate(problem, prepared, orders)
    m, p = prepared.shape.microbatches, prepared.shape.devices
    passes = {name: m / p * seconds for name, seconds in _of_passes(prepared).items()}
    alike = prepared._replace(stages=_averages(prepared.stages))
    quick = estimate(problem, prepared, orders, sends=False).pipeline
    even = estimate(problem, alike, orders, sends=False).pipeline
    sends = max(found.pipeline - quick, 0.0)
    imbalance = max(quick - even, 0.0)
    fill = found.pipeline - sends - imbalance - sum(passes.values())
    return Breakdown(
        **passes, sends=sends, imbalance=imbalance, fill_drain=fill,
        data=prepared.tail_parts.data, optimizer=prepared.tail_parts.optimizer,
    )  # fmt: skip


def _of_passes(prepared: Prepared) -> dict[str, float]:
    """Seconds of all stages' passes of one microbatch by what they are spent on; what a fused
    backward saves it saves of the collectives, or a split one pays for. Measured passes are taken
    apart in the model's proportions."""
    spent = added(tuple(stage.spent for stage in prepared.stages)).totals()
    hidden = sum(stage.hidden for stage in prepared.stages)
    fused = "BW" in FAMILIES[prepared.bench.configuration.schedule].passes.split()
    spent["tensor"] -= hidden
    if fused:
        spent["sharding"] -= sum(stage.shared for stage in prepared.stages)
    parts = {**spent, "split_backward": 0.0 if fused else hidden}
    scale = _run(prepared.stages, fused) / sum(parts.values())
    return {name: scale * seconds for name, seconds in parts.items()}


def _run(stages: tuple[Stage, ...], fused: bool) -> float:
    """Seconds of all passes as the schedule runs them."""
    saved = sum(stage.saving for stage in stages) if fused else 0.0
    return sum(stage.seconds.total for stage in stages) - saved


def _averages(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """As many stages, each as long as the average one; what they keep stays."""
    n = len(stages)
    columns = zip(*(stage.seconds for stage in stages), strict=True)
    seconds = Passes(*(sum(column) / n for column in columns))
    saving = sum(stage.saving for stage in stages) / n
    return tuple(stage._replace(seconds=seconds, saving=saving) for stage in stages)
