"""Embedding and head cut along the vocabulary over all stages, instead of at the two ends.

Every stage multiplies by its share of the projection, and the largest logit and the sum of all are
reduced over the pipeline. Yeung et al. 2024, arXiv 2411.05288: with two such barriers ("vocab-1")
each device holds two more microbatches, with one ("vocab-2") one more; both run beside the layers.
"interlaced" waits for each sum and holds half as many again as 1F1B (Lin et al. 2024, nnScaler).
"""

from __future__ import annotations

from dataclasses import replace

from ..hardware import Machine
from ..models import Model
from .collectives import all_reduce
from .configuration import Configuration
from .efficiency import Efficiency
from .groups import pipeline_group


def spread(configuration: Configuration) -> bool:
    """Whether the vocabulary is cut over all stages."""
    return configuration.vocabulary != "ends"


def vocabulary_share(model: Model, configuration: Configuration) -> Model:
    """The model whose vocabulary is one device's share, rounded up."""
    n = configuration.pipeline
    return replace(model, vocabulary=-(-model.vocabulary // n), positions=-(-model.positions // n))


def barrier_seconds(
    model: Model, configuration: Configuration, machine: Machine, *, efficiency: Efficiency
) -> float:
    """Seconds that a device waits per microbatch for sums over the pipeline: of hidden states and
    of their gradients where interlaced, none where other work goes on."""
    c = configuration
    if c.vocabulary != "interlaced":
        return 0.0
    size = 2.0 * c.tokens * model.hidden / c.token_cut
    return 2 * all_reduce(size, pipeline_group(c), machine=machine, efficiency=efficiency)


def delayed_microbatches(configuration: Configuration) -> int:
    """By how many microbatches the first backward is later: each barrier stands between the last
    forward and it, while every device runs one microbatch more."""
    return {"vocab-1": 2, "vocab-2": 1}.get(configuration.vocabulary, 0)


def more_microbatches(configuration: Configuration) -> float:
    """How many more microbatches every device holds."""
    if configuration.vocabulary == "interlaced":
        return 0.5 * configuration.pipeline
    return delayed_microbatches(configuration)
