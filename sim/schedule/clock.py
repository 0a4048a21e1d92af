"""The two times that a play of a schedule can be judged by: see `sim.metrics`."""

from __future__ import annotations

from typing import Literal

Clock = Literal["makespan", "longest_stage"]
"""From the first start to the last end anywhere, or the longest that any one device takes."""
