"""O and L: what F saved goes to the host, or to another device, and comes back before its B."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

from sim import Op, Value

from ..live_bytes import LiveBytes
from ..stages.stage import Stage, Unit
from .copy_queues import CopyQueue, Finished, InlineQueue, copy_queue
from .job import Job
from .lanes import Lane
from .mail import Stopped
from .records import HOST, IterationRecord, MemoryRecord, PassRecord, StoreRecord


class Copies:
    """The copy queues of one device, in one run."""

    def __init__(self, job: Job, device: int, stages: Mapping[int, Stage], lane: Lane) -> None:
        self._job, self._device, self._stages, self._lane = job, device, stages, lane
        self._store = job.schedule.store(device)
        self._queues: dict[str, CopyQueue] = {}
        self._record = IterationRecord("time")
        self._live: LiveBytes | None = None
        self._finished: dict[Op, Finished] = {}
        self._sizes: dict[tuple[Unit, int], int] = {}

    def begin(self, record: IterationRecord, live: LiveBytes | None) -> None:
        """A new iteration; `live` counts its bytes, and copies then take no time."""
        self._record, self._live = record, live
        self._finished.clear()
        self._sizes.clear()

    def submit(self, op: Op, *, position: int, step: int) -> None:
        """The worker has come to `op`, which is at that place in the order of its device."""
        queue = self._queue(op.kind)
        work = partial(self._copy, queue, op, position, step)
        self._finished[op] = queue.submit(
            work, after=self._finished.get(op._replace(kind="O")) if op.kind == "L" else None
        )

    def wait_for(self, op: Op) -> None:
        """Waits for the L that brings back what `op` needs, if there is one."""
        if op.kind not in ("B", "BW") or self._job.schedule.levers.get(op[1:]) != "O":
            return
        self._job.board.waits(self._device, op, Value("loaded", *op[1:]))
        self._finished.pop(op._replace(kind="L")).wait()

    def close(self) -> None:
        """The run is over."""
        for queue in self._queues.values():
            queue.close()

    def _queue(self, kind: str) -> CopyQueue:
        if self._live is not None:
            return InlineQueue()
        if kind not in self._queues:
            self._queues[kind] = copy_queue(
                self._lane,
                f"device {self._device}, {kind}",
                lambda: self._job.mailboxes[self._device].stopped,
            )
        return self._queues[kind]

    def _copy(self, queue: CopyQueue, op: Op, position: int, step: int) -> None:
        self._job.board.moves()
        start, cpu = queue.timestamp(), time.thread_time()
        try:
            if self._live is None:
                queue.linger(start, self._least_seconds(op, self._moved(op)))
            else:
                self._counted(op, self._live)
        except BaseException as error:
            self._job.board.fails(self._device, op, error)
            raise Stopped from error
        end, cpu = queue.timestamp(), time.thread_time() - cpu
        self._record.passes.append(PassRecord(self._device, position, step, op, start, end, cpu))
        self._job.board.moves()

    def _moved(self, op: Op) -> int:
        """The bytes that O or L has moved."""
        stage, unit = self._stages[op.stage], Unit(op.microbatch, op.slice)
        if op.kind == "O":
            host = self._store is None
            self._sizes[unit, op.stage] = stage.away(unit, partial(self._lane.stored, host=host))
        else:
            stage.back(unit, self._lane.loaded)
        return self._sizes[unit, op.stage]

    def _least_seconds(self, op: Op, size: int) -> float:
        if self._store is None:
            return self._job.host_seconds(size)
        pair = (self._device, self._store) if op.kind == "O" else (self._store, self._device)
        return self._job.delay(*pair, size)

    def _counted(self, op: Op, live: LiveBytes) -> None:
        before = live.peak = live.now
        if op.kind == "O":
            size = self._moved(op)  # its copies are of another memory
        else:
            with live.counting():
                size = -self._moved(op)
        self._record.memory.append(MemoryRecord(self._device, op, before, live.now, live.peak))
        store = HOST if self._store is None else self._store
        self._record.stored.append(StoreRecord(store, op, size))
