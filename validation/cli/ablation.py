"""What `searches --without METHOD` and `--each` do: run the ablation, print it, write it down."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sim.base.files import write_text_atomically
from sim.base.progress import bar
from sim.search.settings.methods import METHODS
from sim.search.settings.methods import left_out as known_methods

from ..ablation import Case, case, earned, markdown, to_record, variants
from ..provenance import provenance
from ..published_searches import Budget, Instance
from .options import in_time


def left_out(without: Iterable[str], *, each: bool) -> list[tuple[str, ...]]:
    """The sets of methods to do without: each by itself, and those of each text, which has commas
    between the methods of one set. ValueError for a method that there is none of."""
    found: list[tuple[str, ...]] = [(name,) for name in METHODS] if each else []
    for text in without:
        names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
        known_methods(names)
        if names not in found:
            found.append(names)
    return found


def ablate(
    instances: Sequence[Instance],
    budget: Budget,
    sets: Sequence[tuple[str, ...]],
    *,
    seeds: int,
    total: float,
    chosen: Mapping[str, Any],
    save: str,
    as_json: bool,
) -> None:
    """Search every instance in every way, and print what the methods earn.

    sets: what to leave out. seeds: how many other random numbers tell what noise is. total: seconds
    after which no instance is begun. chosen: how the instances were chosen, for the record. save: a
    file that is written after every instance, or "".
    """
    ways = variants(sets, seed=budget.seed, seeds=seeds)
    case(instances[0], ways[:1], budget)  # loads compiled code, so that no row is timed with it
    cases: list[Case] = []
    record: dict[str, Any] = {}
    with bar("searching", len(instances), shown=True) as tell:
        for instance in in_time(instances, total):
            cases.append(case(instance, ways, budget))
            record = _record(cases, budget, chosen)
            if save:
                write_text_atomically(save, json.dumps(record, indent=1) + "\n")
            if tell:
                tell(len(cases))
    if save:
        print(f"wrote {save}", file=sys.stderr)
    if as_json:
        print(json.dumps(record))
        return
    print(markdown(earned(cases)))


def _record(cases: Sequence[Case], budget: Budget, chosen: Mapping[str, Any]) -> dict[str, Any]:
    limit = {"seconds": budget.seconds} if budget.moves is None else {"moves": budget.moves}
    return {
        "provenance": provenance(packages=("numpy", "numba", "ortools")),
        "budget": limit | {"workers": budget.workers, "seed": budget.seed},
        "chosen": dict(chosen),
        "methods": {name: method.does for name, method in METHODS.items()},
        **to_record(cases),
    }
