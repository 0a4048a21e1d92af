"""A family: a rule that gives a schedule for any number of devices and microbatches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..base.gc_pause import gc_pause
from ..base.numbers import checked_whole
from ..base.text import meant
from ..schedule.clock import Clock
from ..schedule.ir import Schedule


class Families(dict[str, "Family"]):
    """Families by name; a name that there is none of is told which one may be meant."""

    def __missing__(self, name: object) -> Family:
        raise KeyError(f"no family {name!r}: {meant(str(name), self)}")


@dataclass(frozen=True)
class Family:
    """A schedule rule with what its source claims about it; call it to get a `Schedule`.

    build: `(n_devices, n_microbatches, *, options) -> Schedule`.
    placement: "straight", "loop", "V", "wave", "both ways" or "V both ways".
    passes: which kinds it uses, e.g. "F B W".
    bubble, peak: Python expressions over p, m, v, k, N, b, F, B, W (of a device's whole share) that
        the tests evaluate (b: barriers, whose S and T take no time): idle time on `clock` at zero
        send, and the largest peak of activations in shares, where copies (O, L) take as long as the
        shortest pass. "" where no closed form is known. `//` rounds down, `max`, `min` are allowed.
    exact_when: the condition (same names) under which `bubble` and `peak` hold with `==`.
    options: names of the keyword options `build` takes (of "v", "group_size", "slices",
        "barriers", ...).
    source: author, year, arXiv id and section.
    """

    name: str
    build: Callable[..., Schedule]
    placement: str
    passes: str
    bubble: str
    peak: str
    source: str
    clock: Clock = "makespan"
    exact_when: str = "True"
    options: tuple[str, ...] = ()

    @gc_pause()
    def __call__(self, n_devices: int, n_microbatches: int, **options: Any) -> Schedule:
        """The schedule; ValueError with one sentence if the rule cannot serve these numbers.

        An option that is None is the family's own choice.
        """
        if unknown := set(options) - set(self.options):
            takes = f"it takes {', '.join(self.options)}" if self.options else "it takes none"
            raise ValueError(f"{self.name} has no option {min(unknown)!r}: {takes}")
        p, m = (
            checked_whole(number, f"{self.name}: {name}")
            for name, number in (("n_devices", n_devices), ("n_microbatches", n_microbatches))
        )
        counts = {
            name: checked_whole(number, f"{self.name}: {name}")
            for name, number in options.items()
            if number is not None
        }
        return self.build(p, m, **counts)

    def stages_met(self, v: int | None = None) -> int:
        """How many stages of a device a microbatch passes; v: the option of that name, if given."""
        if "v" in self.options and v is not None:
            return v
        return 1 if self.placement in ("straight", "both ways") else 2
