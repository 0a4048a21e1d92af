"""2BP: makespans, gains over the same schedule without it, W over a set, and its memory."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import pytest

from sim import FAMILIES, Costs, Schedule
from sim.engine.simulate import simulate
from sim.families.two_bp import TWO_BP, without_two_bp
from sim.metrics.metrics import longest_stage, makespan, peak_activations, peak_bytes
from sim.schedule.validate import validate

NAMES = [family.name for family in TWO_BP]
OF_PAPER = {"2bp-naive": "1", "2bp-gpipe": "p", "2bp-1f1b-1": "p", "2bp-1f1b-2": "2*p"}


def unit_makespan(schedule: Schedule) -> Any:
    return makespan(simulate(schedule, Costs.uniform(schedule)))


def paper_m(name: str, p: int) -> int:
    return int(eval(OF_PAPER[name], {"p": p}))


@pytest.mark.parametrize(
    ("name", "with_it", "without"),
    [("2bp-naive", 9, 12), ("2bp-gpipe", 18, 21), ("2bp-1f1b-1", 15, 21), ("2bp-1f1b-2", 27, 33)],
)
def test_the_makespans_and_gains_of_the_paper_at_four_devices(
    name: str, with_it: int, without: int
) -> None:
    m = paper_m(name, 4)
    assert unit_makespan(FAMILIES[name](4, m)) == with_it
    assert unit_makespan(without_two_bp(name, 4, m)) == without


@pytest.mark.parametrize("p", [1, 2, 3, 4, 6, 9])
def test_the_bubble_ratios_of_the_paper_hold_at_its_number_of_microbatches(p: int) -> None:
    idle = p - 1
    ratios = {
        "2bp-naive": Fraction(2 * idle, 2 * p + 1),
        "2bp-gpipe": Fraction(2 * idle, 2 * idle + 3 * p),
        "2bp-1f1b-1": Fraction(idle, idle + 3 * p),
        "2bp-1f1b-2": Fraction(idle, idle + 6 * p),
    }
    for name, ratio in ratios.items():
        m = paper_m(name, p)
        assert 1 - Fraction(3 * m, unit_makespan(FAMILIES[name](p, m))) == ratio, name


def test_the_weight_gradients_left_at_the_end_are_one_step() -> None:
    assert str(FAMILIES["2bp-1f1b-2"](2, 4)) == (
        "2bp-1f1b-2: 2 devices, 2 stages, 4 microbatches\n"
        "device 0 | F0 F1 B0 F2 B1 F3 B2 W0 B3 W1 W2&W3\n"
        "device 1 | F0 B0 F1 B1 F2 B2 F3 B3 W0 W1&W2&W3"
    )


@pytest.mark.parametrize("name", NAMES)
def test_concatenated_weight_gradients_run_as_one_kernel_at_its_own_price(name: str) -> None:
    schedule = FAMILIES[name](1, 6)
    alone = {"2bp-1f1b-1": 1, "2bp-1f1b-2": 1}.get(name, 0)
    costs = Costs.uniform(schedule, forward=2, backward=2, weight=4, group_scale=0.5)
    trace = simulate(schedule, costs)
    assert makespan(trace) == 6 * 4 + alone * 4 + (6 - alone) * 2
    together = trace.ops[trace.ops["kind"] == "W"].groupby("step")[["start", "end"]].nunique()
    assert (together == 1).all(axis=None)
    assert len(together) == 1 + alone


@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_microbatches_gives_a_runnable_schedule(name: str) -> None:
    for p, m in product((1, 2, 3, 5), (1, 2, 3, 4, 7, 10, 11)):
        schedule = FAMILIES[name](p, m)
        validate(schedule)
        assert peak_activations(schedule) == (m,) * p


@pytest.mark.parametrize("name", NAMES)
def test_bubble_formulas_hold_for_unequal_passes_on_both_clocks(name: str) -> None:
    family = FAMILIES[name]
    for p, m, (f, b, w) in product(
        (1, 2, 5), (1, 3, 5, 11), ((1, 1, 1), (3, 5, 2), (4, 2, 2), (1, 2, 5))
    ):
        known = {"p": p, "m": m, "F": f, "B": b, "W": w}
        if eval(family.exact_when, {"min": min}, known):
            schedule = family(p, m)
            costs = Costs.uniform(schedule, forward=f, backward=b, weight=w)
            trace = simulate(schedule, costs)
            time = m * (f + b + w) + eval(family.bubble, known)
            assert (makespan(trace), longest_stage(trace)) == (time, time), known


def test_inputs_and_output_gradients_stay_until_the_weight_gradient() -> None:
    p, m = 3, 6
    held, released = 10, 4
    schedule, plain = FAMILIES["2bp-1f1b-2"](p, m), without_two_bp("2bp-1f1b-2", p, m)
    costs = Costs.of(p, forward=1, backward=1, weight=1, activation_bytes=held,
                     backward_bytes=-released, send=0, boundary_bytes=0)  # fmt: skip
    # Device 0 has p whole activations and what W needs of the others; the fused backward never
    # holds more than p.
    peak = peak_bytes(simulate(schedule, costs))
    assert peak[0] == p * held + (m - p) * (held - released)
    assert peak_bytes(simulate(plain, costs))[0] == p * held


def test_a_name_without_a_plain_form_is_refused() -> None:
    with pytest.raises(ValueError, match="'gpipe' is no 2BP family: they are 2bp-naive"):
        without_two_bp("gpipe", 2, 2)
