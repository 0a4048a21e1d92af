"""Orders with levers as schedules: R before B, O after F, L before B."""

from __future__ import annotations

from ...schedule.ir import Op, Schedule
from ..orders.limits import PASSES
from .problem import OFFLOAD, RECOMPUTE, Pulled


def schedule_of(placement: tuple[int, ...], pulled: Pulled, name: str) -> Schedule:
    """The schedule that an order with levers stands for."""
    n_microbatches = pulled.mode.shape[1]
    rows = tuple(_row(codes, pulled) for codes in pulled.order.tolist())
    return Schedule(placement, rows, n_microbatches, name=name)


def _row(codes: list[int], pulled: Pulled) -> tuple[Op, ...]:
    seen: dict[int, int] = {}
    ops = []
    for code in codes:
        i = seen[code] = seen.get(code, -1) + 1
        ops.append(Op(PASSES[code % 3], code // 3, i))
    place = {op: x for x, op in enumerate(ops)}
    before: dict[int, list[Op]] = {}
    for x, op in enumerate(ops):
        mode = pulled.mode[op.stage, op.microbatch]
        if op.kind != "B" or mode not in (RECOMPUTE, OFFLOAD):
            continue
        first = place[op._replace(kind="F")] + 1
        spot = max(x - int(pulled.lead[op.stage, op.microbatch]), first)
        before.setdefault(spot, []).append(op._replace(kind="R" if mode == RECOMPUTE else "L"))
    row: list[Op] = []
    for x, op in enumerate(ops):
        row += [*before.get(x, ()), op]
        if op.kind == "F" and pulled.mode[op.stage, op.microbatch] == OFFLOAD:
            row.append(op._replace(kind="O"))
    return tuple(row)
