"""When a rank fails: one sentence that names the rank, the pass and the cause, on every rank.

A process knows the pass it is in, and so the pass of another rank that it waits for. Whoever fails
first leaves its sentence for the others (`notes`), whose connections break or whose waits end; they
find it there and raise the same. Between passes all ranks make the same calls, and whoever is not
in the call that failed is the one that is missing.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import ref

import torch.distributed as dist

from sim import Op, Schedule, Value, parse_op, reads

from . import notes
from .faults import PipelineFault, cause, of_connections, of_timeouts


class Watch:
    """What this process is at, and what it says when that fails.

    key: the same text on all ranks of this pipeline, and on no others. ranks: of the whole job, for
    each pipeline rank, `(n_devices,)`.
    """

    def __init__(self, schedule: Schedule, rank: int, ranks: tuple[int, ...], key: str) -> None:
        self.schedule, self.rank, self.ranks, self.key = schedule, rank, ranks, key
        self._calls: Counter[str] = Counter()
        self._call = ""
        self._told = False
        self._busy = False
        self._teller: threading.Thread | None = None
        self._finished = 0
        self._playing = False
        self._now: Op | None = None
        self._last: Op | None = None
        self._since = 0.0
        self._where = "in"
        self._heard = ""

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        """What all ranks of the pipeline do together; where connections break, the ranks that are
        not in it are named in a PipelineFault."""
        self._calls[name] += 1
        self._call = f"{name} {self._calls[name]}"
        try:
            with self._telling():
                yield
        except RuntimeError as error:
            if isinstance(error, PipelineFault) or not of_connections(error):
                raise
            fault = PipelineFault(self._published(self._missing(error)))
            self._end()
            raise fault from None
        finally:
            self._call = ""

    @contextmanager
    def step(self) -> Iterator[None]:
        """One pass over the microbatches; what fails inside is raised as a PipelineFault."""
        self._finished, self._now, self._since, self._playing = 0, None, time.monotonic(), True
        try:
            with self._telling():
                yield
        except BaseException as error:
            sentence = self._sentence(error)
            self._end()
            if not isinstance(error, Exception):
                raise  # the process is told to end: the others hear why
            fault = PipelineFault(sentence)
            fault.original = error
            raise fault from None
        finally:
            self._playing = False

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
        before = self._now, self._where
        self._now, self._where = self._last, "in the loss of"
        yield
        self._now, self._where = before

    @contextmanager
    def trying(self, op: Op) -> Iterator[None]:
        """The context in which the shapes that leave a pass are found out."""
        self._now, self._last, self._since, self._where = op, op, time.monotonic(), "in a trial of"
        yield
        self._now = None

    def _sentence(self, error: BaseException) -> str:
        me = self.ranks[self.rank]
        if self._now is not None:
            return self._published(f"rank {me} failed {self._where} {self._now}: {cause(error)}")
        awaited = self._awaited()
        if awaited is None or not of_connections(error):
            return self._published(f"rank {me} failed between passes: {cause(error)}")
        op, source = awaited
        if of_timeouts(error):
            return self._published(self._hung(op, source))
        gone = (
            f"rank {self.ranks[source]} is gone before its {op} reached rank {me}: it was killed, "
            "ran out of memory, or left"
        )
        if notes.kept_by(self.ranks[source]):
            return self._heard or gone  # the store went with it
        end = time.monotonic() + notes.PATIENCE
        while self._at(source).startswith("wait") and time.monotonic() < end:
            # It was held up itself, and its connections break before it can say by whom.
            if found := self._fault():
                return found
            time.sleep(0.05)
        if notes.kept_by(0) and not notes.reachable():  # the store was there when all was well
            what = f"{op} came from rank {self.ranks[source]} to rank {me}"
            gone = f"rank 0 is gone before {what}: it was killed, ran out of memory, or left"
        return self._published(gone)

    def _hung(self, op: Op, source: int) -> str:
        """Who holds up this rank, which waits for a pass of another: maybe that waits, too."""
        me = self.ranks[self.rank]
        at, seen = self._at(source), {source}
        while at.startswith("wait"):
            _, text, next_ = at.split()
            if int(next_) in seen:
                break
            op, source = parse_op(text), int(next_)
            seen.add(source)
            at = self._at(source)
        where = f": that rank is still in {at.split()[1]}" if at.startswith("in") else ""
        return (
            f"rank {me} waited until the timeout of the process group because {op} of rank "
            f"{self.ranks[source]} did not come{where}"
        )

    def _missing(self, error: BaseException) -> str:
        """Who is not in the call that has failed here, once all others have had the time to say
        that it failed for them, too."""
        me, here = self.ranks[self.rank], self._call
        self._tell(f"call {here}")
        others = [rank for rank in range(len(self.ranks)) if rank != self.rank]
        end = time.monotonic() + notes.PATIENCE
        while True:
            if found := self._fault():
                return found
            away = [rank for rank in others if self._at(rank) != f"call {here}"]
            if not away:
                return f"rank {me} failed in {here}: {cause(error)}"
            if time.monotonic() > end or notes.read(f"left/{self.ranks[away[0]]}"):
                break
            time.sleep(0.05)
        # The store ends with the rank that keeps it: then nobody can be asked.
        missing = self.ranks[away[0]] if notes.reachable() else 0
        at = self._at(away[0])
        if reason := notes.read(f"left/{missing}"):
            return f"rank {missing} is gone before {here}: {reason}"
        if at.startswith("call "):
            (a, one), (b, other) = sorted([(missing, at[5:]), (me, here)])
            return (
                f"rank {a} called {one} while rank {b} called {other}: all ranks of a pipeline "
                "have to make the same calls"
            )
        if of_timeouts(error):
            return (
                f"rank {missing} had not come to {here} when the timeout of the process group was "
                "over"
            )
        return f"rank {missing} is gone before {here}: it was killed, ran out of memory, or left"

    def _awaited(self) -> tuple[Op, int] | None:
        """The pass of another rank that the next pass here needs, and that pipeline rank."""
        order = self.schedule.orders[self.rank]
        for op in order[self._finished :]:
            for value in reads(self.schedule, op):
                source = self.schedule.placement[value.stage]
                if source != self.rank:
                    return _writer(self.schedule, value), source
        return None

    def _end(self) -> None:
        """The others have to read what this rank has left, before it ends."""
        notes.write(f"{self.key}/heard/{self.rank}", "yes")
        others = [rank for rank in range(len(self.ranks)) if rank != self.rank]
        heard = [f"{self.key}/heard/{rank}" for rank in others]
        notes.let_others_read(self.ranks[self.rank], heard)

    def _published(self, sentence: str) -> str:
        """The first sentence that any rank has published: this one, if there is none yet."""
        return self._heard or notes.first(f"{self.key}/fault", sentence)

    def _fault(self) -> str:
        return notes.read(f"{self.key}/fault")

    def _at(self, rank: int) -> str:
        return notes.read(f"{self.key}/at/{rank}")

    def _tell(self, text: str) -> None:
        self._told = bool(text)
        notes.write(f"{self.key}/at/{self.rank}", text)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """A thread says which pass or call this rank is in, or waits for, should it take long."""
        if self._busy:
            yield
            return
        self._busy, self._since = True, time.monotonic()
        if self._teller is None:  # one for all calls: starting a thread takes longer than a look
            self._teller = threading.Thread(target=_look_in, args=(ref(self),), daemon=True)
            self._teller.start()
        try:
            yield
        finally:
            self._busy = False
        if self._told:
            self._tell("")

    def look(self, told: float) -> float:
        """Says where this rank is, if it has been there for long and has not said so since `told`;
        returns since when it is there."""
        now, since = self._now, self._since
        if not self._busy or time.monotonic() - since < notes.PATIENCE:
            return told
        self._heard = self._heard or self._fault()
        if since == told:
            return told
        awaited = self._awaited() if self._playing and now is None else None
        if now is not None:
            self._tell(f"in {now}")
        elif awaited is not None:
            self._tell(f"wait {awaited[0]} {awaited[1]}")
        else:
            self._tell(f"call {self._call}" if self._call and not self._playing else "here")
        return since


def _look_in(watch: ref[Watch]) -> None:
    """What the thread does, as long as there is a watch."""
    told = 0.0
    while True:
        time.sleep(notes.PATIENCE / 2)
        there = watch()
        if there is None:
            return
        told = there.look(told)
        del there


def ranks_of(group: dist.ProcessGroup | None) -> tuple[int, ...]:
    """The ranks of a group in the whole job."""
    return tuple(dist.get_process_group_ranks(group))


def _writer(schedule: Schedule, value: Value) -> Op:
    """The pass that writes a value another rank waits for."""
    if value.kind == "activation":
        return Op("F", value.stage, value.microbatch)
    order = schedule.orders[schedule.placement[value.stage]]
    whole = Op("BW", value.stage, value.microbatch)
    return whole if whole in order else Op("B", value.stage, value.microbatch)
