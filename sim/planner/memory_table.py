"""What a device holds, by kind: the same bytes that are held against its memory, taken apart."""

from __future__ import annotations

from typing import NamedTuple

from .cost_model import static
from .cost_model.vocabulary import more_microbatches
from .estimate import Prepared
from .orders import Order
from .problem import Problem

GIB = 2**30
KINDS = ("weights", "gradients", "optimizer", "activations", "buffers")
"""Kinds whose sum on the fullest device is compared with what is free of its memory."""


class StageBytes(NamedTuple):
    """Bytes of one stage at the moment when its device holds most. activations: of all microbatches
    alive then. buffers: what its largest pass needs while it runs, where that is the largest of the
    device; 0 on the device's other stages."""

    stage: int
    device: int
    weights: float
    gradients: float
    optimizer: float
    activations: float
    buffers: float


class DeviceBytes(NamedTuple):
    """Bytes of one device of a pipeline when it holds most. reserve: kept free for driver,
    communication and fragments. headroom: what is left; with the kinds and the reserve it makes the
    device's memory. Below 0: it does not fit."""

    device: int
    stages: tuple[int, ...]
    weights: float
    gradients: float
    optimizer: float
    activations: float
    buffers: float
    reserve: float
    headroom: float

    @property
    def needed(self) -> float:
        """What is held against the memory that is free of the reserve."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.buffers


def stage_bytes(problem: Problem, prepared: Prepared, order: Order) -> tuple[StageBytes, ...]:
    """A row per stage of one pipeline, in the order of stages; `order` is the one that is run."""
    c, found = prepared.bench.configuration, []
    more = more_microbatches(c)
    for device, counts in enumerate(order.counts):
        on = order.schedule.stages_of[device]
        stages = [prepared.stages[s] for s in on]
        live = counts.live * [stage.kept.after_forward for stage in stages]
        live = live + counts.pending * [stage.kept.after_backward for stage in stages]
        live = live + [more * stage.kept.after_forward for stage in stages]
        fullest = live[live.sum(axis=1).argmax()]
        largest = max(range(len(on)), key=lambda i: stages[i].scratch(problem.per))
        for i, s in enumerate(on):
            held = static(stages[i].held, c, problem.per)
            buffers = stages[i].scratch(problem.per) if i == largest else 0.0
            found.append(StageBytes(s, device, *held, float(fullest[i]), buffers))
    return tuple(sorted(found))


def device_bytes(problem: Problem, prepared: Prepared, order: Order) -> tuple[DeviceBytes, ...]:
    """A row per device of one pipeline: the sums of its stages, and what is left of its memory."""
    rows = stage_bytes(problem, prepared, order)
    found = []
    for device in range(order.schedule.n_devices):
        mine = [row for row in rows if row.device == device]
        sums = {kind: sum(getattr(row, kind) for row in mine) for kind in KINDS}
        found.append(
            DeviceBytes(
                device, tuple(row.stage for row in mine), **sums, reserve=problem.reserve,
                headroom=problem.capacity - sum(sums.values()),
            )
        )  # fmt: skip
    return tuple(found)


def told(rows: tuple[DeviceBytes, ...], *, most: int = 8) -> tuple[DeviceBytes, ...]:
    """The rows worth a line in a table of so many: the ends, the fullest one, and some between."""
    if len(rows) <= most:
        return rows
    fullest = max(rows, key=lambda row: row.needed).device
    step = (len(rows) - 1) / (most - 2)
    chosen = {round(i * step) for i in range(most - 1)} | {fullest}
    return tuple(row for row in rows if row.device in chosen)
