"""1F1B-V: fused backwards on a V of stages, at two thirds of 1F1B's memory and a smaller bubble."""

from __future__ import annotations

from itertools import accumulate

from ..schedule.ir import Schedule
from .blocks.build import Block, schedule, v_placement
from .family import Family


def one_f_one_b_v(n_devices: int, n_microbatches: int) -> Schedule:
    """1F1B-V: a V-shaped block whose backward passes are fused, two cells each.

    In the time of F+B+W: bubble 5p-5, 5p-7 or 5p-8 sixths (p mod 3 = 1, 2 or 0) on either clock at
    2F = B+W, p >= 4, m >= 2p. Peak floor(2p/3)+1 shares. One microbatch takes at most
    max(F+B+W, 3F) once the pipeline is full, and exactly that for p = 4 and p >= 7.

    >>> print(one_f_one_b_v(2, 2))
    1f1b-v: 2 devices, 4 stages, 2 microbatches
    device 0 | F0@0 F1@0 F0@3 BW0@3 F1@3 BW1@3 BW0@0 BW1@0
    device 1 | F0@1 F0@2 F1@1 F1@2 BW0@2 BW0@1 BW1@2 BW1@1

    Source: Qi et al. 2024, arXiv 2405.15362, which draws the idea; the offsets are ours.
    """
    limit = 2 * (2 * n_devices // 3) + 2
    return schedule(one_f_one_b_v_block(n_devices), n_microbatches, limit=limit)


def one_f_one_b_v_block(n_devices: int) -> Block:
    """Where 1F1B-V's passes of one microbatch start, from the steps between neighbours."""
    steps = _steps(n_devices)
    down = [0, *accumulate(f0 for f0, _, _ in steps)]
    turn = down[-1] + n_devices
    forward_up = [turn - i for i in range(n_devices)]
    backward_down = [turn + 1, *accumulate((b1 for _, b1, _ in steps), initial=turn + 1)][1:]
    back = [0, *accumulate(b0 for _, _, b0 in reversed(steps))]
    backward_up = [backward_down[-1] + 2 + cells for cells in reversed(back)]
    return Block(
        placement=v_placement(n_devices),
        offsets={
            "F": (*down, *reversed(forward_up)),
            "BW": (*backward_up, *reversed(backward_down)),
        },
        interval=6,
        name="1f1b-v",
    )


def _steps(p: int) -> list[tuple[int, int, int]]:
    """Cells between devices i and i+1 for F0, BW1 and BW0; F1 takes 1.

    Each device keeps the two F's an odd number of cells apart, which leaves two pairs of cells of
    the six for the BW's. Three devices more repeat `_TAIL`: 8 cells and 2/3 of a share each.
    """
    if p <= 3:
        return {1: [], 2: [(1, 5, 2)], 3: [(1, 6, 6), (3, 4, 2)]}[p]
    head = {0: [(1, 5, 2), *_HEAD], 1: [], 2: _HEAD}[p % 3]
    return head + _TAIL * ((p - 1 - len(head)) // 3)


_HEAD = [(1, 2, 2), (3, 4, 2), (1, 4, 4), (3, 4, 2)]
_TAIL = [(1, 2, 2), (1, 2, 5), (1, 5, 2)]

ONE_F_ONE_B_V = Family(
    "1f1b-v",
    one_f_one_b_v,
    placement="V",
    passes="F BW",
    bubble="(5*p - 5 - 2*(p % 3 == 2) - 3*(p % 3 == 0))*(F+B+W)/6",
    peak="min(2*p//3 + 1, m)",
    exact_when="2*F == B+W and p >= 4 and m >= 2*p",
    source="Qi et al. 2024, arXiv 2405.15362; offsets ours",
)
