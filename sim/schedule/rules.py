"""What makes a schedule runnable: one predicate per rule, None or the first `Violation` of it.

    >>> from sim import FAMILIES
    >>> schedule = FAMILIES["1f1b"](2, 4)
    >>> [rule.__name__ for rule in RULES if rule(schedule)]  # the broken rules
    []

Every predicate is linear in the passes, and assumes that the ones before it in `RULES` hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from .deadlock import waiting_cycle
from .dependencies import reads, writes
from .field_rules import routes_sane, stores_known, trained_known, vocabulary_known, whole
from .ir import KINDS, PARTS, QUEUES, Op, Schedule
from .violations import (
    Violation,
    first_broken_lever,
    first_doubled,
    first_missing,
    first_twice,
    first_unneeded,
    too_early,
)
from .written import written_rows


def sizes_positive(schedule: Schedule) -> Violation | None:
    """There is at least one device, one stage, one microbatch and one slice."""
    for number, noun in (
        (schedule.n_devices, "devices"),
        (schedule.n_stages, "stages"),
        (schedule.n_microbatches, "microbatches"),
        (schedule.n_slices, "slices"),
    ):
        if not whole(number) or number < 1:
            return Violation(f"the number of {noun} is {number!r}; it must be a whole number >= 1")
    return None


def placement_sane(schedule: Schedule) -> Violation | None:
    """Every stage sits on a device of the schedule, and every device has a stage."""
    p = schedule.n_devices
    for stage, device in enumerate(schedule.placement):
        if not whole(device) or not 0 <= device < p:
            return Violation(
                f"stage {stage} is placed on device {device!r}; "
                f"devices are 0 to {p - 1}, one per order"
            )
    for device, stages in enumerate(schedule.stages_of):
        if not stages:
            return Violation("holds no stage; every device needs one", device)
    return None


def passes_known(schedule: Schedule) -> Violation | None:
    """Every entry of every order is a pass of a stage, microbatch and slice that exist."""
    n_stages, m, k = schedule.n_stages, schedule.n_microbatches, schedule.n_slices
    for device, order in enumerate(schedule.orders):
        if _plainly_known(order, (n_stages, m, k)):
            continue
        for position, op in enumerate(order):
            if type(op) is not Op:
                rule = f"{op!r} is not a pass; write Op(kind, stage, microbatch)"
                return Violation(rule, device, position)
            kind, stage, microbatch, part = op
            if kind not in KINDS:
                rule = f"{op} is of kind {kind!r}; kinds are {', '.join(KINDS)}"
                return Violation(rule, device, position, op)
            if kind in PARTS and not schedule.vocabulary:
                rule = f"{op} runs a part of the vocabulary, which is cut nowhere: set vocabulary"
                return Violation(f"{rule} to 1 or 2, or leave it out", device, position, op)
            for number, count, noun in (
                (stage, schedule.n_devices, "parts")
                if kind in PARTS
                else (stage, n_stages, "stages"),
                (microbatch, m, "microbatches"),
                (part, k, "slices"),
            ):
                if not whole(number) or not 0 <= number < count:
                    rule = f"{op} names number {number!r} of the {noun}, which are 0 to {count - 1}"
                    return Violation(rule, device, position, op)
    return None


def placement_respected(schedule: Schedule) -> Violation | None:
    """Every pass is in the order of the device that holds its stage."""
    for device, order in enumerate(schedule.orders):
        stages = {stage for _, stage, _, _ in order}
        alone = not schedule.routes and not schedule.vocabulary
        if alone and stages <= {*schedule.stages_of[device]}:
            continue
        for position, op in enumerate(order):
            home = schedule.device_of(op)
            if home != device:
                what = "part" if op.kind in PARTS else "stage"
                rule = f"{op} belongs on device {home}, where {what} {op.stage} is placed"
                return Violation(rule, device, position, op)
    return None


def each_pass_once(schedule: Schedule) -> Violation | None:
    """Every stage, microbatch and slice has one F and one backward: a BW, or a B and a W; or as
    much of it as the stage needs."""
    for device, order in enumerate(schedule.orders):
        if len({*order}) < len(order):
            return first_twice(device, order)
    of_kind = dict.fromkeys(KINDS, 0)
    for device, order in enumerate(schedule.orders):
        here = Counter(kind for kind, _, _, _ in order)
        if here["BW"] and (here["B"] or here["W"]) and (both := first_doubled(device, order)):
            return both
        for kind in KINDS:
            of_kind[kind] += here[kind]
    leaves_out = schedule.trains or schedule.levers or schedule.vocabulary
    if leaves_out and (unneeded := first_unneeded(schedule)):
        return unneeded
    if schedule.levers and (lever := first_broken_lever(schedule)):
        return lever
    # Nothing is there twice, so the numbers agree exactly when nothing is missing.
    each = schedule.n_microbatches * schedule.n_slices
    full = each * schedule.backward.count("B W")
    if (
        of_kind["F"] == each * schedule.n_stages
        and of_kind["BW"] + of_kind["B"] == full + each * schedule.backward.count("B")
        and of_kind["BW"] + of_kind["W"] == full
        and of_kind["S"] == (each * schedule.n_devices if schedule.vocabulary else 0)
        and of_kind["T"] == (of_kind["S"] if schedule.backward[-1] else 0)
    ):
        return None
    return first_missing(schedule)


def weight_after_its_backward(schedule: Schedule) -> Violation | None:
    """On its device, every W comes after the B of the same stage, microbatch and slice."""
    for device, order in enumerate(schedule.orders):
        pending = set()
        for position, op in enumerate(order):
            if op.kind == "B":
                pending.add(op[1:])
            elif op.kind == "W" and op[1:] not in pending:
                rule = f"{op} comes before {op._replace(kind='B')}; a W uses what its B left"
                return Violation(rule, device, position, op)
    return None


def inputs_before_use(schedule: Schedule) -> Violation | None:
    """What a pass reads from its own device was written there by an earlier pass."""
    variants = schedule.variants
    for device, order in enumerate(schedule.orders):
        rows = written_rows(schedule, device=device)
        for position, op in enumerate(order):
            kind, stage, microbatch, part = op
            if variants:
                needed, made = rows(kind, stage, part, variants.get(op[1:]))
            else:
                needed, made = rows(kind, stage, part)
            for row in needed:
                if not row[microbatch]:
                    return too_early(schedule, device, position)
            for row in made:
                row[microbatch] = 1
    return None


def last_stage_in_order(schedule: Schedule) -> Violation | None:
    """The forwards of the last stage run in microbatch order, and slice order within one.

    Real runtimes pair the n-th output with the n-th target, so any other order means silently
    wrong gradients. Where there are several placements, it holds for each.
    """
    last = schedule.n_stages - 1
    for route, placement in enumerate((schedule.placement, *schedule.routes)):
        device = placement[last]
        previous: Op | None = None
        for position, op in enumerate(schedule.orders[device]):
            if op.kind == "F" and op.stage == last:
                if schedule.routes and schedule.follows[op.microbatch] != route:
                    continue
                if previous and op[2:] < previous[2:]:
                    rule = f"{op} comes after {previous}; the last stage goes in microbatch order"
                    return Violation(rule, device, position, op)
                previous = op
    return None


def fused_steps_sound(schedule: Schedule) -> Violation | None:
    """Every fused step is a run of neighbours on one device, none of which feeds another, but for
    an R and the backward that it rebuilds."""
    spot: dict[Op, tuple[int, int]] = {}
    if schedule.fused:
        for device, order in enumerate(schedule.orders):
            spot.update((op, (device, position)) for position, op in enumerate(order))
    taken: set[Op] = set()
    for step in schedule.fused:
        text = "&".join(map(str, step))
        if len(step) < 2:
            return Violation(f"fused step {text!r} has fewer than two passes; leave it out")
        if unknown := next((op for op in step if op not in spot), None):
            return Violation(f"fused step {text} names {unknown}, which no device runs", op=unknown)
        device, position = spot[step[0]]
        if schedule.orders[device][position : position + len(step)] != step:
            rule = f"fused step {text} is not a run of neighbours in the order of one device"
            return Violation(rule, device, position, step[0])
        if copy := next((op for op in step if op.kind in QUEUES), None):
            rule = (
                f"{copy} is in fused step {text}; it runs beside compute, leave it out of the step"
            )
            return Violation(rule, *spot[copy], copy)
        if twice := next((op for op in step if op in taken), None):
            rule = f"{twice} is in two fused steps; a pass is in at most one"
            return Violation(rule, *spot[twice], twice)
        taken.update(step)
        inside = {v: op for op in step if op.kind != "R" for v in writes(schedule, op)}
        for op in step:
            if feeder := next((inside[v] for v in reads(schedule, op) if v in inside), None):
                rule = f"{op} reads what {feeder} of the same fused step {text} writes at its end"
                return Violation(rule, *spot[op], op)
    return None


def no_deadlock(schedule: Schedule) -> Violation | None:
    """Every device gets to the end of its order: no passes wait for each other in a circle."""
    if cycle := waiting_cycle(schedule):
        device, position, op = cycle[0].device, cycle[0].position, cycle[0].op
        return Violation(f"deadlock: {'; '.join(map(str, cycle))}", device, position, op)
    return None


Rule = Callable[[Schedule], Violation | None]
RULES: tuple[Rule, ...] = (
    sizes_positive,
    routes_sane,
    placement_sane,
    trained_known,
    stores_known,
    vocabulary_known,
    passes_known,
    placement_respected,
    each_pass_once,
    weight_after_its_backward,
    fused_steps_sound,
    inputs_before_use,
    last_stage_in_order,
    no_deadlock,
)
PLAYABLE = tuple(rule for rule in RULES if rule is not last_stage_in_order)
"""What it takes to play a schedule: in which order the last stage goes is a matter of runtimes."""


_OF_STAGES = {*KINDS} - {*PARTS}


def _plainly_known(order: tuple[Op, ...], counts: tuple[int, int, int]) -> bool:
    """True if no pass needs a look of its own: to look at whole columns takes no time."""
    if not {*map(type, order)} <= {Op}:
        return False
    kinds, *columns = zip(*order, strict=True) if order else ((), (), (), ())
    return {*kinds} <= _OF_STAGES and all(
        {*map(type, column)} <= {int} and 0 <= min(column, default=0) <= max(column, default=0) < n
        for column, n in zip(columns, counts, strict=True)
    )
