"""Boundary values of one device: taken from its mailbox, sent to others, or kept for itself."""

from __future__ import annotations

from sim import Op, Step, Value, reads, writes

from ..live_bytes import storage_bytes
from ..stages.stage import Unit
from .job import Job
from .lanes import BoundaryTensors, Lane, Timestamp
from .mail import Message
from .records import TransferRecord


class Exchange:
    """What the passes of `device` read from other stages, and write for them."""

    def __init__(self, job: Job, device: int, lane: Lane) -> None:
        self._job, self._device, self._lane = job, device, lane
        self._schedule = job.schedule
        self._mailbox = job.mailboxes[device]
        self._own: dict[Value, BoundaryTensors] = {}

    def wait_for(self, step: Step) -> tuple[TransferRecord, ...]:
        """Waits for all that `step` reads from other devices; Stopped if the run ends before."""
        received = []
        for op in step:
            for value in reads(self._schedule, op):
                if self._home(value) == self._device:
                    continue
                self._job.board.waits(self._device, op, value)
                message = self._mailbox.peek(value)
                copied = message.copied
                self._lane.accept(copied, message.delay)
                received.append(
                    TransferRecord(
                        value,
                        message.source,
                        message.destination,
                        message.bytes,
                        message.written,
                        copied.start,
                        copied.end,
                        message.delay,
                    )
                )
        return tuple(received)

    def inputs(self, op: Op) -> BoundaryTensors:
        """The boundary values that `op` reads, taken from wherever they waited."""
        if op.kind == "F" and op.stage == 0:
            return (self._job.pieces[Unit(op.microbatch, op.slice)].input,)
        for value in reads(self._schedule, op):
            if value.kind not in ("activation", "gradient"):
                continue
            if self._home(value) != self._device:
                return self._mailbox.take(value).copied.tensors
            found = self._own.pop(value)
            self._mailbox.count(-storage_bytes(found))
            return found
        return ()

    def outputs(self, op: Op) -> list[Value]:
        """What `op` writes for another stage."""
        written = writes(self._schedule, op)
        return [value for value in written if value.kind in ("activation", "gradient")]

    def send(self, value: Value, tensors: BoundaryTensors, written: Timestamp) -> int:
        """Sends `tensors` to the device that reads them: a copy, unless that is this one.

        written: when their pass ended. Returns their bytes.
        """
        size = storage_bytes(tensors)
        reader = value.stage + (1 if value.kind == "activation" else -1)
        destination = self._schedule.home(reader, value.microbatch)
        if destination == self._device:
            self._own[value] = tensors
            self._mailbox.count(size)
            return size
        copied = self._lane.copied(tensors)
        delay = self._job.delay(self._device, destination, size)
        message = Message(value, self._device, destination, size, written, copied, delay)
        self._job.mailboxes[destination].put(message)
        return size

    def _home(self, value: Value) -> int:
        """Where the pass runs that writes `value`."""
        return self._schedule.home(value.stage, value.microbatch)
