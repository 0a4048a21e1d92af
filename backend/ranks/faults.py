"""When a rank fails: one sentence that names the rank, the pass and the cause, on every rank.

A process knows the pass it is in, and so the pass of another rank that it waits for. Whoever fails
first writes its sentence into the store of the processes; the others, whose connections break or
whose waits end, find it there and raise the same.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist

from sim import Op, Schedule, Value, parse_op, reads

from ..torch_private import default_store

STUCK = 1.0
"""Seconds in one pass, or before it, after which a rank tells the others where it is."""


class PipelineFault(RuntimeError):
    """A rank failed while a schedule was played. original: what was raised, on that rank only."""

    original: BaseException | None = None


class Mismatch(ValueError):
    """Ranks that cannot play a schedule together, or were given what does not fit."""


class Watch:
    """What this process is at, and what it says when that fails.

    key: the same text on all ranks of this pipeline, and on no others. ranks: of the whole job, for
    each pipeline rank, `(n_devices,)`.
    """

    def __init__(self, schedule: Schedule, rank: int, ranks: tuple[int, ...], key: str) -> None:
        self.schedule, self.rank, self.ranks, self.key = schedule, rank, ranks, key
        self._finished = 0
        self._now: Op | None = None
        self._last: Op | None = None
        self._since = 0.0
        self._where = "in"
        self._heard = ""

    @contextmanager
    def step(self) -> Iterator[None]:
        """One pass over the microbatches; what fails inside is raised as a PipelineFault."""
        self._finished, self._now, self._since = 0, None, time.monotonic()
        over = threading.Event()
        teller = threading.Thread(target=self._tell, args=(over,), daemon=True)
        teller.start()
        try:
            yield
        except Exception as error:
            fault = PipelineFault(self._sentence(error))
            fault.original = error
            if self._hosts_store():
                time.sleep(2 * STUCK)  # others look there, and it ends with this process
            raise fault from None
        finally:
            over.set()

    def begin(self) -> None:
        """Everything so far was preparation: the first pass comes next."""
        self._finished = 0

    @contextmanager
    def within(self, op: Op) -> Iterator[None]:
        """The context of one pass."""
        self._now, self._last, self._since, self._where = op, op, time.monotonic(), "in"
        yield
        self._now, self._since = None, time.monotonic()
        self._finished += 1

    @contextmanager
    def loss(self) -> Iterator[None]:
        """The context of the loss of the pass before."""
        self._now, self._where = self._last, "in the loss of"
        yield
        self._now = None

    @contextmanager
    def trying(self, stage: int) -> Iterator[None]:
        """The context in which the shapes that leave a stage are found out."""
        op = Op("F", stage, 0)
        self._now, self._last, self._since, self._where = op, op, time.monotonic(), "in a trial of"
        yield
        self._now = None

    def _sentence(self, error: Exception) -> str:
        me = self.ranks[self.rank]
        if self._now is not None:
            return self._published(f"rank {me} failed {self._where} {self._now}: {cause(error)}")
        awaited = self._awaited()
        if awaited is None:
            return self._published(f"rank {me} failed between passes: {cause(error)}")
        op, source = awaited
        if "timed out" in str(error).lower() or "timeout" in str(error).lower():
            return self._published(self._hung(op, source))
        gone = (
            f"rank {self.ranks[source]} is gone before its {op} reached rank {me}: it was killed, "
            "ran out of memory, or left"
        )
        if self.ranks[source] == 0 and not _agent_store():
            return self._heard or gone  # the store went with it
        end = time.monotonic() + STUCK
        while self._read(f"at/{source}").startswith("wait") and time.monotonic() < end:
            # It was held up itself, and its connections break before it can say by whom.
            if found := self._read("fault"):
                return found
            time.sleep(0.05)
        return self._published(gone)

    def _hung(self, op: Op, source: int) -> str:
        """Who holds up this rank, which waits for a pass of another: maybe that waits, too."""
        me = self.ranks[self.rank]
        at, seen = self._read(f"at/{source}"), {source}
        while at.startswith("wait"):
            _, text, next_ = at.split()
            if int(next_) in seen:
                break
            op, source = parse_op(text), int(next_)
            seen.add(source)
            at = self._read(f"at/{source}")
        where = f": that rank is still in {at.split()[1]}" if at.startswith("in") else ""
        return (
            f"rank {me} waited until the timeout of the process group because {op} of rank "
            f"{self.ranks[source]} did not come{where}"
        )

    def _awaited(self) -> tuple[Op, int] | None:
        """The pass of another rank that the next pass here needs, and that pipeline rank."""
        order = self.schedule.orders[self.rank]
        for op in order[self._finished :]:
            for value in reads(self.schedule, op):
                source = self.schedule.placement[value.stage]
                if source != self.rank:
                    return _writer(self.schedule, value), source
        return None

    def _hosts_store(self) -> bool:
        return self.ranks[self.rank] == 0 and not _agent_store()

    def _published(self, sentence: str) -> str:
        """The first sentence that any rank has published: this one, if there is none yet."""
        if self._heard:
            return self._heard
        with suppress(Exception):
            kept = default_store().compare_set(f"{self.key}/fault", "", sentence).decode()
            return kept or sentence
        return sentence

    def _read(self, name: str) -> str:
        with suppress(Exception):
            store = default_store()
            if store.check([f"{self.key}/{name}"]):
                return str(store.get(f"{self.key}/{name}").decode())
        return ""

    def _tell(self, over: threading.Event) -> None:
        """Says which pass this rank is in, or waits for, should that take long."""
        told = 0.0
        while not over.wait(STUCK / 2):
            now, since = self._now, self._since
            if time.monotonic() - since < STUCK:
                continue
            self._heard = self._heard or self._read("fault")
            if since == told:
                continue
            told = since
            awaited = None if now else self._awaited()
            text = f"in {now}" if now else f"wait {awaited[0]} {awaited[1]}" if awaited else "here"
            with suppress(Exception):
                default_store().set(f"{self.key}/at/{self.rank}", text)


def cause(error: BaseException) -> str:
    """What was raised first, in one line, and where in the user's code."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split()) or "without a word"
    shown = text if len(text) <= 300 else f"{text[:297]}..."
    place = _place(error)
    return f"{type(error).__name__}: {shown}{f' ({place})' if place else ''}"


