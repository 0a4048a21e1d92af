"""Seq1F1B: slices of a sequence are the units of the pipeline: less bubble, less memory.

A unit is one slice of one microbatch. Forwards run through the slices of a microbatch ascending,
because a slice attends to the keys and values of the earlier ones; backwards run through them
**descending**, because those keys and values collect their gradient from every later slice.
Microbatches stay first in, first out.

Source of all three: Sun et al. 2024, arXiv 2406.03488, sections 3.2 to 3.4.
"""

from __future__ import annotations

from ..schedule.ir import Kind, Op, Schedule
from .family import Family
from .interleaved import alternating, check_group
from .subset import first_microbatches


def seq1f1b(n_devices: int, n_microbatches: int, *, slices: int = 2) -> Schedule:
    """Seq1F1B: 1F1B over slices; device r warms up with p-r-1 units and the k-1 that let BW begin.

    Bubble (p-1)(F+B+W)/k on either clock when slices cost the same; peak (p+k-1)/k on device 0,
    one slice less on each next device, exactly 1 on the last.

    >>> print(seq1f1b(2, 2, slices=2))
    seq1f1b: 2 devices, 2 stages, 2 microbatches, 2 slices
    device 0 | F0 F0.1 F1 BW0.1 F1.1 BW0 BW1.1 BW1
    device 1 | F0 F0.1 BW0.1 F1 BW0 F1.1 BW1.1 BW1
    """
    m, k = n_microbatches, slices
    orders = []
    for stage in range(n_devices):
        forwards, backwards = units("F", stage, m, k), units("BW", stage, m, k)
        warm_up = min(n_devices - stage - 2 + k, m * k)
        orders.append(alternating(forwards, backwards, warm_up))
    return Schedule(tuple(range(n_devices)), tuple(orders), m, k, name="seq1f1b")


def seq1f1b_zb(n_devices: int, n_microbatches: int, *, slices: int = 2) -> Schedule:
    """Seq1F1B with split backward: ZB-H1 over slices, every W r units after its B on device r.

    Bubble (p-1)(F+B-W)/k at F=B=W on either clock; peak (p+k-1)/k on every device: what device 0
    holds under Seq1F1B, the others now hold as activations that wait for their W. With k=1 it is
    ZB-H1 itself.

    >>> print(seq1f1b_zb(2, 2, slices=2))
    seq1f1b-zb: 2 devices, 2 stages, 2 microbatches, 2 slices
    device 0 | F0 F0.1 F1 B0.1 W0.1 F1.1 B0 W0 B1.1 W1.1 B1 W1
    device 1 | F0 F0.1 B0.1 F1 B0 W0.1 F1.1 B1.1 W0 B1 W1.1 W1
    """
    m, k = n_microbatches, slices
    orders = []
    for stage in range(n_devices):
        forwards = units("F", stage, m, k)
        backwards, weights = units("B", stage, m, k), units("W", stage, m, k)
        warm_up = min(n_devices - stage - 1 + k, m * k)
        order = forwards[:warm_up]
        for i in range(m * k):
            order.append(backwards[i])
            order += weights[i - stage : i - stage + 1] if i >= stage else []
            order += forwards[warm_up + i : warm_up + i + 1]
        orders.append((*order, *weights[max(m * k - stage, 0) :]))
    return Schedule(tuple(range(n_devices)), tuple(orders), m, k, name="seq1f1b-zb")


