"""Pictures of what real runs do, for docs/real-runs.md: python docs/real_runs.py"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sim
from sim.cli.options import PipelineOptions
from sim.cli.simulate import played

HOME = Path(__file__).resolve().parent / "pictures"
SIZES: Any = {"devices": 4, "microbatches": 8}
RUNS: dict[str, tuple[str, PipelineOptions]] = {
    "frozen": ("1f1b", PipelineOptions(**SIZES, frozen=(0, 1))),
    "recompute": ("1f1b", PipelineOptions(**SIZES, recompute="full")),
    "offload": ("gpipe", PipelineOptions(**SIZES, offload="full", host_bandwidth=1)),
    "two-directions": ("chimera", PipelineOptions(**SIZES)),
    "unequal": (
        "1f1b",
        PipelineOptions(**SIZES, microbatch_scale=(1, 2, 0.5, 1, 1, 2, 0.5, 1)),
    ),
}
"""Family and options of every picture."""


def pictures() -> dict[Path, str]:
    """What to write where: each run below the same family as it usually is (chimera below 1F1B)."""
    found = {}
    for name, (family, options) in RUNS.items():
        plain = family if family in sim.FAMILIES else "1f1b"
        _, usual = played(plain, PipelineOptions(**SIZES), strict=True)
        _, trace = played(family, options, strict=True)
        titles = {plain: usual, f"{family}, {name.replace('-', ' ')}": trace}
        found[HOME / f"real-{name}.svg"] = sim.gantt_svg(titles) + "\n"
    return found


if __name__ == "__main__":
    for path, text in pictures().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote docs/pictures/{path.name}")
