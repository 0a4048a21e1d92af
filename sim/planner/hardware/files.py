"""Reads a machine that has no preset from a JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...base.json_text import object_in
from ...base.numbers import checked
from .devices import DEVICES, WIRES, Device, Wire
from .machines import Machine

_KEYS = ("name", "devices", "per_node", "device", "inside", "between", "per_rack", "across")


def read_machine(path: str | Path, **instead: int | str | None) -> Machine:
    """The machine in a file such as this; ValueError with one sentence if it describes none.

        {"devices": 64, "per_node": 8, "inside": "nvlink4",
         "device": {"name": "mine", "flops": 1e15, "memory": 8e10, "bandwidth": 3e12},
         "between": {"name": "mine", "bandwidth": 2.5e10, "latency": 1e-5}}

    device, inside, between, across: a preset's name, or its fields (operations and bytes per
    second, bytes, seconds; see `Device` and `Wire`). per_rack and across: optional, as in
    `Machine`. instead: keys of the file and what to take in place of what it says, unless None.
    """
    found = object_in(path, "a machine")
    if unknown := set(found) - set(_KEYS):
        raise ValueError(f"{path} has no field {min(unknown)!r}: fields are {', '.join(_KEYS)}")
    found |= {key: value for key, value in instead.items() if value is not None}
    if missing := [key for key in ("devices", "device") if key not in found]:
        raise ValueError(f"{path} lacks {missing[0]!r}: a machine needs devices and device")
    count: Any = found["devices"]
    size: Any = found.get("per_node", count)
    if size != count and "between" not in found:
        raise ValueError(f"{path} has several nodes: name the wire between them, e.g. ndr")
    if size != 1 and "inside" not in found:
        raise ValueError(
            f"{path} has several devices in a node: name the wire inside, e.g. nvlink4"
        )
    inside = found.get("inside", found.get("between", "pcie5"))
    device = Device(
        **_parts(path, "device", found["device"], DEVICES, ("flops", "memory", "bandwidth"))
    )
    wires = {
        key: Wire(**_parts(path, key, value, WIRES, ("bandwidth", "latency")))
        for key, value in {
            "inside": inside,
            "between": found.get("between", inside),
            **({"across": found["across"]} if found.get("across") else {}),
        }.items()
    }
    name = str(found.get("name", f"{count}x{device.name}"))
    return Machine(name, device, count, size, wires["inside"], wires["between"],
                   found.get("per_rack") or 0, wires.get("across"))  # fmt: skip


def _parts(
    path: str | Path, key: str, value: Any, presets: Any, numbers: tuple[str, ...]
) -> dict[str, Any]:
    """The fields of a preset, or those written out, each number checked."""
    if isinstance(value, str):
        if value not in presets:
            raise ValueError(f"{key} in {path} is {value!r}: use one of {', '.join(presets)}")
        return dict(vars(presets[value]))
    if not isinstance(value, dict) or set(value) - {"name", "source"} != set(numbers):
        raise ValueError(f"{key} in {path}: give a preset's name, or {', '.join(numbers)}")
    for name in numbers:
        which = f"{name} of {key} in {path}"
        if not checked(value[name], which) and name != "latency":
            raise ValueError(f"{which} is {value[name]}: it must be greater than 0")
    return {"name": key, "source": str(path)} | value
