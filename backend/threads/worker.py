"""A worker per pipeline device: takes the steps of its order, waits for inputs, runs the passes.

mailbox ──► wait for what other devices wrote ──► passes of one step ──► copies to other devices
                                                       └──► values for itself stay where they are
What is offloaded goes and comes beside that, see `copies`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from sim import Op, Step, Value, steps

from ..live_bytes import LiveBytes, static_tensors
from ..stages.stage import LossTerm, Stage, Unit
from ..stages.vocabulary import PASSES, Part, Scores, input_gradient
from ..stages.weight_gradients import zero_gradients
from .copies import Copies
from .exchange import Exchange
from .job import Job
from .lanes import BoundaryTensors, Lane
from .mail import Stopped
from .records import IterationRecord, MemoryRecord, PassRecord, Purpose


class Worker:
    """One pipeline device at work; `run` is the body of its thread.

    stages: those placed on it, by number. part: its part of the vocabulary, if that is cut.
    records: one per iteration, in order.
    """

    def __init__(
        self,
        job: Job,
        device: int,
        *,
        stages: dict[int, Stage],
        lane: Lane,
        part: Part | None = None,
    ) -> None:
        self.job, self.device, self.stages, self.lane = job, device, stages, lane
        self.part = part
        self.records: list[IterationRecord] = []
        self._record = IterationRecord("time")
        self._mailbox = job.mailboxes[device]
        self._exchange = Exchange(job, device, lane)
        self._copies = Copies(job, device, stages, lane)
        self._live: LiveBytes | None = None
        self._op: Op | None = None

    def run(self) -> None:
        """All iterations; the board learns of whatever goes wrong."""
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
        finally:
            self._copies.close()

    def _iteration(self, purpose: Purpose) -> None:
        modules = [stage.module for stage in self.stages.values()]
        modules += [self.part] if self.part else []
        zero_gradients(modules)
        if purpose == "memory":
            held = [tensor for module in modules for tensor in static_tensors(module)]
            self._live = LiveBytes([*held, *self.job.static])
        self._mailbox.most_waiting = 0
        self._wait_for_all("waits for the others to begin")
        self._record = IterationRecord(purpose, origin=self.job.origin[0])
        self.records.append(self._record)
        self._copies.begin(self._record, self._live)
        position = 0
        for number, step in enumerate(steps(self.job.schedule, self.device)):
            self._step(number, position, step)
            position += len(step)
        self._op, self._live = None, None
        self._record.most_waiting = self._mailbox.most_waiting
        self._wait_for_all("waits for the others to end")

    def _wait_for_all(self, what: str) -> None:
        self.lane.finish()
        self.job.board.rests(self.device, what)
        self.job.barrier.wait()

    def _step(self, number: int, position: int, step: Step) -> None:
        if step[0].kind in ("O", "L"):
            self._begin(step[0])
            self._copies.submit(step[0], position=position, step=number)
            return
        received = self._exchange.wait_for(step)
        for op in step:
            self._copies.wait_for(op)
        self._record.transfers += received
        written: list[tuple[Value, BoundaryTensors]] = []
        start, cpu = self.lane.timestamp(), time.thread_time()
        if len(step) > 1 and {op.kind for op in step} == {"W"}:
            self._begin(step[0])
            self._counted(step, lambda _: self._weights(step))
        else:
            for op in step:
                self._begin(op)
                outputs = self._counted((op,), partial(self._run, op))
                written += ((value, outputs) for value in self._exchange.outputs(op))
                del outputs  # or they would live until the next pass has ended
        end, cpu = self.lane.timestamp(), time.thread_time() - cpu
        for offset, op in enumerate(step):
            self._record.passes.append(
                PassRecord(self.device, position + offset, number, op, start, end, cpu, received)
            )
        while written:
            value, tensors = written.pop(0)
            size = self._exchange.send(value, tensors, end)
            if value.kind == "activation":
                key, sizes = (value.stage, value.slice), self._record.boundaries
                sizes[key] = max(size, sizes.get(key, 0))

    def _begin(self, op: Op) -> None:
        self._op = op
        self.job.board.runs(self.device, op)

    def _counted(
        self, step: Step, run: Callable[[tuple[BoundaryTensors, ...]], BoundaryTensors]
    ) -> BoundaryTensors:
        """What `run` makes of the inputs of `step`; in the memory iteration, its bytes are counted.

        Values in transit (boundary values, what slices leave for each other) are not counted.
        Those for this device are copied here too, so that what one stage keeps and what the next
        one keeps are counted apart, as they are across devices.
        """
        live, op = self._live, step[0]
        if live is None:
            return self._recorded(op, run(self._exchange.inputs(op)))
        before = live.peak = live.now
        inputs = self._exchange.inputs(op)
        given = [tensor for tensors in inputs for tensor in tensors]
        live.add(given)
        with live.counting():
            outputs = run(inputs)
        most = live.peak
        if self._reads_parts(op):  # of which the own one may still wait for another pass
            live.remove(given)
        del inputs, given
        outputs = tuple(tensor if tensor is None else tensor.clone() for tensor in outputs)
        if op.kind not in PASSES:
            live.remove(self.stages[op.stage].in_transit(op.microbatch))
        for one in step:  # of a group, the last pass frees everything
            after = live.now if one is step[-1] else before
            self._record.memory.append(MemoryRecord(self.device, one, before, after, most))
        return self._recorded(op, outputs)

    def _recorded(self, op: Op, outputs: BoundaryTensors) -> BoundaryTensors:
        """`outputs`, unless they are the loss: that is recorded, and goes nowhere. Scores, which
        the loss is made of where the vocabulary is cut, are recorded and go on."""
        if op.kind == "S":
            kept = [tensor.clone() for tensor in outputs[:3] if tensor is not None]
            self._record.scores[Unit(op.microbatch, op.slice)] = Scores(*kept)
        if op.kind != "F" or not self._makes_loss(op.stage):
            return outputs
        (loss,) = outputs
        assert loss is not None
        self._record.losses[Unit(op.microbatch, op.slice)] = loss.clone()
        return ()

    def _reads_parts(self, op: Op) -> bool:
        """Whether `op` reads what the passes of all parts of the vocabulary have left."""
        last = op.stage == self.job.schedule.n_stages - 1
        return op.kind == "T" or (bool(self.part) and last and op.kind in ("B", "BW"))

    def _makes_loss(self, stage: int) -> bool:
        return stage == self.job.schedule.n_stages - 1 and not self.part

    def _run(self, op: Op, values: tuple[BoundaryTensors, ...]) -> BoundaryTensors:
        unit = Unit(op.microbatch, op.slice)
        if op.kind in PASSES:
            return self._of_part(op, unit, values)
        stage, inputs = self.stages[op.stage], values[0] if values else ()
        if op.kind == "W":
            return self._weights((op,))
        piece = self.job.pieces[unit]
        if op.kind in ("B", "BW"):
            if self._reads_parts(op):
                inputs = (input_gradient(_whole(values), piece),)
            return (
                stage.backward(unit, inputs)
                if op.kind == "B"
                else stage.full_backward(unit, inputs)
            )
        given = [tensor for tensor in inputs if tensor is not None]
        loss_term = None
        if self._makes_loss(op.stage):
            loss_term = LossTerm(self.job.loss, piece.target, piece.share)
        with self.job.autocast():
            if op.kind == "R":
                stage.rebuild(unit, start=piece.start, loss_term=loss_term)
                return ()
            lever = self.job.schedule.levers.get(op[1:])
            return stage.forward(unit, given, start=piece.start, loss_term=loss_term, lever=lever)

    def _of_part(self, op: Op, unit: Unit, values: tuple[BoundaryTensors, ...]) -> BoundaryTensors:
        """S or T."""
        assert self.part is not None
        piece, given = self.job.pieces[unit], _whole(values)
        if op.kind == "T":
            return self.part.gradients(unit, [Scores(*one) for one in given], piece)
        with self.job.autocast():
            return self.part.scores(unit, given[0][0], piece)

    def _weights(self, step: Step) -> BoundaryTensors:
        for number, stage in self.stages.items():
            if units := [Unit(op.microbatch, op.slice) for op in step if op.stage == number]:
                stage.weight(units)
        return ()


def _whole(values: tuple[BoundaryTensors, ...]) -> list[list[Tensor]]:
    """Values in which every tensor is there, as all are that parts of the vocabulary leave."""
    return [[tensor for tensor in tensors if tensor is not None] for tensors in values]
