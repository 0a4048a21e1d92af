"""A small model on eight devices, whose plans take seconds."""

from __future__ import annotations

import sim
from sim.planner import Problem, Space
from sim.planner.cost_model import Configuration
from sim.planner.hardware import machine_of
from sim.planner.models import Model

SMALL = Model("small", 14, 512, 8, 32000, kv_heads=4)
MACHINE = machine_of("8xh100")
PROBLEM = Problem(SMALL, MACHINE, reserve=0)
FEWER = Space(recompute=("none", "full"), zero=(1,))
"""Two ninths of what is searched without being told."""


def small_configuration(
    schedule: str, p: int, m: int, *, tensor: int = 1, v: int = 2
) -> Configuration:
    """A schedule on the eight devices: p of them in a pipeline, the others data-parallel."""
    family = sim.FAMILIES[schedule]
    virtual = v if "v" in family.options else 2 if family.placement == "V" else 1
    return Configuration(
        1024, m * (8 // p // tensor), pipeline=p, tensor=tensor, data=8 // p // tensor,
        schedule=schedule, virtual=virtual, sequence_parallel=tensor > 1,
    )  # fmt: skip
