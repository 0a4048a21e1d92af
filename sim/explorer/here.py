"""How fast a family is at the numbers of the explorer, where its time goes, and what would help."""

from __future__ import annotations

from dataclasses import replace

from ..base.text import number_text
from ..engine.costs import Costs
from ..engine.simulate import simulate
from ..families import FAMILIES
from ..metrics.metrics import Idle, idle_rows, makespan
from .conditions import Conditions
from .setting import Played, played

MOST_PLAYED = 4000
"""Passes of a schedule that is played once more, in equal passes: a knob has to turn at once."""
USUAL = "1f1b"
"""What others are compared with."""
WHY = {
    "warm_up": "before the first pass arrives",
    "waiting_for_input": "waiting for passes of other devices",
    "waiting_for_link": "waiting for transfers",
    "between_iterations": "between iterations",
    "cool_down": "after the last pass",
}


def here(now: Played) -> str:
    """A few sentences for a learner, a line each; times are means over devices.

    >>> from textwrap import fill
    >>> from .setting import Setting, played
    >>> at = Setting("1f1b", 2, 4, forward=1, backward=1, weight=1, send=0)
    >>> print(fill(here(played(at)), 80))
    of 15, a device works 12 and idles 20.0%: 1.5 waiting for passes of other
    devices, 1 after the last pass, 0.5 before the first pass arrives. No order of
    these passes within this memory is faster.
    """
    facts, rows = now.facts, idle_rows(now.trace)
    columns = [*zip(*rows, strict=True)]
    work, *parts = (sum(map(float, column)) / len(rows) for column in columns[1:-1])
    reasons = sorted(zip(parts, Idle._fields, strict=True), reverse=True)
    idle = [f"{_short(time)} {WHY[name]}" for time, name in reasons if time > 0]
    told = f"of {_short(facts.makespan)}, a device works {_short(work)}" + (
        f" and idles {facts.bubble_makespan:.1%}: {', '.join(idle)}" if idle else ", all of it"
    )
    return "\n".join(filter(None, [f"{_against(now)}{told}.", _claimed(now), _beaten(now)]))


def _against(now: Played) -> str:
    """The same numbers in 1F1B, which most readers know; "" where it cannot serve them."""
    if now.setting.family == USUAL or sum(map(len, now.schedule.orders)) > MOST_PLAYED:
        return ""
    try:
        usual = played(replace(now.setting, family=USUAL))
    except (ValueError, ArithmeticError):
        return ""
    time, other = (_short(makespan(one.trace)) for one in (now, usual))
    held, others = (_short(max(one.peaks)) for one in (now, usual))
    return (
        f"{time} an iteration with the activations of {held} microbatches, against {other} with "
        f"{others} in {USUAL}; "
    )


def _beaten(now: Played) -> str:
    bound, time = now.facts.lower_bound_makespan, now.facts.makespan
    if bound is None or time < bound:
        return ""
    if time == bound:
        return "No order of these passes within this memory is faster."
    more = float(time) / float(bound) - 1
    return (
        f"No order of these passes within this memory takes less than {_short(bound)}: "
        f"{more:.1%} at most could be won by another order."
    )


def _claimed(now: Played) -> str:
    """What it would take if the times were those for which the source states its bubble."""
    at = now.setting
    times = [getattr(at, name) for name in ("forward", "backward", "weight")]
    made_for_equal = "F == B == W" in FAMILIES[at.family].exact_when
    if not made_for_equal or len({*times}) == 1 or at.conditions != Conditions():
        return ""
    if sum(map(len, now.schedule.orders)) > MOST_PLAYED:
        return ""
    mean = sum(map(float, times)) / 3
    costs = Costs.uniform(now.schedule, forward=mean, backward=mean, weight=mean, send=at.send)
    even = makespan(simulate(now.schedule, costs))
    if even >= now.facts.makespan:
        return ""
    return (
        f"Its pattern is made for F = B = W, not for {', '.join(map(number_text, times))}: the "
        f"same work in equal passes would take {_short(even)}."
    )


def _short(time: object) -> str:
    return f"{float(time):,.4g}"  # type: ignore[arg-type]
