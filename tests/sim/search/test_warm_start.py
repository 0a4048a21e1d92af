"""An earlier result as a start: the answer is never worse, and what does not fit is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim import FAMILIES, Costs, Schedule, recomputed, to_json, write_torch_csv
from sim.cli.commands import main
from sim.search import evaluate, search, slot_grid
from sim.search.settings.methods import METHODS

COSTS = Costs.of(8, forward=5, backward=6, weight=4, send=1)


def earlier() -> Schedule:
    return slot_grid(4, 8, COSTS, memory_limit=2)


@pytest.mark.parametrize("clock", ["makespan", "longest_stage"])
def test_even_without_moves_it_is_never_worse_than_its_start(clock: str) -> None:
    start = earlier()
    ask = {"memory_limit": 2, "clock": clock, "moves": 0, "without": METHODS}
    alone = search(4, 8, COSTS, **ask)  # type: ignore[arg-type]
    found = search(4, 8, COSTS, start=start, **ask)  # type: ignore[arg-type]
    assert found.value <= getattr(evaluate(start, COSTS), clock) < alone.value
    assert found.method == "start"
    assert found.peak <= 2


@pytest.mark.slow
def test_it_goes_on_from_its_start() -> None:
    start = earlier()
    without = METHODS.keys() - {"annealing"}
    found = search(
        4, 8, COSTS, memory_limit=2, moves=2_000_000, without=without, start=start, workers=1
    )
    assert found.value < evaluate(start, COSTS).makespan


def test_a_fused_family_is_a_start_too() -> None:
    start = FAMILIES["1f1b"](4, 8)
    costs = Costs.of(4, forward=5, backward=6, weight=4, send=1)
    found = search(4, 8, costs, placement="straight", memory_limit=4, moves=0, start=start)
    assert found.value <= evaluate(start, costs).makespan


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (FAMILIES["v-half"](3, 8), "start has 3 devices, the search 4: they must be equal"),
        (FAMILIES["v-half"](4, 6), "start has 6 microbatches, the search 8: they must be equal"),
        (FAMILIES["zb-h1"](4, 8), "start has 4 stages, the search 8: they must be equal"),
        (FAMILIES["interleaved"](4, 8), "start is on placement 0, 1, 2, 3, "),
        (FAMILIES["zb-v"](4, 8), "start breaks the memory limit: it holds up to 4 shares"),
        (recomputed(FAMILIES["v-half"](4, 8), [3]), "start cannot be searched from: stage 3"),
    ],
)
def test_a_start_that_does_not_fit_is_refused_in_a_sentence(start: Schedule, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        search(4, 8, COSTS, memory_limit=3, moves=0, start=start)


def test_a_start_beside_levers_is_refused() -> None:
    with pytest.raises(ValueError, match="with levers takes no start"):
        search(4, 8, COSTS, memory_limit=2, moves=0, start=earlier(), levers=["recompute"])


@pytest.mark.parametrize("name", ["earlier.json", "earlier.csv"])
def test_the_command_goes_on_from_a_file(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start, path = earlier(), tmp_path / name
    if path.suffix == ".json":
        path.write_text(to_json(start))
    else:
        write_torch_csv(start, path)
    ask = (
        "search -p 4 -m 8 --forward 10 --backward 12 --weight 8 --send 1 --memory-limit 2 "
        f"--moves 0 --without {','.join(METHODS)} --json --start {path}"
    ).split()
    assert main(ask) == 0
    assert json.loads(capsys.readouterr().out)["value"] <= evaluate(start, COSTS).makespan
    assert main([*ask, "--levers", "recompute"]) == 2
    assert "--start is for a search without --levers" in capsys.readouterr().err
