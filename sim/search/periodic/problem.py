"""The modulo scheduling problem: microbatches that repeat every period, in whole ticks.

A **layout** says when each pass of one microbatch starts; microbatch i does the same i periods
later. It is good if no two passes of a device overlap modulo the period, every pass starts after
its inputs have arrived, and the activations alive on a device never exceed its limit.

Feasibility only grows with the period (keep every pass at its phase and in its period: precedence,
gaps and live counts can only get better), so "no layout at T" proves "none below T" too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

from ...base.numbers import Number, checked, exact
from ...engine.costs import Costs

Row = tuple[int, ...]


@dataclass(frozen=True)
class Problem:
    """Times in ticks and memory in units, both whole numbers.

    placement: device of each stage. forward, backward, weight: ticks per stage. send: ticks per
    boundary, 0 inside a device. kept: units from the start of F on, per stage. change: signed units
    at B (a rise at its start, a fall at its end); the rest goes at the end of W. limit: units per
    device, or None without a limit.
    """

    placement: Row
    forward: Row
    backward: Row
    weight: Row
    send: Row
    kept: Row
    change: Row
    limit: Row | None

    @property
    def n_devices(self) -> int:
        return max(self.placement) + 1

    @property
    def stages_of(self) -> tuple[Row, ...]:
        return tuple(
            tuple(s for s, device in enumerate(self.placement) if device == d)
            for d in range(self.n_devices)
        )

    def durations(self, kind: str) -> Row:
        return {"F": self.forward, "B": self.backward, "W": self.weight}[kind]

    def work(self, device: int) -> int:
        """Ticks of work of one microbatch on a device."""
        return sum(
            self.forward[s] + self.backward[s] + self.weight[s] for s in self.stages_of[device]
        )


@dataclass(frozen=True)
class Layout:
    """Start ticks of every pass, shape `(microbatches per period, n_stages)`, and the period."""

    period: int
    forward: tuple[Row, ...]
    backward: tuple[Row, ...]
    weight: tuple[Row, ...]

    @property
    def n(self) -> int:
        """Microbatches per period."""
        return len(self.forward)

    def starts(self, kind: str) -> tuple[Row, ...]:
        return {"F": self.forward, "B": self.backward, "W": self.weight}[kind]


class Answer(NamedTuple):
    """A layout, or None; then `proven` says whether that excludes the period (and all below)."""

    layout: Layout | None
    proven: bool


def problem_of(
    placement: Sequence[int],
    costs: Costs,
    *,
    memory_limit: Number | Sequence[Number] | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
) -> tuple[Problem, Fraction]:
    """The problem in exact ticks, and how long one tick is.

    memory_limit: in shares of a device's whole activation, one number or one per device.
    memory_bytes: what a device holds, static bytes included, one number or one per device.
    Raises ValueError where the input describes no pipeline or the limit holds no microbatch.
    """
    placement = tuple(placement)
    _check_placement(placement, costs)
    n = len(placement)
    times = [
        [exact(row[0]) for row in table] for table in (costs.forward, costs.backward, costs.weight)
    ]
    sends = [
        exact(costs.send[s]) if placement[s] != placement[s + 1] else Fraction(0)
        for s in range(n - 1)
    ]
    per_unit = math.lcm(*(time.denominator for row in [*times, sends] for time in row))
    forward, backward, weight = (tuple(int(t * per_unit) for t in row) for row in times)
    memory = _memory(placement, costs, memory_limit, memory_bytes)
    problem = Problem(
        placement, forward, backward, weight, tuple(int(c * per_unit) for c in sends), *memory
    )
    common = math.gcd(*forward, *backward, *weight, *problem.send) or 1
    return rescaled(problem, 1, common), Fraction(common, per_unit)


def rescaled(problem: Problem, numerator: int, denominator: int, *, up: bool = True) -> Problem:
    """The problem with ticks of another size: every time x numerator / denominator, rounded up
    (a layout of it is one of the original) or down (what it cannot do, the original cannot)."""

    def row(values: Row) -> Row:
        if up:
            return tuple(-(-value * numerator // denominator) for value in values)
        return tuple(value * numerator // denominator for value in values)

    return replace(
        problem,
        forward=row(problem.forward),
        backward=row(problem.backward),
        weight=row(problem.weight),
        send=row(problem.send),
    )


def least_memory(problem: Problem, device: int) -> int:
    """Units a device needs for one microbatch alone: no limit below it can ever be met.

    All its forwards come before its first backward, so all its stages are alive at once; when
    B(s) starts, the stages below s still are.
    """
    stages = problem.stages_of[device]
    alive, most = 0, 0
    for s in stages:
        alive += problem.kept[s]
        most = max(most, alive + max(problem.change[s], 0))
    return max(most, alive)


def chain_length(problem: Problem) -> int:
    """Ticks of one microbatch all alone, every W right after its B: a period that always works."""
    return (
        sum(problem.forward) + sum(problem.backward) + sum(problem.weight) + 2 * sum(problem.send)
    )


def alone(problem: Problem) -> Layout:
    """One microbatch from its first F to its last W, then the next; holds the least memory."""
    forward, at = [], 0
    n = len(problem.placement)
    for s in range(n):
        forward.append(at)
        at += problem.forward[s] + (problem.send[s] if s < n - 1 else 0)
    backward, weight = [0] * n, [0] * n
    for s in reversed(range(n)):
        backward[s], weight[s] = at, at + problem.backward[s]
        at = weight[s] + problem.weight[s] + (problem.send[s - 1] if s else 0)
    return Layout(chain_length(problem), (tuple(forward),), (tuple(backward),), (tuple(weight),))


def packed(problem: Problem) -> Layout:
    """Every device does its passes in one go, over and over: the smallest period if memory is no
    object, since a pass may wait for as many periods as it likes."""
    T, n = work_bound(problem), len(problem.placement)
    phase: dict[tuple[str, int], int] = {}
    for stages in problem.stages_of:
        at = 0
        for kind, s in [("F", s) for s in stages] + [(k, s) for s in stages[::-1] for k in "BW"]:
            phase[kind, s] = at
            at += problem.durations(kind)[s]
    forward, backward, weight = [0] * n, [0] * n, [0] * n

    def next_at(ready: int, key: tuple[str, int]) -> int:
        return ready + (phase[key] - ready) % T if T else ready

    at = 0
    for s in range(n):
        forward[s] = next_at(at, ("F", s))
        at = forward[s] + problem.forward[s] + (problem.send[s] if s < n - 1 else 0)
    for s in reversed(range(n)):
        backward[s] = next_at(at, ("B", s))
        at = backward[s] + problem.backward[s]
        weight[s] = next_at(at, ("W", s))
        at += problem.send[s - 1] if s else 0
    return Layout(T, (tuple(forward),), (tuple(backward),), (tuple(weight),))


def repeated(layout: Layout, n: int) -> Layout:
    """The same layout seen as one of `n` times as many microbatches per period."""

    def rows(kind: str) -> tuple[Row, ...]:
        return tuple(
            tuple(start + i * layout.period for start in row)
            for i in range(n)
            for row in layout.starts(kind)
        )

    return Layout(layout.period * n, rows("F"), rows("B"), rows("W"))


def work_bound(problem: Problem) -> int:
    """Ticks per microbatch that the busiest device needs for its passes."""
    return max(problem.work(device) for device in range(problem.n_devices))


def memory_bound(problem: Problem) -> Fraction:
    """Ticks per microbatch below which the memory limit cannot be kept, by any order.

    Between the start of F(s) and the end of W(s) lie all passes and sends of the stages after s, so
    a microbatch occupies its device for at least the area units x ticks of that span. Over a long
    time the areas of all microbatches, one per interval, fit under the limit: interval x limit >=
    area (Little's law).
    """
    if problem.limit is None:
        return Fraction(0)
    bound = Fraction(0)
    for device in range(problem.n_devices):
        area = sum(area_of(problem, s, least_loop(problem, s)) for s in problem.stages_of[device])
        if area:
            bound = max(bound, Fraction(area, problem.limit[device]))
    return bound


def least_loop(problem: Problem, stage: int) -> int:
    """Ticks from the start of F(stage) to the start of its B, at least."""
    return (
        sum(problem.forward[stage:])
        + sum(problem.backward[stage + 1 :])
        + 2 * sum(problem.send[stage:])
    )


def area_of(problem: Problem, stage: int, loop: int) -> int:
    """Units x ticks a microbatch occupies at `stage` if its B starts `loop` ticks after its F."""
    kept, change = problem.kept[stage], problem.change[stage]
    before = loop if change >= 0 else loop + problem.backward[stage]
    after = problem.weight[stage] + (problem.backward[stage] if change >= 0 else 0)
    return kept * before + (kept + change) * after


def _check_placement(placement: Row, costs: Costs) -> None:
    if not placement:
        raise ValueError("placement is empty: give the device of each stage, e.g. (0, 1, 1, 0)")
    p = max(placement) + 1
    if set(placement) != set(range(p)):
        raise ValueError(
            f"placement {placement} uses devices {sorted(set(placement))}: they must be 0 to "
            f"{p - 1}, each with at least one stage"
        )
    if costs.n_stages != len(placement):
        raise ValueError(f"costs describe {costs.n_stages} stages, placement has {len(placement)}")
    for table in (costs.forward, costs.backward, costs.weight, costs.activation_bytes):
        if any(len(row) > 1 for row in table):
            raise ValueError(
                "costs differ between slices: a computed block takes one slice per microbatch"
            )


def _memory(
    placement: Row,
    costs: Costs,
    shares: Number | Sequence[Number] | None,
    held: Number | Sequence[Number] | None,
) -> tuple[Row, Row, Row | None]:
    p, n = max(placement) + 1, len(placement)
    if shares is not None and held is not None:
        raise ValueError("give memory_limit (shares) or memory_bytes, not both")
    if held is None:
        if shares is None:
            return (1,) * n, (0,) * n, None
        column = _per_device(shares, "memory_limit", p)
        for device, limit in enumerate(column):
            if limit < 1:
                raise ValueError(
                    f"memory_limit of device {device} is {float(limit):g} shares: one microbatch "
                    "alone takes 1 share, so the smallest limit that can be met is 1"
                )
        return (
            (1,) * n,
            (0,) * n,
            tuple(
                math.floor(limit * placement.count(device)) for device, limit in enumerate(column)
            ),
        )
    kept = [exact(row[0]) for row in costs.activation_bytes]
    change = [exact(row[0]) for row in costs.backward_bytes]
    for s in range(n):
        if kept[s] + change[s] < 0:
            raise ValueError(
                f"backward_bytes of stage {s} is {float(change[s]):g}: B cannot give back more "
                f"than the {float(kept[s]):g} bytes its F kept"
            )
    column = _per_device(held, "memory_bytes", p)
    scale = math.lcm(*(x.denominator for x in (*kept, *change)))
    static = [Fraction(0)] * p
    for s, device in enumerate(placement):
        static[device] += exact(costs.static_bytes[s])
    rows = tuple(int(x * scale) for x in kept), tuple(int(x * scale) for x in change)
    units = tuple(math.floor((column[d] - static[d]) * scale) for d in range(p))
    trial = Problem(placement, *((0,) * n,) * 3, (0,) * (n - 1), *rows, units)
    for device in range(p):
        need = least_memory(trial, device)
        if units[device] < need:
            least = Fraction(need, scale) + static[device]
            raise ValueError(
                f"memory_bytes of device {device} is {float(column[device]):g}: one microbatch "
                f"alone takes {float(least):g} bytes there (static bytes included), the smallest "
                "limit that can be met"
            )
    return *rows, units


def _per_device(value: Number | Sequence[Number], name: str, p: int) -> list[Fraction]:
    column = list(value) if isinstance(value, Sequence) else [value] * p
    if len(column) != p:
        raise ValueError(
            f"{name} has {len(column)} entries for {p} devices: give one number or {p}"
        )
    return [exact(checked(entry, name)) for entry in column]
