"""How long families take to build: `python tests/bench/bench_build.py`, seconds of wall time."""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[2]))

from sim import FAMILIES

SIZES = ((8, 64), (16, 256), (64, 1024))


def main() -> None:
    """One row per family, one column per size."""
    print(f"{'family':22}" + "".join(f"p={p} m={m}".rjust(16) for p, m in SIZES))
    for name, family in FAMILIES.items():
        cells = []
        for p, m in SIZES:
            begin = perf_counter()
            try:
                n_ops = family(p, m).n_ops
            except ValueError:
                cells.append("-".rjust(16))
                continue
            seconds = perf_counter() - begin
            cells.append(f"{seconds:.3f} ({n_ops / 1000:.0f}k)".rjust(16))
        print(f"{name:22}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
