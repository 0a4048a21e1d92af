"""Random schedules, costs and clusters, to test whatever eats or makes schedules with Hypothesis.

    >>> from hypothesis import given, settings
    >>> from sim.engine.simulate import simulate
    >>> from sim.metrics.metrics import busy, makespan
    >>> @settings(max_examples=10, deadline=None)
    ... @given(schedules().flatmap(lambda schedule: st.tuples(st.just(schedule), costs(schedule))))
    ... def no_play_is_shorter_than_the_work_of_its_busiest_device(pair):
    ...     trace = simulate(*pair)
    ...     assert makespan(trace) >= max(busy(trace))
    >>> no_play_is_shorter_than_the_work_of_its_busiest_device()

`check_family` asks all that a family must keep of one of your own.

The only module that needs Hypothesis (https://hypothesis.readthedocs.io).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from inspect import signature
from itertools import product
from typing import Any

from hypothesis import Phase, given, note, reject, settings
from hypothesis import strategies as st

from .base.numbers import Number
from .engine.cluster import Cluster, Link, Receives, Transfers
from .engine.cost_tables import Table
from .engine.costs import Costs
from .engine.offloaded import offloaded
from .engine.recomputed import recomputed
from .engine.simulate import simulate
from .families import FAMILIES
from .families.family import Family
from .metrics.metrics import busy, clock_time, makespan, peak_shares
from .schedule.ir import KINDS, Kind, Op, Schedule, Step, reads, writes
from .schedule.json_form import from_json, to_json
from .schedule.training import frozen, frozen_weights
from .schedule.validate import validate

OPTIONS: dict[str, st.SearchStrategy[int]] = {
    "v": st.integers(1, 3),
    "slices": st.integers(1, 3),
    "group_size": st.integers(1, 8),
    "barriers": st.integers(1, 2),
}
"""What to try for the options of families, by name; 1 to 3 for any other one."""
PLACEMENTS = ("straight", "loop", "V", "wave", "both ways", "V both ways")
NAMES = ("p", "m", "v", "k", "N", "b", "F", "B", "W", "min", "max")
"""What the formulas of a family are over."""
_TIMES = st.one_of(
    st.integers(1, 9).map(lambda time: (time, time, time)),
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)),
)
_CHAINS = [
    family
    for family in FAMILIES.values()
    if "O" not in family.passes.split() and "both ways" not in family.placement
]
_SCALES: st.SearchStrategy[Number] = st.sampled_from((1, 0.9, Fraction(2, 3)))


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
    options = draw(_options(family.options))
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


def scales(schedule: Schedule) -> st.SearchStrategy[Table]:
    """Factors on the costs of each microbatch of `schedule`, also per stage: `microbatch_scale`."""
    factor = st.sampled_from((1, 1, 2, 0.5, Fraction(1, 3), 0))
    row = st.sampled_from((1, schedule.n_stages)).flatmap(
        lambda n: st.lists(factor, min_size=n, max_size=n).map(tuple)
    )
    m = schedule.n_microbatches
    return st.lists(row, min_size=1, max_size=2).flatmap(
        lambda rows: st.lists(st.sampled_from(rows), min_size=m, max_size=m).map(tuple)  # type: ignore[arg-type]
    )


def numbers(*, signed: bool = False) -> st.SearchStrategy[Number]:
    """What people type as a time or a size: whole numbers, decimals, fractions.

    >>> from hypothesis import find
    >>> find(numbers(), lambda number: number > 2)
    3
    """
    low = -20 if signed else 0
    return st.one_of(
        st.integers(low, 20),
        st.integers(10 * low, 200).map(lambda tenths: tenths / 10),
        st.fractions(low, 20, max_denominator=6),
    )


@st.composite
def costs(
    draw: st.DrawFn, schedule: Schedule, *, times: st.SearchStrategy[Number] | None = None
) -> Costs:
    """Costs that fit `schedule`: alike, different per stage, or per stage and slice.

    B may keep more than F did or give up to all of it back, so memory never falls below zero.
    times: how long a pass may take, `numbers()` by default.
    """
    times = numbers() if times is None else times
    n, k = schedule.n_stages, schedule.n_slices

    def table(rows: int, cell: st.SearchStrategy[Number]) -> Any:
        wide = draw(st.sampled_from((1, k)))
        return (
            draw(
                st.lists(st.lists(cell, min_size=wide, max_size=wide), min_size=rows, max_size=rows)
            )
            if draw(st.booleans())
            else [[draw(cell)]] * rows
        )

    kept = table(n, st.integers(0, 50))
    at_b = [[draw(st.integers(-min(row), 30))] for row in kept]
    return Costs(
        forward=table(n, times),
        backward=table(n, times),
        weight=table(n, times),
        fused_backward=table(n, times) if draw(st.booleans()) else None,
        send=tuple(row[0] for row in table(n - 1, times)),
        activation_bytes=kept,
        backward_bytes=at_b,  # type: ignore[arg-type]
        boundary_bytes=table(n - 1, st.integers(0, 50)),
        static_bytes=tuple(row[0] for row in table(n, st.integers(0, 50))),
        pair_scale=draw(_SCALES),
        group_scale=draw(_SCALES),
        offload=table(n, times) if schedule.copies else None,
    )


@st.composite
def clusters(
    draw: st.DrawFn,
    schedule: Schedule,
    *,
    transfers: Sequence[Transfers] = ("overlapped",),
    receives: Sequence[Receives] = ("buffered",),
) -> Cluster:
    """Clusters for `schedule`: stragglers, slow wires, and wires that several pairs share.

    Memory is unlimited. transfers, receives: the modes to draw from. Any mode but the first ones
    can make a valid schedule wait for itself, which `simulate` reports as `Deadlock`.
    """
    p = schedule.n_devices
    wire = st.builds(
        Link,
        latency=st.sampled_from((0, 1, 0.5)),
        bandwidth=st.sampled_from((math.inf, 1, 10, 0.5)),
    )
    links = draw(st.dictionaries(st.sampled_from("abc"), wire, max_size=3))
    pairs = [(a, b) for a in range(p) for b in range(p) if a != b]
    routed = draw(st.lists(st.sampled_from(pairs), unique=True)) if links and pairs else []
    names = st.lists(st.sampled_from(sorted(links)), min_size=1, max_size=2, unique=True)
    return Cluster(
        p,
        slowdown=tuple(draw(st.sampled_from((1, 1.5, 2))) for _ in range(p)),
        links=links,
        routes={pair: tuple(draw(names)) for pair in routed},
        transfers=draw(st.sampled_from(transfers)),
        receives=draw(st.sampled_from(receives)),
    )


def check_family(family: Family | Callable[..., Schedule], *, max_examples: int = 50) -> None:
    """AssertionError (or the ValueError of a broken rule) unless `family` keeps what all must.

    family: a `Family`, or just its function `(n_devices, n_microbatches) -> Schedule`, which claims
        nothing about bubble and peak; its keyword options v, slices and group_size are tried too.

    For random numbers of devices and microbatches and random options: the schedule is valid, has
    the numbers asked for, is the same when built again, and survives JSON; it has the placement and
    the passes that the family claims; with random costs it plays to the end, not faster than its
    busiest device works; and wherever `exact_when` holds, the family's `bubble` and `peak` are met
    exactly. ValueError from the family itself means that it refuses these numbers, which is fine as
    long as it does not refuse nearly everything. ValueError with one sentence for a formula that
    cannot be read.

    >>> check_family(FAMILIES["1f1b"], max_examples=10)
    """
    rule = family if isinstance(family, Family) else _claiming_nothing(family)

    _check_formulas(rule)
    seen: set[str] = set()

    @settings(
        max_examples=max_examples, deadline=None, phases=set(Phase) - {Phase.explain},
        report_multiple_bugs=False,
    )  # fmt: skip
    @given(st.data())
    def keeps_its_promises(data: st.DataObject) -> None:
        p = data.draw(st.integers(1, 5), "devices")
        m = data.draw(st.integers(1, 12), "microbatches")
        options = data.draw(_options(rule.options), "options")
        try:
            schedule = rule(p, m, **options)
        except ValueError as error:
            note(f"{rule.name} refuses: {error}")
            reject()
        note(str(schedule))
        validate(schedule)
        sizes = schedule.n_devices, schedule.n_microbatches
        assert sizes == (p, m), f"asked for devices, microbatches {(p, m)}, it has {sizes}"
        assert schedule == rule(p, m, **options), "built twice, the schedules differ"
        assert schedule == from_json(to_json(schedule)), "it does not survive JSON"
        seen.update(_check_shape(rule, schedule))
        # What draws least comes first: it fails with the smallest example in the shortest time.
        if "group_size" in options or "group_size" not in rule.options:
            _check_claims(rule, schedule, options, data.draw(_TIMES, "F, B, W"))
        trace = simulate(schedule, data.draw(costs(schedule), "costs"))
        assert makespan(trace) >= max(busy(trace)), "it is shorter than the work of a device"

    keeps_its_promises()
    never = sorted(set(rule.passes.split()) - seen)
    assert not never, f"{rule.name} claims passes {rule.passes!r}, and never has {never[0]}"


def _claiming_nothing(build: Callable[..., Schedule]) -> Family:
    named = signature(build).parameters.values()
    options = tuple(p.name for p in named if p.kind is p.KEYWORD_ONLY and p.name in OPTIONS)
    name = getattr(build, "__name__", "family")
    return Family(name, build, "", "", bubble="", peak="", source="", options=options)


def _check_formulas(family: Family) -> None:
    """ValueError with one sentence for a formula or a placement that nobody could check."""
    if family.placement not in ("", *PLACEMENTS):
        raise ValueError(
            f"{family.name} has placement {family.placement!r}: it must be one of "
            f"{', '.join(PLACEMENTS)}"
        )
    if wrong := sorted(set(family.passes.split()) - set(KINDS)):
        raise ValueError(f"{family.name} has passes {wrong[0]!r}: kinds are {', '.join(KINDS)}")
    for field in ("bubble", "peak", "exact_when"):
        text = getattr(family, field)
        try:
            names = set(compile(text or "0", field, "eval").co_names) - set(NAMES)
        except SyntaxError as error:
            raise ValueError(
                f"the {field} of {family.name} is {text!r}: {error.msg}; it must be a Python "
                f"expression over {', '.join(NAMES)}"
            ) from None
        if names:
            raise ValueError(
                f"the {field} of {family.name} is {text!r}: it knows no {min(names)}, only "
                f"{', '.join(NAMES)}"
            )


def _check_shape(family: Family, schedule: Schedule) -> set[Kind]:
    """The kinds of passes, and AssertionError for others than the family claims, or for another
    placement; where it claims none, all are fine."""
    found = schedule.placement
    forth = tuple(range(schedule.n_devices))
    lies = {
        "": True,
        "straight": found == forth,
        "loop": found == forth * (len(found) // len(forth)),
        "V": found == forth + forth[::-1],
        "wave": found == ((forth + forth[::-1]) * len(found))[: len(found)],
        "both ways": bool(schedule.routes) or schedule.n_microbatches == 1,
        "V both ways": found == forth + forth[::-1],
    }[family.placement]
    assert lies, (
        f"{family.name} claims placement {family.placement!r}, and its stages lie on devices "
        f"{found}"
    )
    kinds = {op.kind for order in schedule.orders for op in order}
    others = sorted(kinds - set(family.passes.split())) if family.passes else []
    assert not others, f"{family.name} claims passes {family.passes!r}, and has {others[0]} too"
    return kinds


def _check_claims(
    family: Family, schedule: Schedule, options: dict[str, int], unit: tuple[int, int, int]
) -> None:
    """The formulas of the family against a play with whole-number times."""
    # Whole shares are multiples of v k, so that every pass takes a whole number.
    k = schedule.n_slices
    v = schedule.pieces(0) // k
    f, b, w = (time * v * k for time in unit)
    names: dict[str, Any] = {
        name: Fraction(number)
        for name, number in {
            "p": schedule.n_devices, "m": schedule.n_microbatches, "v": v, "k": k,
            "N": options.get("group_size", schedule.n_devices), "F": f, "B": b, "W": w,
            "b": schedule.vocabulary,
        }.items()
    }  # fmt: skip
    scope: dict[str, Any] = {"__builtins__": {}, "min": min, "max": max, **names}
    if not eval(family.exact_when, scope):
        return
    # Copies, if there are any, take as long as the shortest pass.
    prices = Costs.uniform(schedule, forward=f, backward=b, weight=w, offload=min(f, b, w))
    trace = simulate(schedule, prices)
    if family.peak:
        peak, claimed = float(max(peak_shares(trace))), float(eval(family.peak, scope))
        assert peak == claimed, f"peak is {peak} shares, {family.peak} gives {claimed}"
    if family.bubble:
        idle = clock_time(trace, family.clock) - schedule.n_microbatches * (f + b + w)
        claimed = eval(family.bubble, scope)
        assert idle == claimed, f"bubble is {idle}, {family.bubble} gives {claimed}"


def _options(names: Sequence[str]) -> st.SearchStrategy[dict[str, int]]:
    """Values for some of the options; the others keep their defaults."""
    each = {name: OPTIONS.get(name, st.integers(1, 3)) for name in names}
    return st.fixed_dictionaries({}, optional=each)
