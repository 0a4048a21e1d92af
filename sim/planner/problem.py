"""What a plan is about: a model on a machine, and how they are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..schedule.clock import Clock
from .cost_model import Efficiency, PerParameter, efficiency_of
from .hardware import Machine
from .models import Model
from .pass_times import PassTimes

Cut = Literal["balanced", "even", "one-less"]
_ITS_OWN = Efficiency(source="the device's own")


@dataclass(frozen=True)
class Problem:
    """What stays the same for all configurations of a plan.

    efficiency: a calibration in place of the device's own. per: bytes per parameter.
    gradient_bytes: of each gradient that data parallelism sums. reserve: bytes per device for the
    context of the driver, communication buffers and fragments. clock: "makespan" where an optimizer
    barrier ends the iteration, "longest_stage" where there is none (post-validation, arXiv
    2401.10241, section 4). cut: "balanced" evens out stages, "even" gives each as many layers,
    "one-less" gives the first and last one layer less than the others, and a layout string of
    Megatron-LM says it itself. measured: pass times in place of the model's (`read_pass_times`).
    """

    model: Model
    machine: Machine
    efficiency: Efficiency = _ITS_OWN
    per: PerParameter = PerParameter()  # noqa: RUF009
    gradient_bytes: float = 2
    reserve: float = 4e9
    clock: Clock = "makespan"
    cut: Cut | str = "balanced"
    measured: PassTimes | None = None

    def __post_init__(self) -> None:
        if self.efficiency is _ITS_OWN:
            object.__setattr__(self, "efficiency", efficiency_of(self.machine.device.name))
        memory = self.machine.device.memory
        if not 0 <= self.reserve < memory:
            raise ValueError(
                f"reserve is {self.reserve / 1e9:.4g} GB: use 0 up to less than the device's "
                f"{memory / 1e9:.4g} GB"
            )
        if self.cut not in get_args(Cut) and "|" not in self.cut and self.cut[:1] != "E":
            raise ValueError(
                f"cut is {self.cut!r}: use {', '.join(get_args(Cut))} or a layout such as Ett|ttL"
            )

        kinds = [str(kind) for kind in self.model.kinds()]
        for each in self.measured.measured if self.measured else ():
            if unknown := {name for name, _ in each.layers} - {"", *kinds}:
                raise ValueError(
                    f"pass times of {min(unknown)!r} layers: {self.model.name} has "
                    f"{' and '.join(kinds)}"
                )

    @property
    def capacity(self) -> float:
        """Bytes a device may hold."""
        return self.machine.device.memory - self.reserve
