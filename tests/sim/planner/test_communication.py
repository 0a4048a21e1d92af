"""Rings, sends and shared states, and the machines they run on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim.planner.cost_model import (
    Bench,
    Configuration,
    Efficiency,
    all_reduce,
    parts,
    reduce_seconds,
    send_seconds,
)
from sim.planner.cost_model.communication import sharding_seconds
from sim.planner.cost_model.parameters import Held
from sim.planner.hardware import (
    DEVICES,
    WIRES,
    Group,
    Machine,
    machine_of,
    read_machine,
    ring,
    wire_between,
)
from sim.planner.models import Layer, Model

GPT = Model("gpt", 4, 256, 8, 1000, gated=False, tied=True, biases=True, dropout=True)
LLAMA = Model("llama", 4, 256, 8, 1000, kv_heads=2, ffn=704)


def _machine(n: int = 16, per_node: int = 8) -> Machine:
    return Machine("m", DEVICES["h100"], n, per_node, WIRES["nvlink4"], WIRES["ndr"])


def test_a_ring_moves_two_times_n_minus_one_over_n() -> None:
    ideal = Efficiency(wire=1, collective=0)
    seconds = all_reduce(1e9, Group(4, 1), machine=_machine(), efficiency=ideal)
    # A tree of four is two hops high, up and down: four of 5 microseconds.
    assert seconds == pytest.approx(2 * 1e9 * 3 / 4 / 450e9 + 4 * 5e-6, rel=1e-12)
    assert all_reduce(1e9, Group(1, 1), machine=_machine(), efficiency=ideal) == 0


def test_a_ring_across_nodes_has_the_cards_of_its_members() -> None:
    assert ring(_machine(), Group(8, 1)) == WIRES["nvlink4"]
    assert ring(_machine(), Group(16, 1)).bandwidth == 8 * 50e9
    assert ring(_machine(), Group(2, 8)).bandwidth == 50e9
    assert wire_between(_machine(), 0, 7) == WIRES["nvlink4"]
    assert wire_between(_machine(), 7, 8) == WIRES["ndr"]


def test_racks_are_a_third_level() -> None:
    machine = replace(_machine(32), per_rack=16, across=WIRES["roce"])
    assert wire_between(machine, 0, 15) == WIRES["ndr"]
    assert wire_between(machine, 0, 16) == WIRES["roce"]
    with pytest.raises(ValueError, match="use a multiple of 8"):
        replace(machine, per_rack=12)


def test_a_send_costs_latency_and_bytes_and_nothing_on_the_same_device() -> None:
    c = Configuration(1024, 8, pipeline=2, data=8)
    ideal, machine = Efficiency(wire=1, collective=0), _machine()
    away: Any = {"efficiency": ideal, "source": 0, "destination": 1}
    assert send_seconds(GPT, c, machine, **away) == 10e-6 + 2 * 1024 * 256 / 50e9
    here = {**away, "destination": 0}
    assert send_seconds(GPT, c, machine, **here) == 0


def test_sharded_gradients_and_weights_are_moved_in_every_pass_behind_the_work() -> None:
    held, efficiency, machine = Held(1000, 0), Efficiency(wire=1, collective=0), _machine()
    moved = [
        sharding_seconds(held, Configuration(1, 8, data=8, zero=z), machine, efficiency=efficiency)
        for z in range(4)
    ]
    hops = 7 * 5e-6
    once = 2 * 1000 * 7 / 8 / 450e9 + hops
    assert moved[0] == moved[1] == (0, 0, 0)
    assert moved[2] == (0, 0, pytest.approx(once))
    assert moved[3] == pytest.approx((once,) * 3)
    tails = [
        reduce_seconds(
            held, Configuration(1, 8, data=8, zero=z, data_overlap=False), machine,
            efficiency=efficiency,
        )
        for z in range(4)
    ]  # fmt: skip
    assert tails == pytest.approx([2 * once - hops, 2 * once, once, 0])
    slow = replace(machine, inside=WIRES["ethernet-25"])
    seconds = [
        parts(Bench(LLAMA, Configuration(512, 8, data=8, zero=z), slow, efficiency)).layers[Layer()]
        for z in (1, 2, 3)
    ]
    wait = 2 * seconds[0].held.total * 7 / 8 / 3.125e9 + 7 * 40e-6
    assert seconds[1].seconds.forward == seconds[0].seconds.forward < wait
    assert seconds[2].seconds == pytest.approx((wait,) * 3)
    assert [each.kept.scratch for each in seconds] == [
        0, 2 * seconds[0].held.total, 6 * seconds[0].held.total,
    ]  # fmt: skip


WRITTEN = {
    "devices": 16, "per_node": 8, "inside": "nvlink4",
    "device": {"name": "mine", "flops": 1e15, "memory": 80e9, "bandwidth": 3e12},
    "between": {"bandwidth": 2.5e10, "latency": 1e-5},
}  # fmt: skip


def test_a_machine_without_a_preset_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    path.write_text(json.dumps(WRITTEN))
    found = read_machine(path)
    assert (found.name, found.n_nodes, found.device.flops) == ("16xmine", 2, 1e15)
    assert wire_between(found, 0, 8).bandwidth == 2.5e10
    assert read_machine(path, devices=8, inside="pcie4").inside == WIRES["pcie4"]
    path.write_text(json.dumps({"devices": 1, "device": "h100"}))
    assert read_machine(path).device == DEVICES["h100"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"device": None}, "device in .*: give a preset's name, or flops, memory, bandwidth"),
        ({"device": "h9"}, "device in .* is 'h9': use one of a100-80g"),
        ({"device": {"flops": 0, "memory": 1, "bandwidth": 1}}, "flops of device in .* is 0"),
        ({"devices": "16"}, "n_devices of .* is '16': use a whole number"),
        ({"inside": 5}, "inside in .*: give a preset's name, or bandwidth, latency"),
        ({"nodes": 2}, "has no field 'nodes': fields are name, devices"),
        ({"per_rack": "z"}, "racks of z devices: use a multiple of 8"),
    ],
)
def test_a_file_that_describes_no_machine_is_refused(
    change: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "machine.json"
    path.write_text(json.dumps(WRITTEN | change))
    with pytest.raises(ValueError, match=sentence):
        read_machine(path)
    for text, why in [
        ("{", "is not JSON"),
        (" \n", "is not JSON: it is empty$"),
        ("[]", "expected a JSON object"),
        ("{}", "lacks"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=why):
            read_machine(path)


def test_machines_by_name() -> None:
    assert machine_of("64xh100").n_nodes == 8
    assert machine_of("h100", 64) == machine_of("64xh100")
    assert machine_of("a100-80g", 2).per_node == 2
    assert machine_of("4 x 2 x H100") == machine_of("8xh100", per_node=2)
    racks = machine_of("32xh100", per_rack=16, across="roce")
    assert wire_between(racks, 0, 16) == WIRES["roce"]
    with pytest.raises(ValueError, match="has nodes of 8, but nodes of 4 were asked for"):
        machine_of("2x8xh100", per_node=4)
    for wrong_rack in ({"per_rack": 16}, {"across": "roce"}, {"per_rack": -8, "across": "roce"}):
        with pytest.raises(ValueError, match="use a multiple of 8 and name the wire across"):
            machine_of("32xh100", **wrong_rack)
    for wrong, sentence in [
        (("h900", 8), "no cluster 'h900': use one of a100-80g"),
        (("8xa100", None), "no cluster '8xa100': did you mean a100-80g"),
        (("8xh100", 16), "has 8 devices, but 16 were asked for"),
        (("h100", None), "lacks a number of devices: write e.g. 8xh100"),
        (("h100", 12), "nearest number that does is 16"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            machine_of(*wrong)
    with pytest.raises(ValueError, match="no wire 'string': use one of nvlink3"):
        machine_of("8xh100", inside="string")
