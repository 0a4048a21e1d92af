"""What a pipeline schedule is: passes, the values they exchange, and their order on each device.

A schedule holds **no times, no tensors and no sends**. Times come from `Costs`, tensors from the
backend, and a transfer is implied wherever the writer and the reader of a value sit on different
devices.

`reads` and `writes` define the dependencies: the validator, the engine and the backend call them.
Code that handles passes as bare numbers (building blocks, bounds, the compiled evaluator and the
search) restates them in its own terms, and the tests hold every restatement against `reads`.

    >>> one = Op("F", stage=0, microbatch=0), Op("BW", stage=0, microbatch=0)
    >>> schedule = Schedule(placement=(0,), orders=(one,), n_microbatches=1, name="tiny")
    >>> print(schedule)
    tiny: 1 device, 1 stage, 1 microbatch
    device 0 | F0 BW0
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from operator import itemgetter

from ..base.numbers import native
from .grid_text import grid_text
from .passes import (
    KINDS,
    OF_PARTS,
    PARTS,
    PULLED,
    QUEUES,
    Backward,
    Kind,
    Lever,
    Op,
    Queue,
    Step,
    Trained,
    Value,
    ValueKind,
    queue_of,
    steps,
)

__all__ = [
    "KINDS",
    "PARTS",
    "QUEUES",
    "Backward",
    "Kind",
    "Lever",
    "Op",
    "Queue",
    "Schedule",
    "Step",
    "Trained",
    "Value",
    "ValueKind",
    "queue_of",
    "reads",
    "steps",
    "writes",
]


@dataclass(frozen=True)
class Schedule:
    """Where every stage lives and in which order each device runs its passes.

    placement: device of each stage, shape `(n_stages,)`.
    orders: the passes of each device in execution order, shape `(n_devices, any)`. Copies, O and L,
        run on queues of their own beside compute, each queue in this order; one begins when all
        that computes before it in the order has ended.
    n_microbatches, n_slices: how many microbatches, and slices of a sequence in each of them.
    fused: runs of neighbouring passes that a device executes as **one atomic step**: it waits for
        the inputs of all of them, and all outputs appear at its end (DualPipe's forward-backward
        pairs, 2BP's weight gradient over several microbatches).
    name: what people call it.
    trains: what each stage trains, shape `(n_stages,)`, or () where all train their weights.
        A stage that trains its weights has a W (or BW). One with "adapters" trains what is so
        small that B does it, one with "nothing" is frozen: both have no W. A gradient that no
        stage further down needs is neither computed nor sent: such a stage has F alone.

    routes: further placements of the same stages, each like `placement`: a device that is in two of
        them holds copies of their stages (two directions, as DualPipe and Chimera have them).
    follows: which placement each microbatch follows, shape `(n_microbatches,)`: 0 is `placement`, n
        is `routes[n - 1]`; () where there are no routes.
    stores: the device that keeps what each device offloads, or None for its host, shape
        `(n_devices,)`; () where all of it goes to the host.
    vocabulary: how many all-reduces lie between F and B of the last stage where the output layer is
        cut along its vocabulary into one part per device; 0 where it is part of the last stage.
        For every microbatch each device then runs S, the scores of its part, and T, the gradients
        of its part. With 2 of them S leaves what the softmax of all parts needs, and T a part of
        the gradient that the last stage waits for; with 1 S leaves that gradient too, so T may
        come later. (Yeung et al. 2024, arXiv 2411.05288.)

    Frozen and hashable. Building one checks nothing: `validate` does, so that broken schedules can
    be shown and explained.
    """

    placement: tuple[int, ...]
    orders: tuple[tuple[Op, ...], ...]
    n_microbatches: int
    n_slices: int = 1
    fused: tuple[Step, ...] = ()
    name: str = "schedule"
    trains: tuple[Trained, ...] = ()
    stores: tuple[int | None, ...] = ()
    routes: tuple[tuple[int, ...], ...] = ()
    follows: tuple[int, ...] = ()
    vocabulary: int = 0

    def __post_init__(self) -> None:
        # A numpy integer means the int it equals, which JSON can hold.
        object.__setattr__(self, "placement", tuple(map(native, self.placement)))
        object.__setattr__(self, "n_microbatches", native(self.n_microbatches))
        object.__setattr__(self, "n_slices", native(self.n_slices))
        object.__setattr__(self, "orders", tuple(tuple(order) for order in self.orders))
        object.__setattr__(self, "fused", tuple(sorted(tuple(step) for step in self.fused)))
        trains = tuple(self.trains)  # () is the one way to say that all train their weights
        object.__setattr__(self, "trains", () if {*trains} == {"weights"} else trains)
        stores = tuple(self.stores)
        object.__setattr__(self, "stores", () if {*stores} == {None} else stores)
        routes = tuple(tuple(map(native, route)) for route in self.routes)
        object.__setattr__(self, "routes", routes)
        object.__setattr__(self, "follows", tuple(map(native, self.follows)))
        object.__setattr__(self, "vocabulary", native(self.vocabulary))

    @property
    def n_devices(self) -> int:
        return len(self.orders)

    @property
    def n_stages(self) -> int:
        return len(self.placement)

    @property
    def n_ops(self) -> int:
        return sum(len(order) for order in self.orders)

    @cached_property
    def stages_of(self) -> tuple[tuple[int, ...], ...]:
        """The stages of each device, ascending: chunk 0, chunk 1, ...; of all placements."""
        held: dict[int, list[int]] = {device: [] for device in range(self.n_devices)}
        for stage, device in enumerate(self.placement):
            held.setdefault(device, []).append(stage)
        for stage, device in (pair for route in self.routes for pair in enumerate(route)):
            if stage not in held.setdefault(device, []):
                held[device] = sorted([*held[device], stage])
        return tuple(tuple(held[device]) for device in range(self.n_devices))

    def home(self, stage: int, microbatch: int) -> int:
        """The device that runs a stage for a microbatch."""
        route = self.follows[microbatch] if self.routes else 0
        return self.routes[route - 1][stage] if route else self.placement[stage]

    def device_of(self, it: Op | Value) -> int:
        """The device that runs a pass, or that writes a value."""
        if it.kind in PARTS or it.kind in OF_PARTS:
            return it.stage
        return self.home(it.stage, it.microbatch)

    def pieces(self, device: int) -> int:
        """Into how many activations a device's share of one microbatch falls: one per stage that
        the microbatch finds there, and per slice."""
        found = max(places.count(device) for places in (self.placement, *self.routes))
        return max(found, 1) * self.n_slices

    @cached_property
    def variants(self) -> dict[tuple[int, int, int], object]:
        """What makes passes of one kind, stage and slice differ by (stage, microbatch, slice): a
        lever that is pulled, another route. Left out is what is as usual."""
        if not self.routes:
            return self.levers  # type: ignore[return-value]
        numbers = max(self.n_stages, self.n_devices if self.vocabulary else 0)  # parts count, too
        units = product(range(numbers), range(self.n_microbatches), range(self.n_slices))
        found = {unit: (self.follows[unit[1]], self.levers.get(unit)) for unit in units}
        return {unit: variant for unit, variant in found.items() if variant != (0, None)}

    @cached_property
    def levers(self) -> dict[tuple[int, int, int], Lever]:
        """What is done about the memory of (stage, microbatch, slice), where anything is: "R" where
        an R rebuilds what F saves, "O" where it is offloaded. So an order says it by its passes."""
        try:  # most schedules have none, which whole columns tell at once
            if not any({*map(itemgetter(0), order)} & PULLED.keys() for order in self.orders):
                return {}
        except (TypeError, IndexError):
            pass  # of broken ones, in which anything may stand
        passes = (op for order in self.orders for op in order if type(op) is Op)
        return {op[1:]: PULLED[op.kind] for op in passes if op.kind in PULLED}

    @cached_property
    def copies(self) -> bool:
        """Whether anything runs beside compute."""
        return "O" in self.levers.values()

    def store(self, device: int) -> int | None:
        """The device that keeps what `device` offloads; None for the host."""
        return self.stores[device] if self.stores else None

    @cached_property
    def backward(self) -> tuple[Backward, ...]:
        """How much of a backward each stage has, shape `(n_stages,)`: "B W", "B", or ""."""
        if not self.trains:
            everything: Backward = "B W"
            return (everything,) * self.n_stages
        found: list[Backward] = []
        for trained in self.trains:
            needed = trained != "nothing" or (found and found[-1])
            found.append("B W" if trained == "weights" else "B" if needed else "")
        return tuple(found)

    def __str__(self) -> str:
        return grid_text(self)


def reads(schedule: Schedule, op: Op) -> tuple[Value, ...]:
    """The values that must be on the device before `op` can start.

    F reads the activation of the stage before, and of an earlier slice its keys and values.
    R reads the input that its F kept.
    O reads what F saved, L what O stored.
    B and BW read what their F (or R) saved, or L loaded, the gradient of the stage after, and of a
    later slice the gradient of its keys and values. W reads what its B left pending.
    Where the vocabulary is cut, S reads the activation of the last stage, T what the S of all parts
    left, and B or BW of the last stage the gradients of all parts.
    """
    kind, stage, microbatch, part = op
    if kind == "F":
        found = []
        if stage > 0:
            found.append(Value("activation", stage - 1, microbatch, part))
        if part > 0:
            found.append(Value("cache", stage, microbatch, part - 1))
        return tuple(found)
    if kind == "W":
        return (Value("pending", stage, microbatch, part),)
    if kind in _COPIED:
        return (Value(_COPIED[kind][0], stage, microbatch, part),)
    if kind == "S":
        return (Value("activation", schedule.n_stages - 1, microbatch, part),)
    if kind == "T":
        return _of_all_parts(schedule, "part_of_scores", microbatch, part)
    lever = schedule.levers.get(op[1:])
    found = [Value("loaded" if lever == "O" else "saved", stage, microbatch, part)]
    if stage < schedule.n_stages - 1:
        found.append(Value("gradient", stage + 1, microbatch, part))
    elif schedule.vocabulary:
        found += _of_all_parts(schedule, "part_of_gradient", microbatch, part)
    if part < schedule.n_slices - 1:
        found.append(Value("cache_gradient", stage, microbatch, part + 1))
    return tuple(found)


def writes(schedule: Schedule, op: Op) -> tuple[Value, ...]:
    """The values that exist from the end of `op` on; the mirror of `reads`: what nobody reads is
    not written, but for the gradients of weights."""
    kind, stage, microbatch, part = op
    backward = schedule.backward
    if kind == "F":
        kept: ValueKind = "input" if schedule.levers.get(op[1:]) == "R" else "saved"
        found = [Value(kept, stage, microbatch, part)] if backward[stage] else []
        if stage < schedule.n_stages - 1 or schedule.vocabulary:
            found.append(Value("activation", stage, microbatch, part))
        if part < schedule.n_slices - 1:
            found.append(Value("cache", stage, microbatch, part))
        return tuple(found)
    if kind == "W":
        return (Value("weight_gradient", stage, microbatch, part),)
    if kind in _COPIED:
        return (Value(_COPIED[kind][1], stage, microbatch, part),)
    if kind in PARTS:
        known: tuple[ValueKind, ...] = ("part_of_scores",) if kind == "S" else ()
        if (kind == "S") == (schedule.vocabulary == 1):
            known += ("part_of_gradient",)
        return tuple(Value(it, stage, microbatch, part) for it in known if backward[-1])
    rest: ValueKind = "pending" if kind == "B" else "weight_gradient"
    found = [Value(rest, stage, microbatch, part)] if backward[stage] == "B W" else []
    if stage > 0 and backward[stage - 1]:
        found.append(Value("gradient", stage, microbatch, part))
    if part > 0:
        found.append(Value("cache_gradient", stage, microbatch, part))
    return tuple(found)


_COPIED: dict[Kind, tuple[ValueKind, ValueKind]] = {
    "R": ("input", "saved"),
    "O": ("saved", "stored"),
    "L": ("stored", "loaded"),
}
"""What a pass reads and writes that only changes where, or in which form, an activation is."""


def _of_all_parts(
    schedule: Schedule, kind: ValueKind, microbatch: int, part: int
) -> tuple[Value, ...]:
    return tuple(Value(kind, device, microbatch, part) for device in range(schedule.n_devices))
