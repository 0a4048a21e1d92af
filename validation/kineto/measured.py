"""A profiled run as measured traces: the schedule it played, iteration by iteration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import nan
from typing import Any, NamedTuple

import pandas as pd

from sim import FAMILIES, InvalidSchedule, Op, Schedule, Trace, reads, validate
from sim.engine.columns import MEMORY, OPS, TRANSFERS

from .clocks import Message, corrections
from .files import RankFile
from .ranges import Pass, iterations, ops_of


class Run(NamedTuple):
    """What profiled ranks did.

    schedule: read back; named after the family that has the same order, if one has. passes: of
    each iteration and device, on one clock. traces: the same, one per iteration, without waits.
    skipped: iterations that were cut off. doubt: seconds by which clocks of hosts may disagree.
    replicas: pipelines in the files, of which this is the first.
    """

    schedule: Schedule
    passes: tuple[tuple[tuple[Pass, ...], ...], ...]
    traces: tuple[Trace, ...]
    skipped: int
    doubt: float
    replicas: int = 1


def measured_run(files: Sequence[RankFile]) -> Run:
    """The run in these files, one per rank, in the order of their ranks.

    Ranks with the same stages are replicas (of data or tensor parallelism): the first of each make
    the pipeline that is looked at.

    Raises ValueError with one sentence for ranges that make no schedule.
    """
    if not files:
        raise ValueError("no trace files: give one per rank, or their folder")
    found = [iterations(file, position) for position, file in enumerate(files)]
    files, found, replicas = _first_replicas(files, found)
    n = min(map(len, found))
    skipped = max(map(len, found)) - n
    # The latest ones: a profiler that starts in the middle of a step misses the beginning.
    ranks = [rank[len(rank) - n :] for rank in found]
    schedule = _schedule([rank[-1] for rank in ranks], files)
    for file, rank, order in zip(files, ranks, schedule.orders, strict=True):
        for number, passes in enumerate(rank):
            if ops_of(passes) != order:
                raise ValueError(
                    f"{file.path}: iteration {number} has another order of passes than the last"
                )
    shift, doubt = _one_clock(schedule, ranks, files)
    moved = tuple(
        tuple(
            tuple(_shifted(each, shift[device]) for each in rank[number])
            for device, rank in enumerate(ranks)
        )
        for number in range(n)
    )
    traces = tuple(_trace(schedule, passes, {"source": files[0].source}) for passes in moved)
    return Run(schedule, moved, traces, skipped, doubt, replicas)


def with_host(run: Run) -> tuple[Trace, ...]:
    """The traces once more, every pass as long as it kept its device from the next.

    So the host's sends and receives and whatever else lies between two passes belong to the first
    of them, and only waits are left as gaps.
    """
    stretched = []
    for passes in run.passes:
        rows = []
        for device in passes:
            after = [*(each.begin for each in device[1:]), device[-1].end]
            ends = (max(a, each.end) for a, each in zip(after, device, strict=True))
            rows.append(
                tuple(each._replace(end=end) for each, end in zip(device, ends, strict=True))
            )
        stretched.append(_trace(run.schedule, tuple(rows), dict(run.traces[0].notes)))
    return tuple(stretched)


def transits(run: Run) -> list[float]:
    """Seconds from the end of a pass, its host time included, to the start of one that waited.

    Only of passes whose device had begun to wait before their input was written: those start when
    it arrives.
    """
    found = []
    for passes, whole in zip(run.passes, with_host(run), strict=True):
        ends = dict(zip(_ops(whole), whole.ops["end"], strict=True))
        first = min(each.start for device in passes for each in device)
        for device, row in enumerate(passes):
            for each in row:
                for writer in writers(run.schedule, each.step, device):
                    if each.begin - first < ends[writer]:
                        found.append(max(each.start - first - ends[writer], 0.0))
    return found


def _first_replicas(
    files: Sequence[RankFile], found: list[list[list[Pass]]]
) -> tuple[list[RankFile], list[list[list[Pass]]], int]:
    """The first file of each set of stages with its iterations, and how often each set is there."""
    sets: dict[frozenset[int], list[int]] = {}
    for number, rank in enumerate(found):
        stages = frozenset(op.stage for op in ops_of(rank[-1]))
        sets.setdefault(stages, []).append(number)
    counts = {len(numbers) for numbers in sets.values()}
    if len(counts) > 1:
        most = max(sets, key=lambda stages: len(sets[stages]))
        raise ValueError(
            f"{len(sets[most])} files have stages {sorted(most)}, of other stages there are "
            f"{min(counts)}: give the files of whole pipelines"
        )
    first = sorted(numbers[0] for numbers in sets.values())
    return [files[i] for i in first], [found[i] for i in first], counts.pop()


def _schedule(rows: Sequence[Sequence[Pass]], files: Sequence[RankFile]) -> Schedule:
    home: dict[int, int] = {}
    for device, passes in enumerate(rows):
        for op in ops_of(passes):
            if home.setdefault(op.stage, device) != device:
                raise ValueError(
                    f"{files[home[op.stage]].path} and {files[device].path} both have stage "
                    f"{op.stage}: give the files of one pipeline, not of its replicas"
                )
    gap = next((stage for stage in range(max(home) + 1) if stage not in home), None)
    if gap is not None:
        raise ValueError(f"no file has stage {gap}, though there is a stage {max(home)}: one lacks")
    orders = tuple(ops_of(passes) for passes in rows)
    found = Schedule(
        placement=tuple(home[stage] for stage in range(len(home))),
        orders=orders,
        n_microbatches=1 + max(op.microbatch for order in orders for op in order),
        fused=tuple(each.step for passes in rows for each in passes if len(each.step) > 1),
        name="profiled",
    )
    try:
        validate(found)
    except InvalidSchedule as error:
        raise ValueError(f"the ranges in {files[0].path} and its like: {error}") from None
    return replace(found, name=_known_as(found) or "profiled")


def _known_as(found: Schedule) -> str:
    """The family with the same passes in the same order; "" if there is none."""
    v, rest = divmod(found.n_stages, found.n_devices)
    for name, family in FAMILIES.items():
        for options in ({}, {"v": v}) if not rest else ({},):
            try:
                made = family(found.n_devices, found.n_microbatches, **options)
            except (ValueError, TypeError):
                continue
            if (made.orders, made.placement, made.routes) == (found.orders, found.placement, ()):
                return name
    return ""


def _one_clock(
    schedule: Schedule, ranks: Sequence[Sequence[Sequence[Pass]]], files: Sequence[RankFile]
) -> tuple[list[float], float]:
    hosts = [file.host for file in files]
    messages = []
    for number in range(len(ranks[0])):
        ends = {op: each.end for rank in ranks for each in rank[number] for op in each.step}
        for device, rank in enumerate(ranks):
            for each in rank[number]:
                for writer in writers(schedule, each.step, device):
                    source = schedule.placement[writer.stage]
                    messages.append(Message(source, device, ends[writer], each.start))
    return corrections(hosts, messages)


def writers(schedule: Schedule, step: Sequence[Op], device: int) -> list[Op]:
    """The passes of other devices that write what a step reads."""
    found = []
    for op in step:
        for value in reads(schedule, op):
            if schedule.placement[value.stage] == device:
                continue
            kinds = ("F",) if value.kind == "activation" else ("B", "BW")
            order = schedule.orders[schedule.placement[value.stage]]
            names = (Op(kind, value.stage, value.microbatch) for kind in kinds)  # type: ignore[arg-type]
            found.append(next(op for op in names if op in order))
    return found


def _shifted(each: Pass, by: float) -> Pass:
    return each._replace(begin=each.begin + by, start=each.start + by, end=each.end + by)


def _trace(schedule: Schedule, passes: Sequence[Sequence[Pass]], notes: dict[str, Any]) -> Trace:
    first = min(each.start for device in passes for each in device)
    ends = {op: each.end - first for device in passes for each in device for op in each.step}
    rows: list[tuple[Any, ...]] = []
    number = 0
    for device, order in enumerate(passes):
        position = 0
        for each in order:
            last = max(writers(schedule, each.step, device), key=ends.__getitem__, default=None)
            for op in each.step:
                written = nan if last is None else ends[last]
                arrived = nan if last is None else each.start - first
                rows.append((device, position, *op, 0, number, each.start - first,
                             each.end - first, written, arrived, str(last or "")))  # fmt: skip
                position += 1
            number += 1
    return Trace(
        schedule,
        ops=pd.DataFrame(rows, columns=list(OPS)),
        transfers=pd.DataFrame([], columns=list(TRANSFERS)),
        memory=pd.DataFrame([], columns=list(MEMORY)),
        origin="measured",
        notes=notes,
    )


def _ops(trace: Trace) -> list[Op]:
    columns = trace.ops[["kind", "stage", "microbatch", "slice"]]
    return [Op(*row) for row in columns.itertuples(index=False)]
