"""A training step of ours against torch's own class with the same order of passes, in pairs.

python tests/bench/bench_torch.py [-p 4] [-m 8] [--rounds 15] [--width 256]

Seconds of torch's class over ours, step by step one right after the other in the same processes:
above 1 ours is faster. Medians and quartiles over rounds. What is compared: see
`validation.gpu.torch_classes`, which does the same on GPUs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))


def main() -> None:
    from torch_ranks import ranks_of

    from validation.gpu.setting import CLASSES
    from validation.gpu.torch_classes import compared

    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("-p", type=int, default=4)
    parser.add_argument("-m", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--width", type=int, default=256)
    args = parser.parse_args()
    print(f"{'class':32}{'torch/ours':>12}{'quartiles':>16}{'ours, ms':>10}")
    for name, chunks in CLASSES.items():
        asked = name, chunks, args.m, args.rounds, args.width
        row = compared(ranks_of(args.p, "bench_torch", "timed", *asked)[0])
        quartiles = f"{row['low']:.3f}..{row['high']:.3f}"
        print(f"{name:32}{row['ratio']:12.3f}{quartiles:>16}{row['ours'] * 1e3:10.1f}")


def timed(name: str, chunks: int, m: int, rounds: int, width: int) -> list[tuple[float, float]]:
    """Seconds of a step of torch's class and of ours, round by round, on one rank."""
    import torch.distributed as dist

    from validation.gpu.torch_classes import pairs
    from validation.workload import Workload

    layers = dist.get_world_size() * chunks
    return pairs(name, Workload(layers, width, sequence=64, rows=2), m, rounds=rounds)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
