"""Where an iteration's seconds go: parts that add up to it, each found by leaving something out.

With S stages on p devices, m microbatches, and every pass as long as the schedule runs it:

    work, recompute, tensor, sharding      seconds of all passes over p, m times, by what they are
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

from dataclasses import replace
from math import inf
from typing import NamedTuple

from ..families import FAMILIES
from .cost_model import Bench, Configuration, Stage, parts, stages_of, tail_seconds
from .cost_model.flops import Passes
from .cost_model.memory import Held
from .estimate import Prepared, estimate, prepare
from .hardware import Wire
from .orders import Orders
from .problem import Problem


class Breakdown(NamedTuple):
    """Seconds of one iteration on the average device.

    work: kernels of passes, once. recompute: what is computed again. tensor: waiting for the
    collectives of layers (tensor parallelism, and tokens on their way to experts). sharding:
    waiting for what ZeRO moves in every pass. split_backward, sends, imbalance, fill_drain, data,
    optimizer: see above.
    """

    work: float
    recompute: float
    tensor: float
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
    passes = {name: m / p * seconds for name, seconds in _of_passes(problem, prepared).items()}
    alike = prepared._replace(stages=_averages(prepared.stages))
    quick = estimate(problem, prepared, orders, sends=False).pipeline
    even = estimate(problem, alike, orders, sends=False).pipeline
    sends = max(found.pipeline - quick, 0.0)
    imbalance = max(quick - even, 0.0)
    optimizer = _tail(_without_wires(problem), prepared)
    fill = found.pipeline - sends - imbalance - sum(passes.values())
    return Breakdown(
        **passes, sends=sends, imbalance=imbalance, fill_drain=fill,
        data=found.tail - optimizer, optimizer=optimizer,
    )  # fmt: skip


def _of_passes(problem: Problem, prepared: Prepared) -> dict[str, float]:
    """Seconds of all stages' passes of one microbatch by what they are spent on; measured ones are
    taken apart in the model's proportions."""
    c = prepared.bench.configuration
    quiet = _without_wires(problem)
    stages = _stages(problem, prepared, c)
    unshared = _stages(problem, prepared, replace(c, zero=min(c.zero, 1)))
    again = _seconds(_stages(quiet, prepared, c))
    work = _seconds(_stages(quiet, prepared, replace(c, recompute="none")))
    saved = sum(stage.saving for stage in unshared)
    fused = "BW" in FAMILIES[c.schedule].passes.split()
    parts = {
        "work": work,
        "recompute": again - work,
        "tensor": _seconds(unshared) - again - saved,
        "sharding": _run(stages, fused) - _run(unshared, fused),
        "split_backward": 0.0 if fused else saved,
    }
    scale = _run(prepared.stages, fused) / _run(stages, fused)
    return {name: scale * seconds for name, seconds in parts.items()}


def _run(stages: tuple[Stage, ...], fused: bool) -> float:
    """Seconds of all passes as the schedule runs them."""
    return _seconds(stages) - (sum(stage.saving for stage in stages) if fused else 0.0)


def _stages(problem: Problem, prepared: Prepared, c: Configuration) -> tuple[Stage, ...]:
    """The same layers on the same stages for another problem or choice."""
    bench = Bench(problem.model, c, problem.machine, problem.efficiency)
    return stages_of(bench, prepared.split, parts(bench))


def _seconds(stages: tuple[Stage, ...]) -> float:
    return sum(stage.seconds.total for stage in stages)


def _averages(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """As many stages, each as long as the average one; what they keep stays."""
    n = len(stages)
    columns = zip(*(stage.seconds for stage in stages), strict=True)
    seconds = Passes(*(sum(column) / n for column in columns))
    saving = sum(stage.saving for stage in stages) / n
    return tuple(stage._replace(seconds=seconds, saving=saving) for stage in stages)


def _without_wires(problem: Problem) -> Problem:
    """The problem on a machine in which nothing that is exchanged takes time."""
    machine, free = problem.machine, Wire("free", inf, 0.0)
    across = free if machine.across else None
    quiet = replace(machine, inside=free, between=free, across=across)
    return replace(problem, machine=quiet, efficiency=replace(problem.efficiency, collective=0.0))


def _tail(problem: Problem, prepared: Prepared) -> float:
    """Seconds after the last pass, of the device that takes longest."""
    c = prepared.bench.configuration
    bench = Bench(problem.model, c, problem.machine, problem.efficiency)
    found = 0.0
    for device in range(c.pipeline):
        mine = [s for s, d in zip(prepared.stages, prepared.placement, strict=True) if d == device]
        held = Held(sum(s.held.common for s in mine), sum(s.held.experts for s in mine))
        found = max(found, tail_seconds(bench, held, gradient_bytes=problem.gradient_bytes))
    return found
