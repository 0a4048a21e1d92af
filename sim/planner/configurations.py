"""All the ways to cut a model over a machine that are worth a look, legal or not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from ..base.text import meant
from ..families import FAMILIES
from .cost_model import Configuration
from .cost_model.configuration import (
    Attention,
    ContextBy,
    Optimizer,
    Precision,
    Recompute,
    TensorOverlap,
    Vocabulary,
)
from .hardware import Machine
from .models import Model, nearest_divisor
from .orders import DEFAULT_SCHEDULES, virtual_stages

LEAST_OF_A_SEQUENCE = 8192
"""Tokens below which nobody shares a sequence out over devices without being told to."""


@dataclass(frozen=True)
class Space:
    """What a plan may choose from; an empty tuple stands for everything sensible.

    tensor, pipeline, data, microbatch, virtual, expert: sizes. schedules: names of families.
    recompute, zero, precision: as in `Configuration`. context: sizes of context parallelism; where
    none are given, those that leave each device as much of a sequence as `LEAST_OF_A_SEQUENCE`.
    Fewer bits change what is learned, so they are only looked at if asked for. attention,
    sequence_parallel (only where there is tensor parallelism), context_by, vocabulary,
    recompute_layers, frozen, lora, optimizer, capacity, program, tensor_overlap: taken for all.
    """

    tensor: Sequence[int] = ()
    pipeline: Sequence[int] = ()
    data: Sequence[int] = ()
    microbatch: Sequence[int] = ()
    virtual: Sequence[int] = ()
    expert: Sequence[int] = ()
    context: Sequence[int] = ()
    schedules: Sequence[str] = DEFAULT_SCHEDULES
    recompute: Sequence[Recompute] = ("none", "selective", "full")
    zero: Sequence[int] = (1, 2, 3)
    attention: Attention = "flash"
    sequence_parallel: bool = True
    context_by: ContextBy = "ring"
    precision: Sequence[Precision] = ("bf16",)
    vocabulary: Vocabulary = "ends"
    recompute_layers: int = 0
    frozen: int = 0
    lora: int = 0
    optimizer: Optimizer = "adam"
    capacity: float = 0.0
    program: str = "megatron"
    tensor_overlap: TensorOverlap = "weights"

    def __post_init__(self) -> None:
        for name in ("tensor", "pipeline", "data", "microbatch", "virtual", "expert", "context"):
            for size in getattr(self, name):
                if not isinstance(size, int) or isinstance(size, bool) or size < 1:
                    raise ValueError(f"{name} has {size!r}: sizes are whole numbers >= 1")
        least = {"schedules": "1f1b", "recompute": "none", "zero": "1", "precision": "bf16"}
        for name, first in least.items():
            if not getattr(self, name):
                raise ValueError(f"{name} is empty: name at least one, e.g. {first}")
        if unknown := [name for name in self.schedules if name not in FAMILIES]:
            raise ValueError(f"no family {unknown[0]!r}: {meant(unknown[0], FAMILIES)}")
        loops = [name for name in self.schedules if len(virtual_stages(name)) > 1]
        if self.virtual and max(self.virtual) < 2 and len(loops) == len(self.schedules):
            raise ValueError(f"virtual is {self.virtual[0]}: {loops[0]} has at least 2 per device")


def configurations(
    model: Model, machine: Machine, space: Space, *, sequence: int, batch: int
) -> Iterator[Configuration]:
    """Every combination whose sizes multiply to the machine's devices.

    Tensor parallelism stays inside a node unless sizes are given. One device per pipeline is
    offered as 1F1B only: all schedules are the same there, as all ZeRO stages are where there is
    nobody to share with. Asked-for sizes are offered even where the model cannot be cut so, so that
    the refusal can be read.
    """
    n = machine.n_devices
    divisors = [size for size in range(1, n + 1) if n % size == 0]
    inside = [size for size in divisors if size <= machine.per_node]
    asked = bool(space.tensor)
    shares = _powers(max(sequence // LEAST_OF_A_SEQUENCE, 1))
    for tensor in space.tensor or [size for size in inside if model.heads % size == 0]:
        for pipeline, context in product(space.pipeline or divisors, space.context or shares):
            if n % (tensor * pipeline * context):
                continue
            data = n // (tensor * pipeline * context)
            if space.data and data not in space.data:
                continue
            if not asked and not space.pipeline and pipeline > model.layers + 2:
                continue
            sizes = tensor, pipeline, data, context
            yield from _choices(model, space, sizes, sequence=sequence, batch=batch)


def sizes_that_fit(machine: Machine, space: Space) -> str:
    """Why the asked-for sizes leave nothing to plan; "" if they leave something."""
    n = machine.n_devices
    for name in ("tensor", "pipeline", "data", "context"):
        sizes = getattr(space, name)
        if sizes and not any(n % size == 0 for size in sizes):
            near = min(
                (size for size in range(1, n + 1) if n % size == 0),
                key=lambda size: (abs(size - sizes[0]), size),
            )
            return (
                f"{name} parallel size {sizes[0]} does not divide {n} devices: "
                f"the nearest size that does is {near}"
            )
    asked = [getattr(space, name) or [0] for name in ("tensor", "pipeline", "data", "context")]
    products = {math.prod(size for size in sizes if size) for sizes in product(*asked)}
    open_end = any(sizes == [0] for sizes in asked)
    if not any(n % size == 0 if open_end else n == size for size in products):
        size = min(products, key=lambda size: (abs(size - n), size))
        near = nearest_divisor(n, size) if open_end else n
        return (
            f"the sizes asked for multiply to {size}, which {n} devices cannot be cut into: "
            f"the nearest product that fits is {near}"
        )
    return ""


def _choices(
    model: Model, space: Space, sizes: tuple[int, int, int, int], *, sequence: int, batch: int
) -> Iterator[Configuration]:
    tensor, pipeline, data, context = sizes
    microbatches = space.microbatch or _powers(max(batch // data, 1))
    experts: Sequence[int] = space.expert or (1,)
    if model.experts and not space.expert:
        count = model.experts.count
        experts = [size for size in _powers(data) if count % size == 0 and data % size == 0]
    schedules = space.schedules if pipeline > 1 else _alone(space.schedules)
    zeros = space.zero if data * context > 1 else space.zero[:1]
    for schedule, microbatch, recompute, zero, expert, precision in product(
        schedules, microbatches, space.recompute, zeros, experts, space.precision
    ):
        options = virtual_stages(schedule)
        if len(options) > 1 and space.virtual:
            options = tuple(size for size in space.virtual if size > 1)
        for virtual in options:
            if len(options) > 1 and not space.virtual and virtual * pipeline > model.layers + 2:
                continue
            yield Configuration(
                sequence, batch, microbatch=microbatch, tensor=tensor, pipeline=pipeline,
                data=data, virtual=virtual, expert=expert,
                sequence_parallel=space.sequence_parallel and tensor > 1,
                attention=space.attention, recompute=recompute, zero=zero, schedule=schedule,
                context=context, context_by=space.context_by, precision=precision,
                vocabulary=space.vocabulary, frozen=space.frozen,
                lora=space.lora, optimizer=space.optimizer, capacity=space.capacity,
                program=space.program, tensor_overlap=space.tensor_overlap,
                recompute_layers=space.recompute_layers if recompute != "none" else 0,
            )  # fmt: skip


def _alone(schedules: Sequence[str]) -> tuple[str, ...]:
    straight = [name for name in schedules if FAMILIES[name].placement == "straight"]
    return ("1f1b",) if "1f1b" in straight or not straight else (straight[0],)


def _powers(most: int) -> list[int]:
    found, size = [], 1
    while size <= most:
        found.append(size)
        size *= 2
    return found
