"""Measured training runs that others published, held against what a plan predicts for each."""

from __future__ import annotations

from .groups import group_table
from .predict import Prediction, predict
from .regret import Question, questions
from .row import Row, read_rows
from .verdict import Verdict, judged

__all__ = [
    "Prediction",
    "Question",
    "Row",
    "Verdict",
    "group_table",
    "judged",
    "predict",
    "questions",
    "read_rows",
]
