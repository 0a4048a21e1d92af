"""What was measured, in seconds of an iteration; and what keeps a row from saying it."""

from __future__ import annotations

from collections.abc import Iterator

from sim.planner.cost_model import model_flops
from sim.planner.hardware import DEVICES

from .machine import NAMES
from .row import UNITS, Row
from .shapes import model

SAME = 0.02
"""Seconds and a rate that were both printed, rounded, of one run."""
SAME_FLOPS = 0.1
"""The same of a rate of FLOPs: programs differ in what they count beside layers and head."""


def measured_seconds(row: Row) -> float | None:
    """Seconds of a measured iteration: printed, or from a rate; None where it does not follow."""
    if (found := row.number("measured_s")) is not None:
        return found if found > 0 else None
    return _from_rate(row)


def unread(row: Row) -> Iterator[str]:
    """What keeps seconds from following from what was measured: a number that is none, a unit that
    is not known, or seconds that the rate beside them contradicts."""
    seconds, rate = row.text("measured_s"), row.text("measured")
    if row.ran_out_of_memory:
        return
    if seconds and not (row.number("measured_s") or 0) > 0:
        yield f"measured_s {seconds}: it must be greater than 0"
    elif rate and not (row.number("measured") or 0) > 0:
        yield f"measured {rate}: it must be a number greater than 0"
    elif rate and not seconds and row.text("unit").lower() not in UNITS:
        yield f"unit {row.text('unit') or '(empty)'}"
    elif seconds and rate and (found := _from_rate(row)):
        same = SAME_FLOPS if _of_flops(row) else SAME
        if abs(found / (row.number("measured_s") or 1) - 1) > same:
            yield (
                f"measured_s {seconds}: measured {rate} {row.text('unit')} is {found:.4g} s, "
                f"another number by more than {same:.0%}: leave one of them empty"
            )


def _from_rate(row: Row) -> float | None:
    """Seconds from `measured` and `unit`. MFU and model FLOPs per second count all passes once and
    no causal mask, as ours do."""
    rate, unit = row.number("measured"), row.text("unit").lower()
    if not rate or rate < 0:
        return None
    if unit in ("s/iter", "s"):
        return rate
    if unit in ("ms/iter", "ms"):
        return rate / 1e3
    sequence, batch, count = (row.size(name) for name in ("seq", "gbs", "n_gpus"))
    if not (sequence and batch and count):
        return None
    if unit == "tokens/s/gpu":
        return sequence * batch / count / rate
    if unit == "samples/s/gpu":
        return batch / count / rate
    if not _of_flops(row):
        return None
    try:
        flops = batch * model_flops(model(row), sequence) / count
    except ValueError:
        return None
    if unit == "mfu %":
        device = DEVICES.get(NAMES.get(row.text("gpu"), row.text("gpu")))
        return flops / (rate / 100) / device.flops if device else None
    return flops / (rate * 1e12)


def _of_flops(row: Row) -> bool:
    return row.text("unit").lower() in ("mfu %", "model tflops/gpu")
