"""Nsight Systems exports (`nsys export --type sqlite`), read as traces of torch's profiler are.

NVTX ranges of Megatron-LM or DeepSpeed say that a forward ran, not which one. The schedule that
was meant says it: the i-th forward of a rank is the i-th F of its order, and so on for each kind.
What can be checked is checked, that forwards and backwards alternate as the order says.

    rank 1 | forward_step  forward_step  backward_step  forward_step ...
    order  | F0@1          F1@1          BW0@1          F2@1     ...

A process is a rank; processes are taken in the order of their files and then of their numbers,
which is how torchrun starts them. Tables and columns: NVTX_EVENTS (start, end, eventType 59 for
push and pop, text or textId, globalTid), StringIds, CUPTI_ACTIVITY_KIND_RUNTIME and _KERNEL
(correlationId), TARGET_INFO_SESSION_START_TIME, TARGET_INFO_SYSTEM_ENV. Written from NVIDIA's
description of them: no export of a real run was at hand.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from sim import Kind, Schedule

from .files import RankFile

ENDINGS = (".sqlite", ".sqlite3")
RANGES: dict[Kind, tuple[str, ...]] = {
    "F": ("forward_step", "forward-compute", "ForwardPass"),
    "BW": ("backward_step", "backward-compute", "BackwardPass"),
    "B": ("backward_input_step",),
    "W": ("backward_weight_step",),
}
"""What ranges around passes are called, if nobody says otherwise."""
TORCHS: dict[Kind, str] = {"F": "F", "B": "I", "W": "W", "BW": "B"}
PUSH_POP = 59
PID = 0x1000000
"""A globalTid is thread + PID * process, and more above."""


class Range(NamedTuple):
    """A pass of some kind, in nanoseconds of its file."""

    kind: Kind
    start: int
    end: int


class Process(NamedTuple):
    """A rank in an export. base: seconds to add to its nanoseconds. work: launches and kernels in
    the form of torch's profiler."""

    path: str
    host: str
    base: float
    ranges: list[Range]
    work: list[dict[str, Any]]


def is_export(path: str) -> bool:
    """Whether a path is an Nsight export, or a folder of them."""
    where = Path(path)
    if where.is_dir():
        return any(each.name.endswith(ENDINGS) for each in where.iterdir())
    return where.name.endswith(ENDINGS)


