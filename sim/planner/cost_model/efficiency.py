"""How much of a device's printed speed programs reach: a few physical numbers, to be fitted.

A pass is a row of kernels. Kernel by kernel the device needs `ramp` seconds to fill and drain, and
then works at a fixed fraction of its peak (roofline: multiplications by arithmetic or by memory,
whichever is slower; everything else by memory). So small kernels reach a smaller fraction:
work / (work + ramp). Meanwhile the host spends `launch` seconds per kernel, and the slower of the
two decides. Collectives between kernels come on top.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from ...base.json_text import object_in, parsed
from ...base.numbers import checked
from .configuration import Precision

FRACTIONS = ("matmul", "fp8", "fp4", "grouped", "fused_attention", "memory", "misaligned",
             "unaligned", "wire")  # fmt: skip
SECONDS = ("ramp", "launch", "collective", "dispatch")


@dataclass(frozen=True)
class Efficiency:
    """A device's calibration.

    matmul: fraction of peak FLOPs that large multiplications reach; fp8, fp4: the same of the peak
    in 8 and in 4 bits. grouped: factor on these where the experts of a layer are multiplied
    together. fused_attention: fraction of the 16-bit peak that flash attention kernels reach.
    memory: fraction of memory bandwidth. misaligned: factor on matmul where a width is odd and
    tensor cores cannot be fed (the projection to 50,257 words). unaligned: factor on matmul of
    plain attention with heads that tensor cores cannot take at all. ramp: seconds per kernel on the
    device. launch: seconds per kernel on the host. wire: fraction of a wire's bandwidth that
    collectives reach. collective: seconds that one takes at least beside its hops, per doubling of
    its members. dispatch:
    seconds for which experts wait for the host in each pass. overlap: fraction of B's
    tensor-parallel collectives that a fused backward hides under its weight gradients; a B apart
    from its W hides none. source: where the numbers come from.
    """

    matmul: float = 0.8
    fused_attention: float = 0.55
    memory: float = 0.8
    misaligned: float = 0.45
    ramp: float = 4e-6
    launch: float = 1.2e-5
    wire: float = 0.75
    collective: float = 1e-5
    overlap: float = 1.0
    fp8: float = 0.6
    fp4: float = 0.5
    grouped: float = 0.8
    unaligned: float = 0.06
    dispatch: float = 1e-4
    source: str = ""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "source":
                checked(value, name, signed=True)
        for name in FRACTIONS:
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(
                    f"{name} is {getattr(self, name)}: use a fraction above 0, up to 1"
                )
        if not 0 <= self.overlap <= 1:
            raise ValueError(f"overlap is {self.overlap}: use a fraction from 0 to 1")
        for name in SECONDS:
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: seconds cannot be negative")

    @property
    def products(self) -> Mapping[Precision, float]:
        """Fractions of peak that large multiplications reach, by precision."""
        return {"bf16": self.matmul, "fp8": self.fp8, "mxfp8": self.fp8, "nvfp4": self.fp4}


def read_profile(path: str | Path, device: str = "") -> Efficiency:
    """A measured calibration from a JSON file with fields of `Efficiency`, at least one number.

    device: numbers that the file lacks are that device's, as `efficiency_of` has them, and the
        source says so. ValueError if the file has unknown fields or no number.
    """
    found = object_in(path, "a profile")
    known = [field.name for field in fields(Efficiency)]
    numbers = [name for name in known if name != "source"]
    if unknown := set(found) - set(known):
        raise ValueError(
            f"profile {path} has no field {min(unknown)!r}: fields are {', '.join(known)}"
        )
    if not set(found) & set(numbers):
        raise ValueError(f"profile {path} has no number: give some of {', '.join(numbers)}")
    base = efficiency_of(device)
    source = str(found.get("source", f"measured: {path}"))
    if missing := [name for name in numbers if name not in found]:
        source += f"; {', '.join(missing)} from {device or 'no device'} ({base.source})"
    return replace(base, **{**found, "source": source})


def write_profile(path: str | Path, efficiency: Efficiency) -> None:
    """The file that `read_profile` reads."""
    Path(path).write_text(json.dumps(asdict(efficiency), indent=1) + "\n")


UNFITTED = Efficiency(
    matmul=0.5, fused_attention=0.35, memory=0.7, misaligned=0.4, ramp=1e-5, launch=1.5e-5,
    wire=0.6, collective=2e-5, overlap=0.5, fp8=0.4, fp4=0.25, grouped=0.3, unaligned=0.04,
    dispatch=3e-4, source="defaults, not fitted",
)  # fmt: skip
"""Of a device that no measured run was at hand for: no better than the least of those that there
were runs for, so that a plan promises too little rather than too much."""


def efficiency_of(device: str) -> Efficiency:
    """The calibration of a device, or cautious defaults where none was fitted."""
    return efficiencies().get(device, UNFITTED)


@lru_cache
def efficiencies() -> Mapping[str, Efficiency]:
    """The calibrations of `efficiencies.json` by device name.

    An entry that is `like` another one takes from it what it does not state itself.
    """
    text = (files(__package__) / "efficiencies.json").read_text(encoding="utf-8")
    found: dict[str, Efficiency] = {}
    for device, entry in parsed(text).items():
        like = entry.pop("like", None)
        found[device] = replace(found[like] if like else Efficiency(), **entry)
    return MappingProxyType(found)
