"""Speed in one line of JSON: ratios to a bare SimPy loop, so that lines of two machines compare.

python tests/bench/bench_ratios.py [--record]

Processor time, the median of pairs measured one right after the other. --record appends the line to
history.jsonl beside this file; so does `make bench-record`, once per release or where speed is at
issue. `python tests/bench_against.py COMMIT` compares two commits more closely than two lines can.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median

from bench_engine import bare

from sim import FAMILIES, Costs, simulate, validate
from sim.search import evaluate, lower_bound
from validation.provenance import provenance

HISTORY = Path(__file__).with_name("history.jsonl")
ROUNDS = 7
PACKAGES = ("simpy", "numpy", "pandas", "numba")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--record", action="store_true", help=f"append it to {HISTORY.name}")
    record = parser.parse_args().record
    facts = provenance(command="make bench-record")
    del facts["device"], facts["torch"]
    facts["commit"] = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    facts |= {name: version(name) for name in PACKAGES}
    line = json.dumps({**facts, "ratios": ratios()})
    print(line)
    if record:
        with HISTORY.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def ratios() -> dict[str, float]:
    """How many times as long each takes as a bare SimPy loop of as many passes."""
    family = FAMILIES["v-half"]
    schedule = family(16, 256)
    costs = Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
    calls: dict[str, Callable[[], object]] = {
        "build": lambda: family(16, 256),
        "validate": lambda: validate(schedule),
        "simulate": lambda: simulate(schedule, costs),
        "evaluate": lambda: evaluate(schedule, costs),
        "lower_bound": lambda: lower_bound(schedule, costs, memory_limit=9),
    }
    found = {}
    for name, call in calls.items():
        call()  # what is compiled or imported at the first time
        pairs = [seconds(call) / seconds(lambda: bare(schedule)) for _ in range(ROUNDS)]
        found[name] = float(f"{median(pairs):.3g}")
    return found


def seconds(call: Callable[[], object]) -> float:
    """Processor time of one call; short ones are repeated until a tenth of a second has passed."""
    began, calls = time.process_time(), 0
    while (passed := time.process_time() - began) < 0.1:
        call()
        calls += 1
    return passed / calls


if __name__ == "__main__":
    main()
