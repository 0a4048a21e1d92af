"""Which of many schedules no other one beats in two numbers at once."""

from __future__ import annotations

from typing import Any

import numpy as np


def pareto_front(x: Any, y: Any) -> Any:
    """Which points no other one beats: as small in both, and smaller in one; shape `(n,)`.

    >>> pareto_front([1, 2, 2, 3], [9, 5, 6, 5]).tolist()
    [True, True, False, False]
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    no_worse = (x[:, None] <= x) & (y[:, None] <= y)
    better = (x[:, None] < x) | (y[:, None] < y)
    return ~(no_worse & better).any(axis=0)
