"""A machine as the file that `read_machine` reads, to be filled in."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .machines import Machine


def machine_template(machine: Machine) -> dict[str, Any]:
    """All of a machine's fields, written out; reading them gives the same machine.

    >>> from sim.planner.hardware import machine_of
    >>> machine_template(machine_of("16xh100"))["between"]["bandwidth"]
    50000000000.0
    """
    return {
        "name": machine.name,
        "devices": machine.n_devices,
        "per_node": machine.per_node,
        "device": asdict(machine.device),
        "inside": asdict(machine.inside),
        "between": asdict(machine.between),
        "per_rack": machine.per_rack,
        "across": asdict(machine.across) if machine.across else None,
    }
