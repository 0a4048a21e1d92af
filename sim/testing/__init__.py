"""Random schedules, costs and clusters, to test whatever eats or makes schedules with Hypothesis.

    >>> from hypothesis import given, settings
    >>> from hypothesis import strategies as st
    >>> from sim.engine.simulate import simulate
    >>> from sim.metrics.metrics import busy, makespan
    >>> @settings(max_examples=10, deadline=None)
    ... @given(schedules().flatmap(lambda schedule: st.tuples(st.just(schedule), costs(schedule))))
    ... def no_play_is_shorter_than_the_work_of_its_busiest_device(pair):
    ...     trace = simulate(*pair)
    ...     assert makespan(trace) >= max(busy(trace))
    >>> no_play_is_shorter_than_the_work_of_its_busiest_device()

`check_family` asks all that a family must keep of one of your own.

The only package that needs Hypothesis (https://hypothesis.readthedocs.io).
"""

from .promises import NAMES, PLACEMENTS, check_family
from .random_costs import clusters, costs, numbers, scales
from .random_schedules import OPTIONS, family_schedules, schedules, transformed, wild_schedules

__all__ = [
    "NAMES",
    "OPTIONS",
    "PLACEMENTS",
    "check_family",
    "clusters",
    "costs",
    "family_schedules",
    "numbers",
    "scales",
    "schedules",
    "transformed",
    "wild_schedules",
]
