"""Rules about what a schedule says beside its orders: further placements, what trains, who stores.

Predicates as in `sim.schedule.rules`, which lists them: None, or the first `Violation`.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, get_args

from .ir import Schedule, Trained
from .violations import Violation


def routes_sane(schedule: Schedule) -> Violation | None:
    """Further placements have all stages too, and every microbatch follows one that there is."""
    p, n, m = schedule.n_devices, schedule.n_stages, schedule.n_microbatches
    for number, route in enumerate(schedule.routes, 1):
        if len(route) != n:
            return Violation(f"route {number} has {len(route)} stages; it must have all {n}")
        for stage, device in enumerate(route):
            if not whole(device) or not 0 <= device < p:
                rule = f"route {number} places stage {stage} on device {device!r}"
                return Violation(f"{rule}; devices are 0 to {p - 1}, one per order")
    if len(schedule.follows) != (m if schedule.routes else 0):
        found = len(schedule.follows)
        rule = f"follows has {found} entries for {m} microbatches and {len(schedule.routes)} routes"
        return Violation(f"{rule}; each microbatch follows one, where there are routes")
    for microbatch, chosen in enumerate(schedule.follows):
        if not whole(chosen) or not 0 <= chosen <= len(schedule.routes):
            rule = f"microbatch {microbatch} follows route {chosen!r}"
            return Violation(f"{rule}; it must be one of 0 to {len(schedule.routes)}")
    unused = {*range(len(schedule.routes) + 1)} - {*schedule.follows} if schedule.routes else ()
    if unused:
        return Violation(f"no microbatch follows route {min(unused)}; leave it out")
    return None


def trained_known(schedule: Schedule) -> Violation | None:
    """Where it is said what stages train, it is said of each."""
    words = get_args(Trained)
    if schedule.trains and len(schedule.trains) != schedule.n_stages:
        n = schedule.n_stages
        return Violation(
            f"trains has {len(schedule.trains)} entries for {n} stages: it has one each"
        )
    for stage, trained in enumerate(schedule.trains):
        if trained not in words:
            rule = f"stage {stage} trains {trained!r}; it must be one of {', '.join(words)}"
            return Violation(rule)
    return None


def stores_known(schedule: Schedule) -> Violation | None:
    """Where it is said who keeps what devices offload, it is the host or another device."""
    found, p = len(schedule.stores), schedule.n_devices
    if found not in (0, p):
        return Violation(f"stores has {found} entries for {p} devices; each has one")
    for device, store in enumerate(schedule.stores):
        if store is not None and (not whole(store) or not 0 <= store < p or store == device):
            rule = f"offloads to {store!r}; it must be None, the host, or another of {p} devices"
            return Violation(rule, device)
    return None


def vocabulary_known(schedule: Schedule) -> Violation | None:
    """Between the forward and the backward of the last stage there are no, one or two barriers."""
    if not whole(schedule.vocabulary) or schedule.vocabulary not in (0, 1, 2):
        rule = f"vocabulary is {schedule.vocabulary!r}; it must be 0, or the 1 or 2 all-reduces"
        return Violation(f"{rule} between F and B of the last stage")
    return None


def whole(number: Any) -> bool:
    """Whether it is a whole number, of Python or of numpy."""
    return isinstance(number, Integral) and not isinstance(number, bool)
