"""The steps of every device in time order, read off a frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..schedule.ir import QUEUES

if TYPE_CHECKING:
    import pandas as pd

Column = npt.NDArray[Any]


def in_lines(ops: pd.DataFrame, per_unit: int, names: Sequence[str]) -> dict[int, list[list[Any]]]:
    """Those columns of `Trace.ops` for the steps of every device, in the order of their start.

    Fused passes count once. Times are in ticks, or floating point where there is no common one;
    `written` and `arrived` are None where nobody knows. `row` is that of the step's first pass.
    """
    ops = ops.reset_index(drop=True)
    ops = ops[~ops.duplicated(["device", "step"])]
    ops = ops.sort_values(["device", "start", "end"], kind="stable")
    of = {"start": _ticks, "end": _ticks, "written": _known_ticks, "arrived": _known_ticks}
    columns = [
        ops.index.to_numpy()
        if name == "row"
        else of[name](ops[name], per_unit)
        if name in of
        else ops[name].to_numpy()
        for name in names
    ]
    # Cut with numpy: a pandas group per device would take seconds on thousands of devices.
    devices, first = np.unique(ops["device"].to_numpy(), return_index=True)
    parts = [np.split(column, first[1:]) for column in columns]
    return {
        int(device): [part.tolist() for part in cut]
        for device, *cut in zip(devices, *parts, strict=True)
    }


def summed(transfers: pd.DataFrame, per_unit: int) -> list[tuple[int, int, Any, Any]]:
    """Device that gets it, iteration, and when it was written and had arrived, of every sum of
    gradients among `Trace.transfers`."""
    sums = transfers[transfers["value"] == "weight_gradient"]
    times = [_ticks(sums[name], per_unit).tolist() for name in ("ready", "end")]
    whole = (sums[name].astype(int).tolist() for name in ("destination", "iteration"))
    return list(zip(*whole, *times, strict=True))


def computing(ops: pd.DataFrame) -> pd.DataFrame:
    """The rows of passes that compute."""
    return ops[~ops["kind"].isin([*QUEUES])]


def _ticks(times: pd.Series[Any], per_unit: int) -> Column:
    found: Column = times.to_numpy(dtype=float)
    if per_unit:
        found = np.rint(found * per_unit).astype(np.int64)
    return found


def _known_ticks(times: pd.Series[Any], per_unit: int) -> Column:
    """The same, with None where there is no time."""
    ticks: Column = _ticks(times.fillna(0), per_unit).astype(object)
    ticks[times.isna().to_numpy()] = None
    return ticks
