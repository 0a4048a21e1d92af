"""Evaluate, bound, search: the best order that the memory allows, and how good one could be."""

from .bounds import lower_bound as lower_bound
from .bounds import steady_interval as steady_interval
from .evaluate import Evaluation as Evaluation
from .evaluate import evaluate as evaluate
