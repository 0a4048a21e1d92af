"""TeraPipe, SVPP and SlimPipe: what their sources claim, over devices, stages and slices."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest

from sim import FAMILIES, Costs
from sim.search import evaluate


@pytest.mark.parametrize("name", ["terapipe", "svpp", "slimpipe"])
def test_bubble_and_peak_are_exact_for_any_times(name: str) -> None:
    family, checked = FAMILIES[name], 0
    for p, m, k, v in product((1, 2, 3, 4, 8), (1, 2, 4, 6), (2, 4, 8), (1, 2, 3)):
        if ("v" not in family.options and v > 1) or (name == "slimpipe" and k % p):
            continue
        schedule = family(p, m, slices=k, **({"v": v} if "v" in family.options else {}))
        for times in ((1, 1, 1), (2, 3, 5), (7, 1, 1)):
            f, b, w = (time * v * k for time in times)
            names = {"p": p, "m": m, "v": v, "k": k, "F": f, "B": b, "W": w}
            exact = {name: Fraction(number) for name, number in names.items()}
            exact |= {"min": min, "max": max}  # type: ignore[dict-item]
            if not eval(family.exact_when, exact):
                continue
            found = evaluate(schedule, Costs.uniform(schedule, forward=f, backward=b, weight=w))
            bubble = eval(family.bubble, exact)
            assert found.makespan == found.longest_stage == m * (f + b + w) + bubble, (p, m, k, v)
            assert max(found.peak_activations) == float(eval(family.peak, exact)), (p, m, k, v)
            checked += 1
    assert checked >= 60


def test_svpp_holds_less_than_the_interleaved_seq1f1b_and_takes_no_longer() -> None:
    svpp = FAMILIES["svpp"](8, 16, slices=4, v=2)
    seq1f1b = FAMILIES["seq1f1b-interleaved"](8, 16, slices=4, v=2)
    one, other = (evaluate(schedule, Costs.uniform(schedule)) for schedule in (svpp, seq1f1b))
    assert one.makespan == other.makespan
    assert max(one.peak_activations) < max(other.peak_activations)


def test_slimpipe_takes_slices_for_all_devices_only() -> None:
    assert FAMILIES["slimpipe"](4, 2).n_slices == 4
    with pytest.raises(ValueError, match=r"slices is 6 on 4 devices: it must be a mul.* e\.g\. 8"):
        FAMILIES["slimpipe"](4, 2, slices=6)
