"""How fast this checkout is against a commit, in one run: processor time, pair by pair.

python tests/bench_against.py COMMIT [--rounds 15] [--only TEXT]

Either tree has a process that lives as long as the bench. In every round each task runs in both,
the one right after the other and in turns first. A line per task: the median of the ratios new/old
of the rounds, their quartiles, and both medians in milliseconds.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from unchanged import ROOT, tree_of
from unchanged_serve import ENVIRONMENT

Task = Callable[[], float]
"""Runs once, and says how many seconds of processor time one call of it took."""
COSTS = {"forward": 10, "backward": 12, "weight": 8, "send": 1}
PROCESSES = {
    "process: sim simulate 1f1b -p 8 -m 32 --json": (
        "-m", "sim", "simulate", "1f1b", "-p", "8", "-m", "32", "--json",
    ),
    "process: import sim": ("-c", "import sim"),
}  # fmt: skip
"""Whole processes, user and system time."""


def main() -> int:
    """Print a line per task."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("commit", nargs="?", default="HEAD", help="what to compare with")
    parser.add_argument("--rounds", type=int, default=15, help="pairs of each task")
    parser.add_argument("--only", default="", help="tasks with this text in their name")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        work()
        return 0
    if asked.rounds < 1:
        parser.error(f"--rounds is {asked.rounds}: it must be at least 1")
    chosen = [name for name in (*TASKS, *PROCESSES) if asked.only in name]
    if not chosen:
        parser.error(f"no task has {asked.only!r} in its name: {', '.join((*TASKS, *PROCESSES))}")
    old, new = Tree(tree_of(asked.commit)), Tree(ROOT)
    wide = max(map(len, chosen))
    print(f"{'':{wide}}   new/old  quartiles         old ms      new ms")
    for name in chosen:
        for tree in (old, new):  # whatever is made, compiled or kept at the first time
            tree.seconds(name)
            tree.seconds(name)
        pairs = []
        for turn in range(asked.rounds):
            first, second = (old, new) if turn % 2 else (new, old)
            found = {tree: tree.seconds(name) for tree in (first, second)}
            pairs.append((found[old], found[new]))
        ratios = [after / before for before, after in pairs if before]
        low, _, high = quantiles(ratios, n=4) if len(ratios) > 1 else [median(ratios)] * 3
        before, after = (1000 * median(column) for column in zip(*pairs, strict=True))
        print(
            f"{name:{wide}}   {median(ratios):7.3f}  {low:5.3f} to {high:5.3f}"
            f"  {before:10.4f}  {after:10.4f}",
            flush=True,
        )
    return 0


class Tree:
    """One source tree, and the process that works in it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(place)}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--worker"],
            cwd=place, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def seconds(self, name: str) -> float:
        """Processor time of one call of a task, or of one process."""
        if name in PROCESSES:
            return self._of_process(PROCESSES[name])
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(name, file=self.process.stdin, flush=True)
        said = self.process.stdout.readline()
        if not said:
            raise SystemExit(f"{self.place}: {name} failed")
        return float(said)

    def _of_process(self, words: tuple[str, ...]) -> float:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=self.place, env=self.environment,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{self.place}: {' '.join(words)} failed")
        return used.ru_utime + used.ru_stime


# -- the process of a tree ------------------------------------------------------------------------


def work() -> None:
    """Run the tasks named on stdin, line by line."""
    told, sys.stdout = sys.stdout, sys.stderr
    made: dict[str, Task] = {}
    for line in sys.stdin:
        name = line.strip()
        if name not in made:
            made[name] = TASKS[name]()
        gc.collect()
        print(repr(made[name]()), file=told, flush=True)


def timed(call: Callable[[], object], times: int = 1) -> float:
    """Seconds of processor time of one call."""
    began = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - began) / times


def whole(family: str, p: int, m: int, times: int) -> Callable[[], Task]:
    """Make a schedule and its costs, play it, and read both clocks."""

    def make() -> Task:
        import sim

        def call() -> None:
            schedule = sim.FAMILIES[family](p, m)
            trace = sim.simulate(schedule, sim.Costs.uniform(schedule, **COSTS))
            assert sim.makespan(trace) >= sim.longest_stage(trace) > 0

        return lambda: timed(call, times)

    return make


def played(family: str, p: int, m: int) -> Callable[[], Task]:
    """Play a schedule, and read both clocks."""

    def make() -> Task:
        import sim

        schedule = sim.FAMILIES[family](p, m)
        costs = sim.Costs.uniform(schedule, **COSTS)

        def call() -> None:
            trace = sim.simulate(schedule, costs)
            assert sim.makespan(trace) >= sim.longest_stage(trace) > 0

        return lambda: timed(call)

    return make


def evaluated(family: str, p: int, m: int, times: int) -> Callable[[], Task]:
    """Evaluate one schedule again and again."""

    def make() -> Task:
        import sim
        from sim.search import evaluate

        schedule = sim.FAMILIES[family](p, m)
        costs = sim.Costs.uniform(schedule, **COSTS)
        return lambda: timed(lambda: evaluate(schedule, costs), times)

    return make


def built(family: str, p: int, m: int, times: int) -> Callable[[], Task]:
    """Make a schedule."""

    def make() -> Task:
        import sim

        return lambda: timed(lambda: sim.FAMILIES[family](p, m), times)

    return make


def frames(family: str, p: int, m: int, *, reading_alone: bool, times: int) -> Callable[[], Task]:
    """Play a schedule and read the frame of its passes, or only read it."""

    def make() -> Task:
        import sim

        schedule = sim.FAMILIES[family](p, m)
        costs = sim.Costs.uniform(schedule, **COSTS)

        def play_and_read() -> Any:
            return sim.simulate(schedule, costs).ops

        def read() -> float:
            traces = [sim.simulate(schedule, costs) for _ in range(times)]
            return timed(lambda: traces.pop().ops, times)

        return read if reading_alone else lambda: timed(play_and_read, times)

    return make


TASKS: dict[str, Callable[[], Task]] = {
    "1f1b p=8 m=32: make, costs, play, clocks": whole("1f1b", 8, 32, 4),
    "v-half p=8 m=32: make, costs, play, clocks": whole("v-half", 8, 32, 2),
    "interleaved p=8 m=32: make, costs, play, clocks": whole("interleaved", 8, 32, 3),
    "1f1b p=32 m=256: play, clocks": played("1f1b", 32, 256),
    "v-half p=16 m=128: play, clocks": played("v-half", 16, 128),
    "v-half p=8 m=64: evaluate": evaluated("v-half", 8, 64, 200),
    "v-half p=8 m=32: make": built("v-half", 8, 32, 20),
    "v-half p=16 m=256: make": built("v-half", 16, 256, 2),
    "v-half p=8 m=32: play, read ops": frames("v-half", 8, 32, reading_alone=False, times=3),
    "v-half p=8 m=32: read ops": frames("v-half", 8, 32, reading_alone=True, times=3),
}


if __name__ == "__main__":
    sys.exit(main())
