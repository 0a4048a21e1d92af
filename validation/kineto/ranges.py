"""What one rank did: its passes, cut free of the wait for their input, and what lay between them.

    PP:2F3        |.....wait.....|===== F3@2 =====|
    PP:2SEND_F3                                   |--|
    PP:1RECV_B0                                      |-|
    PP:1I0                                             |..|=== B0@1 ===|

A range of torch's runtime begins before the wait for its input. The first operator inside that is
no communication ends the wait; where kernels of a GPU belong to the range, they are the pass.

The sum of gradients over replicas is no pass: FSDP's is a range of its own, DDP's is at the end of
the last backward, where it begins with the last all-reduce:

    PP:0B3        |..|=== BW3@0 ===|~~ sum ~~|
    PP:0REDUCE_GRAD                            |~~ sum ~~|
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sim import Kind, Op
from sim.schedule.ir import Step

from .files import RankFile

KINDS: dict[str, Kind] = {"F": "F", "I": "B", "W": "W", "B": "BW"}
_PASS = re.compile(r"(\d+)([FIWB])(\d+)")
_OVERLAP = re.compile(r"\((.*)\)OVERLAP_F_B")
_OTHER = re.compile(r"\d+(?:WAIT_)?(?:(?:(SEND|RECV)_[FB]\d+)|(REDUCE_GRAD)|UNSHARD|RESHARD)")
_GPIPE = re.compile(r"(Forward|Backward) (\d+)")
_SUMS = ("c10d::allreduce", "c10d::_allreduce", "c10d::reduce_scatter", "c10d::_reduce_scatter")
_DDP = "reducer"  # torch.distributed.ddp.reducer::copy_bucket_to_grad and others
_TALK = ("c10d::", "gloo:", "nccl:", "record_param_comms")
_WORK = ("kernel", "gpu_memcpy", "gpu_memset")
_LAUNCH = ("cuda_runtime", "cuda_driver")


class Pass(NamedTuple):
    """One step of a rank, in seconds of its own clock.

    begin: when its range began. start, end: of the work itself. sends, receives, collectives (which
    gather weights), gradient_sums (over replicas): seconds of such until the next pass, of the
    host, or of a GPU's kernels if a sum has any.
    """

    step: Step
    begin: float
    start: float
    end: float
    sends: float = 0.0
    receives: float = 0.0
    collectives: float = 0.0
    gradient_sums: float = 0.0

    @property
    def waited(self) -> float:
        return max(self.start - self.begin, 0.0)


def iterations(file: RankFile, position: int) -> list[list[Pass]]:
    """The passes of each iteration in which this rank did everything; oldest first.

    position: of the rank in the pipeline, which is its stage where ranges name none (GPipe). A
    pass that comes again begins the next iteration. Raises ValueError where there are no ranges.
    """
    found: list[list[Pass]] = []
    seen: set[Op] = set()
    for each in _passes(file, position):
        if not found or seen & {*each.step}:
            found.append([])
            seen = set()
        seen |= {*each.step}
        found[-1].append(each)
    if not found:
        raise ValueError(
            f"{file.path}: no ranges of a pipeline (PP:0F0 or Forward 0): profile a step of "
            "torch's pipeline runtime; its Schedule1F1B writes none, the same order played by "
            "backend.torch_schedule does"
        )
    most = max(map(len, found))
    return [passes for passes in found if len(passes) == most]


def _passes(file: RankFile, position: int) -> Iterator[Pass]:
    """All passes, each with the communication that follows it."""
    work = _Work(file.events)
    last: Pass | None = None
    for event in file.events:
        if event.get("cat") != "user_annotation":
            continue
        name, seconds = str(event["name"]), float(event["dur"]) / 1e6
        other = _OTHER.fullmatch(name.removeprefix("PP:")) if name.startswith("PP:") else None
        if other is not None and last is not None:
            field = {"SEND": "sends", "RECV": "receives"}.get(other[1] or "", "collectives")
            if other[2]:
                field = "gradient_sums"
                seconds = work.sum_seconds(float(event["ts"]), seconds)
            last = last._replace(**{field: getattr(last, field) + seconds})
        step = _step(name, position)
        if step:
            if last is not None:
                yield last
            begin = float(event["ts"])
            until = begin + float(event["dur"])
            whole = work.computed_until(begin, until)
            start, end = work.span(begin, whole)
            begin, start, end = (file.base + time / 1e6 for time in (begin, start, end))
            last = Pass(step, begin, start, end, gradient_sums=(until - whole) / 1e6)
    if last is not None:
        yield last


def _step(name: str, position: int) -> Step:
    """The passes that a range is named after; none if it is named after anything else."""
    if gpipe := _GPIPE.fullmatch(name):
        return (Op("F" if gpipe[1] == "Forward" else "BW", position, int(gpipe[2])),)
    if not name.startswith("PP:"):
        return ()
    text = name[3:]
    pair = _OVERLAP.fullmatch(text)
    cells = [_PASS.fullmatch(part.strip()) for part in (pair[1].split(";") if pair else [text])]
    if None in cells:
        return ()
    return tuple(Op(KINDS[cell[2]], int(cell[1]), int(cell[3])) for cell in cells if cell)


class _Work:
    """When work was done: operators of the host, and kernels by the launch that started them."""

    def __init__(self, events: Sequence[dict[str, Any]]) -> None:
        self.ops = sorted(
            float(event["ts"])
            for event in events
            if event.get("cat") == "cpu_op" and not str(event["name"]).startswith(_TALK)
        )
        self.sums = sorted(
            float(event["ts"])
            for event in events
            if event.get("cat") == "cpu_op" and str(event["name"]).startswith(_SUMS)
        )
        self.ddp = sorted(
            float(event["ts"])
            for event in events
            if event.get("cat") == "cpu_op" and _DDP in str(event["name"])
        )
        self.launches, self.kernels = _launched(events, nccl=False)
        self.nccl_launches, self.nccl_kernels = _launched(events, nccl=True)

    def computed_until(self, begin: float, end: float) -> float:
        """When the computing in a range of the host was over: before DDP's last all-reduce, which
        has to wait for the last gradient."""
        if bisect_left(self.ddp, begin) == bisect_left(self.ddp, end):
            return end
        last = bisect_left(self.sums, end) - 1
        return self.sums[last] if last >= 0 and self.sums[last] > begin else end

    def sum_seconds(self, begin: float, seconds: float) -> float:
        """Of a sum of gradients whose range of the host this is: of its kernels, if it has any."""
        first = bisect_left(self.nccl_launches, begin)
        past = bisect_left(self.nccl_launches, begin + seconds * 1e6)
        inside = self.nccl_kernels[first:past]
        if not inside:
            return seconds
        return (max(finish for _, finish in inside) - min(start for start, _ in inside)) / 1e6

    def span(self, begin: float, end: float) -> tuple[float, float]:
        """When the work of a range of the host began and ended, in microseconds."""
        first, past = bisect_left(self.launches, begin), bisect_left(self.launches, end)
        if first < past:
            inside = self.kernels[first:past]
            return min(start for start, _ in inside), max(finish for _, finish in inside)
        spot = bisect_left(self.ops, begin)
        started = spot < len(self.ops) and self.ops[spot] < end
        return (self.ops[spot] if started else begin), end


def _launched(
    events: Sequence[dict[str, Any]], *, nccl: bool
) -> tuple[list[float], list[tuple[float, float]]]:
    """Launches of kernels that do, or do not, communicate, by time, and those kernels' times."""
    kernels = {
        event["args"]["correlation"]: event
        for event in events
        if event.get("cat") in _WORK
        and "correlation" in event.get("args", {})
        and ("nccl" in str(event["name"]).lower()) == nccl
    }
    launched = sorted(
        (float(event["ts"]), *_times(kernels[event["args"]["correlation"]]))
        for event in events
        if kernels
        and event.get("cat") in _LAUNCH
        and event.get("args", {}).get("correlation") in kernels
    )
    return [row[0] for row in launched], [row[1:] for row in launched]


def _times(event: dict[str, Any]) -> tuple[float, float]:
    return float(event["ts"]), float(event["ts"]) + float(event["dur"])


def ops_of(passes: Iterable[Pass]) -> tuple[Op, ...]:
    """The order in which passes were run."""
    return tuple(op for each in passes for op in each.step)
