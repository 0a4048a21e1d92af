"""Efficiencies that were measured, written and read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sim.planner.cost_model import Efficiency, efficiency_of, read_profile, write_profile


def test_what_a_profile_lacks_is_the_devices_and_said(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"matmul": 0.7}')
    found = read_profile(path, "h100")
    assert found == replace(efficiency_of("h100"), matmul=0.7, source=found.source)
    assert found.source.startswith(f"measured: {path}; fused_attention, memory, misaligned, ramp, ")
    assert f" from h100 ({efficiency_of('h100').source})" in found.source
    for nothing in ("{}", '{"source": "our nodes"}'):
        path.write_text(nothing)
        with pytest.raises(ValueError, match="has no number: give some of matmul, fused_attention"):
            read_profile(path, "h100")


def test_a_profile_is_written_and_read_back(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "profile.json"
    write_profile(path, Efficiency(matmul=0.7, source="a test"))
    assert read_profile(path) == Efficiency(matmul=0.7, source="a test")
    path.write_text('{"matmul": 0.7, "speed": 1}')
    with pytest.raises(ValueError, match="has no field 'speed': fields are matmul"):
        read_profile(path)
    for text, sentence in [
        ('{"matmul": "fast"}', "matmul is 'fast': it must be a number"),
        ('{"ramp": null}', "ramp is None: it must be a number"),
        ('{"launch": NaN}', "launch is nan: it must be finite"),
        ('{"wire": true}', "wire is True: it must be a number"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=sentence):
            read_profile(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is not JSON: it is no text"):
        read_profile(path)
    with pytest.raises(ValueError, match=r"matmul is 1\.5: use a fraction"):
        Efficiency(matmul=1.5)
