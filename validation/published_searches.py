"""What the search reaches against published ones: `python -m validation.published_searches`.

Every row is one instance at the memory limit of its reference, on the `longest_stage` clock unless
it says makespan: the reference's bubble, ours, the proven bound, and the seconds taken.

The searches of arXiv 2401.10241 count memory in bytes, and there B gives a part of it back: of the
34 h + 5 a s that F keeps per token (h hidden size, a heads, s sequence), W needs only 32 h. With B
giving nothing back, some of their figures are below what can be proven for the same number of
shares; so their rows are searched with their bytes.

Sources: `reference_adaptive.json` (block search of arXiv 2405.15362, released code), the memory
curve and tables 5 and 8 of arXiv 2401.10241, and optima of straight pipelines of unit passes that a
constraint solver proved.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from sim import Costs, Schedule
from sim.schedule.clock import Clock
from sim.search import search
from sim.search.placement import Placement

DATA = Path(__file__).parent / "data"
TOLERANCE = 5.1e-5
"""Published bubble rates have four digits, those of the curve five and a half."""
STRAIGHT = ((4, 8, 3, 31), (4, 8, 2, 41), (4, 12, 3, 44), (4, 12, 2, 61), (8, 32, 7, 116))
"""(p, m, limit, makespan) of unit passes; the last is what 60 s of a plain solver reached."""


SHAPES = {18522: (2304, 24), 18513: (2304, 24), 18546: (2304, 24),
          29718: (4096, 32), 29802: (4096, 32), 29935: (4096, 32),
          11347: (5120, 40), 11307: (5120, 40), 11325: (5120, 40)}  # fmt: skip
"""(hidden size, heads) by the time of F; 1,024 tokens: arXiv 2401.10241, Table 3."""
TOKENS = 1024


class Instance(NamedTuple):
    """A pipeline with a memory limit (shares) and what is known to be reachable on a clock."""

    source: str
    p: int
    m: int
    times: tuple[float, float, float, float]
    placement: Placement
    limit: float
    clock: Clock
    reference: float
    shape: tuple[int, int] | None = None

    def costs(self) -> Costs:
        """Uniform costs of the whole share of a device."""
        p = self.p
        v = (*range(p), *reversed(range(p)))
        bare = Schedule(tuple(range(p)) if self.placement == "straight" else v, ((),) * p, self.m)
        forward, backward, weight, send = self.times
        plain = Costs.uniform(bare, forward=forward, backward=backward, weight=weight, send=send)
        if self.shape is None:
            return plain
        kept = self.kept_bytes()
        after_b = 32 * self.shape[0]
        return replace(
            plain,
            activation_bytes=((kept,),) * bare.n_stages,
            backward_bytes=((after_b - kept,),) * bare.n_stages,
        )

    def kept_bytes(self) -> int:
        """What F keeps, per token."""
        hidden, heads = self.shape or (0, 0)
        return 34 * hidden + 5 * heads * TOKENS

    def limits(self) -> dict[str, Any]:
        """The memory limit as `search` takes it."""
        if self.shape is None:
            return {"memory_limit": self.limit}
        return {"memory_bytes": self.limit * self.kept_bytes()}

    def bubble(self, value: float) -> float:
        """The share of `value` in which a device is idle."""
        return 1 - self.m * sum(self.times[:3]) / value


def instances(source: str) -> Iterator[Instance]:
    """Every instance of a source: adaptive, curve, tables or straight."""
    if source == "adaptive":
        for row in _rows("reference_adaptive.json", "rows"):
            times = row["forward"], row["backward"], row["weight"], row["send"]
            yield Instance(source, row["p"], row["m"], times, "v", row["peak"], "longest_stage",
                           row["longest_stage"])  # fmt: skip
    elif source == "curve":
        for row in _rows("published_memory_curve.json", "rows"):
            yield _published(source, row, row["limit_in_pMB"] * row["p"], row["bubble"])
    elif source == "tables":
        for row in _rows("published_zero_bubble.json", "table5"):
            for name, shares in (("zb-1p", 1), ("zb-2p", 2)):
                yield _published(source, row, shares * row["p"], row["bubble"][name])
        for row in _rows("published_zero_bubble.json", "table8"):
            yield _published(source, row, row["p"], row["bubble"]["zb-v"], placement="v")
    else:
        for p, m, limit, makespan in STRAIGHT:
            yield Instance(source, p, m, (1, 1, 1, 0), "straight", limit, "makespan", makespan)


def _rows(name: str, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DATA / name).read_text())[key]
    return found


def _published(
    source: str, row: dict[str, Any], limit: float, bubble: float, placement: Placement = "straight"
) -> Instance:
    per_share = 2 if "F_chunk" in row else 1
    names = ("F_chunk", "B_chunk", "W_chunk") if per_share == 2 else ("F", "B", "W")
    forward, backward, weight = (per_share * row[name] for name in names)
    work = row["m"] * (forward + backward + weight)
    return Instance(source, row["p"], row["m"], (forward, backward, weight, row["comm"]),
                    placement, limit, "longest_stage", work / (1 - bubble),
        SHAPES.get(row["F"]) if per_share == 1 else None)  # fmt: skip


def main() -> None:
    """Print a row per instance as it is done, and a summary."""
    parser = argparse.ArgumentParser(description="The search against published searches.")
    parser.add_argument("sources", nargs="*", default=["adaptive", "tables", "curve", "straight"])
    parser.add_argument("--seconds", type=float, default=60, help="time limit of each search")
    parser.add_argument("-p", type=int, help="only this many devices")
    parser.add_argument("--forward", type=float, help="only this time of F")
    parser.add_argument("-m", type=int, help="only this many microbatches")
    parser.add_argument("--every", type=int, default=1, help="only every n-th instance")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--total", type=float, default=1e9, help="stop after so many seconds")
    asked = parser.parse_args()
    began = time.monotonic()
    print("| source | p | m | F B W send | limit | reference | ours | bound | seconds | by |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    ratios, worse, proven = [], 0, 0
    chosen = [
        found
        for source in asked.sources
        for found in instances(source)
        if asked.p in (None, found.p)
        and asked.m in (None, found.m)
        and asked.forward in (None, found.times[0])
    ][asked.first :: asked.every]
    for found in chosen:
        if time.monotonic() - began > asked.total:
            break
        result = search(
            found.p, found.m, found.costs(), placement=found.placement, **found.limits(),
            clock=found.clock, time_limit=asked.seconds, progress=False,
        )  # fmt: skip
        ours, known = found.bubble(float(result.value)), found.bubble(found.reference)
        mark = "" if ours <= known + TOLERANCE else " **worse**"
        worse += bool(mark)
        proven += result.proven_optimal
        if known > 0 and len(set(found.times[:3])) > 1:
            ratios.append(ours / known)
        times = " ".join(f"{time:g}" for time in found.times)
        print(
            f"| {found.source} | {found.p} | {found.m} | {times} | {found.limit:g} | {known:.4f} | "
            f"{ours:.4f}{mark} | {found.bubble(float(result.lower_bound)):.4f} | "
            f"{result.seconds:.1f} | {result.method} |",
            flush=True,
        )
    print(f"\nworse: {worse} of {len(chosen)}; proven optimal: {proven}", end="")
    if ratios:
        mean = statistics.mean(ratios)
        print(f"; where F, B and W differ, our bubble is {mean:.3f} of the reference on average")


if __name__ == "__main__":
    main()