def seq1f1b_interleaved(
    n_devices: int,
    n_microbatches: int,
    *,
    slices: int = 2,
    v: int = 2,
    group_size: int | None = None,
) -> Schedule:
    """Interleaved Seq1F1B: blocks of U units pass through v stages per device, chunk by chunk.

    `group_size` is U. By default it is the smallest number of whole microbatches that holds p
    units; p itself where k divides it, which is what the paper's code takes (its figure draws p k).
    U must hold whole microbatches, or the first backward would wait for a slice of a later block,
    and p - 1 units unless one block is all there is (see `interleaved`).

    Bubble (p-1)(F+B+W)/(v k) on either clock, peak ((v-1)U + 2(p-1) + k)/(v k), both for U >= p
    and whole blocks. Any m works: the last block is laid out in full, then the microbatches that do
    not exist are left out. With v=1 it is Seq1F1B.

    >>> print(seq1f1b_interleaved(2, 2, slices=2, v=2))
    seq1f1b-interleaved: 2 devices, 4 stages, 2 microbatches, 2 slices
    device 0 | F0@0 F0.1@0 F0@2 F0.1@2 F1@0 F1.1@0 BW0.1@2 F1@2 BW0@2 F1.1@2 BW0.1@0 BW0@0 \
BW1.1@2 BW1@2 BW1.1@0 BW1@0
    device 1 | F0@1 F0.1@1 F0@3 F0.1@3 BW0.1@3 F1@1 BW0@3 F1.1@1 BW0.1@1 F1@3 BW0@1 F1.1@3 \
BW1.1@3 BW1@3 BW1.1@1 BW1@1
    """
    p, k = n_devices, slices
    smallest = -(-p // k) * k
    block = group_size or smallest
    if block % k:
        works = max(smallest, -(-block // k) * k)
        raise ValueError(
            f"seq1f1b-interleaved: group_size is {block}, and every microbatch has {k} slices: it "
            f"counts slices, and must be a multiple of {k}, e.g. {works}"
        )
    check_group("seq1f1b-interleaved", p, n_microbatches, v=v, size=block // k, slices=k)
    block = min(block, max(smallest, n_microbatches * k))  # one block, however large, is all of it
    # One stage per device needs no second step per hop: it is Seq1F1B, at its memory.
    return interleaved_slices(
        "seq1f1b-interleaved", p, n_microbatches, k, v=v, per_block=block // k, ahead=min(v, 2)
    )


def interleaved_slices(
    name: str, p: int, n_microbatches: int, k: int, *, v: int, per_block: int, ahead: int
) -> Schedule:
    """Blocks of `per_block` microbatches of k slices pass through v stages per device in turn;
    device r warms up with all of a block on all its stages but the last one, the k-1 slices that
    let BW begin, and `ahead` more for each device after it."""
    m = -(-n_microbatches // per_block) * per_block
    orders = []
    for device in range(p):
        stages = range(device, p * v, p)
        forwards, backwards = [], []
        for first in range(0, m, per_block):
            for stage in stages:
                forwards += units("F", stage, per_block, k, first)
            for stage in reversed(stages):
                backwards += units("BW", stage, per_block, k, first)
        warm_up = (v - 1) * per_block * k + ahead * (p - device - 1) + k - 1
        orders.append(alternating(forwards, backwards, min(warm_up, len(forwards))))
    placement = tuple(stage % p for stage in range(p * v))
    whole = Schedule(placement, tuple(orders), m, k, name=name)
    return first_microbatches(whole, n_microbatches)


def units(kind: Kind, stage: int, m: int, k: int, first: int = 0) -> list[Op]:
    """The passes of `kind` of m microbatches from `first` on, slices in the direction of it."""
    slices = range(k) if kind == "F" else range(k - 1, -1, -1)
    return [Op(kind, stage, first + i, j) for i in range(m) for j in slices]


_SOURCE = "Sun et al. 2024, arXiv 2406.03488"
SEQ1F1B = Family(
    "seq1f1b",
    seq1f1b,
    placement="straight",
    passes="F BW",
    bubble="(p-1)*(F+B+W)/k",
    peak="min((p+k-1)/k, m)",
    options=("slices",),
    source=f"{_SOURCE}, section 3.2",
)
SEQ1F1B_INTERLEAVED = Family(
    "seq1f1b-interleaved",
    seq1f1b_interleaved,
    placement="loop",
    passes="F BW",
    bubble="(p-1)*(F+B+W)/(v*k)",
    peak="min(((v-1)*N + min(v, 2)*(p-1) + k)/(v*k), m)",
    exact_when="N % k == 0 and N >= p and m*k % N == 0",
    options=("slices", "v", "group_size"),
    source=f"{_SOURCE}, section 3.3",
)
SEQ1F1B_ZB = Family(
    "seq1f1b-zb",
    seq1f1b_zb,
    placement="straight",
    passes="F B W",
    bubble="(p-1)*(F+B-W)/k",
    peak="min((p+k-1)/k, m)",
    exact_when="F == B == W and (m-1)*k >= 2*p-1",
    options=("slices",),
    source=f"{_SOURCE}, section 3.4; Qi et al. 2023, arXiv 2401.10241, section 2.3",
)
