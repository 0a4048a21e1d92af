"""A budget of counted work: equal seeds find the same, however busy the machine; methods go off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sim import Costs
from sim.cli.commands import main
from sim.search import search
from sim.search.placement import Placement
from sim.search.settings.methods import METHODS

SIZES: list[tuple[Placement, int, int, float]] = [
    ("v", 4, 8, 2.5),  # small: the solver gets it as a whole
    ("straight", 4, 72, 3),  # long: tips, ends
    ("loop", 2, 8, 1.5),  # decided by the solver alone
]


def costs(placement: Placement, p: int) -> Costs:
    n = p if placement == "straight" else 2 * p
    return Costs.of(n, forward=5, backward=6, weight=4, send=1)


@contextmanager
def busy_machine() -> Iterator[None]:
    """A thread that keeps the interpreter from everybody else as long as it may."""
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            sum(range(20_000))

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(("placement", "p", "m", "limit"), SIZES)
def test_equal_seeds_and_moves_find_the_same_on_a_busy_machine(
    placement: Placement, p: int, m: int, limit: float
) -> None:
    def found() -> object:
        result = search(
            p, m, costs(placement, p), placement=placement, memory_limit=limit, seed=3,
            moves=3_000_000, progress=False,
        )  # fmt: skip
        return result.schedule, result.lower_bound, result.interval, result.interval_bound

    alone = found()
    with busy_machine():
        assert found() == alone


def test_more_moves_find_more() -> None:
    values = [
        search(4, 24, costs("v", 4), memory_limit=2, moves=moves, progress=False).value
        for moves in (0, 6_000_000)
    ]
    assert values[1] < values[0]


@pytest.mark.parametrize("name", METHODS)
def test_a_search_does_without_any_of_its_methods(name: str) -> None:
    found = search(
        3, 32, costs("v", 3), memory_limit=2, moves=3_000_000, without=(name,), progress=False
    )
    assert found.peak <= 2
    assert found.lower_bound <= found.value


def test_a_search_without_all_of_them_runs_one_microbatch_after_the_other() -> None:
    found = search(3, 8, costs("v", 3), memory_limit=2, moves=10**7, without=METHODS)
    assert found.method == "one by one"


def test_what_is_no_method_is_refused_with_their_names() -> None:
    with pytest.raises(ValueError, match="'warp': use some of families, rules, warm-ups"):
        search(3, 8, costs("v", 3), without=("ends", "warp"))
    with pytest.raises(ValueError, match="moves is -1"):
        search(3, 8, costs("v", 3), moves=-1)


@pytest.mark.parametrize("command", ["search", "pareto"])
def test_the_command_line_takes_moves_and_methods(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = f"{command} -p 2 -m 4 --moves 100000 --json".split()
    assert main([*asked, "--without", "ends, exact"]) == 0
    capsys.readouterr()
    assert main([*asked, "--without", "warp"]) == 2
    assert "no method is called 'warp': use some of families, rules" in capsys.readouterr().err
    assert main([*asked, "--time-limit", "3"]) == 2
    assert "--moves and --time-limit are two budgets" in capsys.readouterr().err
