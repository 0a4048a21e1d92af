"""Which devices of a machine work together, by their place in its numbers.

tensor | context | data | pipeline        neighbours first
expert spans what is left of tensor and context, and data; its copies lie behind it
"""

from __future__ import annotations

from ..hardware import Group
from .configuration import Configuration


def tensor_group(configuration: Configuration) -> Group:
    """The devices that hold pieces of one layer."""
    return Group(configuration.tensor, 1)


def context_group(configuration: Configuration) -> Group:
    """The devices that hold pieces of one sequence."""
    return Group(configuration.context, configuration.tensor)


def data_group(configuration: Configuration) -> Group:
    """The devices that hold the same weights for other tokens."""
    return Group(configuration.copies, configuration.tensor)


def expert_group(configuration: Configuration) -> Group:
    """The devices that share the experts of a layer."""
    return Group(configuration.expert, configuration.expert_cut)


def expert_copies_group(configuration: Configuration) -> Group:
    """The devices that hold the same experts for other tokens."""
    c = configuration
    return Group(c.expert_copies, c.expert * c.expert_cut)


def pipeline_group(configuration: Configuration) -> Group:
    """The devices of one pipeline."""
    return Group(configuration.pipeline, configuration.per_stage)
