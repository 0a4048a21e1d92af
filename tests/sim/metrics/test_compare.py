"""Many schedules in one frame: the same numbers as one by one."""

from __future__ import annotations

from typing import Any

import pytest

import sim

TIMES: dict[str, Any] = {"forward": 10, "backward": 12, "weight": 8, "send": 1}


def test_every_family_is_in_it_with_the_numbers_of_a_play() -> None:
    frame = sim.compare(4, 7, clock="longest_stage", **TIMES)
    assert set(frame["schedule"]) == set(sim.FAMILIES)
    good = frame[frame["reason"] == ""]
    assert good["longest_stage"].is_monotonic_increasing
    assert (good["bound"] <= good["longest_stage"]).all()
    for row in good.itertuples():
        schedule = sim.FAMILIES[str(row.schedule)](4, 7)
        trace = sim.simulate(schedule, sim.Costs.uniform(schedule, **TIMES))
        assert row.makespan == sim.makespan(trace)
        assert row.bubble_longest_stage == sim.bubble(trace, "longest_stage")
        assert row.peak == max(sim.peak_shares(trace))
    assert len(good) > 15
    sim.comparison(good)
    (failed,) = sim.compare(4, 0, ["1f1b"])["reason"]
    assert "0" in failed


def test_a_schedule_of_ones_own_stands_beside_families_and_a_cluster_counts() -> None:
    mine = sim.FAMILIES["zb-h1"](2, 4)
    slow = sim.Cluster(2, slowdown=(1, 2))
    fast, slower = (sim.compare(2, 4, [mine, "1f1b"], cluster=c) for c in (None, slow))
    assert set(fast["schedule"]) == {"zb-h1", "1f1b"}
    assert (slower.set_index("schedule")["makespan"] > fast.set_index("schedule")["makespan"]).all()


def test_a_misspelt_family_is_asked_back() -> None:
    with pytest.raises(ValueError, match="no family 'vhalf': did you mean v-half"):
        sim.compare(2, 4, ["vhalf"])


def test_what_is_no_cost_is_named() -> None:
    wrong: dict[str, Any] = {"recompute": "full"}
    with pytest.raises(TypeError, match=r"takes no 'recompute': .* as in \[sim.recomputed"):
        sim.compare(2, 4, ["1f1b"], **wrong)


@pytest.mark.parametrize("fast", [{"slowdown": (0.5, 1, 0.5, 1)}, {"neighbour_slowdown": 0.5}])
def test_no_schedule_is_faster_than_its_bound_on_fast_devices(fast: dict[str, Any]) -> None:
    frame = sim.compare(4, 7, cluster=sim.Cluster(4, **fast), **TIMES)
    good = frame[frame["reason"] == ""]
    assert (good["bound"] <= good["makespan"]).all()
