"""How long passes that could run do not: what an engine loses between passes.

A pass is ready when its device has ended the pass before it, and when the passes on other devices
that write what it reads have ended. What lies between that and its start are messages, waits for
them, and the engine's own work.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any, NamedTuple

from sim import Op, Schedule

from ..kineto.measured import writers


class Timed(NamedTuple):
    """One pass of one rank, in seconds of a clock that all ranks share."""

    op: Op
    start: float
    end: float


@contextmanager
def timed_passes(stages: Sequence[Any]) -> Iterator[list[Timed]]:
    """The passes of these stages of torch's, in the order in which they run, while the context
    lasts."""
    log: list[Timed] = []
    methods = ("forward_one_chunk", "backward_one_chunk", "backward_weight_one_chunk")
    for stage in stages:
        for name in methods:
            setattr(stage, name, _timed(getattr(stage, name), name, stage.stage_index, log))
    try:
        yield log
    finally:
        for stage in stages:
            for name in methods:
                delattr(stage, name)


def ready_gaps(schedule: Schedule, ranks: Sequence[Sequence[Timed]]) -> list[float]:
    """Seconds from when each pass was ready to its start, of one step: all passes but the first
    one of each rank that waits for nobody. ranks: passes of each rank, `(n_devices,)`."""
    ends = {one.op: one.end for row in ranks for one in row}
    found = []
    for device, row in enumerate(ranks):
        before: list[float] = []
        for one in row:
            ready = before + [ends[op] for op in writers(schedule, [one.op], device)]
            if ready:
                found.append(one.start - max(ready))
            before = [one.end]
    return found


def median_gap(schedule: Schedule, ranks: Sequence[Sequence[Sequence[Timed]]]) -> float:
    """The median over the passes of several steps. ranks: of each rank the steps, in order."""
    return median(gap for step in zip(*ranks, strict=True) for gap in ready_gaps(schedule, step))


def _timed(run: Callable[..., Any], name: str, stage: int, log: list[Timed]) -> Callable[..., Any]:
    @functools.wraps(run)
    def timed(microbatch: int, *args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        found = run(microbatch, *args, **kwargs)
        whole = kwargs.get("full_backward", True)
        kind = {"forward_one_chunk": "F", "backward_weight_one_chunk": "W"}.get(name)
        op = Op(kind or ("BW" if whole else "B"), stage, microbatch)  # type: ignore[arg-type]
        log.append(Timed(op, start, time.perf_counter()))
        return found

    return timed
