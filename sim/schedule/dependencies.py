"""What passes read and write, and the steps in which a device runs them.

`reads` and `writes` define the dependencies: the validator, the engine and the backend call them.
Code that handles passes as bare numbers (building blocks, bounds, the compiled evaluator and the
search) restates them in its own terms, and the tests hold every restatement against `reads`.
"""

from __future__ import annotations

from collections.abc import Iterator

from .ir import Schedule
from .passes import PARTS, Kind, Op, Step, Value, ValueKind, atomic_steps


def steps(schedule: Schedule, device: int) -> Iterator[Step]:
    """The order of one device as atomic steps: mostly single passes, fused runs as one tuple; with
    the copies of its other queues between them, see `queue_of`."""
    return atomic_steps(schedule.orders[device], schedule.fused)


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
