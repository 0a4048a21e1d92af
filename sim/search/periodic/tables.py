"""A problem as arrays for compiled loops: what each pass takes, waits for, keeps and frees."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...schedule.ir import KINDS, Op
from ..compiled import Ints, compiled
from .problem import BlockProblem, dependencies
from .unroll import DeviceOrders

UNLIMITED = 1 << 60


class PassTables(NamedTuple):
    """Arrays by pass, numbered 3 stage + kind (0 F, 1 B, 2 W), and by device.

    device: of each pass. duration: ticks. writer: the pass whose end it waits for, -1 for none.
    delay: ticks from that end until its result is there. readers: the passes that wait for it, -1
    for none, shape `(n, 2)`. rise: units taken at the start. net: units alive more after the end.
    limit: units per device.
    """

    device: Ints
    duration: Ints
    writer: Ints
    delay: Ints
    readers: Ints
    rise: Ints
    net: Ints
    limit: Ints


def pass_tables(problem: BlockProblem) -> PassTables:
    """The tables of one microbatch of a problem."""
    passes = [Op(kind, s, 0) for s in range(problem.n_stages) for kind in KINDS[:3]]
    number = {op: i for i, op in enumerate(passes)}
    writer, delay = np.full(len(passes), -1), np.zeros(len(passes), np.int64)
    readers = np.full((len(passes), 2), -1)
    for source, reader, send in dependencies(problem):
        a, b = number[source], number[reader]
        writer[b], delay[b] = a, send
        readers[a, int(readers[a, 0] >= 0)] = b
    return PassTables(
        device=np.array([problem.placement[op.stage] for op in passes], np.int64),
        duration=np.array([problem.duration(op) for op in passes], np.int64),
        writer=writer,
        delay=delay,
        readers=readers,
        rise=np.array([problem.rise(op) for op in passes], np.int64),
        net=np.array([problem.net(op) for op in passes], np.int64),
        limit=np.array(problem.limit or [UNLIMITED] * problem.n_devices, np.int64),
    )


def in_copies(tables: PassTables, n: int) -> PassTables:
    """The tables of n microbatches: copy i of pass x has the number 3 n_stages i + x."""
    size = tables.duration.size

    def moved(column: Ints) -> Ints:
        return np.concatenate([np.where(column < 0, -1, column + i * size) for i in range(n)])

    return PassTables(
        np.tile(tables.device, n),
        np.tile(tables.duration, n),
        moved(tables.writer),
        np.tile(tables.delay, n),
        moved(tables.readers),
        np.tile(tables.rise, n),
        np.tile(tables.net, n),
        tables.limit,
    )


@compiled
def peaks(orders: DeviceOrders, tables: PassTables) -> Ints:
    """The most units alive on each device."""
    passes, first = orders
    most = np.zeros(first.size - 1, np.int64)
    for d in range(most.size):
        alive = 0
        for i in range(first[d], first[d + 1]):
            x = 3 * passes[i, 1] + passes[i, 0]
            most[d] = max(most[d], alive + tables.rise[x])
            alive += tables.net[x]
    return most
