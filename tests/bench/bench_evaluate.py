"""The compiled evaluator against the engine: `python tests/bench/bench_evaluate.py [P M]`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from sim import FAMILIES, Costs, simulate
from sim.search import evaluate

IN_A_NEW_PROCESS = """
import time
from sim import FAMILIES, Costs
from sim.search import evaluate
schedule = FAMILIES["1f1b"](4, 8)
costs = Costs.uniform(schedule)
began = time.perf_counter()
evaluate(schedule, costs)
print(time.perf_counter() - began)
"""


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main(p: int = 64, m: int = 1024) -> None:
    first = subprocess.run(
        [sys.executable, "-c", IN_A_NEW_PROCESS], capture_output=True, text=True, check=True
    )
    print(f"first call in a new process, compiled code on disk: {float(first.stdout):.2f} s")
    for name in ("1f1b", "v-half"):
        schedule = FAMILIES[name](p, m)
        costs = Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
        engine = seconds(lambda s=schedule, c=costs: simulate(s, c))  # type: ignore[misc]
        cold = seconds(lambda s=schedule, c=costs: evaluate(s, c))  # type: ignore[misc]
        warm = min(seconds(lambda s=schedule, c=costs: evaluate(s, c)) for _ in range(5))  # type: ignore[misc]
        n = schedule.n_ops
        print(
            f"{name} p={p} m={m}, {n} passes: engine {n / engine:,.0f}/s, "
            f"evaluator {n / cold:,.0f}/s with the conversion ({engine / cold:.0f} times), "
            f"{n / warm:,.0f}/s after it ({engine / warm:.0f} times)"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
