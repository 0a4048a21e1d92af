"""Why a configuration, or a whole plan, is refused: one sentence each, with what would do."""

from __future__ import annotations

from dataclasses import replace

from .configurations import Space, configurations, sizes_that_fit
from .cost_model import refusal
from .estimate import bytes_at_least, prepare
from .hardware import NODES
from .models import nearest_divisor
from .problem import Problem

GIB = 2**30


def memory_reason(problem: Problem, need: float) -> str:
    return (
        f"needs at least {need / GIB:.1f} GiB on a device; {problem.capacity / GIB:.1f} of "
        f"{problem.machine.device.memory / GIB:.1f} GiB are free"
    )


def bound_reason(at_least: float, slowest: float) -> str:
    return f"takes at least {at_least:.4g} s, slower than the best ones' {slowest:.4g} s"


def checked_question(
    problem: Problem, space: Space, sequence: int, batch: int, top: int | None, jobs: int | None
) -> None:  # fmt: skip
    """Raises ValueError if nothing can come of it."""
    for name, value in {
        "sequence": sequence,
        "batch": batch,
        "top": 1 if top is None else top,
        "jobs": 1 if jobs is None else jobs,
    }.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} is {value!r}: it must be a whole number >= 1")
    if reason := sizes_that_fit(problem.machine, space):
        raise ValueError(reason)
    for data in space.data:
        if batch % data:
            near = max(round(batch / data), 1) * data
            raise ValueError(
                f"batch {batch} is not divisible by data parallel size {data}: the nearest batch "
                f"that is divisible is {near}, the nearest size {nearest_divisor(batch, data)}"
            )
    for size in space.microbatch:
        if all(batch % (size * data) for data in space.data or (1,)):
            near = nearest_divisor(batch // min(space.data or (1,)), size)
            raise ValueError(
                f"batch {batch} is not divisible by microbatch {size}: the nearest batch that is "
                f"divisible is {max(round(batch / size), 1) * size}, the nearest size {near}"
            )


def too_large(problem: Problem, space: Space, need: float, sequence: int, batch: int) -> str:
    """How many bytes the leanest configuration needs, and how many devices would do."""
    model, machine = problem.model, problem.machine
    sentence = (
        f"{model.name} does not fit {machine.name}: the leanest configuration needs at least "
        f"{need / GIB:.1f} GiB on a device, and {problem.capacity / GIB:.1f} are free"
    )
    if space.pipeline or space.tensor or space.data:
        return sentence + "; leave the sizes open or use more devices"
    again = ("full",) if "full" in space.recompute else space.recompute
    lean = replace(
        space, schedules=("1f1b",), microbatch=(1,), zero=(max(space.zero),), recompute=again
    )
    count = machine.n_devices
    for _ in range(8):
        count *= 2
        most = NODES[machine.device.name].devices if machine.device.name in NODES else 8
        alone = machine.per_node == machine.n_devices < most  # a part of a node
        node = min(count, most) if alone else machine.per_node
        wider = replace(machine, n_devices=count, per_node=node)
        larger = replace(problem, machine=wider)
        for c in configurations(model, wider, lean, sequence=sequence, batch=batch):
            if refusal(model, c):
                continue
            if bytes_at_least(larger, prepare(larger, c)) <= problem.capacity:
                return sentence + f"; {count} devices could do"
    return sentence + "; recompute, or shorten the sequence"
