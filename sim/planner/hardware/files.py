"""Reads a machine that has no preset from a JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ...base.json_text import object_in
from ...base.numbers import checked
from .devices import DEVICES, Device
from .machines import Machine, node_size
from .wires import NODES, WIRES, Wire

_KEYS = ("name", "devices", "per_node", "device", "inside", "between", "per_rack", "across")


class Fields(NamedTuple):
    """Numbers that a part of a machine must have, and those that it may have."""

    needed: tuple[str, ...]
    more: tuple[str, ...] = ()


DEVICE = Fields(("flops", "memory", "bandwidth"), ("fp8", "fp4"))
WIRE = Fields(("bandwidth", "latency"))


def read_machine(path: str | Path, **instead: int | str | None) -> Machine:
    """The machine in a file such as this; ValueError with one sentence if it describes none.

        {"devices": 64, "per_node": 8, "inside": "nvlink4",
         "device": {"name": "mine", "flops": 1e15, "memory": 8e10, "bandwidth": 3e12},
         "between": {"name": "mine", "bandwidth": 2.5e10, "latency": 1e-5}}

    device, inside, between, across: a preset's name, or its fields (operations and bytes per
    second, bytes, seconds; see `Device` and `Wire`). What is missing is taken from the preset whose
    name the device or the wire has, and its usual nodes and wires, as `Machine.notes` says.
    per_rack and across: optional, as in `Machine`. instead: keys of the file and what to take in
    place of what it says, unless None.
    """
    found = object_in(path, "a machine")
    if unknown := set(found) - set(_KEYS):
        raise ValueError(f"{path} has no field {min(unknown)!r}: fields are {', '.join(_KEYS)}")
    found |= {key: value for key, value in instead.items() if value is not None}
    if missing := [key for key in ("devices", "device") if key not in found]:
        raise ValueError(f"{path} lacks {missing[0]!r}: a machine needs devices and device")
    taken: list[str] = []
    device = Device(**_parts(path, "device", found["device"], DEVICES, DEVICE, taken))
    count: Any = found["devices"]
    notes = _completed(found, device.name, count)
    size: Any = found.get("per_node", count)
    if size != count and "between" not in found:
        raise ValueError(f"{path} has several nodes: name the wire between them, e.g. ndr")
    if size != 1 and "inside" not in found:
        raise ValueError(
            f"{path} has several devices in a node: name the wire inside, e.g. nvlink4"
        )
    inside = found.get("inside", found.get("between", "pcie5"))
    wires = {
        key: Wire(**_parts(path, key, value, WIRES, WIRE, taken))
        for key, value in {
            "inside": inside,
            "between": found.get("between", inside),
            **({"across": found["across"]} if found.get("across") else {}),
        }.items()
    }
    if taken or notes:
        notes = (f"{path} does not say {', '.join([*taken, *notes])}",)
    name = str(found.get("name", f"{count}x{device.name}"))
    return Machine(name, device, count, size, wires["inside"], wires["between"],
                   found.get("per_rack") or 0, wires.get("across"), notes)  # fmt: skip


def _completed(found: dict[str, Any], device: str, count: Any) -> tuple[str, ...]:
    """Takes what the file does not say of nodes from the device's usual ones, and says what."""
    if device not in NODES or not isinstance(count, int) or isinstance(count, bool) or count < 1:
        return ()
    node, told = NODES[device], []
    if "per_node" not in found:
        found["per_node"] = node_size(device, count)[0]
        told.append(f"per_node: {found['per_node']}, as {device} usually has")
    for key, wire in (("inside", node.inside), ("between", node.between)):
        needed = found["per_node"] > 1 if key == "inside" else found["per_node"] < count
        if key not in found:
            found[key] = wire
            told += [f"{key}: {wire}, as {device} usually has"] if needed else []
    return tuple(told) if count > 1 else ()


def _parts(
    path: str | Path, key: str, value: Any, presets: Any, fields: Fields, taken: list[str]
) -> dict[str, Any]:
    """The fields of a preset, or those written out, each number checked; what a part with a
    preset's name lacks is the preset's."""
    if isinstance(value, str):
        if value not in presets:
            raise ValueError(f"{key} in {path} is {value!r}: use one of {', '.join(presets)}")
        return dict(vars(presets[value]))
    known = {"name", "source", *fields.needed, *fields.more}
    if isinstance(value, dict) and not set(value) - known and value.get("name") in presets:
        preset = presets[value["name"]]
        lacking = [name for name in fields.needed + fields.more if name not in value]
        taken += [f"{name} of {key}: as {preset.name}" for name in lacking]
        value = {**{name: getattr(preset, name) for name in lacking}, **value}
    if not isinstance(value, dict) or set(value) - known or not {*fields.needed} <= set(value):
        raise ValueError(f"{key} in {path}: give a preset's name, or {', '.join(fields.needed)}")
    for name in (each for each in fields.needed + fields.more if each in value):
        which = f"{name} of {key} in {path}"
        if not checked(value[name], which) and name in fields.needed and name != "latency":
            raise ValueError(f"{which} is {value[name]}: it must be greater than 0")
    return {"name": key, "source": str(path)} | value
