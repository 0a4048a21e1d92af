"""What the search reaches against published ones: `python -m validation searches`.

An instance is searched at the memory limit of its reference, on the `longest_stage` clock unless it
says makespan.

The searches of arXiv 2401.10241 count memory in bytes, and there B gives a part of it back: of the
34 h + 5 a s that F keeps per token (h hidden size, a heads, s sequence), W needs only 32 h. With B
giving nothing back, some of their figures are below what can be proven for the same number of
shares; so their rows are searched with their bytes.

Sources: `reference_adaptive.json` (block search of arXiv 2405.15362, released code), the memory
curve and tables 5 and 8 of arXiv 2401.10241, and optima of straight pipelines of unit passes that a
constraint solver proved.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from sim import Costs, Schedule
from sim.schedule.clock import Clock
from sim.search import search
from sim.search.placement import Placement

SOURCES = ("adaptive", "tables", "curve", "straight")
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

    def is_worse(self, value: float) -> bool:
        """Whether `value` is worse than the reference."""
        return self.bubble(value) > self.bubble(self.reference) + TOLERANCE


class Budget(NamedTuple):
    """What a search may use: seconds, or counted work (passes played) instead of them."""

    seconds: float = 60
    moves: int | None = None
    workers: int = 2
    seed: int = 0


class Reached(NamedTuple):
    """What a search reached on an instance.

    value, bound: on the clock of the instance. seconds: wall time. processor: seconds of processor
    time, of all workers. moves: counted work, in passes played.
    """

    value: float
    bound: float
    proven: bool
    method: str
    seconds: float
    processor: float
    moves: int


def reached(
    instance: Instance, budget: Budget, without: Iterable[str] = (), *, progress: bool = False
) -> Reached:
    """A search of the instance, without some of the methods in `sim.search.settings.methods`.

    KeyboardInterrupt if Ctrl-C ended the search.
    """
    began = time.process_time()
    found = search(
        instance.p, instance.m, instance.costs(), placement=instance.placement,
        **instance.limits(), clock=instance.clock, time_limit=budget.seconds, moves=budget.moves,
        workers=budget.workers, seed=budget.seed, without=without, progress=progress,
    )  # fmt: skip
    if found.interrupted:
        raise KeyboardInterrupt
    return Reached(
        float(found.value), float(found.lower_bound), found.proven_optimal, found.method,
        found.seconds, time.process_time() - began, found.moves,
    )  # fmt: skip


def chosen(
    sources: Sequence[str],
    *,
    every: int = 1,
    first: int = 0,
    p: int | None = None,
    m: int | None = None,
    forward: float | None = None,
) -> list[Instance]:
    """Of each source every n-th instance, of those with so many devices and microbatches and
    this time of F."""
    found: list[Instance] = []
    for source in sources:
        found += [
            one
            for one in instances(source)
            if p in (None, one.p) and m in (None, one.m) and forward in (None, one.times[0])
        ][first::every]
    return found


def instances(source: str) -> Iterator[Instance]:
    """Every instance of one of SOURCES."""
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
