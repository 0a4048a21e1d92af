"""An earlier result as a start: the answer is never worse, and what does not fit is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim import FAMILIES, Costs, Schedule, recomputed, to_json, write_torch_csv
from sim.cli.commands import main
from sim.search import evaluate, search, slot_grid

COSTS = Costs.of(16, forward=5, backward=6, weight=4, send=1)


def earlier() -> Schedule:
    return slot_grid(8, 16, COSTS, memory_limit=4)


@pytest.mark.parametrize("clock", ["makespan", "longest_stage"])
def test_even_without_moves_it_is_never_worse_than_its_start(clock: str) -> None:
    start = earlier()
    left_out = ("families", "rules", "computed-block", "unit-blocks")
    ask = {"memory_limit": 4, "clock": clock, "moves": 0, "without": left_out}
    alone = search(8, 16, COSTS, **ask)  # type: ignore[arg-type]
    found = search(8, 16, COSTS, start=start, **ask)  # type: ignore[arg-type]
    assert found.value <= getattr(evaluate(start, COSTS), clock) < alone.value
    assert found.method == "start"
    assert found.peak <= 4


@pytest.mark.slow
def test_it_goes_on_from_its_start() -> None:
    start = earlier()
    without = ("families", "rules", "computed-block", "unit-blocks", "tips", "ends", "windows")
    found = search(
        8, 16, COSTS, memory_limit=4, moves=2_000_000, without=without, start=start, workers=1
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
        (FAMILIES["v-half"](6, 16), "start has 6 devices, the search 8: they must be equal"),
        (FAMILIES["v-half"](8, 12), "start has 12 microbatches, the search 16: they must be equal"),
        (FAMILIES["zb-h1"](8, 16), "start has 8 stages, the search 16: they must be equal"),
        (FAMILIES["interleaved"](8, 16), "start is on placement 0, 1, 2, 3, 4, 5, ..., the search"),
        (FAMILIES["zb-v"](8, 16), "start breaks the memory limit: it holds up to 8 shares"),
        (recomputed(FAMILIES["v-half"](8, 16), [3]), "start cannot be searched from: stage 3"),
    ],
)
def test_a_start_that_does_not_fit_is_refused_in_a_sentence(start: Schedule, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        search(8, 16, COSTS, memory_limit=5, moves=0, start=start)


def test_a_start_beside_levers_is_refused() -> None:
    with pytest.raises(ValueError, match="with levers takes no start"):
        search(8, 16, COSTS, memory_limit=4, moves=0, start=earlier(), levers=["recompute"])


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
        "search -p 8 -m 16 --forward 10 --backward 12 --weight 8 --send 1 --memory-limit 4 "
        f"--moves 0 --without families,rules,computed-block,unit-blocks --json --start {path}"
    ).split()
    assert main(ask) == 0
    assert json.loads(capsys.readouterr().out)["value"] <= evaluate(start, COSTS).makespan
    assert main([*ask, "--levers", "recompute"]) == 2
    assert "--start is for a search without --levers" in capsys.readouterr().err
