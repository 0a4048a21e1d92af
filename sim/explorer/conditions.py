"""What an explorer can change beside the family and its times: devices, wires, memory and levers.

Each is done by one call of the public API, which stands next to the line of Python that shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ..base.numbers import Number
from ..engine.cluster import Cluster, Link, Receives
from ..engine.costs import Costs
from ..engine.costs_changed import slower
from ..engine.crossings import joined
from ..engine.offloaded import offloaded
from ..engine.recomputed import recomputed
from ..schedule.ir import Schedule
from ..schedule.training import frozen

GIB = 2**30
Recompute = Literal["no", "late", "in waits"]


@dataclass(frozen=True)
class Conditions:
    """slow_device computes slow_factor times as long, the last stage last_factor times (a
    vocabulary). wire: time that a whole microbatch holds the wire between two devices. receives:
    when a runtime posts them. activation, capacity: GiB of a share, and of a device (0: not
    counted, unlimited). jitter: as in `simulate`. frozen: so many first stages train nothing.
    recompute, offload: of all stages; copy: time of a whole share to the host."""

    slow_device: int = 0
    slow_factor: Number = 1
    last_factor: Number = 1
    wire: Number = 0
    receives: Receives = "buffered"
    activation: Number = 0
    capacity: Number = 0
    jitter: float = 0.0
    frozen: int = 0
    recompute: Recompute = "no"
    offload: bool = False
    copy: Number = 1


class Scene(NamedTuple):
    """What is simulated."""

    schedule: Schedule
    costs: Costs
    cluster: Cluster


def scene(schedule: Schedule, times: dict[str, Number], at: Conditions) -> Scene:
    """The schedule, costs and devices under these conditions; ValueError if they make no sense."""
    _check(at, schedule)
    if at.frozen:
        schedule = frozen(schedule, range(at.frozen))
    costs = Costs.uniform(schedule, **times, **_more(at))
    if factors := _factors(at, schedule):
        costs = slower(costs, factors)
    if at.recompute != "no":
        schedule = recomputed(schedule, place=at.recompute, costs=costs)
    if at.offload:
        schedule = offloaded(schedule, costs=costs)
    pairs = joined(schedule) if at.wire else set()
    links = {f"{a}->{b}": Link(0, 1) for a, b in pairs}
    routes = {(a, b): (f"{a}->{b}",) for a, b in pairs}
    memory = (at.capacity * GIB,) * schedule.n_devices if at.capacity else ()
    cluster = Cluster(
        schedule.n_devices, memory=memory, slowdown=slowdown(at, schedule), receives=at.receives,
        links=links, routes=routes,
    )  # fmt: skip
    return Scene(schedule, costs, cluster)


def lines(at: Conditions, schedule: Schedule, times: str, prefix: str) -> Iterator[str]:
    """The same as Python, from the schedule of the family to the trace."""
    name, costs, trace = (f"{prefix}{word}" for word in ("schedule", "costs", "trace"))
    if at.frozen:
        yield f"{name} = sim.frozen({name}, range({at.frozen}))"
    more = "".join(f", {key}={value!r}" for key, value in _more(at).items())
    yield f"{costs} = sim.Costs.uniform({name}, {times}{more})"
    if factors := _factors(at, schedule):
        yield f"{costs} = sim.slower({costs}, {factors})"
    if at.recompute != "no":
        yield f"{name} = sim.recomputed({name}, place={at.recompute!r}, costs={costs})"
    if at.offload:
        yield f"{name} = sim.offloaded({name}, costs={costs})"
    given = ""
    if at.capacity:
        given += f", memory=({at.capacity * GIB!r},) * {schedule.n_devices}"
    if apart := slowdown(at, schedule):
        given += f", slowdown={apart!r}"
    if at.receives != "buffered":
        given += f", receives={at.receives!r}"
    if at.wire:
        yield f"pairs = {sorted(joined(schedule))}"
        given += ', links={f"{a}->{b}": sim.Link(0, 1) for a, b in pairs}'
        given += ', routes={(a, b): (f"{a}->{b}",) for a, b in pairs}'
    cluster = f", sim.Cluster({schedule.n_devices}{given})" if given else ""
    jitter = f", jitter={at.jitter!r}" if at.jitter else ""
    yield f"{trace} = sim.simulate({name}, {costs}{cluster}{jitter})"


def _check(at: Conditions, schedule: Schedule) -> None:
    if at.slow_factor != 1 and at.slow_device >= schedule.n_devices:
        raise ValueError(
            f"slow device is {at.slow_device}, but there are {schedule.n_devices}, counted from 0"
        )
    if at.frozen >= schedule.n_stages:
        raise ValueError(
            f"frozen stages are {at.frozen} of {schedule.n_stages}: at least one has to train"
        )
    if at.capacity and not at.activation:
        raise ValueError("a capacity needs the bytes of activations: say how many GiB a share is")


def _more(at: Conditions) -> dict[str, Any]:
    """What `Costs.uniform` is told beside the times of passes."""
    found: dict[str, Any] = {}
    if at.activation:
        found["activation_bytes"] = at.activation * GIB
    if at.wire:
        found["boundary_bytes"] = at.wire  # over wires of one byte per unit of time
    if at.offload:
        found["offload"] = at.copy
    return found


def slowdown(at: Conditions, schedule: Schedule) -> tuple[Number, ...]:
    """How many times as long each device takes, where that is no matter of stages: a stage of two
    directions is on several devices, and S and T are of none; () otherwise."""
    if at.slow_factor == 1 or not (schedule.routes or schedule.vocabulary):
        return ()
    return tuple(at.slow_factor if d == at.slow_device else 1 for d in range(schedule.n_devices))


def _factors(at: Conditions, schedule: Schedule) -> list[Number]:
    """On the times of every stage; [] where nothing is slower."""
    last, apart = schedule.n_stages - 1, slowdown(at, schedule)
    found = [
        (at.slow_factor if device == at.slow_device and not apart else 1)
        * (at.last_factor if stage == last else 1)
        for stage, device in enumerate(schedule.placement)
    ]
    return found if any(factor != 1 for factor in found) else []
