"""From a model and a machine to ranked configurations, each with a time line."""

from __future__ import annotations

from .breakdown import Breakdown, breakdown
from .configurations import Space, configurations
from .estimate import (
    Estimate,
    Prepared,
    Rates,
    bytes_at_least,
    estimate,
    layout,
    peak_bytes,
    prepare,
    rates,
    seconds_at_least,
)
from .examination import examine
from .explanation import Explained, best_of_each, explained
from .export_megatron import megatron, megatron_environment
from .export_torchtitan import Torchtitan, torchtitan
from .memory_table import DeviceBytes, StageBytes, device_bytes, stage_bytes
from .orders import DEFAULT_SCHEDULES, Orders, Shape, live_counts, shape_of, short, virtual_stages
from .pass_times import Measurement, PassTimes, Times
from .problem import Problem
from .read_times import read_pass_times
from .robustness import calmly, robustness, seconds_on
from .rows import configuration_of
from .search import model_of, plan
from .store import key_of
from .timeline import cluster_of, replayed, schedule_of, shortened, timeline

__all__ = [
    "DEFAULT_SCHEDULES",
    "Breakdown",
    "DeviceBytes",
    "Estimate",
    "Explained",
    "Measurement",
    "Orders",
    "PassTimes",
    "Prepared",
    "Problem",
    "Rates",
    "Shape",
    "Space",
    "StageBytes",
    "Times",
    "Torchtitan",
    "best_of_each",
    "breakdown",
    "bytes_at_least",
    "calmly",
    "cluster_of",
    "configuration_of",
    "configurations",
    "device_bytes",
    "estimate",
    "examine",
    "explained",
    "key_of",
    "layout",
    "live_counts",
    "megatron",
    "megatron_environment",
    "model_of",
    "peak_bytes",
    "plan",
    "prepare",
    "rates",
    "read_pass_times",
    "replayed",
    "robustness",
    "schedule_of",
    "seconds_at_least",
    "seconds_on",
    "shape_of",
    "short",
    "shortened",
    "stage_bytes",
    "timeline",
    "torchtitan",
    "virtual_stages",
]
