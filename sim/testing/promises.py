"""What all families promise, asked of one."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from inspect import signature
from typing import Any

from hypothesis import Phase, given, note, reject, settings
from hypothesis import strategies as st

from ..base.progress import bar
from ..engine.costs import Costs
from ..engine.simulate import simulate
from ..families.family import Family
from ..metrics.metrics import busy, clock_time, makespan, peak_shares
from ..schedule.ir import KINDS, Kind, Schedule
from ..schedule.json_form import from_json, to_json
from ..schedule.validate import validate
from .random_costs import costs
from .random_schedules import OPTIONS, options_of

PLACEMENTS = ("straight", "loop", "V", "wave", "both ways", "V both ways")
NAMES = ("p", "m", "v", "k", "N", "b", "F", "B", "W", "min", "max")
"""What the formulas of a family are over."""
_TIMES = st.one_of(
    st.integers(1, 9).map(lambda time: (time, time, time)),
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)),
)


def check_family(
    family: Family | Callable[..., Schedule], *, max_examples: int = 50, progress: bool = False
) -> None:
    """AssertionError (or the ValueError of a broken rule) unless `family` keeps what all must.

    family: a `Family`, or just its function `(n_devices, n_microbatches) -> Schedule`, which claims
        nothing about bubble and peak; its keyword options v, slices and group_size are tried too.

    For random numbers of devices and microbatches and random options: the schedule is valid, has
    the numbers asked for, is the same when built again, and survives JSON; it has the placement and
    the passes that the family claims; with random costs it plays to the end, not faster than its
    busiest device works; and wherever `exact_when` holds, the family's `bubble` and `peak` are met
    exactly. ValueError from the family itself means that it refuses these numbers, which is fine as
    long as it does not refuse nearly everything. ValueError with one sentence for a formula that
    cannot be read. progress: a bar on stderr or in a notebook.

    >>> from sim.families import FAMILIES
    >>> check_family(FAMILIES["1f1b"], max_examples=10)
    """
    rule = family if isinstance(family, Family) else _claiming_nothing(family)

    _check_formulas(rule)
    seen: set[str] = set()

    @settings(
        max_examples=max_examples, deadline=None, phases=set(Phase) - {Phase.explain},
        report_multiple_bugs=False,
    )  # fmt: skip
    @given(st.data())
    def keeps_its_promises(data: st.DataObject) -> None:
        if move:  # more are tried where some are refused, or one that fails is made smaller
            move(min(move.done + 1, max_examples))
        p = data.draw(st.integers(1, 5), "devices")
        m = data.draw(st.integers(1, 12), "microbatches")
        options = data.draw(options_of(rule.options), "options")
        try:
            schedule = rule(p, m, **options)
        except ValueError as error:
            note(f"{rule.name} refuses: {error}")
            reject()
        note(str(schedule))
        validate(schedule)
        sizes = schedule.n_devices, schedule.n_microbatches
        assert sizes == (p, m), f"asked for devices, microbatches {(p, m)}, it has {sizes}"
        assert schedule == rule(p, m, **options), "built twice, the schedules differ"
        assert schedule == from_json(to_json(schedule)), "it does not survive JSON"
        seen.update(_check_shape(rule, schedule))
        # What draws least comes first: it fails with the smallest example in the shortest time.
        if "group_size" in options or "group_size" not in rule.options:
            _check_claims(rule, schedule, options, data.draw(_TIMES, "F, B, W"))
        trace = simulate(schedule, data.draw(costs(schedule), "costs"))
        assert makespan(trace) >= max(busy(trace)), "it is shorter than the work of a device"

    with bar(f"trying {rule.name}", max_examples, shown=progress) as move:
        keeps_its_promises()
    never = sorted(set(rule.passes.split()) - seen)
    assert not never, f"{rule.name} claims passes {rule.passes!r}, and never has {never[0]}"


def _claiming_nothing(build: Callable[..., Schedule]) -> Family:
    named = signature(build).parameters.values()
    options = tuple(p.name for p in named if p.kind is p.KEYWORD_ONLY and p.name in OPTIONS)
    name = getattr(build, "__name__", "family")
    return Family(name, build, "", "", bubble="", peak="", source="", options=options)


def _check_formulas(family: Family) -> None:
    """ValueError with one sentence for a formula or a placement that nobody could check."""
    if family.placement not in ("", *PLACEMENTS):
        raise ValueError(
            f"{family.name} has placement {family.placement!r}: it must be one of "
            f"{', '.join(PLACEMENTS)}"
        )
    if wrong := sorted(set(family.passes.split()) - set(KINDS)):
        raise ValueError(f"{family.name} has passes {wrong[0]!r}: kinds are {', '.join(KINDS)}")
    for field in ("bubble", "peak", "exact_when"):
        text = getattr(family, field)
        try:
            names = set(compile(text or "0", field, "eval").co_names) - set(NAMES)
        except SyntaxError as error:
            raise ValueError(
                f"the {field} of {family.name} is {text!r}: {error.msg}; it must be a Python "
                f"expression over {', '.join(NAMES)}"
            ) from None
        if names:
            raise ValueError(
                f"the {field} of {family.name} is {text!r}: it knows no {min(names)}, only "
                f"{', '.join(NAMES)}"
            )


def _check_shape(family: Family, schedule: Schedule) -> set[Kind]:
    """The kinds of passes, and AssertionError for others than the family claims, or for another
    placement; where it claims none, all are fine."""
    found = schedule.placement
    forth = tuple(range(schedule.n_devices))
    lies = {
        "": True,
        "straight": found == forth,
        "loop": found == forth * (len(found) // len(forth)),
        "V": found == forth + forth[::-1],
        "wave": found == ((forth + forth[::-1]) * len(found))[: len(found)],
        "both ways": bool(schedule.routes) or schedule.n_microbatches == 1,
        "V both ways": found == forth + forth[::-1],
    }[family.placement]
    assert lies, (
        f"{family.name} claims placement {family.placement!r}, and its stages lie on devices "
        f"{found}"
    )
    kinds = {op.kind for order in schedule.orders for op in order}
    others = sorted(kinds - set(family.passes.split())) if family.passes else []
    assert not others, f"{family.name} claims passes {family.passes!r}, and has {others[0]} too"
    return kinds


def _check_claims(
    family: Family, schedule: Schedule, options: dict[str, int], unit: tuple[int, int, int]
) -> None:
    """The formulas of the family against a play with whole-number times."""
    # Whole shares are multiples of v k, so that every pass takes a whole number.
    k = schedule.n_slices
    v = schedule.pieces(0) // k
    f, b, w = (time * v * k for time in unit)
    names: dict[str, Any] = {
        name: Fraction(number)
        for name, number in {
            "p": schedule.n_devices, "m": schedule.n_microbatches, "v": v, "k": k,
            "N": options.get("group_size", schedule.n_devices), "F": f, "B": b, "W": w,
            "b": schedule.vocabulary,
        }.items()
    }  # fmt: skip
    scope: dict[str, Any] = {"__builtins__": {}, "min": min, "max": max, **names}
    if not eval(family.exact_when, scope):
        return
    # Copies, if there are any, take as long as the shortest pass.
    prices = Costs.uniform(schedule, forward=f, backward=b, weight=w, offload=min(f, b, w))
    trace = simulate(schedule, prices)
    if family.peak:
        peak, claimed = float(max(peak_shares(trace))), float(eval(family.peak, scope))
        assert peak == claimed, f"peak is {peak} shares, {family.peak} gives {claimed}"
    if family.bubble:
        idle = clock_time(trace, family.clock) - schedule.n_microbatches * (f + b + w)
        claimed = eval(family.bubble, scope)
        assert idle == claimed, f"bubble is {idle}, {family.bubble} gives {claimed}"
