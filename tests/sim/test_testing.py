"""The public strategies reach what they promise, and `check_family` catches broken families."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import sim
from sim import FAMILIES, Costs, Family, InvalidSchedule, Schedule, simulate, validate
from sim.cli.commands import main
from sim.engine.costs_fit import fits
from sim.testing import check_family, clusters, costs, family_schedules, schedules, wild_schedules

WHICHEVER = settings(phases=[Phase.generate])
"""For `find`: the first example will do, and shrinking it takes long."""


@pytest.mark.parametrize(
    "sort",
    [
        lambda schedule: schedule.fused,
        lambda schedule: schedule.n_slices > 1,
        lambda schedule: schedule.n_stages > schedule.n_devices,
        lambda schedule: schedule.n_microbatches < schedule.n_devices,
        lambda schedule: (
            {op.kind for order in schedule.orders for op in order} == {"F", "B", "W", "BW"}
        ),
        lambda schedule: schedule.placement != tuple(sorted(schedule.placement)),
    ],
)
def test_wild_schedules_reach_every_sort_of_schedule(sort: Any) -> None:
    validate(find(wild_schedules(), sort, settings=WHICHEVER))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_drawn(name: str) -> None:
    family = FAMILIES[name]
    found = find(family_schedules(families=[family]), lambda _: True, settings=WHICHEVER)
    assert found.n_devices >= 1


@settings(max_examples=60, deadline=None)
@given(schedules(), st.data())
def test_costs_and_clusters_fit_their_schedule(schedule: Schedule, data: st.DataObject) -> None:
    found = data.draw(costs(schedule))
    fits(found, schedule)
    trace = simulate(schedule, found, data.draw(clusters(schedule)))
    assert len(trace.ops) == schedule.n_ops
    assert (trace.memory["live"] >= 0).all()


def test_costs_reach_slices_stages_and_bytes_that_b_gives_back() -> None:
    schedule = FAMILIES["seq1f1b"](2, 2, slices=2)
    for wanted in (
        lambda found: len(found.forward[0]) == 2 and found.forward[0][0] != found.forward[0][1],
        lambda found: found.forward[0] != found.forward[1],
        lambda found: min(row[0] for row in found.backward_bytes) < 0,
        lambda found: max(row[0] for row in found.backward_bytes) > 0,
        lambda found: found.fused_backward is not None,
    ):
        assert isinstance(find(costs(schedule), wanted, settings=WHICHEVER), Costs)


def broken(**changes: Any) -> Family:
    return replace(FAMILIES["1f1b"], name="broken", **changes)


def without_the_last_pass(p: int, m: int) -> Schedule:
    schedule = FAMILIES["1f1b"](p, m)
    return replace(schedule, orders=(schedule.orders[0][:-1], *schedule.orders[1:]))


def one_microbatch_more(p: int, m: int) -> Schedule:
    return FAMILIES["1f1b"](p, m + (m >= 7))


def stuck_from_three_devices_on(p: int, m: int) -> Schedule:
    schedule = FAMILIES["1f1b"](p, m)
    if p < 3 or m < 2:
        return schedule
    first, *others = schedule.orders
    # F0 BW0 before F1: but device 1 wants F1 before it ever runs its BW0.
    return replace(schedule, orders=((first[0], *first[p - 1 :], *first[1 : p - 1]), *others))


def only_two_stages_per_device_work(p: int, m: int, *, v: int = 2) -> Schedule:
    schedule = FAMILIES["interleaved"](p, m, v=v)
    return schedule if v == 2 else replace(schedule, orders=schedule.orders[::-1])


def test_a_plain_function_is_checked_with_the_options_it_takes() -> None:
    check_family(FAMILIES["interleaved"].build, max_examples=20)
    with pytest.raises(InvalidSchedule, match="is missing"):
        check_family(without_the_last_pass)
    with pytest.raises(InvalidSchedule, match="belongs on device"):
        check_family(only_two_stages_per_device_work)


@pytest.mark.parametrize(
    ("family", "error", "words"),
    [
        (broken(build=without_the_last_pass), InvalidSchedule, "is missing"),
        (broken(build=one_microbatch_more), AssertionError, "."),
        (broken(build=stuck_from_three_devices_on), InvalidSchedule, "deadlock|comes before"),
        (broken(peak="p"), AssertionError, "peak is"),
        (broken(bubble="p*(F+B+W)"), AssertionError, "bubble is"),
        (broken(bubble="(p-1)*(F+B-W)", exact_when="F == B == W"), AssertionError, "bubble is"),
    ],
)
def test_a_broken_family_is_caught(family: Family, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        check_family(family, max_examples=60)


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        ({"placement": "zigzag"}, "mine has placement 'zigzag': it must be one of straight, loop"),
        ({"passes": "F X"}, "mine has passes 'X': kinds are F, B, W, BW"),
        ({"bubble": "(p-1)*q"}, "the bubble of mine is '(p-1)*q': it knows no q, only p, m, v"),
        ({"peak": "p +"}, "the peak of mine is 'p +': invalid syntax"),
        ({"exact_when": "sum(m)"}, "the exact_when of mine is 'sum(m)': it knows no sum"),
    ],
)
def test_a_claim_that_nobody_could_check_is_one_sentence(
    claim: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        check_family(replace(FAMILIES["1f1b"], name="mine", **claim))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        ({"placement": "V"}, "claims placement 'V', and its stages lie on devices (0"),
        ({"passes": "F BW R"}, "claims passes 'F BW R', and never has R"),
        ({"passes": "F B W"}, "claims passes 'F B W', and has BW too"),
    ],
)
def test_a_false_claim_of_placement_or_passes_is_caught(
    claim: dict[str, str], sentence: str
) -> None:
    with pytest.raises(AssertionError, match=re.escape(sentence)):
        check_family(replace(FAMILIES["1f1b"], **claim), max_examples=5)  # type: ignore[arg-type]


def test_one_command_tests_a_family_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = "import sim\n\ndef mine(p, m):\n    return sim.FAMILIES['zb-h1'](p, m)\n"
    bad = good + "\ndef short(p, m):\n    return mine(p, m + 1)\n"
    path = tmp_path / "mine.py"
    path.write_text(bad)
    assert main(["check-family", f"{path}:mine", "--examples", "5"]) == 0
    assert "keeps what every family must, in 5 random settings" in capsys.readouterr().out
    assert main(["check-family", f"{path}:short", "--examples", "5"]) == 1
    assert "asked for devices, microbatches (1, 1), it has (1, 2)" in capsys.readouterr().err
    for place, sentence in {
        "mine": "write FILE.py:NAME",
        f"{tmp_path}/no.py:mine": "there is no file",
        f"{path}:other": "has no family other",
    }.items():
        assert main(["check-family", place]) == 1
        assert sentence in capsys.readouterr().err


def test_what_is_public_of_the_searches_is_what_is_listed() -> None:
    assert dir(sim.search) == sorted(sim.search.__all__)


def test_a_check_that_was_asked_to_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    check_family(FAMILIES["gpipe"], max_examples=3, progress=True)
    assert "trying gpipe" in screen.getvalue()
    assert "100%" in screen.getvalue()
