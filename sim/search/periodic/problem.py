"""Which block is asked for: microbatches of a pipeline that repeat every period, in whole ticks.

This is modulo scheduling. A **layout** says when each pass of one period's microbatches starts; the
microbatches of the next period do the same one period later. It is good if no two passes of a
device overlap modulo the period, every pass starts after its inputs have arrived, and the
activations alive on a device never exceed its limit.

Feasibility only grows with the period (keep every pass at its phase and in its period: precedence,
gaps and live counts can only get better), so "no layout at T" proves "none below T" too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from ...base.numbers import Number, exact
from ...engine.costs import Costs
from ...schedule.dependencies import reads, writes
from ...schedule.ir import Op, Schedule, Value
from .limits import PerDevice, PerStage, units_of


@dataclass(frozen=True)
class BlockProblem:
    """Times in ticks and memory in units, both whole numbers.

    placement: device of each stage. forward, backward, weight: ticks per stage. send: ticks per
    boundary, 0 inside a device. kept: units from the start of F on, per stage. change: signed units
    at B (a rise at its start, a fall at its end); the rest goes at the end of W. limit: units per
    device, or None without a limit.
    """

    placement: PerStage
    forward: PerStage
    backward: PerStage
    weight: PerStage
    send: PerStage
    kept: PerStage
    change: PerStage
    limit: PerDevice | None

    @cached_property
    def n_devices(self) -> int:
        return max(self.placement) + 1

    @property
    def n_stages(self) -> int:
        return len(self.placement)

    @cached_property
    def stages_of(self) -> tuple[tuple[int, ...], ...]:
        return tuple(
            tuple(s for s, device in enumerate(self.placement) if device == d)
            for d in range(self.n_devices)
        )

    @cached_property
    def passes(self) -> tuple[Op, ...]:
        """The passes of one microbatch, none before its inputs: F0 F1 ... B1 W1 B0 W0."""
        stages = range(self.n_stages)
        back = (Op(kind, s, 0) for s in reversed(stages) for kind in ("B", "W"))
        return (*(Op("F", s, 0) for s in stages), *back)

    def duration(self, op: Op) -> int:
        return {"F": self.forward, "B": self.backward, "W": self.weight}[op.kind][op.stage]

    def rise(self, op: Op) -> int:
        """Units that a pass takes at its start."""
        change = max(self.change[op.stage], 0)
        return {"F": self.kept[op.stage], "B": change, "W": 0}[op.kind]

    def net(self, op: Op) -> int:
        """Units that are alive more after the end of a pass than before its start."""
        kept, change = self.kept[op.stage], self.change[op.stage]
        return {"F": kept, "B": change, "W": -kept - change}[op.kind]

    def work(self, device: int) -> int:
        """Ticks of work of one microbatch on a device."""
        return sum(
            self.forward[s] + self.backward[s] + self.weight[s] for s in self.stages_of[device]
        )

    @cached_property
    def most_work(self) -> int:
        """The same on the busiest device."""
        return max(map(self.work, range(self.n_devices)))


class Dependency(NamedTuple):
    """`reader` starts at least `send` ticks after the end of `writer`, of the same microbatch."""

    writer: Op
    reader: Op
    send: int


def dependencies(problem: BlockProblem) -> list[Dependency]:
    """What each pass of a microbatch waits for, taken from `reads` and `writes`, in their order.

    Of the inputs of a pass only the one that is written last: its writer waits for the others.
    """
    pipeline = Schedule(problem.placement, (), 1)
    writer: dict[Value, Op] = {}
    found = []
    for op in problem.passes:
        inputs = [writer[value] for value in reads(pipeline, op)]
        if inputs:
            last = max(inputs, key=problem.passes.index)
            send = problem.send[min(last.stage, op.stage)] if last.stage != op.stage else 0
            found.append(Dependency(last, op, send))
        writer.update(dict.fromkeys(writes(pipeline, op), op))
    return found


def problem_of(
    placement: Sequence[int],
    costs: Costs,
    *,
    memory_limit: Number | Sequence[Number] | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
) -> tuple[BlockProblem, Fraction]:
    """The problem in exact ticks, and how long one tick is.

    memory_limit: in shares of a device's whole activation, one number or one per device.
    memory_bytes: what a device holds, static bytes included, one number or one per device.
    Raises ValueError where the input describes no pipeline or the limit holds no microbatch.
    """
    require_alike(costs)
    placement = tuple(placement)
    _check_placement(placement, costs)
    n = len(placement)
    times = [
        [exact(row[0]) for row in table] for table in (costs.forward, costs.backward, costs.weight)
    ]
    sends = [
        exact(costs.send[s]) if placement[s] != placement[s + 1] else Fraction(0)
        for s in range(n - 1)
    ]
    per_unit = math.lcm(*(time.denominator for row in [*times, sends] for time in row))
    forward, backward, weight = (tuple(int(t * per_unit) for t in row) for row in times)
    memory = units_of(placement, costs, memory_limit, memory_bytes)
    problem = BlockProblem(
        placement, forward, backward, weight, tuple(int(c * per_unit) for c in sends), *memory
    )
    common = math.gcd(*forward, *backward, *weight, *problem.send) or 1
    return rescaled(problem, 1, common), Fraction(common, per_unit)


def rescaled(
    problem: BlockProblem, numerator: int, denominator: int, *, up: bool = True
) -> BlockProblem:
    """The problem with ticks of another size: every time x numerator / denominator, rounded up
    (a layout of it is one of the original) or down (what it cannot do, the original cannot)."""

    def row(values: PerStage) -> PerStage:
        if up:
            return tuple(-(-value * numerator // denominator) for value in values)
        return tuple(value * numerator // denominator for value in values)

    return replace(
        problem,
        forward=row(problem.forward),
        backward=row(problem.backward),
        weight=row(problem.weight),
        send=row(problem.send),
    )


def _check_placement(placement: PerStage, costs: Costs) -> None:
    if not placement:
        raise ValueError("placement is empty: give the device of each stage, e.g. (0, 1, 1, 0)")
    p = max(placement) + 1
    if set(placement) != set(range(p)):
        raise ValueError(
            f"placement {placement} uses devices {sorted(set(placement))}: they must be 0 to "
            f"{p - 1}, each with at least one stage"
        )
    if costs.n_stages != len(placement):
        raise ValueError(f"costs describe {costs.n_stages} stages, placement has {len(placement)}")
    for table in (costs.forward, costs.backward, costs.weight, costs.activation_bytes):
        if any(len(row) > 1 for row in table):
            raise ValueError(
                "costs differ between slices: a computed block takes one slice per microbatch"
            )


def require_alike(costs: Costs) -> None:
    """ValueError for what a search does not know: it takes microbatches for all alike, and passes
    for as long alone as side by side."""
    if costs.exchanges:
        raise ValueError(
            "a search knows no all-to-alls: leave all_to_all out, or add it to forward and backward"
        )
    if costs.microbatch_scale:
        raise ValueError("a search takes all microbatches for alike: leave microbatch_scale out")
