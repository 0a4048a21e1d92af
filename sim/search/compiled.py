"""Loops over passes, compiled by numba where it is installed and plain Python where it is not.

The machine code is kept on disk, so only the first process on a machine waits for the compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from .settings.compile_time import COMPILE_TIME

Ints = NDArray[np.int64]
Times = NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])

try:
    import numba
    from numba.core import event

    COMPILED = True

    class _Watch(event.Listener):
        """Tells the clock of searches when machine code is made; none is where it is on disk."""

        def on_start(self, event: Any) -> None:
            COMPILE_TIME.begin()

        def on_end(self, event: Any) -> None:
            COMPILE_TIME.end()

    event.register("numba:compile", _Watch())  # type: ignore[no-untyped-call]
except ImportError:
    COMPILED = False


def compiled(function: Function) -> Function:
    """`function` as machine code cached on disk; the function itself where numba is missing."""
    if not COMPILED:
        return function
    dispatcher: Any = numba.njit(cache=True, nogil=True)(function)
    resolve, unliteral = dispatcher.get_call_template, cast(Any, numba.types.unliteral)

    def resolved(args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        """Called from compiled code: a constant is a number like any other there, else every
        constant that a function is ever called with would have it compiled once more."""
        kinds = {name: unliteral(kind) for name, kind in kws.items()}
        return resolve(tuple(map(unliteral, args)), kinds)

    dispatcher.get_call_template = resolved
    return cast(Function, dispatcher)


@compiled
def below(rng: np.random.Generator, n: Any) -> int:
    """One of the numbers 0 to n - 1, all equally likely (faster here than `rng.integers`)."""
    return int(rng.random() * n)


@compiled
def overwrite(target: Any, source: Any) -> None:
    """`target[...] = source`, of equal shapes: to say that they differ, numba compiles the text of
    an error for seconds."""
    for i in range(source.size):
        target.flat[i] = source.flat[i]


@compiled
def ranked(values: Ints, rank: Any) -> Any:
    """`np.sort(values)[rank]` by Hoare's selection, which is found and compiled faster."""
    rest = values.copy()
    low, high = 0, rest.size - 1
    while low < high:
        pivot = rest[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while rest[i] < pivot:
                i += 1
            while rest[j] > pivot:
                j -= 1
            if i <= j:
                rest[i], rest[j] = rest[j], rest[i]
                i, j = i + 1, j - 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return rest[rank]


@compiled
def writers(kind: Ints, stage: Ints, microbatch: Ints, part: Ints, shape: Ints) -> Ints:
    """Which pass writes what each pass reads, shape `(n_ops, 3)`: an index, -1 none, -2 missing.

    Column 0: the input from the stage before (F) or after (B, BW), or the pending rest (W).
    Column 1: what the forward saved, or was recomputed or loaded back (B, BW); what the forward
    kept (R) or saved (O); what was stored (L). Column 2: the neighbouring slice. Kinds are 0 F,
    1 B, 2 W, 3 BW, 4 R, 5 O, 6 L; `shape` is (n_stages, n_microbatches, n_slices). 7 S and 8 T
    have none of these inputs.
    """
    n_stages, n_microbatches, n_slices = shape
    per_kind = n_stages * n_microbatches * n_slices
    where = np.full(5 * per_kind, -2, np.int64)  # of F, B or BW, W, R or L, O of each slot
    row_of = np.array([0, 1, 2, 1, 3, 4, 3])
    n = kind.size
    for i in range(n):
        if kind[i] > 6:
            continue
        slot = (stage[i] * n_microbatches + microbatch[i]) * n_slices + part[i]
        where[row_of[kind[i]] * per_kind + slot] = i
    found = np.full((n, 3), -1, np.int64)
    row = n_microbatches * n_slices
    for i in range(n):
        if kind[i] > 6:
            continue
        slot = (stage[i] * n_microbatches + microbatch[i]) * n_slices + part[i]
        if kind[i] == 0:
            if stage[i] > 0:
                found[i, 0] = where[slot - row]
            if part[i] > 0:
                found[i, 2] = where[slot - 1]
        elif kind[i] == 2:
            found[i, 0] = where[per_kind + slot]
        elif kind[i] >= 4:
            found[i, 1] = where[(4 if kind[i] == 6 else 0) * per_kind + slot]
        else:
            again = where[3 * per_kind + slot]
            kept = again < 0 and where[4 * per_kind + slot] < 0
            found[i, 1] = where[slot] if kept else again
            if stage[i] < n_stages - 1:
                found[i, 0] = where[per_kind + slot + row]
            if part[i] < n_slices - 1:
                found[i, 2] = where[per_kind + slot + 1]
    return found


@compiled
def play(
    first_step: Ints,
    first_op: Ints,
    step_of: Ints,
    reads: Ints,
    parts: Ints,
    gate: Ints,
    delay: Times,
    all_reduce: Any,
    duration: Times,
) -> tuple[Times, Times, int]:
    """Start and end of every step, and how many could run, each starting as soon as it can.

    A device here is any queue. first_step[d]: number of the first step of device d, with the total
    at the end. first_op: the same for the passes of a step. reads: see `writers`. gate: for every
    pass another that must have ended, too, or -1; empty where there is none. delay[i]: what the
    input of column 0 of pass i takes to arrive. parts: further inputs of each pass in the same
    numbers, or empty; those of other devices take `all_reduce`. A device that waits is noted down
    at the step it waits for, so every step is looked at once or twice however many devices there
    are.
    """
    n_devices, n_steps = first_step.size - 1, first_op.size - 1
    start = np.zeros_like(duration)
    end = np.zeros_like(duration)
    done = np.zeros(n_steps, np.bool_)
    position = first_step[:-1].copy()
    waiting = np.full(n_steps, -1, np.int64)  # the last device that waits for a step,
    after = np.full(n_devices, -1, np.int64)  # and the one noted down before each
    todo = np.arange(n_devices)[::-1].copy()
    n_todo, n_done = n_devices, 0
    while n_todo > 0:
        # one device runs until it is done or waits for a step that has not run yet
        n_todo -= 1
        device = todo[n_todo]
        while position[device] < first_step[device + 1]:
            step = position[device]
            begin = end[step - 1] if step > first_step[device] else duration[step] - duration[step]
            blocked = np.int64(-1)
            for op in range(first_op[step], first_op[step + 1]):
                if gate.size and gate[op] >= 0:
                    if not done[step_of[gate[op]]]:
                        blocked = step_of[gate[op]]
                        break
                    begin = max(begin, end[step_of[gate[op]]])
                for column in range(3):
                    writer = reads[op, column]
                    if writer == -1:
                        continue
                    if writer < -1:
                        return start, end, n_done
                    other = step_of[writer]
                    if other == step and writer < op:
                        continue  # an earlier pass of the same fused step
                    if not done[other]:
                        blocked = other
                        break
                    arrival = end[other] + delay[op] if column == 0 else end[other]
                    begin = max(begin, arrival)
                if parts.size and blocked < 0:
                    for column in range(parts.shape[1]):
                        writer = parts[op, column]
                        if writer == -1:
                            continue
                        if writer < -1:
                            return start, end, n_done
                        other = step_of[writer]
                        if not done[other]:
                            blocked = other
                            break
                        here = first_step[device] <= other < first_step[device + 1]
                        begin = max(begin, end[other] if here else end[other] + all_reduce)
                if blocked >= 0:
                    break
            if blocked >= 0:
                after[device] = waiting[blocked]
                waiting[blocked] = device
                break
            start[step] = begin
            end[step] = begin + duration[step]
            done[step] = True
            n_done += 1
            position[device] += 1
            while waiting[step] >= 0:
                woken = waiting[step]
                waiting[step] = after[woken]
                todo[n_todo] = woken
                n_todo += 1
    return start, end, n_done


@compiled
def peaks(first_step: Ints, first_op: Ints, takes: Times, frees: Times) -> Times:
    """Most that is live on each device, from the order alone: a step takes first and frees last."""
    n_devices = first_step.size - 1
    most = np.zeros(n_devices, takes.dtype)
    for device in range(n_devices):
        live = takes[:1].sum() - takes[:1].sum()
        for step in range(first_step[device], first_step[device + 1]):
            for op in range(first_op[step], first_op[step + 1]):
                live += takes[op]
            most[device] = max(most[device], live)
            for op in range(first_op[step], first_op[step + 1]):
                live += frees[op]
    return most
