"""Calibrations of devices are data beside their provenance."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from sim.planner import cost_model
from sim.planner.cost_model import Efficiency, efficiencies, efficiency_of


def test_every_calibration_says_where_its_numbers_come_from() -> None:
    assert {"a100-80g", "a100-40g", "h100", "h200", "b200"} <= set(efficiencies())
    for device, found in efficiencies().items():
        assert found.source
        assert efficiency_of(device) == found
    assert "vTrain (Bang et al., MICRO 2024)" in efficiency_of("a100-80g").source


@pytest.mark.parametrize(("device", "like"), [("a100-40g", "a100-80g"), ("h200", "h100")])
def test_a_device_with_the_same_cores_has_the_same_calibration(device: str, like: str) -> None:
    source = f"as {like}, which has the same cores"
    assert efficiency_of(device) == replace(efficiency_of(like), source=source)


def test_an_entry_takes_what_it_does_not_state_from_the_one_it_is_like() -> None:
    h100, usual = efficiency_of("h100"), Efficiency()
    assert h100.matmul != usual.matmul
    assert h100.launch == usual.launch != efficiency_of("a100-80g").launch


def test_a_device_that_nothing_was_fitted_to_gets_no_more_than_any_fitted_one_reaches() -> None:
    cautious = efficiency_of("rtx4090")
    assert cautious.source == "defaults, not fitted"
    for name in ("fp8", "fp4", "grouped", "memory"):
        assert getattr(cautious, name) <= min(getattr(e, name) for e in efficiencies().values())
    nodes = [e for device, e in efficiencies().items() if "pcie" not in device]
    assert cautious.wire <= min(e.wire for e in nodes)


def test_the_table_of_calibrations_is_read_only_and_read_on_first_use() -> None:
    assert cost_model.EFFICIENCIES is efficiencies()
    with pytest.raises(TypeError, match="does not support item assignment"):
        cost_model.EFFICIENCIES["h100"] = Efficiency()  # type: ignore[index]
    code = (
        "from sim.planner import cost_model as c; print(c.efficiencies.cache_info().misses); "
        "c.EFFICIENCIES; print(c.efficiencies.cache_info().misses)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["0", "1"]
