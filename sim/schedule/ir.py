"""What a pipeline schedule is: passes, the values they exchange, and their order on each device.

A schedule holds **no times, no tensors and no sends**. Times come from `Costs`, tensors from the
backend, and a transfer is implied wherever the writer and the reader of a value sit on different
devices.

What a pass waits for is said by `reads` and `writes` in dependencies.py.

    >>> one = Op("F", stage=0, microbatch=0), Op("BW", stage=0, microbatch=0)
    >>> schedule = Schedule(placement=(0,), orders=(one,), n_microbatches=1, name="tiny")
    >>> print(schedule)
    tiny: 1 device, 1 stage, 1 microbatch
    device 0 | F0 BW0
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from operator import itemgetter

from ..base.numbers import native
from ..base.text import plural, ranges
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
    atomic_steps,
    queue_of,
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
    "mechanisms",
    "queue_of",
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

    def grid(self, *, mark: tuple[int, int] | None = None, width: int = 8) -> str:
        """The device x order grid as text; `mark=(device, position)` shows only that surrounding.

        Stages are left out where every device holds one. Fused passes are joined by `&`.
        """
        heading = (
            f"{self.name}: {plural(self.n_devices, 'device')}, {plural(self.n_stages, 'stage')}, "
            f"{plural(self.n_microbatches, 'microbatch')}"
            + (f", {self.n_slices} slices" if self.n_slices > 1 else "")
            + "".join(f"; {clause}" for clause in mechanisms(self))
        )
        rows = (atomic_steps(order, self.fused) for order in self.orders)
        brief = self.n_stages == self.n_devices
        return grid_text(heading, rows, brief=brief, mark=mark, width=width)

    def __str__(self) -> str:
        return self.grid()


def mechanisms(schedule: Schedule) -> tuple[str, ...]:
    """What not everything that takes a schedule can handle, a clause each; () if it has nothing.

    >>> from dataclasses import replace
    >>> from sim import FAMILIES
    >>> mechanisms(replace(FAMILIES["1f1b"](3, 4), trains=("nothing", "nothing", "weights")))
    ('stages 0-1 train nothing',)
    """
    found = []
    if schedule.routes:
        found.append(f"microbatches take {len(schedule.routes) + 1} routes")
    if schedule.vocabulary:
        n = schedule.vocabulary
        found.append(f"all devices share the vocabulary, {plural(n, 'barrier')}")
    for trained, what in (("adapters", "adapters alone"), ("nothing", "nothing")):
        stages = [stage for stage, word in enumerate(schedule.trains) if word == trained]
        found += [_clause(stages, "train", what)] if stages else []
    recomputed = {where[0] for where, lever in schedule.levers.items() if lever == "R"}
    if recomputed:
        found.append(_clause(recomputed, "recompute", "activations"))
    copied = {where[0] for where, lever in schedule.levers.items() if lever == "O"}
    if copied:
        stores = {
            schedule.store(device)
            for device, order in enumerate(schedule.orders)
            if any(getattr(op, "kind", None) == "O" for op in order)
        }
        to = "host memory" if None in stores else "other devices"
        found.append(_clause(copied, "offload", f"activations to {to}"))
    return tuple(found)


def _clause(stages: Iterable[int], verb: str, what: str) -> str:
    known = {stage for stage in stages if isinstance(stage, int)}
    many = len(known) > 1
    return f"stage{'s' * many} {ranges(known)} {verb}{'s' * (not many)} {what}"
