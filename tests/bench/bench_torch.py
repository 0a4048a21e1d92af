"""A training step of ours against torch's own class with the same order of passes, in pairs.

python tests/bench/bench_torch.py [-p 2 -p 4] [-m 8] [--seconds 300] [--width 256]

Ratios are torch's class over ours, step by step one right after the other in the same processes:
above 1 ours is faster. Medians, and quartiles over rounds: of the clock, and of the processor time
of all ranks, which says more where other programs run, or where there are more ranks than cores.
Gaps are what lies between the moment at which a pass could run and its start, medians over passes.
What is compared: see `validation.gpu.torch_classes`, which does the same on GPUs. The last line is
the local engine: what a device that never waits loses between two passes.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

STARTING = 9.0
"""Seconds that starting the processes of a class takes, roughly."""


def main() -> None:
    from torch_ranks import ranks_of

    from validation.gpu.ready_gaps import median_gap
    from validation.gpu.setting import CLASSES
    from validation.gpu.torch_classes import compared

    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("-p", type=int, action="append", help="ranks; may repeat; 2 and 4 if not")
    parser.add_argument("-m", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=300.0, help="for all of it, roughly")
    parser.add_argument("--rounds", type=int, default=60, help="at most, of each class")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--only", default="", help="classes with this in their names")
    args = parser.parse_args()
    end = time.monotonic() + args.seconds
    names = [name for name in CLASSES if args.only in name]
    cases = [(p, name) for p in args.p or (2, 4) for name in names]
    print(f"{'':34}{'torch / ours':^24}{'of processor time':^24}{'gaps, us':^16}{'ours':>9}")
    print(
        f"{'class':30}{'p':>4}{'median':>8}{'quartiles':>16}{'median':>8}{'quartiles':>16}"
        f"{'torch':>8}{'ours':>8}{'ms':>9}{'rounds':>8}"
    )
    for number, (p, name) in enumerate(cases):
        left = (end - time.monotonic()) / (len(cases) - number) - STARTING
        asked = name, args.m, args.rounds, max(left, 1.0), args.width
        ranks = ranks_of(p, "bench_torch", "timed", *asked)
        row = compared([(each.theirs.wall, each.ours.wall) for each in ranks[0].rounds])
        cpu = compared([_together(each) for each in zip(*(r.rounds for r in ranks), strict=True)])
        gaps = [
            median_gap(ranks[0].schedule, [rank.passes[engine] for rank in ranks]) * 1e6
            for engine in (0, 1)
        ]
        print(
            f"{name:30}{p:4}{_quartiles(row)}{_quartiles(cpu)}{gaps[0]:8.0f}{gaps[1]:8.0f}"
            f"{row['ours'] * 1e3:9.1f}{len(ranks[0].rounds):8}",
            flush=True,
        )
    _local_engine()


def timed(name: str, m: int, rounds: int, seconds: float, width: int) -> Any:
    """What one rank saw of a class: `validation.gpu.torch_classes.Found`."""
    import torch.distributed as dist

    from validation.gpu.setting import CLASSES
    from validation.gpu.torch_classes import paired
    from validation.workload import Workload

    layers = dist.get_world_size() * CLASSES[name]
    work = Workload(layers, width, sequence=64, rows=2)
    return paired(name, work, m, rounds=rounds, seconds=seconds, traced=3)


def _together(ranks: Any) -> tuple[float, float]:
    """Processor time of all ranks in one round: torch's class, ours."""
    return sum(each.theirs.cpu for each in ranks), sum(each.ours.cpu for each in ranks)


def _quartiles(row: dict[str, float]) -> str:
    between = f"{row['low']:.3f}..{row['high']:.3f}"
    return f"{row['ratio']:8.3f}{between:>16}"


def _local_engine() -> None:
    from validation.calibrate import overhead
    from validation.workload import Workload

    lost = overhead(Workload(4, 64, sequence=32), n_stages=2)
    print(f"local engine: {lost * 1e6:.0f} us between passes, {lost / 0.01:.1%} of one of 10 ms")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
