"""Writes down a play while it happens, and makes the frames of a `Trace` of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .cluster import Cluster
from .costs import Costs
from .exact import Number, Ticks
from .ir import Op, Schedule, Step, Value
from .tasks import boundary
from .trace import MEMORY, OPS, TRANSFERS, Trace

if TYPE_CHECKING:
    import pandas as pd

Message = tuple[Value, int]
"""A value and the iteration it belongs to."""
EVERY = 4096
"""Passes between two reports of progress."""


class Recorder:
    """The rows of a play; times stay in ticks until the end."""

    def __init__(self, schedule: Schedule, *, tell: Callable[[int], None] | None = None) -> None:
        self.schedule, self.tell = schedule, tell
        self.n_passes = 0
        self.sending: dict[int, Value] = {}
        """What keeps each device that is blocked by a send of its own."""
        self._done = [0] * schedule.n_devices
        self._steps: list[tuple[Any, ...]] = []
        self._transfers: dict[Message, tuple[Any, ...]] = {}
        self._memory: list[tuple[Any, ...]] = []

    def step(
        self, device: int, step: Step, iteration: int, span: tuple[Number, Number, Message | None]
    ) -> None:
        """A step ran: (start, end, the message it got last)."""
        position = self._done[device] - iteration * len(self.schedule.orders[device])
        self._steps.append((device, position, iteration, step, *span))
        self._done[device] += len(step)
        self.n_passes += len(step)
        if self.tell and self.n_passes % EVERY < len(step):
            self.tell(self.n_passes)

    def transfer(
        self, message: Message, op: Op, pair: tuple[int, int], times: tuple[Number, ...]
    ) -> None:
        """What `op` wrote crossed between two devices: (ready, start, end)."""
        self._transfers[message] = (op, pair, *times)

    def memory(self, *row: Any) -> None:
        """(device, ticks, change, live bytes, live chunks, reason)"""
        self._memory.append(row)

    def stopped_at(self, iterations: int) -> str:
        """For every device that is not through `iterations`: the pass it waits to run, and what it
        has not got rid of."""
        waits = []
        for device, (order, done) in enumerate(zip(self.schedule.orders, self._done, strict=True)):
            at = f" at {order[done % len(order)]}" if done < iterations * len(order) else ""
            sent = self.sending.get(device)
            until = f" until its {sent} is received" if sent else ""
            if at or until:
                waits.append(f"device {device} waits{at}{until}")
        return ", ".join(waits)

    def trace(self, costs: Costs, cluster: Cluster, ticks: Ticks, iterations: int) -> Trace:
        """The `Trace` of everything written down."""
        return Trace(
            self.schedule,
            ops=self._ops_frame(ticks),
            transfers=self._transfers_frame(costs, cluster, ticks),
            memory=self._memory_frame(ticks),
            iterations=iterations,
            per_unit=ticks.per_unit,
            capacity=cluster.memory,
        )

    def _ops_frame(self, ticks: Ticks) -> pd.DataFrame:
        nothing = (None, None, None, None, None)
        rows = []
        for number, (device, position, iteration, step, start, end, last) in enumerate(self._steps):
            op, _, written, _, arrived = self._transfers[last] if last else nothing
            source = "" if op is None else str(op)
            for offset, (kind, stage, microbatch, part) in enumerate(step):
                rows.append(
                    (device, position + offset, kind, stage, microbatch, part, iteration, number,
                     start, end, written, arrived, source)
                )  # fmt: skip
        return _frame(OPS, rows, ticks, ("start", "end", "written", "arrived"))

    def _transfers_frame(self, costs: Costs, cluster: Cluster, ticks: Ticks) -> pd.DataFrame:
        rows = []
        for (value, iteration), (_, pair, ready, start, end) in self._transfers.items():
            kind, stage, microbatch, part = value
            size = _columnar(costs.crossing_bytes(boundary(value), part))
            link = "+".join(cluster.routes.get(pair, ()))
            rows.append(
                (kind, stage, microbatch, part, iteration, *pair, link, size, ready, start, end)
            )
        return _frame(TRANSFERS, rows, ticks, ("ready", "start", "end"))

    def _memory_frame(self, ticks: Ticks) -> pd.DataFrame:
        share = [max(len(held), 1) * self.schedule.n_slices for held in self.schedule.stages_of]
        rows = [
            (device, time, _columnar(change), _columnar(live), chunks / share[device], str(reason))
            for device, time, change, live, chunks, reason in self._memory
        ]
        return _frame(MEMORY, rows, ticks, ("time",))


def _columnar(size: Number) -> int | float:
    """A number that numpy has a type for."""
    return float(size) if isinstance(size, Fraction) else size


def _frame(
    names: Sequence[str], rows: Iterable[tuple[Any, ...]], ticks: Ticks, times: Sequence[str]
) -> pd.DataFrame:
    """Rows as a frame, the columns `times` turned from ticks into time."""
    import numpy as np
    import pandas as pd

    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    found = dict(zip(names, columns, strict=True))
    frame: dict[str, Any] = {}
    for name, column in found.items():
        if name not in times:
            frame[name] = column
            continue
        whole = all(isinstance(entry, int) for entry in column)
        exact: Any = np.array(column, dtype=np.int64 if whole else np.float64)
        if ticks.per_unit > 1:
            exact = exact / ticks.per_unit
            if len(exact) and (exact == np.floor(exact)).all():
                exact = exact.astype(np.int64)
        frame[name] = exact
    return pd.DataFrame(frame, columns=list(names))
