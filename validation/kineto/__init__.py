"""Traces of torch's profiler (Kineto) or Nsight Systems, back into the laboratory."""

from __future__ import annotations

from .files import trace_files
from .measured import Run, measured_run
from .prediction import Prediction, predicted, what_if

__all__ = ["Prediction", "Run", "measured_run", "predicted", "trace_files", "what_if"]
