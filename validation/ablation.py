"""What each method of the search earns: published instances searched without it.

Every instance is searched with all methods, without each of some sets of them, and with all methods
and other random numbers. The last is the noise: a search that tries the same things in another
order reaches something else, so a method earns what its loss is above that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from .published_searches import Budget, Instance, Reached, reached

FULL = "all methods"


class Variant(NamedTuple):
    """A search: its name in tables, the methods it does without, and its random numbers."""

    name: str
    without: tuple[str, ...] = ()
    seed: int = 0


class Case(NamedTuple):
    """An instance, and what was reached on it, by the name of the variant."""

    instance: Instance
    runs: Mapping[str, Reached]

    def gap(self, name: str) -> float:
        """How far a variant is above the best bound that any variant proved."""
        bound = max(run.bound for run in self.runs.values())
        return self.runs[name].value / bound - 1 if bound else 0.0

    def above_full(self, name: str) -> int:
        """1 where a variant is worse than the full search, -1 where it is better, 0 if equal."""
        ours, full = self.runs[name].value, self.runs[FULL].value
        return 0 if abs(ours - full) <= 1e-9 * full else (1 if ours > full else -1)


class Earned(NamedTuple):
    """A variant held against the full search, over all instances.

    lost, gained: instances on which it is worse and better. worse: than the published search.
    mean_gap: above the best known bound. gap_change: minus that of the full search. proven:
    instances on which it proved its schedule optimal; proofs_lost: of those that the full search
    proved, how many it did not. seconds: of processor time. moves: counted work, in passes played.
    """

    variant: str
    instances: int
    lost: int
    gained: int
    worse: int
    mean_gap: float
    gap_change: float
    proven: int
    proofs_lost: int
    seconds: float
    moves: int

    def is_within(self, noise: Sequence[Earned]) -> bool:
        """Whether what it loses is no more than what other random numbers lose at most."""
        return (
            self.lost <= max((one.lost for one in noise), default=0)
            and self.gap_change <= max((one.gap_change for one in noise), default=0.0)
            and self.proofs_lost <= max((one.proofs_lost for one in noise), default=0)
        )


def variants(left_out: Iterable[Sequence[str]], *, seed: int = 0, seeds: int = 0) -> list[Variant]:
    """The full search, one without each of the sets of methods, and `seeds` with other numbers."""
    found = [Variant(FULL, seed=seed)]
    found += [Variant(f"seed {seed + 1 + n}", seed=seed + 1 + n) for n in range(seeds)]
    return found + [Variant(",".join(names), tuple(names), seed) for names in left_out]


def case(instance: Instance, searches: Iterable[Variant], budget: Budget) -> Case:
    """The instance, searched in every way."""
    return Case(
        instance,
        {
            one.name: reached(instance, budget._replace(seed=one.seed), one.without)
            for one in searches
        },
    )


def earned(cases: Sequence[Case]) -> list[Earned]:
    """A row per variant, the full search first."""
    return [_earned(cases, name) for name in cases[0].runs] if cases else []


def noise(rows: Iterable[Earned]) -> list[Earned]:
    """The rows of the full search with other random numbers."""
    return [row for row in rows if row.variant.startswith("seed ")]


def markdown(rows: Sequence[Earned]) -> str:
    """The rows as a table."""
    lines = [
        "| without | lost | gained | worse than published | mean gap | change | proven | "
        "proofs lost | processor s | million moves |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    plain = {FULL, *(row.variant for row in noise(rows))}
    for row in rows:
        name = f"({row.variant})" if row.variant in plain else f"`{row.variant}`"
        lines.append(
            f"| {name} | {row.lost} | {row.gained} | {row.worse} | {row.mean_gap:.3%} | "
            f"{row.gap_change:+.3%} | {row.proven} | {row.proofs_lost} | {row.seconds:.0f} | "
            f"{row.moves / 1e6:.0f} |"
        )
    return "\n".join(lines)


def to_record(cases: Sequence[Case]) -> dict[str, Any]:
    """The summary and every run as plain objects: what is committed under validation/data."""
    return {
        "summary": [row._asdict() for row in earned(cases)],
        "cases": [
            case.instance._asdict()
            | {"runs": {name: run._asdict() for name, run in case.runs.items()}}
            for case in cases
        ],
    }


def from_record(record: Mapping[str, Any]) -> list[Case]:
    """The cases of a record."""
    found = []
    for row in record["cases"]:
        fields = {name: row[name] for name in Instance._fields}
        fields |= {name: tuple(fields[name]) for name in ("times", "shape") if fields[name]}
        runs = {name: Reached(**run) for name, run in row["runs"].items()}
        found.append(Case(Instance(**fields), runs))
    return found


def _earned(cases: Sequence[Case], name: str) -> Earned:
    runs = [one.runs[name] for one in cases]
    against = [one.above_full(name) for one in cases]
    gap, full = (fmean(one.gap(each) for one in cases) for each in (name, FULL))
    return Earned(
        name,
        len(cases),
        lost=against.count(1),
        gained=against.count(-1),
        worse=sum(one.instance.is_worse(one.runs[name].value) for one in cases),
        mean_gap=gap,
        gap_change=gap - full,
        proven=sum(run.proven for run in runs),
        proofs_lost=sum(one.runs[FULL].proven and not one.runs[name].proven for one in cases),
        seconds=sum(run.processor for run in runs),
        moves=sum(run.moves for run in runs),
    )
