"""How large everything is that a GPU, or a CPU in its place, is measured with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sim import FAMILIES

from ..workload import Workload

ZERO_BUBBLE_V = "ScheduleZBVZeroBubble"
V_SHAPED = (ZERO_BUBBLE_V, "ScheduleDualPipeV")
CLASSES = {
    "ScheduleGPipe": 1, "Schedule1F1B": 1, "ScheduleInterleaved1F1B": 2,
    "ScheduleInterleavedZeroBubble": 2, ZERO_BUBBLE_V: 2, "ScheduleDualPipeV": 2,
}  # fmt: skip
"""torch's classes, and how many stages a rank has under each."""
LARGE = 40e9
"""Bytes of GPU memory from which the larger workload is taken."""


class Place(NamedTuple):
    """Where a step runs: which of the processes it is, the port at which they meet, and the seconds
    they have."""

    rank: int
    port: int
    seconds: float


@dataclass(frozen=True)
class Setting:
    """What is measured, and with what.

    n_devices: parts of one GPU (or threads) that act as pipeline devices. ranks: processes for
    torch's own classes, one per GPU. rounds: at most so many per family. copies: bytes that are
    copied between host and device. matrix: rows of the products that neighbours disturb each
    other with. class_rounds: pairs of steps of torch's class and ours. families, classes: ours
    and torch's.
    """

    workload: Workload
    n_devices: int
    n_microbatches: int
    ranks: int
    rounds: int
    copies: tuple[int, ...]
    matrix: int
    repeats: int
    class_rounds: int
    families: tuple[str, ...] = tuple(FAMILIES)
    classes: tuple[str, ...] = tuple(CLASSES)

    @property
    def device(self) -> str:
        return self.workload.device


def setting_for(device: str, *, quick: bool = False) -> Setting:
    """The sizes for "cuda" or "cpu"; quick: the smallest that still run every step.

    On a GPU passes have to be long against the launch of a kernel, on a quarter of its
    multiprocessors: several milliseconds.

    Raises ValueError for another device, and for a GPU where there is none.
    """
    from backend.threads.lanes import device_kind

    kind = device_kind(device)
    if quick:
        small = Workload(4, 32, heads=2, vocabulary=32, sequence=16, device=device)
        return Setting(
            small, 2, 4, ranks=2, rounds=1, copies=(2**12, 2**14), matrix=64, repeats=3,
            class_rounds=2, families=("1f1b", "v-half"), classes=("Schedule1F1B", ZERO_BUBBLE_V),
        )  # fmt: skip
    if kind == "cpu":
        copies = tuple(2**k for k in range(16, 27, 2))
        return Setting(
            Workload(device=device), 2, 8, ranks=2, rounds=6, copies=copies, matrix=512, repeats=9,
            class_rounds=15,
        )  # fmt: skip
    import torch

    memory = torch.cuda.get_device_properties(0).total_memory
    size = 2048 if memory >= LARGE else 1024
    work = Workload(
        16, size, heads=size // 128, vocabulary=8192, sequence=size, device=device,
        dtype="bfloat16",
    )  # fmt: skip
    copies = tuple(2**k for k in range(16, 29, 2))
    return Setting(
        work, 4, 8, ranks=min(torch.cuda.device_count(), 4), rounds=12, copies=copies, matrix=4096,
        repeats=20, class_rounds=15,
    )  # fmt: skip
