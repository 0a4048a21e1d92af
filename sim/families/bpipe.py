"""BPipe: 1F1B whose first devices lend their activations to the last ones, which have room."""

from __future__ import annotations

from itertools import pairwise

from ..schedule.ir import Op, Schedule, Step
from ..schedule.offload import with_copies
from .family import Family
from .one_f_one_b import one_f_one_b


def bpipe(n_devices: int, n_microbatches: int) -> Schedule:
    """BPipe: 1F1B in which device x < p/2 evicts what it has no room for to device p-1-x.

    1F1B keeps p-x activations on device x, p+1 on every such pair; with evictions no device holds
    more than ceil((p+2)/2). A copy runs beside one pass: away during the one after the forward,
    back during the one before the backward. Bubble (p-1)(F+B+W), as without evictions, and that
    peak, where a copy takes no longer than a pass.

    >>> print(bpipe(4, 5))
    bpipe: 4 devices, 4 stages, 5 microbatches; stage 0 offloads activations to other devices
    device 0 | F0 F1 O1 F2 F3 O3 BW0 L1 F4 BW1 L3 BW2 BW3 BW4
    device 1 | F0 F1 F2 BW0 F3 BW1 F4 BW2 BW3 BW4
    device 2 | F0 F1 BW0 F2 BW1 F3 BW2 F4 BW3 BW4
    device 3 | F0 BW0 F1 BW1 F2 BW2 F3 BW3 F4 BW4

    Source: Kim et al. 2023 (BPipe), ICML. There the newest activation goes when there is no room
    for the next; here the newest of the warm-up go, and of those after it every one that takes the
    place of one that comes back: see `_evicted`.
    """
    p = n_devices
    plain, before = one_f_one_b(p, n_microbatches), dict[Op, Op]()
    for order in plain.orders[: p // 2]:
        gone = {*_evicted(p, order)}
        for beside, op in pairwise(order):
            if op.kind == "BW" and op.microbatch in gone:
                before[op._replace(kind="L")] = beside
    stores = tuple(p - 1 - x if x < p // 2 else None for x in range(p)) if before else ()
    return with_copies(plain, before, stores=stores, name="bpipe")


def _evicted(p: int, order: Step) -> list[int]:
    """The microbatches that a device of 1F1B evicts, of which c are alive once it is full.

    While F of microbatch j runs, those from j-c+2 to j-1 can be away, which is any c-2 in a row:
    it is enough if e = c - ceil((p+2)/2) of all c-2 residues go. Then one goes during a backward
    pass and one comes back during a forward pass, never two at once, and the partner keeps e+1 at
    most beside its own. Residue 0 stays, and that of the last microbatch: the first backward of the
    drain has another one behind it, beside which nothing may come back yet. Four devices have but
    one residue: where it is that, the last but one microbatch goes for the last.
    """
    m = len(order) // 2
    held = next(number for number, op in enumerate(order) if op.kind == "BW")
    period, excess = held - 2, held - (p + 3) // 2
    if excess <= 0:
        return []
    go = sorted(range(1, period), key=lambda residue: (residue != (m - 1) % period, residue))
    found = [i for i in range(m) if i % period in go[-excess:]]
    return [*found[:-1], m - 2] if found[-1] == m - 1 else found


BPIPE = Family(
    "bpipe",
    bpipe,
    placement="straight",
    passes="F BW O L",
    bubble="(p-1)*(F+B+W)",
    peak="min((p+3)//2, p, m)",
    source="Kim et al. 2023 (BPipe), ICML",
)
