"""Devices and machines by name, in files, and as templates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sim.cli import main
from sim.planner.cost_model import efficiency_of, read_profile
from sim.planner.cost_model.configuration import Precision
from sim.planner.cost_model.precision import no_faster_units
from sim.planner.hardware import (
    DEVICES,
    NODES,
    WIRES,
    Device,
    Group,
    machine_of,
    machine_template,
    read_machine,
    ring,
    wire_between,
)
from sim.planner.models import MODELS, model_template, read_config


def test_every_device_has_a_source_a_node_and_rates_that_fewer_bits_do_not_lower() -> None:
    assert set(NODES) == set(DEVICES)
    for name, device in DEVICES.items():
        assert device.source
        assert device.flops <= device.fp8 <= device.fp4
        assert {NODES[name].inside, NODES[name].between} <= set(WIRES)


@pytest.mark.parametrize(
    ("name", "rates", "memory", "bandwidth"),
    [
        # Dense PFLOPS of 72 devices in 16, 8 and 4 bits: 180, 360, 720 and 180, 360, 1080.
        ("gb200", (180e15 / 72, 360e15 / 72, 720e15 / 72), 184.31, 576e12 / 72),
        ("gb300", (180e15 / 72, 360e15 / 72, 1080e15 / 72), 276.5, 576e12 / 72),
        # Of eight: half of 36, half of 72, and 108.
        ("b300", (18e15 / 8, 36e15 / 8, 108e15 / 8), 267.69, 7.7e12),
        # Units x clock x operations per clock: 304 x 2.1 GHz x 2048, 256 x 2.4 GHz x 4096.
        ("mi300x", (304 * 2.1e9 * 2048, 304 * 2.1e9 * 4096, 304 * 2.1e9 * 4096), 191.69, 5.3e12),
        ("mi355x", (256 * 2.4e9 * 4096, 256 * 2.4e9 * 8192, 256 * 2.4e9 * 16384), 287.98, 8e12),
        ("h800", (989.4e12, 1978.9e12, 1978.9e12), 79.2, 3.35e12),
        ("h20", (148e12, 296e12, 296e12), 95.1, 4e12),
        ("a100-pcie", (312e12,) * 3, 80, 1.935e12),
    ],
)
def test_devices_are_as_their_data_sheets_have_them(
    name: str, rates: tuple[float, ...], memory: float, bandwidth: float
) -> None:
    device = DEVICES[name]
    assert (device.flops, device.fp8, device.fp4) == pytest.approx(rates, rel=1e-4)
    assert device.memory // 2**30 == int(memory)  # whole GiB of what torch reports
    assert device.bandwidth == bandwidth


def test_a_device_without_a_rate_for_fewer_bits_has_that_of_more() -> None:
    assert (Device("old", 1e14, 1, 1).fp8, Device("old", 1e14, 1, 1).fp4) == (1e14, 1e14)
    assert Device("newer", 1e14, 1, 1, fp8=2e14).fp4 == 2e14
    with pytest.raises(ValueError, match="fewer bits are never slower"):
        Device("odd", 1e14, 1, 1, fp8=1e13)


@pytest.mark.parametrize(
    ("name", "domain", "domains"),
    [("72xgb200", 72, 1), ("256xgb200", 64, 4), ("576xgb300", 72, 8), ("8xgb200", 8, 1),
     ("100xgb300", 50, 2), ("256xh800", 8, 32), ("8xmi300x", 8, 1), ("4x16xgb200", 16, 4)],
)  # fmt: skip
def test_nvlink_domains_are_as_large_as_the_number_of_devices_lets_them(
    name: str, domain: int, domains: int
) -> None:
    machine = machine_of(name)
    assert (machine.per_node, machine.n_nodes) == (domain, domains)
    assert wire_between(machine, 0, domain - 1).name == machine.inside.name
    told = domain not in (8, 16, 72) and domain < machine.n_devices
    assert machine.notes == (
        (f"{domain} devices of each NVLink domain of 72 are taken, in {domains}",) if told else ()
    )


def test_a_number_that_fills_no_domains_is_refused() -> None:
    with pytest.raises(ValueError, match="79 devices do not fill NVLink domains of 72, nor equal"):
        machine_of("79xgb200")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("8xmi300", "did you mean mi300x"),
        ("8xrtx4091", "did you mean rtx4090"),
        ("8xgb20", "did you mean gb200"),
        ("64xtpu", r"no cluster '64xtpu': use one of a100-80g, .*machine's JSON file \(python -m"),
    ],
)
def test_an_unknown_device_gets_near_names_and_the_way_to_a_file(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        machine_of(name)


def test_a_file_whose_name_says_nothing_is_told_how_a_machines_file_is_called(
    tmp_path: Path,
) -> None:
    path = tmp_path / "machine"
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"machine is a path, but .* ends in .json: rename it"):
        machine_of(str(path))


def _read(tmp_path: Path, written: dict[str, Any]) -> Any:
    path = tmp_path / "machine.json"
    path.write_text(json.dumps(written))
    return read_machine(path)


def test_what_a_file_leaves_out_is_the_presets_and_told(tmp_path: Path) -> None:
    machine = _read(tmp_path, {"devices": 32, "device": "h100"})
    assert machine == machine_of("32xh100")
    assert machine.notes == (
        f"{tmp_path / 'machine.json'} does not say per_node: 8, as h100 usually has, "
        "inside: nvlink4, as h100 usually has, between: ndr, as h100 usually has",
    )
    slower = {"name": "h200", "memory": 1e11}
    machine = _read(tmp_path, {"devices": 8, "per_node": 8, "device": slower, "inside": "pcie5"})
    assert (machine.device.memory, machine.device.flops) == (1e11, DEVICES["h200"].flops)
    assert machine.notes[0].endswith(
        "flops of device: as h200, bandwidth of device: as h200, "
        "fp8 of device: as h200, fp4 of device: as h200"
    )
    wire = {"name": "ndr", "bandwidth": 4e10}
    machine = _read(tmp_path, {"devices": 16, "per_node": 8, "device": "h100",
                               "inside": "nvlink4", "between": wire})  # fmt: skip
    assert (machine.between.bandwidth, machine.between.latency) == (4e10, WIRES["ndr"].latency)
    assert machine.notes[0].endswith("does not say latency of between: as ndr")


def test_a_file_that_says_everything_needs_no_word(tmp_path: Path) -> None:
    whole = {"devices": 16, "per_node": 8, "device": "h100", "inside": "nvlink4", "between": "ndr"}
    assert _read(tmp_path, whole).notes == ()
    assert _read(tmp_path, {"devices": 1, "device": "h100"}).notes == ()


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lacks 'devices': a machine needs devices and device"):
        _read(tmp_path, {})


@pytest.mark.parametrize(
    ("name", "whole"),
    [("64xh100", "64xh100"), ("256xgb200", "256xgb200"), ("8xmi300x", "8xmi300x"),
     ("1xrtx5090", "1xrtx5090"), ("a100-80g", "8xa100-80g"), ("GB300", "72xgb300")],
)  # fmt: skip
def test_a_template_is_a_file_that_gives_the_machine_again(
    name: str, whole: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["machine", name, "--template"]) == 0
    path = tmp_path / "machine.json"
    path.write_text(capsys.readouterr().out)
    assert read_machine(path) == machine_of(whole)
    assert read_machine(path).notes == ()
    assert main(["machine", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    template = machine_template(machine_of(whole))
    assert {key: found[key] for key in template} == template


def test_racks_survive_a_template(tmp_path: Path) -> None:
    machine = machine_of("32xh100", per_rack=16, across="roce")
    assert _read(tmp_path, machine_template(machine)) == machine


def test_a_template_of_efficiencies_is_a_profile_that_gives_them_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["machine", "8xh100", "--efficiencies-template"]) == 0
    path, written = tmp_path / "mine.json", capsys.readouterr().out
    path.write_text(written)
    assert main(["machine", "8xh100", "--profile-template"]) == 0  # the former name
    out, err = capsys.readouterr()
    assert (out, "is called --efficiencies-template now" in err) == (written, True)
    assert read_profile(path, "h100") == efficiency_of("h100")
    assert main(["machine", "8xh100", "--efficiencies-template", "--template"]) == 1
    assert "two files: ask for one" in capsys.readouterr().err


@pytest.mark.parametrize("name", MODELS)
def test_a_template_of_a_model_is_a_config_that_gives_it_again(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", name, "--template"]) == 0
    (tmp_path / "config.json").write_text(capsys.readouterr().out)
    assert read_config(tmp_path) == MODELS[name]


def test_a_model_of_several_kinds_of_layers_has_no_template() -> None:
    model = read_config_of({"model_type": "mistral", "sliding_window": 8})
    with pytest.raises(ValueError, match="has parts that this template does not: start from its"):
        model_template(model)


def read_config_of(more: dict[str, Any]) -> Any:
    from sim.planner.models import model_from_config

    shape = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 10}
    return model_from_config({**shape, **more})


def test_a_machine_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["machine", "256xgb200"]) == 0
    said = capsys.readouterr().out
    assert "256xgb200: 4 x 64 devices\n" in said
    assert "2,500 in 16 bits, 5,000 in 8 bits, 10,000 in 4 bits (dense)" in said
    assert "inside        nvlink5: 900 GB/s, 5 us" in said
    assert "note: 64 devices of each NVLink domain of 72 are taken, in 4\n" in said


def test_a_plan_tells_what_its_machine_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "machine.json"
    path.write_text(json.dumps({"devices": 8, "device": "h800"}))
    line = ["plan", "--model", "llama-2-7b", "--cluster", str(path), "--batch", "8", "--jobs", "1"]
    line += ["--schedules", "1f1b", "--pipeline", "2", "--microbatch", "1", "--recompute", "none"]
    assert main(line) == 0
    told = capsys.readouterr()
    assert "does not say per_node: 8, as h800 usually has, inside: nvlink-h800, as" in told.err
    assert "efficiencies: as h100, which has the same cores" in told.out


def test_devices_behind_different_switches_share_an_uplink() -> None:
    """Four devices to a switch: inside it PCI Express, beyond it a quarter of one x16 link each."""
    machine = machine_of("8xa100-pcie")
    assert wire_between(machine, 0, 3) == WIRES["pcie4"]
    assert wire_between(machine, 3, 4) == WIRES["pcie4-uplink"]
    assert ring(machine, Group(4, 1)) == WIRES["pcie4"]
    assert ring(machine, Group(8, 1)).bandwidth == 32e9 / 2  # through the host, in and out
    assert ring(machine, Group(4, 2)).bandwidth == 2 * 8e9
    assert ring(machine, Group(2, 4)).bandwidth == 8e9
    assert ring(machine_of("4xa100-pcie"), Group(2, 2)) == WIRES["pcie4"]


@pytest.mark.parametrize(
    ("device", "precision", "bits"), [("h100", "nvfp4", 4), ("a100-80g", "fp8", 8)]
)
def test_bits_that_a_device_has_no_units_for_are_refused(
    device: str, precision: Precision, bits: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert no_faster_units(DEVICES["b200"], "nvfp4") == ""
    assert no_faster_units(DEVICES["h100"], "mxfp8") == ""
    assert f"{device} does not multiply faster in {bits} bits" in no_faster_units(
        DEVICES[device], precision
    )
    asked = f"plan --model llama-3-8b --cluster 8x{device} --batch 8 --precision {precision}"
    assert main(asked.split()) == 1
    assert f"{device} does not multiply faster in {bits} bits" in capsys.readouterr().err
    assert main(["machine", f"8x{device}"]) == 0
    assert f"in {bits} bits" not in capsys.readouterr().out
