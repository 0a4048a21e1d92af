"""2BP: any schedule gets shorter when the weight gradients step aside and run as one kernel.

The backward is cut into p1 (our B) and p2 (our W). B's run where the fused backward ran, so the
gradient reaches the device before sooner; W's wait, and those left at the end run together: inputs
and output gradients of all those microbatches, concatenated, in **one** fused step. Its gain over
the single kernels is a cost (`Costs.group_scale`), not a rule. The price is memory: after B a stage
keeps the inputs of its parametric layers and their output gradients until W
(`Costs.backward_bytes`), so the peak is m for all four.

Source: Rae, Lee, Richings 2024, arXiv 2405.18047, section 3 and figure 1. The paper ties m to the
variant (1, p, p, 2p); here every rule serves any m, and at the paper's m it is the paper's.
"""

from __future__ import annotations

from ..schedule.ir import Op, Schedule, Step
from .family import Family
from .gpipe import gpipe
from .one_f_one_b import one_f_one_b


def two_bp_naive(n_devices: int, n_microbatches: int) -> Schedule:
    """2BP on naive model parallelism: one microbatch travels at a time, all weight gradients last.

    Bubble m(p-1)(F+B) on either clock. The paper has m = 1; more microbatches follow each other.

    >>> print(two_bp_naive(2, 2))
    2bp-naive: 2 devices, 2 stages, 2 microbatches
    device 0 | F0 B0 F1 B1 W0&W1
    device 1 | F0 B0 F1 B1 W0&W1
    """
    return _schedule(
        "2bp-naive",
        [
            tuple(Op(kind, stage, i) for i in range(n_microbatches) for kind in ("F", "B"))
            for stage in range(n_devices)
        ],
        n_microbatches,
    )


def two_bp_gpipe(n_devices: int, n_microbatches: int) -> Schedule:
    """2BP on GPipe: all F, all B, then one W over all microbatches.

    Bubble (p-1)(F+B) on either clock. The paper has m = p.

    >>> print(two_bp_gpipe(2, 2))
    2bp-gpipe: 2 devices, 2 stages, 2 microbatches
    device 0 | F0 F1 B0 B1 W0&W1
    device 1 | F0 F1 B0 B1 W0&W1
    """
    return _schedule(
        "2bp-gpipe",
        [
            tuple(Op(kind, stage, i) for kind in ("F", "B") for i in range(n_microbatches))
            for stage in range(n_devices)
        ],
        n_microbatches,
    )


def two_bp_1f1b_1(n_devices: int, n_microbatches: int) -> Schedule:
    """2BP on 1F1B (m = p in the paper): drain with B and the oldest W in turn, then all W left.

    Bubble (p-1)(F+B-W) on either clock while W is no longer than F and B, and m >= p.

    >>> print(two_bp_1f1b_1(3, 3))
    2bp-1f1b-1: 3 devices, 3 stages, 3 microbatches
    device 0 | F0 F1 F2 B0 W0 B1 W1 B2 W2
    device 1 | F0 F1 B0 F2 B1 W0 B2 W1 W2
    device 2 | F0 B0 F1 B1 F2 B2 W0 W1&W2
    """
    return _draining("2bp-1f1b-1", n_devices, n_microbatches)


def two_bp_1f1b_2(n_devices: int, n_microbatches: int) -> Schedule:
    """2BP on 1F1B (m = 2p in the paper); at equal m the same order as `two_bp_1f1b_1`."""
    return _draining("2bp-1f1b-2", n_devices, n_microbatches)


def without_two_bp(name: str, n_devices: int, n_microbatches: int) -> Schedule:
    """What the family `name` runs without 2BP: fused backwards in the same order. For comparisons.

    >>> without_two_bp("2bp-1f1b-2", 4, 8).name
    '1f1b'
    """
    p, m = n_devices, n_microbatches
    if name == "2bp-naive":
        one = tuple(
            tuple(Op(kind, stage, i) for i in range(m) for kind in ("F", "BW"))
            for stage in range(p)
        )
        return Schedule(tuple(range(p)), one, m, name="naive")
    if name == "2bp-gpipe":
        return gpipe(p, m)
    if name in ("2bp-1f1b-1", "2bp-1f1b-2"):
        return one_f_one_b(p, m)
    raise ValueError(f"{name!r} is no 2BP family: they are {', '.join(f.name for f in TWO_BP)}")


def _draining(name: str, p: int, m: int) -> Schedule:
    orders = []
    for stage in range(p):
        warm_up = min(p - stage, m)
        order = [Op("F", stage, i) for i in range(warm_up)]
        for i in range(m - warm_up):
            order += [Op("B", stage, i), Op("F", stage, warm_up + i)]
        for i in range(warm_up):
            order += [Op("B", stage, m - warm_up + i), Op("W", stage, i)]
        orders.append(tuple(order))
    return _schedule(name, orders, m)


def _schedule(name: str, orders: list[tuple[Op, ...]], m: int) -> Schedule:
    """`orders` with the missing weight gradients of every device at its end, as one step."""
    whole: list[tuple[Op, ...]] = []
    fused: list[Step] = []
    for stage, order in enumerate(orders):
        done = set(order)
        left = tuple(op for i in range(m) if (op := Op("W", stage, i)) not in done)
        whole.append(order + left)
        fused += [left] if len(left) > 1 else []
    return Schedule(tuple(range(len(orders))), tuple(whole), m, fused=tuple(fused), name=name)


_SOURCE = "Rae, Lee, Richings 2024, arXiv 2405.18047, section 3"
_NAIVE = Family(
    "2bp-naive",
    two_bp_naive,
    placement="straight",
    passes="F B W",
    bubble="m*(p-1)*(F+B)",
    peak="m",
    source=_SOURCE,
)
_GPIPE = Family(
    "2bp-gpipe",
    two_bp_gpipe,
    placement="straight",
    passes="F B W",
    bubble="(p-1)*(F+B)",
    peak="m",
    source=_SOURCE,
)
_ONE, _TWO = (
    Family(
        name,
        build,
        placement="straight",
        passes="F B W",
        bubble="(p-1)*(F+B-W)",
        peak="m",
        exact_when="min(F, B) >= W and m >= p",
        source=_SOURCE,
    )
    for name, build in {"2bp-1f1b-1": two_bp_1f1b_1, "2bp-1f1b-2": two_bp_1f1b_2}.items()
)
TWO_BP = (_NAIVE, _GPIPE, _ONE, _TWO)
