"""A worker per pipeline device: takes the steps of its order, waits for inputs, runs the passes.

mail ──► wait for what other devices wrote ──► passes of one step ──► copies to other devices
                                                    └──► values for itself stay where they are
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from sim import Op, Schedule, Step, Value, reads, steps, writes

from ..live_bytes import LiveBytes, static_tensors, storage_bytes
from ..stages.batches import Piece
from ..stages.stage import Loss, LossTerm, Stage, Unit
from ..stages.weight_gradients import zero_gradients
from .board import Board
from .lanes import Boundary, Lane, Mark
from .mail import Mail, Parcel, Stopped
from .records import MemoryRecord, PassRecord, Purpose, Round, TransferRecord


@dataclass(frozen=True)
class Job:
    """What all workers of a run share."""

    schedule: Schedule
    pieces: dict[Unit, Piece]
    loss: Loss
    delay: Callable[[int, int, int], float]
    mails: Sequence[Mail]
    board: Board
    purposes: Sequence[Purpose]
    autocast: Callable[[], AbstractContextManager[Any]]
    static: Sequence[torch.Tensor]
    gate: threading.Barrier
    origin: list[Mark]


class Worker:
    """One pipeline device at work; `run` is the body of its thread."""

    def __init__(self, job: Job, device: int, *, stages: dict[int, Stage], lane: Lane) -> None:
        self.job, self.device, self.stages, self.lane = job, device, stages, lane
        self.rounds: list[Round] = []
        self._round = Round("time")
        self._mail = job.mails[device]
        self._local: dict[Value, Boundary] = {}
        self._live: LiveBytes | None = None
        self._op: Op | None = None

    def run(self) -> None:
        """All iterations; whatever goes wrong is told to the board."""
        torch.set_num_threads(1)
        try:
            with self.lane.active():
                for purpose in self.job.purposes:
                    self._iteration(purpose)
            self.job.board.ends(self.device)
        except (Stopped, threading.BrokenBarrierError):
            pass
        except BaseException as error:
            self.job.board.fails(self.device, self._op, error)

    def _iteration(self, purpose: Purpose) -> None:
        modules = [stage.module for stage in self.stages.values()]
        zero_gradients(modules)
        if purpose == "memory":
            held = [tensor for module in modules for tensor in static_tensors(module)]
            self._live = LiveBytes([*held, *self.job.static])
        self._mail.most_waiting = 0
        self._together("waits for the others to begin")
        self._round = Round(purpose, origin=self.job.origin[0])
        self.rounds.append(self._round)
        position = 0
        for number, step in enumerate(steps(self.job.schedule, self.device)):
            self._step(number, position, step)
            position += len(step)
        self._op, self._live = None, None
        self._round.most_waiting = self._mail.most_waiting
        self._together("waits for the others to end")

    def _together(self, what: str) -> None:
        self.lane.finish()
        self.job.board.rests(self.device, what)
        self.job.gate.wait()

    def _step(self, number: int, position: int, step: Step) -> None:
        got = self._await(step)
        written: list[tuple[Value, Boundary]] = []
        start, cpu = self.lane.mark(), time.thread_time()
        if len(step) > 1 and {op.kind for op in step} == {"W"}:
            self._begin(step[0])
            self._entered(step, lambda _: self._weights(step))
        else:
            for op in step:
                self._begin(op)
                found = self._entered((op,), partial(self._run, op))
                written += ((value, found) for value in _crossing(self.job.schedule, op))
                del found
        end, cpu = self.lane.mark(), time.thread_time() - cpu
        for offset, op in enumerate(step):
            self._round.passes.append(
                PassRecord(self.device, position + offset, number, op, start, end, cpu, got)
            )
        while written:
            self._hand_over(*written.pop(0), end)

    def _begin(self, op: Op) -> None:
        self._op = op
        self.job.board.runs(self.device, op)

    def _await(self, step: Step) -> tuple[TransferRecord, ...]:
        """Waits for all that `step` reads from other devices."""
        schedule, got = self.job.schedule, []
        for op in step:
            for value in reads(schedule, op):
                if schedule.placement[value.stage] == self.device:
                    continue
                self.job.board.waits(self.device, op, value)
                parcel = self._mail.peek(value)
                self.lane.accept(parcel.copied, parcel.delay)
                got.append(
                    TransferRecord(
                        *parcel[:5], parcel.copied.start, parcel.copied.end, parcel.delay
                    )
                )
        self._round.transfers += got
        return tuple(got)

    def _entered(self, step: Step, run: Callable[[Boundary], Boundary]) -> Boundary:
        """What `run` makes of the inputs of `step`; their bytes counted in the memory iteration.

        Values in transit (boundary values, gradients of cached keys and values) are not counted.
        Those for this device are copied here too, so that what one stage keeps and what the next
        one keeps are separate accounts, as they are across devices.
        """
        live, op = self._live, step[0]
        if live is None:
            return self._noted(op, run(self._inputs(op)))
        before = live.peak = live.now
        inputs = self._inputs(op)
        live.add(inputs)
        with live.counting():
            found = run(inputs)
        most = live.peak
        del inputs
        found = tuple(tensor if tensor is None else tensor.clone() for tensor in found)
        live.remove(self.stages[op.stage].kv_gradients(op.microbatch))
        for one in step:  # of a group, the last pass frees everything
            after = live.now if one is step[-1] else before
            self._round.memory.append(MemoryRecord(self.device, one, before, after, most))
        return self._noted(op, found)

    def _noted(self, op: Op, found: Boundary) -> Boundary:
        """`found`, unless it is the loss: that is put down."""
        if op.kind != "F" or op.stage < self.job.schedule.n_stages - 1:
            return found
        (loss,) = found
        assert loss is not None
        self._round.losses[Unit(op.microbatch, op.slice)] = loss.clone()
        return ()

    def _inputs(self, op: Op) -> Boundary:
        """The boundary values that `op` reads, taken off wherever they waited."""
        if op.kind == "F" and op.stage == 0:
            return (self.job.pieces[Unit(op.microbatch, op.slice)].input,)
        schedule = self.job.schedule
        for value in reads(schedule, op):
            if value.kind not in ("activation", "gradient"):
                continue
            if schedule.placement[value.stage] != self.device:
                return self._mail.take(value).copied.tensors
            found = self._local.pop(value)
            self._mail.count(-storage_bytes(found))
            return found
        return ()

    def _run(self, op: Op, inputs: Boundary) -> Boundary:
        stage, unit = self.stages[op.stage], Unit(op.microbatch, op.slice)
        if op.kind == "W":
            return self._weights((op,))
        if op.kind == "B":
            return stage.backward(unit, inputs)
        if op.kind == "BW":
            return stage.full_backward(unit, inputs)
        piece, given = self.job.pieces[unit], [tensor for tensor in inputs if tensor is not None]
        last = op.stage == self.job.schedule.n_stages - 1
        loss_term = LossTerm(self.job.loss, piece.target, piece.share) if last else None
        with self.job.autocast():
            return stage.forward(unit, given, start=piece.start, loss_term=loss_term)

    def _weights(self, step: Step) -> Boundary:
        for number, stage in self.stages.items():
            if units := [Unit(op.microbatch, op.slice) for op in step if op.stage == number]:
                stage.weight(units)
        return ()

    def _hand_over(self, value: Value, tensors: Boundary, written: Mark) -> None:
        """Sends `tensors` to the device that reads them: a copy, unless that is this one."""
        schedule, size = self.job.schedule, storage_bytes(tensors)
        reader = value.stage + (1 if value.kind == "activation" else -1)
        if value.kind == "activation":
            self._round.boundaries[value.stage, value.slice] = size
        destination = schedule.placement[reader]
        if destination == self.device:
            self._local[value] = tensors
            self._mail.count(size)
            return
        copied = self.lane.copied(tensors)
        delay = self.job.delay(self.device, destination, size)
        parcel = Parcel(value, self.device, destination, size, written, copied, delay)
        self.job.mails[destination].put(parcel)


def _crossing(schedule: Schedule, op: Op) -> list[Value]:
    """What `op` writes for another stage."""
    return [value for value in writes(schedule, op) if value.kind in ("activation", "gradient")]
