"""An earlier result to start a search from: what has to hold, and its order."""

from __future__ import annotations

from ..schedule.ir import Schedule, mechanisms
from ..schedule.validate import validate
from .evaluation import evaluate
from .orders.problem import Order, OrderProblem
from .orders.replay import within


def warm_start(problem: OrderProblem, start: Schedule) -> Order:
    """The order of an earlier schedule of this problem. B and W in one pass count as B, then W.

    Where microbatches cost unequally, the i-th that it runs is the i-th of the problem's sequence.
    Raises ValueError, in one sentence, if it is a schedule of something else or breaks a limit.
    """
    validate(start)
    asked = (
        ("devices", start.n_devices, problem.n_devices),
        ("stages", start.n_stages, problem.n_stages),
        ("microbatches", start.n_microbatches, problem.n_microbatches),
    )
    for what, found, wanted in asked:
        if found != wanted:
            raise ValueError(f"start has {found} {what}, the search {wanted}: they must be equal")
    if start.placement != problem.placement:
        raise ValueError(
            f"start is on placement {_shown(start.placement)}, the search on "
            f"{_shown(problem.placement)}: search on the placement of start"
        )
    if more := mechanisms(start):
        raise ValueError(f"start cannot be searched from: {more[0]}; give one of F, B and W alone")
    order = problem.order(start) if _one_sequence(start) else None
    if order is None:
        raise ValueError(
            "start cannot be searched from: a search runs whole microbatches, one pass at a time, "
            "in the same sequence on all stages"
        )
    if not within(problem, order):
        raise ValueError(f"start breaks the memory limit: {_most(problem, start)}")
    return order


def _shown(placement: tuple[int, ...]) -> str:
    devices = [str(device) for device in placement]
    return ", ".join(devices if len(devices) <= 8 else [*devices[:6], "..."])


def _one_sequence(start: Schedule) -> bool:
    """Whether every pass of every stage meets the microbatches in the same sequence."""
    seen: dict[tuple[str, int], list[int]] = {}
    for ops in start.orders:
        for op in ops:
            for kind in ("B", "W") if op.kind == "BW" else (op.kind,):
                seen.setdefault((kind, op.stage), []).append(op.microbatch)
    return len(set(map(tuple, seen.values()))) <= 1


def _most(problem: OrderProblem, start: Schedule) -> str:
    """What it holds, and what to do about it."""
    found = evaluate(start, problem.costs_in_turn)
    held = (
        f"{max(found.peak_bytes)} bytes"
        if problem.shares is None
        else f"{max(found.peak_activations)} shares"
    )
    return f"it holds up to {held} on a device; raise the limit or take another start"
