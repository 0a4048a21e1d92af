"""What a layout says: the order on each device, the fastest period of that order, and a check."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from .cycle_ratio import Edge, cycle_ratio
from .problem import Layout, Problem, Row


class Turn(NamedTuple):
    """One pass in the round of a device: microbatch `copy + n * later` of the layout's."""

    phase: int
    end: int
    later: int
    copy: int
    place: int
    kind: str
    stage: int


class Broken(ValueError):
    """A layout that is none: a defect of whoever made it."""


def rounds(problem: Problem, layout: Layout, scale: int = 1) -> list[list[Turn]]:
    """What each device does in one period, in order; ties go to the older microbatch."""
    found: list[list[Turn]] = [[] for _ in range(problem.n_devices)]
    n_stages = len(problem.placement)
    for kind in "FBW":
        lengths = problem.durations(kind)
        for copy, row in enumerate(layout.starts(kind)):
            for stage, start in enumerate(row):
                whole, phase = divmod(start, layout.period)
                place = stage if kind == "F" else 3 * n_stages - 2 * stage + (kind == "W")
                end = phase + lengths[stage] * scale
                turn = Turn(phase, end, -whole, copy, place, kind, stage)
                found[problem.placement[stage]].append(turn)
    return [sorted(turns) for turns in found]


def tightened(problem: Problem, lines: list[list[Turn]], n: int) -> tuple[Layout, int]:
    """The order of `rounds` with the smallest period: a layout in ticks / scale, and the scale."""
    nodes: dict[tuple[str, int, int], tuple[int, int]] = {}
    edges: list[Edge] = []
    for turns in lines:
        for turn in turns:
            nodes[turn.kind, turn.stage, turn.copy] = (len(nodes), turn.later)
    for turns in lines:
        ring = [nodes[turn.kind, turn.stage, turn.copy][0] for turn in turns]
        for i, turn in enumerate(turns):
            length = problem.durations(turn.kind)[turn.stage]
            last = i == len(turns) - 1
            edges.append((ring[i], ring[0 if last else i + 1], length, int(last)))
    for copy in range(n):
        for (kind, stage), (after, behind), gap in inputs(problem):
            source, late = nodes[kind, stage, copy]
            target, later = nodes[after, behind, copy]
            edges.append((source, target, problem.durations(kind)[stage] + gap, late - later))
    found = cycle_ratio(len(nodes), edges)
    if found is None:
        raise Broken("the order of the layout deadlocks")
    ratio, starts = found

    def row(kind: str) -> tuple[Row, ...]:
        return tuple(
            tuple(
                int(starts[node]) - later * ratio.numerator
                for node, later in (nodes[kind, s, copy] for s in range(len(problem.placement)))
            )
            for copy in range(n)
        )

    return Layout(ratio.numerator, row("F"), row("B"), row("W")), ratio.denominator


def checked_layout(problem: Problem, layout: Layout, scale: int = 1) -> None:
    """Broken unless the layout (in ticks / scale) is what it claims, played out microbatch by
    microbatch: inputs in time, one pass at a time on a device, never more alive than the limit."""
    for copy in range(layout.n):
        for (kind, stage), (after, behind), gap in inputs(problem):
            ready = layout.starts(kind)[copy][stage]
            ready += (problem.durations(kind)[stage] + gap) * scale
            if layout.starts(after)[copy][behind] < ready:
                raise Broken(f"{after} of stage {behind} starts before its input has arrived")
    if layout.period <= 0:
        return  # nothing takes any time
    starts = [start for kind in "FBW" for row in layout.starts(kind) for start in row]
    periods = (max(starts) - min(starts)) // layout.period + 3
    for device, turns in enumerate(rounds(problem, layout, scale)):
        played = sorted(
            (turn.phase + i * layout.period, turn.end + i * layout.period,
             turn.copy + layout.n * (turn.later + i), turn.place, turn.kind, turn.stage)
            for turn in turns for i in range(-turn.later, periods - turn.later)
        )  # fmt: skip
        for a, b in pairwise(played):
            if b[0] < a[1]:
                raise Broken(f"{a[4]}@{a[5]} and {b[4]}@{b[5]} overlap on device {device}")
        alive = 0
        for *_, kind, s in played:
            change = problem.change[s]
            rise = {"F": problem.kept[s], "B": max(change, 0), "W": 0}[kind]
            fall = {"F": 0, "B": min(change, 0), "W": -problem.kept[s] - change}[kind]
            if problem.limit is not None and alive + rise > problem.limit[device]:
                raise Broken(f"device {device} holds more than its limit")
            alive += rise + fall


Named = tuple[str, int]


def inputs(problem: Problem) -> list[tuple[Named, Named, int]]:
    """Every dependency of one microbatch: the writer, the reader and the send between."""
    last = len(problem.placement) - 1
    found: list[tuple[Named, Named, int]] = []
    for s in range(last + 1):
        if s < last:
            found.append((("F", s), ("F", s + 1), problem.send[s]))
            found.append((("B", s + 1), ("B", s), problem.send[s]))
        found.append((("B", s), ("W", s), 0))
    found.append((("F", last), ("B", last), 0))
    return found