def _agent_store() -> bool:
    """Whether the store is kept by torchrun, not by rank 0."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def report_briefly() -> None:
    """From now on, a fault or a mismatch that ends this process is one line, not a traceback.

    Everything else ends it as before.
    """
    before = sys.excepthook
    if getattr(before, "brief", False):
        return

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, PipelineFault | Mismatch):
            print(f"pipebubble: {error}", file=sys.stderr, flush=True)
        else:
            before(kind, error, trace)

    hook.brief = True  # type: ignore[attr-defined]
    sys.excepthook = hook


def _writer(schedule: Schedule, value: Value) -> Op:
    """The pass that writes a value another rank waits for."""
    if value.kind == "activation":
        return Op("F", value.stage, value.microbatch)
    order = schedule.orders[schedule.placement[value.stage]]
    whole = Op("BW", value.stage, value.microbatch)
    return whole if whole in order else Op("B", value.stage, value.microbatch)


def _place(error: BaseException) -> str:
    """File and line of the innermost frame that is neither torch's nor ours."""
    skipped = [os.path.dirname(torch.__file__), os.path.dirname(os.path.dirname(__file__))]
    frames: list[Any] = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not any(frame.filename.startswith(folder + os.sep) for folder in skipped)
    ]
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""


def ranks_of(group: dist.ProcessGroup | None) -> tuple[int, ...]:
    """The ranks of a group in the whole job."""
    return tuple(dist.get_process_group_ranks(group))
