"""What the engine costs per pass, against a bare SimPy loop of as many passes in the same process.

python tests/bench/bench_engine.py [-p 32] [-m 256] [--rounds 7]

Processor time, the median of pairs measured one right after the other. DESIGN.md says how many bare
loops a play may cost.
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
from collections.abc import Callable, Generator
from functools import partial
from statistics import median
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


def seconds(call: Callable[[], object]) -> float:
    """Processor time of one call."""
    gc.collect()
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("-p", type=int, default=32)
    parser.add_argument("-m", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    for name in ("1f1b", "v-half"):
        schedule = sim.FAMILIES[name](args.p, args.m)
        costs = sim.Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
        trace = sim.simulate(schedule, costs)
        calls: dict[str, Callable[[], object]] = {
            "built": partial(sim.FAMILIES[name], args.p, args.m),
            "validated": partial(sim.validate, schedule),
            "played": partial(sim.simulate, schedule, costs),
            "played and framed": partial(framed, schedule, costs),
        }
        told = []
        for what, call in calls.items():
            alone = partial(bare, schedule)
            pairs = [(seconds(call), seconds(alone)) for _ in range(args.rounds)]
            ratio = median(one / loop for one, loop in pairs)
            each = median(one for one, _ in pairs) / schedule.n_ops
            told.append(f"{what} in {ratio:.1f} bare loops ({1e6 * each:.1f} us per pass)")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{name} p={args.p} m={args.m}: {schedule.n_ops:,} passes; {', '.join(told)}; "
            f"makespan {sim.makespan(trace)}, process at most {peak:,.0f} MiB",
            flush=True,
        )


def framed(schedule: sim.Schedule, costs: sim.Costs) -> int:
    """Play, and read all frames; how many rows they have."""
    trace = sim.simulate(schedule, costs)
    return len(trace.ops) + len(trace.transfers) + len(trace.memory)


if __name__ == "__main__":
    main()