def processes(paths: Sequence[str], names: Mapping[Kind, Sequence[str]] = RANGES) -> list[Process]:
    """The processes in these files that have ranges of passes.

    names: what ranges are called, by the pass around which they are. ValueError with one sentence
    for what is no such export, and where no process has any such range.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        inside = [each for each in sorted(path.iterdir()) if each.name.endswith(ENDINGS)] if (
            path.is_dir()
        ) else [path]  # fmt: skip
        files += inside
    found = [process for path in files for process in _processes(path, names)]
    if not found:
        known = ", ".join(name for some in names.values() for name in some)
        raise ValueError(
            f"{files[0]}: no NVTX ranges called {known}: say what they are called with --range "
            "F=NAME --range BW=NAME"
        )
    return found


def rank_files(found: Sequence[Process], schedule: Schedule) -> list[RankFile]:
    """The ranks as torch's profiler would have written them, had they run `schedule`.

    ValueError where their number or the kinds of their passes are not those of the schedule.
    """
    if len(found) != schedule.n_devices:
        raise ValueError(
            f"{len(found)} processes have ranges of passes, and {schedule.name} is for "
            f"{schedule.n_devices} devices: give the exports of one pipeline"
        )
    return [
        RankFile(
            one.path, rank, one.host, one.base - found[0].base,
            sorted([*_named(one, schedule, rank), *one.work], key=lambda event: event["ts"]),
            "Nsight Systems",
        )
        for rank, one in enumerate(found)
    ]  # fmt: skip


def _named(process: Process, schedule: Schedule, rank: int) -> Iterator[dict[str, Any]]:
    """A range of torch's for every pass of whole iterations, the latest ones.

    torch's ranges hold the wait for the input, these do not: what lies between two of them in an
    iteration counts as waiting, and the work begins where the range does.
    """
    order = schedule.orders[rank]
    if any(op.slice for op in order) or schedule.n_slices > 1:
        raise ValueError(f"{schedule.name} has slices, which ranges of passes do not tell apart")
    ranges = process.ranges[len(process.ranges) % len(order) :]
    if not ranges:
        raise ValueError(
            f"{process.path}: rank {rank} has {len(process.ranges)} ranges of passes, and an "
            f"iteration of {schedule.name} has {len(order)}: is -m right?"
        )
    before = 0
    for number, one in enumerate(ranges):
        op = order[number % len(order)]
        if op.kind != one.kind:
            raise ValueError(
                f"{process.path}: pass {number % len(order)} of iteration {number // len(order)} "
                f"of rank {rank} is a {one.kind}, and {schedule.name} has {op} there: another "
                "schedule, another -m, or ranks in another order"
            )
        begin = before if number % len(order) else one.start
        before = one.end
        name = f"PP:{op.stage}{TORCHS[op.kind]}{op.microbatch}"
        yield {"cat": "user_annotation", "name": name, "ts": begin / 1e3,
               "dur": (one.end - begin) / 1e3}  # fmt: skip
        yield {"cat": "cpu_op", "name": name, "ts": one.start / 1e3,
               "dur": (one.end - one.start) / 1e3}  # fmt: skip


def _processes(path: Path, names: Mapping[Kind, Sequence[str]]) -> list[Process]:
    if not path.exists():
        raise ValueError(f"{path}: no such file")
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as export:
            tables = {name for (name,) in export.execute("select name from sqlite_master")}
            if "NVTX_EVENTS" not in tables:
                raise ValueError(f"{path}: no table NVTX_EVENTS: profile with --trace cuda,nvtx")
            return _read(path, export, tables, names)
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path}: not an SQLite export of Nsight Systems: {error}") from None


def _read(
    path: Path, export: sqlite3.Connection, tables: set[str], names: Mapping[Kind, Sequence[str]]
) -> list[Process]:
    columns = {row[1] for row in export.execute("pragma table_info(NVTX_EVENTS)")}
    text, joined = "e.text", ""
    if "textId" in columns and "StringIds" in tables:
        text, joined = "coalesce(e.text, s.value)", "left join StringIds s on s.id = e.textId"
    pushed = f"and e.eventType = {PUSH_POP}" if "eventType" in columns else ""
    ranges: dict[int, list[Range]] = {}
    for name, start, end, thread in export.execute(
        f"select {text}, e.start, e.end, e.globalTid from NVTX_EVENTS e {joined} "
        f"where e.end is not null {pushed} order by e.start"
    ):
        kind = _kind(str(name), names)
        mine = ranges.setdefault(int(thread) // PID % PID, []) if kind else []
        if kind and not (mine and start < mine[-1].end):  # not one inside another
            mine.append(Range(kind, int(start), int(end)))
    began = _first(export, tables, "TARGET_INFO_SESSION_START_TIME", "utcEpochNs")
    host = _first(export, tables, "TARGET_INFO_SYSTEM_ENV", "value", "where name = 'Hostname'")
    whose = str(host) if host and began else str(path)  # without, its clock is its own
    return [
        Process(str(path), whose, int(began or 0) / 1e9, mine, _work(export, tables, pid))
        for pid, mine in sorted(ranges.items())
    ]


def _first(
    export: sqlite3.Connection, tables: set[str], table: str, column: str, where: str = ""
) -> Any:
    if table not in tables:
        return None
    row = export.execute(f"select {column} from {table} {where} limit 1").fetchone()
    return row and row[0]


def _work(export: sqlite3.Connection, tables: set[str], pid: int) -> list[dict[str, Any]]:
    """Launches of a process and the kernels they started."""
    runtime, kernel = "CUPTI_ACTIVITY_KIND_RUNTIME", "CUPTI_ACTIVITY_KIND_KERNEL"
    if not {runtime, kernel, "StringIds"} <= tables:
        return []
    found = []
    for launched, until, start, end, number, name in export.execute(
        f"select r.start, r.end, k.start, k.end, r.correlationId, s.value from {runtime} r "
        f"join {kernel} k on k.correlationId = r.correlationId "
        f"left join StringIds s on s.id = k.shortName "
        f"where r.globalTid / {PID} % {PID} = {pid} and k.globalPid / {PID} % {PID} = {pid}"
    ):
        args = {"correlation": number}
        found += [
            {"cat": "cuda_runtime", "name": "launch", "ts": launched / 1e3,
             "dur": (until - launched) / 1e3, "args": args},
            {"cat": "kernel", "name": str(name), "ts": start / 1e3, "dur": (end - start) / 1e3,
             "args": args},
        ]  # fmt: skip
    return found


def _kind(name: str, names: Mapping[Kind, Sequence[str]]) -> Kind | None:
    """The pass that a range of that name is around: called so, or so and more after a mark."""
    for kind, some in names.items():
        for one in some:
            rest = name.removeprefix(one)
            if name.startswith(one) and not rest[:1].isalnum() and rest[:1] not in ("_", "-"):
                return kind
    return None
