"""How long it takes to plan ten thousand configurations, and how much memory: run it, read it.

python tests/bench/bench_plan.py [JOBS]
"""

from __future__ import annotations

import json
import resource
import sys
import time

from sim.planner import DEFAULT_SCHEDULES, Space, plan


def main(jobs: int) -> None:
    begun, before = time.perf_counter(), _peak()
    found = plan(
        "gpt-98.5b", "256xa100-80g", sequence=2048, batch=1024, jobs=jobs, progress=True,
        space=Space(
            schedules=DEFAULT_SCHEDULES, recompute=("none", "full"), zero=(0, 1, 2),
        ),
    )  # fmt: skip
    print(
        json.dumps(
            {
                "configurations": len(found),
                "seconds": round(time.perf_counter() - begun, 1),
                "jobs": jobs,
                "counts": {k: int(n) for k, n in found["status"].value_counts().items()},
                "peak_mib_before": round(before),
                "peak_mib": round(_peak()),
                "best": found.iloc[0]["key"],
            },
            indent=1,
        )
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
