"""How far a simulated trace is from a measured one of the same schedule."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from sim import Trace, busy, clock_time, idle_account, peak_bytes

CLOCKS = ("makespan", "longest_stage")


@dataclass(frozen=True)
class Comparison:
    """Simulated against measured, error = simulated / measured - 1.

    clocks: `clock`, `simulated`, `measured`, `error`.
    devices: per `device`: busy, idle and peak bytes, each `simulated_...` and `measured_...`, and
        `busy_error`, `bytes_error`.
    passes: per `kind`, `stage`, `slice`: mean `simulated` and `measured` time, and `error`.
    """

    clocks: pd.DataFrame
    devices: pd.DataFrame
    passes: pd.DataFrame

    def error(self, clock: str = "makespan") -> float:
        """Relative error of one clock."""
        return float(self.clocks.set_index("clock").loc[clock, "error"])  # type: ignore[arg-type]


def compare(simulated: Trace, measured: Trace) -> Comparison:
    """The comparison of two traces; ValueError if they are not of one schedule.

    Peaks are compared without static bytes, which neither side counts.
    """
    if (simulated.schedule.orders, simulated.schedule.placement) != (
        measured.schedule.orders,
        measured.schedule.placement,
    ):
        raise ValueError(
            f"the traces are of different schedules: {simulated.schedule.name} and "
            f"{measured.schedule.name} differ in order or placement"
        )
    both = simulated, measured
    clocks = pd.DataFrame(
        [(clock, *(float(clock_time(one, clock)) for one in both)) for clock in CLOCKS],  # type: ignore[arg-type]
        columns=["clock", "simulated", "measured"],
    )
    devices = pd.DataFrame({"device": range(simulated.schedule.n_devices)})
    for name, one in zip(("simulated", "measured"), both, strict=True):
        devices[f"{name}_busy"] = [float(time) for time in busy(one)]
        devices[f"{name}_idle"] = idle_account(one)["idle"].astype(float)
        devices[f"{name}_bytes"] = [int(size) for size in peak_bytes(one)]
    devices["busy_error"] = _error(devices.simulated_busy, devices.measured_busy)
    devices["bytes_error"] = _error(devices.simulated_bytes, devices.measured_bytes)
    passes = pd.DataFrame(
        {
            name: pass_times(one)["time"]
            for name, one in zip(("simulated", "measured"), both, strict=True)
        }
    )
    return Comparison(
        clocks.assign(error=_error(clocks.simulated, clocks.measured)),
        devices,
        passes.assign(error=_error(passes.simulated, passes.measured)).reset_index(),
    )


def pass_times(trace: Trace) -> pd.DataFrame:
    """Mean `time` of each kind of pass, indexed by `kind`, `stage`, `slice`.

    A fused step is timed as a whole, so passes count where they run alone. Those that never do
    (2BP's weight gradients) share evenly what the others leave of their step.
    """
    key, step = ["kind", "stage", "slice"], ["device", "step"]
    ops = trace.ops.assign(time=(trace.ops.end - trace.ops.start).astype(float))
    is_alone = ~ops.duplicated(step, keep=False)
    alone = ops[is_alone].groupby(key)[["time"]].mean()
    fused = ops[~is_alone]
    known = alone["time"].reindex(pd.MultiIndex.from_frame(fused[key])).to_numpy()
    fused = fused.assign(known=known, unknown=pd.isna(known))
    by_step = fused.groupby(step)
    left = fused["time"] - by_step["known"].transform("sum")
    fused = fused.assign(time=left.clip(lower=0) / by_step["unknown"].transform("sum"))
    parts = fused[fused["unknown"]].groupby(key)[["time"]].mean()
    return pd.concat([alone, parts]).sort_index()


def _error(simulated: pd.Series, measured: pd.Series) -> pd.Series:
    """simulated / measured - 1; 0 where both are 0."""
    return ((simulated - measured) / measured.where(measured != 0)).where(
        simulated != measured, 0.0
    )
