"""Time turned round: the cool-down of an order is the warm-up of its mirror.

Whatever a pass waits for waits for it in the mirror, W's come first and F's last, and a device
holds the same from the start of W to the end of F as from the start of F to the end of W before.
So what fills the idle time of a warm-up fills that of a cool-down, too.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..compiled import Ints
from .squeeze import Moves, Played, squeezed
from .tables import PassTables
from .unroll import DeviceOrders


def squeezed_from_behind(orders: DeviceOrders, tables: PassTables, moves: Moves) -> Played:
    """The order played as late as it can be, with moves as `squeezed` makes them, seen from the
    end: `warm` counts the last microbatches."""
    turned, after = mirrored_tables(tables)
    found = squeezed(mirrored(orders), turned, moves, after)
    return found._replace(orders=mirrored(found.orders))


def mirrored(orders: DeviceOrders) -> DeviceOrders:
    """The passes of every device from the last to the first, and so their microbatches."""
    passes, first = orders
    back = np.concatenate([np.arange(b - 1, a - 1, -1) for a, b in pairwise(first)])
    found = passes[back]
    found[:, 2] = passes[:, 2].max(initial=0) - found[:, 2]
    return DeviceOrders(found, first)


def mirrored_tables(tables: PassTables) -> tuple[PassTables, Ints]:
    """The tables of the mirror; and what each pass waits for on its own device beside its writer.

    A B has two readers, its W and the B of the stage before: it waits for both in the mirror.
    """
    size = tables.writer.size
    writer, after = np.full(size, -1), np.full(size, -1)
    delay = np.zeros(size, np.int64)
    for x, row in enumerate(tables.readers.tolist()):
        for reader in row:
            if reader >= 0 and reader % 3 == 2:  # a W
                after[x] = reader
            elif reader >= 0:
                writer[x], delay[x] = reader, tables.delay[reader]
    readers = np.stack([tables.writer, np.full(size, -1)], axis=1)
    return (
        tables._replace(
            writer=writer, delay=delay, readers=readers, net=-tables.net,
            rise=np.maximum(tables.rise - tables.net, 0),
        ),
        after,
    )  # fmt: skip
