"""From a turned knob of the explorer to new pictures: python tests/bench/bench_explore.py

On 8 devices with 32 microbatches, a line per family: median wall and processor time of an update
(simulate, pictures, facts, Python), and the wall time with a pinned schedule. What the browser then
needs to draw is not in it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import sim

FAMILIES = ("1f1b", "interleaved", "v-half", "dualpipe-v", "seq1f1b-interleaved")
REPEATS = 9


def main() -> None:
    print(f"{'family':22}{'wall':>8}{'processor':>11}{'pinned':>8}   (ms, median of {REPEATS})")
    for family in FAMILIES:
        explorer = sim.explore(family, 8, 32)
        wall, processor = update_times(explorer)
        explorer.pin.value = True
        print(f"{family:22}{wall:8.0f}{processor:11.0f}{update_times(explorer)[0]:8.0f}")


def update_times(explorer: Any) -> tuple[float, float]:
    """Median wall and processor time of one update, in milliseconds."""
    walls, processors = [], []
    for turn in range(REPEATS):
        start = time.perf_counter(), time.process_time()
        explorer.controls["forward"].value = 11 + turn
        walls.append(time.perf_counter() - start[0])
        processors.append(time.process_time() - start[1])
    return 1000 * median(walls), 1000 * median(processors)


if __name__ == "__main__":
    main()
