"""Levers of whole stages hidden in tables, so that a search over orders alone can do the rest.

**Recompute**: R right before B is one pass R&B, which takes the time of both and needs the gradient
only at its middle: it may start earlier than the gradient comes, by the time of R.
**Offload**: where O and L have room beside compute they take no time. F keeps nothing then, and B
takes it all; for F itself and for copies under way some memory is left free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from ...base.numbers import Number, exact, plain, plus
from ...engine.costs import Costs
from ...schedule.ir import Op
from ..orders.limits import UNLIMITED
from ..orders.problem import Order, OrderProblem
from .problem import KEEP, OFFLOAD, RECOMPUTE, Leads, LeverProblem, Pulled


def folded_costs(costs: Costs, mode_of: Sequence[int]) -> Costs:
    """Costs of F, B and W in which the mode of each stage is hidden; mode_of: shape `(n_stages,)`.

    What such a B frees, it frees here at the end of its W only.

    >>> costs = Costs.of(2, forward=5, backward=6, weight=4, activation_bytes=100)
    >>> folded = folded_costs(costs, [RECOMPUTE, KEEP])
    >>> folded.backward, folded.activation_bytes, folded.backward_bytes
    (((11,), (6,)), ((0,), (100,)), ((100,), (0,)))
    """
    backward, kept, at_backward = [], [], []
    for s, mode in enumerate(mode_of):
        time, size = costs.duration((Op("B", s, 0),)), exact(costs.change("F", s))
        stays = size
        if mode != KEEP:
            stays = exact(0) if mode == OFFLOAD else size - exact(costs.rebuilt_bytes(s))
        again = costs.duration((Op("R", s, 0),)) if mode == RECOMPUTE else 0
        backward.append((plus(time, again),))
        kept.append((plain(stays),))
        change = exact(costs.change("B", s))
        if stays < size:  # what comes at the start of B and what goes at its end are one number
            change = size - stays + max(change, exact(0))
        at_backward.append((plain(change),))
    return replace(
        costs, backward=tuple(backward), activation_bytes=tuple(kept),
        backward_bytes=tuple(at_backward),
    )  # fmt: skip


def folded(problem: LeverProblem, mode_of: Sequence[int], under_way: int = 2) -> OrderProblem:
    """The search over orders alone in which every unit of a stage has its mode.

    under_way: activations that may be on their way out or back while others compute. Memory is that
    of `problem`, in both measures; costs and limit in bytes are for what looks at costs, which
    takes R&B to need the gradient from its start on.
    """
    q, more = problem.orders, problem.tables
    tables = q.tables
    duration, delay = tables.duration.copy(), tables.delay.copy()
    takes, frees = (np.zeros_like(tables.takes) for _ in range(2))
    limits = more.limits.copy()
    for s, mode in enumerate(mode_of):
        at_b, at_w = more.backward[:, s], more.weight[:, s]
        if mode != OFFLOAD:
            takes[:, 3 * s] = more.forward[:, s, mode, None]
        brought = more.prepare[:, s, mode] if mode != KEEP else np.zeros(2, np.int64)
        takes[:, 3 * s + 1] = (brought + np.maximum(at_b, 0))[:, None]
        frees[:, 3 * s + 1] = np.minimum(at_b, 0)[:, None]
        frees[:, 3 * s + 2] = at_w[:, None]
        if mode == RECOMPUTE:
            duration[3 * s + 1] += more.again[s]
            source = tables.wait_on[3 * s + 1]
            if source >= 0:  # R does not begin before what sends the gradient
                delay[3 * s + 1] = max(
                    delay[3 * s + 1] - more.again[s], -int(tables.duration[source, 0])
                )
    for d, stages in enumerate(tables.stages_of.tolist()):
        if copied := [s for s in stages if mode_of[s] == OFFLOAD]:
            limits[:, d] -= under_way * more.forward[:, copied, KEEP].max(axis=1)
    limits[more.limits >= UNLIMITED] = UNLIMITED
    costs, size = _in_bytes(problem)
    return replace(
        q, costs=folded_costs(costs, mode_of), memory_bytes=size,
        tables=tables._replace(
            duration=duration, delay=delay, takes=takes, frees=frees, limits=limits
        ),
    )  # fmt: skip


def _in_bytes(problem: LeverProblem) -> tuple[Costs, Number | Sequence[Number] | None]:
    """Costs and limit of a problem in bytes; where shares are limited, one share is one byte."""
    q, more = problem.orders, problem.tables
    if q.memory_bytes is not None or (more.limits[0] >= UNLIMITED).all():
        return problem.costs, q.memory_bytes
    parts = q.chunks * int(more.forward[0, 0, KEEP])
    costs = replace(
        problem.costs,
        activation_bytes=((Fraction(1, q.chunks),),) * q.n_stages,
        backward_bytes=((0,),) * q.n_stages,
        static_bytes=(0,) * q.n_stages,
        recompute_bytes=None,
    )
    return costs, [Fraction(limit, parts) for limit in more.limits[0].tolist()]


def unfolded(problem: LeverProblem, order: Order, mode_of: Sequence[int]) -> list[Pulled]:
    """The order with its R's right before B, and L's early enough to end by then, or right before
    B as well, which takes less memory."""
    kept = problem.kept(order.copy())
    kept.mode[:] = np.array(mode_of, np.int8)[:, None]
    found = [kept]
    if OFFLOAD in mode_of:
        found.insert(0, kept._replace(lead=_in_time(problem, order, mode_of)))
    return found


def _in_time(problem: LeverProblem, order: Order, mode_of: Sequence[int]) -> Leads:
    """How many passes before B take as long as L."""
    duration, back = problem.orders.tables.duration[:, 0], problem.tables.back
    lead = np.zeros((problem.orders.n_stages, problem.orders.n_microbatches), np.int32)
    seen = np.zeros(problem.orders.n_stages, np.int64)
    for row in order:
        for x, code in enumerate(row.tolist()):
            s, kind = divmod(code, 3)
            if kind != 1:
                continue
            i, time, n = seen[s], 0, 0
            seen[s] += 1
            while mode_of[s] == OFFLOAD and time < back[s] and n < x:
                n += 1
                time += duration[row[x - n]]
            lead[s, i] = n
    return lead
