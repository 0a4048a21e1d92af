"""How fast the engine plays, against a bare SimPy loop of as many passes in the same process.

python tests/bench/bench_engine.py [-p 64] [-m 1024]
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Generator
from typing import Any

import simpy

import sim


def bare(schedule: sim.Schedule) -> None:
    """One timeout per pass on one process per device, and nothing else."""
    env = simpy.Environment()

    def device(passes: int) -> Generator[simpy.Event, Any, None]:
        for _ in range(passes):
            yield env.timeout(1)

    for order in schedule.orders:
        env.process(device(len(order)))
    env.run()


def seconds(call: Any, *args: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    found = call(*args)
    return time.perf_counter() - start, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-p", type=int, default=64)
    parser.add_argument("-m", type=int, default=1024)
    args = parser.parse_args()
    for name in ("1f1b", "v-half"):
        built, schedule = seconds(sim.FAMILIES[name], args.p, args.m)
        checked, _ = seconds(sim.validate, schedule)
        costs = sim.Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
        played, trace = seconds(sim.simulate, schedule, costs)
        alone, _ = seconds(bare, schedule)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{name} p={args.p} m={args.m}: {schedule.n_ops:,} passes; built in {built:.2f} s, "
            f"validated in {checked:.2f} s, played in {played:.2f} s "
            f"({schedule.n_ops / played:,.0f} passes/s, {played / alone:.1f}x a bare SimPy loop), "
            f"makespan {sim.makespan(trace)}, process at most {peak:,.0f} MiB"
        )


if __name__ == "__main__":
    main()
