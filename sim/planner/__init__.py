"""From a model and a machine to ranked configurations, each with a time line."""

from __future__ import annotations

from .estimate import (
    Estimate,
    Prepared,
    Problem,
    Rates,
    bytes_at_least,
    estimate,
    layout,
    peak_bytes,
    prepare,
    rates,
    seconds_at_least,
)
from .orders import DEFAULT_SCHEDULES, Orders, Shape, live_counts, short, virtual_stages

__all__ = [
    "DEFAULT_SCHEDULES",
    "Estimate",
    "Orders",
    "Prepared",
    "Problem",
    "Rates",
    "Shape",
    "bytes_at_least",
    "estimate",
    "layout",
    "live_counts",
    "peak_bytes",
    "prepare",
    "rates",
    "seconds_at_least",
    "short",
    "virtual_stages",
]
