"""What the explorer shows, without widgets: a setting, what it plays, and the Python for it.

>>> at = Setting("v-half", 8, 32, forward=10, backward=12, weight=8, send=1, memory_limit=5)
>>> found = played(at)
>>> found.facts.makespan, found.facts.lower_bound_makespan, found.complaint
(1119, 1109, '')
>>> print(code(at))
import sim
<BLANKLINE>
schedule = sim.FAMILIES["v-half"](8, 32)
costs = sim.Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
trace = sim.simulate(schedule, costs)
<BLANKLINE>
print("makespan", sim.makespan(trace), "bubble", sim.bubble(trace))
print("longest stage", sim.longest_stage(trace), "bubble", sim.bubble(trace, "longest_stage"))
print("peak", max(sim.peak_activations(schedule)), "shares, limit 5")
print("lower bound", sim.search.lower_bound(schedule, costs, memory_limit=5))
sim.gantt(trace)
<BLANKLINE>
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import NamedTuple

from ..base.numbers import Number, checked
from ..base.text import meant, number_text
from ..bounds.least_memory import least_shares
from ..engine.costs import Costs
from ..engine.costs_changed import at_best, least_factors
from ..engine.simulate import simulate
from ..engine.trace import Trace
from ..families import FAMILIES
from ..metrics.metrics import busy, longest_stage, makespan, peak_activations, peak_shares
from ..schedule.ir import Schedule
from .conditions import Conditions, lines, scene, slowdown

MOST_PASSES = 40_000
"""Beyond this a time line is not drawn at once."""


@dataclass(frozen=True)
class Setting:
    """One state of the widgets. Times are of a device's whole share; a limit is in shares.

    options: of the family, by name; those it does not take are left out when it is built.
    """

    family: str = "v-half"
    devices: int = 8
    microbatches: int = 32
    options: Mapping[str, int] = field(default_factory=dict)
    forward: Number = 10
    backward: Number = 12
    weight: Number = 8
    send: Number = 1
    memory_limit: Number | None = None
    conditions: Conditions = field(default_factory=Conditions)


class Facts(NamedTuple):
    """Both clocks, both bubbles, the peak (shares), and what no order of the same passes within
    the memory limit (without one: within this order's own peak) can beat; None if none fits, or
    where jitter makes every play another one."""

    makespan: Number
    bubble_makespan: float
    longest_stage: Number
    bubble_longest_stage: float
    peak: Number
    lower_bound_makespan: Number | None
    lower_bound_longest_stage: Number | None


@dataclass(frozen=True)
class Played:
    """A setting and what came of it."""

    setting: Setting
    schedule: Schedule
    costs: Costs
    trace: Trace

    @cached_property
    def facts(self) -> Facts:
        """Not before they are asked for: the bounds take longer than a look at the time line."""
        return _facts(self)

    @cached_property
    def complaint(self) -> str:
        """One sentence if it breaks its memory limit; "" if not."""
        return _complaint(self)

    @cached_property
    def peaks(self) -> tuple[Number, ...]:
        """Shares of every device; what is offloaded is not there, which depends on times."""
        copies = self.schedule.copies
        return peak_shares(self.trace) if copies else peak_activations(self.schedule)


def played(setting: Setting) -> Played:
    """The setting built and simulated; ValueError with one sentence if that cannot be."""
    if setting.family not in FAMILIES:
        raise ValueError(f"unknown family {setting.family!r}: {meant(setting.family, FAMILIES)}")
    limit = setting.memory_limit
    if limit is not None and checked(limit, "memory limit") == 0:
        raise ValueError("memory limit is 0: nothing could ever run; leave it empty for no limit")
    _check_size(setting)
    schedule = _schedule(*_key(setting))
    schedule, costs, cluster = scene(schedule, _times(setting), setting.conditions)
    trace = simulate(schedule, costs, cluster, jitter=setting.conditions.jitter)
    return Played(setting, schedule, costs, trace)


def code(setting: Setting, pinned: Setting | None = None) -> str:
    """Python that gives the same schedule, numbers and picture (and those of the pinned one)."""
    text = "import sim\n\n" + _lines(setting, "")
    if pinned is not None:
        text += "\n# The pinned one.\n" + _lines(pinned, "pinned_")
    return text


def title(setting: Setting) -> str:
    """The setting in a line, as a title."""
    parts = [f"{setting.devices} devices", f"{setting.microbatches} microbatches"]
    parts += [f"{name} {value}" for name, value in _taken(setting).items()]
    parts += [f"{name} {float(value):g}" for name, value in _times(setting).items()]
    usual = vars(Conditions())
    parts += [
        f"{name.replace('_', ' ')} {value}"
        for name, value in vars(setting.conditions).items()
        if value != usual[name]
    ]
    return f"{setting.family}: {', '.join(parts)}"


def _lines(setting: Setting, prefix: str) -> str:
    schedule, costs, trace = (f"{prefix}{name}" for name in ("schedule", "costs", "trace"))
    numbers = [str(setting.devices), str(setting.microbatches)]
    numbers += [f"{name}={value}" for name, value in _taken(setting).items()]
    times = ", ".join(f"{name}={value!r}" for name, value in _times(setting).items())
    limit = setting.memory_limit
    within = f"max(sim.peak_activations({schedule}))" if limit is None else repr(limit)
    at = setting.conditions
    first = _schedule(*_key(setting))
    told = scene(first, _times(setting), at)
    peaks = f"sim.peak_activations({schedule})"
    if told.schedule.copies:
        peaks = f"sim.peak_shares({trace})"
    best = least_factors(told.schedule, slowdown(at, told.schedule))
    least = costs if all(factor == 1 for factor in best) else f"sim.slower({costs}, {best})"
    if limit is None and told.schedule.copies:
        within = "None"  # what is offloaded is not there, and has no peak in the order alone
    return (
        f'{schedule} = sim.FAMILIES["{setting.family}"]({", ".join(numbers)})\n'
        + "\n".join(lines(at, first, times, prefix))
        + "\n\n"
        + f'print("makespan", sim.makespan({trace}), "bubble", sim.bubble({trace}))\n'
        f'print("longest stage", sim.longest_stage({trace}), '
        f'"bubble", sim.bubble({trace}, "longest_stage"))\n'
        f'print("peak", max({peaks}), '
        f'"shares{"" if limit is None else f", limit {limit!r}"}")\n'
        + (
            ""
            if at.jitter
            else f'print("lower bound", sim.search.lower_bound({schedule}, {least}, '
            f"memory_limit={within}))\n"
            if limit is None or limit >= least_shares(told.schedule)
            else 'print("lower bound None: not even one microbatch fits")\n'
        )
        + f"sim.gantt({trace})\n"
    )


def _facts(one: Played) -> Facts:
    from ..bounds.lower_bound import lower_bound

    setting, schedule, trace = one.setting, one.schedule, one.trace
    costs = at_best(one.costs, schedule, slowdown(setting.conditions, schedule))
    limit, peak = setting.memory_limit, max(one.peaks)
    within = peak if limit is None and not schedule.copies else limit
    bounds: list[Number | None] = [None, None]
    if not setting.conditions.jitter and (within is None or within >= least_shares(schedule)):
        bounds = [
            lower_bound(schedule, costs, clock=clock, memory_limit=within)
            for clock in ("makespan", "longest_stage")
        ]
    work = float(sum(busy(trace))) / schedule.n_devices
    found: list[tuple[Number, float]] = []
    for time in (makespan(trace), longest_stage(trace)):
        found.append((time, 1 - work / float(time) if time else 0.0))
    return Facts(*found[0], *found[1], peak, *bounds)


def _key(setting: Setting) -> tuple[str, int, int, tuple[tuple[str, int], ...]]:
    options = tuple(_taken(setting).items())
    return setting.family, setting.devices, setting.microbatches, options


@lru_cache(maxsize=64)
def _schedule(name: str, p: int, m: int, options: tuple[tuple[str, int], ...]) -> Schedule:
    """Kept, because most of the time it is the costs that change."""
    return FAMILIES[name](p, m, **dict(options))


def _complaint(one: Played) -> str:
    schedule, peaks, limit = one.schedule, one.peaks, one.setting.memory_limit
    if limit is None or max(peaks) <= limit:
        return ""
    if limit < (least := least_shares(schedule)):
        return (
            f"nothing fits into a memory limit of {number_text(limit)} shares: the smallest that "
            f"can be met is {least}, one microbatch at a time"
        )
    over = [str(device) for device, peak in enumerate(peaks) if peak > limit]
    where = f"device {over[0]}" if len(over) == 1 else f"devices {', '.join(over)}"
    where = f"{len(over)} of {len(peaks)} devices" if len(over) > 5 else where
    where = "every device" if len(over) == len(peaks) > 1 else where
    return (
        f"{schedule.name} keeps up to {number_text(max(peaks))} activations alive, more than the "
        f"memory limit of {number_text(limit)} on {where}: choose a family with a lower peak"
    )


def _check_size(setting: Setting) -> None:
    p, m = setting.devices, setting.microbatches
    for name, count in {"devices": p, "microbatches": m}.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f"{name} is {count!r}: it must be a whole number >= 1")
    family = FAMILIES[setting.family]
    per_stage = 3 if "W" in family.passes.split() else 2
    stages = family.stages_met(setting.options.get("v"))
    slices = setting.options.get("slices", 2) if "slices" in family.options else 1
    passes = p * m * per_stage * stages * slices
    if passes > MOST_PASSES:
        raise ValueError(
            f"{p} devices and {m} microbatches are about {passes:,} passes of {setting.family}: "
            f"the explorer shows up to {MOST_PASSES:,}, sim.simulate takes more"
        )


def _taken(setting: Setting) -> dict[str, int]:
    options = FAMILIES[setting.family].options
    return {name: value for name, value in setting.options.items() if name in options}


def _times(setting: Setting) -> dict[str, Number]:
    names = ("forward", "backward", "weight", "send")
    return {name: getattr(setting, name) for name in names}
