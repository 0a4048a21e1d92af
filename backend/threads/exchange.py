"""Boundary values of one device: taken from its mailbox, sent to others, or kept for itself."""

from __future__ import annotations

from collections.abc import Sequence

from sim import Op, Step, Value, reads, writes

from ..live_bytes import storage_bytes
from ..stages.stage import Unit
from .job import Job
from .lanes import BoundaryTensors, Lane, Timestamp
from .mail import Message
from .records import TransferRecord

CROSSING = ("activation", "gradient", "part_of_scores", "part_of_gradient")
"""Values that a pass leaves for another stage, or for the parts of the vocabulary."""


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
                if self._schedule.device_of(value) == self._device:
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

    def inputs(self, op: Op) -> tuple[BoundaryTensors, ...]:
        """The boundary values that `op` reads, taken from wherever they waited: one, or of all
        parts of the vocabulary, in their order."""
        if op.kind == "F" and op.stage == 0:
            return ((self._job.pieces[Unit(op.microbatch, op.slice)].input,),)
        crossing = [value for value in reads(self._schedule, op) if value.kind in CROSSING]
        return tuple(map(self._taken, crossing))

    def _taken(self, value: Value) -> BoundaryTensors:
        if self._schedule.device_of(value) != self._device:
            return self._mailbox.take(value).copied.tensors
        found = self._own.pop(value)
        self._mailbox.count(-storage_bytes(found))
        return found

    def outputs(self, op: Op) -> list[Value]:
        """What `op` writes for another stage, or for parts of the vocabulary."""
        return [value for value in writes(self._schedule, op) if value.kind in CROSSING]

    def send(self, value: Value, tensors: BoundaryTensors, written: Timestamp) -> int:
        """Sends `tensors` to the devices that read them: copies, unless that is this one.

        written: when their pass ended. Returns their bytes.
        """
        if value.kind == "part_of_scores":
            tensors = tensors[:3]  # where S leaves more, it is for the last stage
        size = storage_bytes(tensors)
        for destination in self._readers(value):
            self._send_to(destination, value, tensors, size, written)
        return size

    def _readers(self, value: Value) -> Sequence[int]:
        """The devices that read `value`."""
        schedule, last = self._schedule, self._schedule.n_stages - 1
        if value.kind == "part_of_gradient":
            return (schedule.home(last, value.microbatch),)
        if value.kind == "part_of_scores" or (value.kind == "activation" and value.stage == last):
            return range(schedule.n_devices)
        reader = value.stage + (1 if value.kind == "activation" else -1)
        return (schedule.home(reader, value.microbatch),)

    def _send_to(
        self,
        destination: int,
        value: Value,
        tensors: BoundaryTensors,
        size: int,
        written: Timestamp,
    ) -> None:
        if destination == self._device:
            self._own[value] = tensors
            self._mailbox.count(size)
            return
        copied = self._lane.copied(tensors)
        delay = self._job.delay(self._device, destination, size)
        message = Message(value, self._device, destination, size, written, copied, delay)
        self._job.mailboxes[destination].put(message)
