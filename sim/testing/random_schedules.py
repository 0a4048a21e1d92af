"""Random schedules: of families, of no family, and with levers pulled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

from hypothesis import reject
from hypothesis import strategies as st

from ..engine.offloaded import offloaded
from ..engine.recomputed import recomputed
from ..families import FAMILIES
from ..families.family import Family
from ..schedule.dependencies import reads, writes
from ..schedule.ir import Op, Schedule, Step
from ..schedule.training import frozen, frozen_weights

OPTIONS: dict[str, st.SearchStrategy[int]] = {
    "v": st.integers(1, 3),
    "slices": st.integers(1, 3),
    "group_size": st.integers(1, 8),
    "barriers": st.integers(1, 2),
}
"""What to try for the options of families, by name; 1 to 3 for any other one."""
_CHAINS = [
    family
    for family in FAMILIES.values()
    if "O" not in family.passes.split() and "both ways" not in family.placement
]


def schedules(*, max_devices: int = 4, max_microbatches: int = 6) -> st.SearchStrategy[Schedule]:
    """Valid schedules, chains of stages on one placement (which not all code takes more than): of
    families with all their options, and wild ones no family makes.

    >>> from hypothesis import find
    >>> find(schedules(max_devices=2), lambda found: found.n_microbatches == 3).n_devices <= 2
    True
    """
    return st.one_of(
        family_schedules(max_devices=max_devices, max_microbatches=max_microbatches),
        wild_schedules(max_devices=max_devices, max_microbatches=max_microbatches),
    )


@st.composite
def family_schedules(
    draw: st.DrawFn,
    *,
    families: Sequence[Family] | None = None,
    max_devices: int = 4,
    max_microbatches: int = 6,
) -> Schedule:
    """Schedules of `families`, with random options; if not given, of all those that are chains of
    stages on one placement, without copies."""
    family = draw(st.sampled_from(_CHAINS if families is None else families))
    p, m = draw(st.integers(1, max_devices)), draw(st.integers(1, max_microbatches))
    options = draw(options_of(family.options))
    try:
        return family(p, m, **options)
    except ValueError:  # the family refuses these numbers, as it may
        reject()


@st.composite
def wild_schedules(
    draw: st.DrawFn,
    *,
    max_devices: int = 4,
    max_microbatches: int = 6,
    max_slices: int = 2,
    directions: int = 1,
    barriers: int = 0,
) -> Schedule:
    """Valid schedules in any order on any placement, with fused and split backwards side by side.

    directions: how many placements there are, which microbatches follow in turn, if there are so
        many microbatches. barriers: `Schedule.vocabulary`.

    Made by running random passes among those whose inputs exist; two such passes of one device
    sometimes become a fused step.
    """
    p = draw(st.integers(1, max_devices))
    m = draw(st.integers(1, max_microbatches))
    k = draw(st.integers(1, max_slices))
    extra = draw(st.lists(st.integers(0, p - 1), max_size=2))
    placement = tuple(draw(st.permutations([*range(p), *extra])))
    n = len(placement)
    routes = tuple(tuple(draw(st.permutations(placement))) for _ in range(min(directions, m) - 1))
    follows = tuple(i % directions for i in range(m)) if routes else ()
    empty = Schedule(
        placement, ((),) * p, m, k,
        name="wild", routes=routes, follows=follows, vocabulary=barriers,
    )  # fmt: skip
    passes = []
    for stage in range(n):
        for microbatch in range(m):
            split = draw(st.booleans())
            for part in range(k):
                where = stage, microbatch, part
                passes += [Op("F", *where)]
                passes += [Op("B", *where), Op("W", *where)] if split else [Op("BW", *where)]
    if barriers:
        units = product(("S", "T"), range(p), range(m), range(k))
        passes += [Op(kind, *unit) for kind, *unit in units]  # type: ignore[arg-type]
    chance = draw(st.randoms(use_true_random=False))
    fusing = draw(st.booleans())
    orders: list[list[Op]] = [[] for _ in range(p)]
    fused: list[Step] = []
    written: set[Any] = set()
    turn = 0  # of the forwards of the last stage, which keep their order
    while passes:
        ready = [
            op
            for op in passes
            if written.issuperset(reads(empty, op))
            and (op.kind != "F" or op.stage < n - 1 or (op.microbatch * k + op.slice) == turn)
        ]
        step: Step = (chance.choice(ready),)
        device = empty.device_of(step[0])
        mates = [op for op in ready if op != step[0] and empty.device_of(op) == device]
        if fusing and mates and chance.random() < 0.3:
            step = (*step, chance.choice(mates))
            fused.append(step)
        for op in step:
            orders[device].append(op)
            passes.remove(op)
            written.update(writes(empty, op))
            turn += op.kind == "F" and op.stage == n - 1
    return replace(empty, orders=tuple(map(tuple, orders)), fused=tuple(fused))


@st.composite
def transformed(draw: st.DrawFn, schedule: Schedule) -> Schedule:
    """`schedule` as it is, or with some of its stages frozen, recomputing or offloading."""
    stages = st.sets(st.integers(0, schedule.n_stages - 1), max_size=3).map(sorted)
    p = schedule.n_devices
    partners = tuple((device + 1) % p for device in range(p)) if p > 1 else ()
    transforms: tuple[Callable[..., Schedule], ...] = (
        frozen, frozen_weights, recomputed, partial(recomputed, place="in waits"),
        offloaded, partial(offloaded, stores=partners),
    )  # fmt: skip
    for transform in draw(st.lists(st.sampled_from(transforms), max_size=2)):
        schedule = transform(schedule, draw(stages))
    return schedule


def options_of(names: Sequence[str]) -> st.SearchStrategy[dict[str, int]]:
    """Values for some of the options; the others keep their defaults."""
    each = {name: OPTIONS.get(name, st.integers(1, 3)) for name in names}
    return st.fixed_dictionaries({}, optional=each)
