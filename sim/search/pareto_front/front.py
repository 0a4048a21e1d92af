"""The trade-off between memory and time: the best bubble and interval for every memory limit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ...base.interrupts import polled_sigint
from ...base.numbers import Number, plain
from ...base.progress import bar
from ...engine.costs import Costs
from ...engine.costs_changed import per_slice
from ...engine.recomputed import recomputed
from ...families import FAMILIES
from ...schedule.clock import Clock
from ...schedule.ir import Schedule
from ..evaluation import Evaluation, evaluate
from ..levers.host import Host
from ..levers.problem import checked_levers
from ..mean_work import bubble_beside, mean_work
from ..placement import Placement, stages_on
from ..portfolio import search
from ..result import SearchResult
from ..settings.compile_time import COMPILE_TIME

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "limit", "peak", "makespan", "longest_stage", "bubble_makespan", "bubble_longest_stage",
    "lower_bound", "gap", "interval", "interval_bound", "method", "proven_optimal", "family",
)  # fmt: skip


def pareto(
    n_devices: int,
    n_microbatches: int,
    costs: Costs,
    *,
    placement: Placement = "v",
    limits: Sequence[Number] | None = None,
    clock: Clock = "makespan",
    time_limit: float = 60.0,
    moves: int | None = None,
    without: Iterable[str] = (),
    seed: int = 0,
    workers: int = 2,
    progress: bool = True,
    levers: Iterable[str] = (),
    host: Host | None = None,
) -> pd.DataFrame:
    """A row per memory limit with the best schedule found, and one per named family.

    limits: shares of a device's whole activation of one microbatch; by default from one to where
        more memory cannot help, in at most a dozen steps. time_limit: seconds for all of them; or
    `moves`, which `search` explains, as it does `without`.

    Columns: `limit` (None for families), `peak` in shares, both clocks and bubbles, and of searched
    ones `lower_bound` (on `clock`), `gap`, `interval` and `interval_bound` (time per microbatch of
    the steady state), `method`, `proven_optimal`; `family` is True for the named ones. Ctrl-C ends
    it with the limits done so far, and sets `attrs["interrupted"]`.

    levers, host: as for `search`. Then each limit is searched with levers and without, in half of
    the time each, and there are rows of named families with recompute. More columns: `levers` that
    were allowed (""; names); `recomputed` and `offloaded`, the shares of all activations for which
    that is done; `throughput`, microbatches per unit of time on `clock`. A bubble is then all time
    that is not F, B or W, recompute too.
    """
    if names := checked_levers(levers, host is not None or costs.offload is not None):
        return with_levers(
            n_devices, n_microbatches, costs, placement=placement, limits=limits, clock=clock,
            time_limit=time_limit, moves=moves, without=without, seed=seed, workers=workers,
            progress=progress, levers=names, host=host,
        )  # fmt: skip
    place = stages_on(n_devices, placement, max(1, costs.n_stages // n_devices))
    chosen = list(limits) if limits is not None else usual_limits(n_devices, n_microbatches, place)
    if not chosen:
        raise ValueError("limits is empty: name at least one memory limit")
    rows: list[dict[str, Any]] = []
    until = COMPILE_TIME.clock() + time_limit
    best: SearchResult | None = None
    interrupted = False
    each = None if moves is None else moves // len(chosen)
    with (
        polled_sigint() as ctrl_c,
        bar("memory limits", len(chosen), shown=progress, alone=True) as move,
    ):
        for done, limit in enumerate(sorted(chosen)):
            if move is not None:
                move(done, f"limit {float(limit):g} ({done + 1} of {len(chosen)})")
            share = max(until - COMPILE_TIME.clock(), 0.0) / (len(chosen) - done)
            found = search(
                n_devices, n_microbatches, costs, placement=placement, memory_limit=limit,
                clock=clock, time_limit=share, moves=each, without=without, seed=seed,
                workers=workers, progress=progress,
            )  # fmt: skip
            rows.append(_row(limit, found, best, costs))
            if len(rows) > 1:  # a block that needs less memory serves here as well
                rows[-1]["interval"] = min(rows[-1]["interval"], rows[-2]["interval"])
                rows[-1]["interval_bound"] = min(rows[-1]["interval"], rows[-1]["interval_bound"])
            best = found if best is None or found.value <= best.value else best
            interrupted, ctrl_c.came = found.interrupted or ctrl_c.came, False
            if interrupted:
                break
    rows += _families(n_devices, n_microbatches, costs, placement)
    frame = _frame(rows)
    frame.attrs["interrupted"] = interrupted
    return frame


def with_levers(
    n_devices: int,
    n_microbatches: int,
    costs: Costs,
    *,
    levers: tuple[str, ...],
    host: Host | None,
    clock: Clock,
    limits: Sequence[Number] | None,
    time_limit: float,
    moves: int | None,
    placement: Placement,
    progress: bool,
    **options: Any,
) -> pd.DataFrame:
    """The front without levers and the one with them, in one frame."""
    import pandas as pd

    place = stages_on(n_devices, placement, max(1, costs.n_stages // n_devices))
    chosen = list(limits) if limits is not None else usual_limits(n_devices, n_microbatches, place)
    half: dict[str, Any] = {
        "time_limit": time_limit / 2, "moves": moves and moves // 2, "clock": clock,
        "placement": placement, "progress": progress, **options,
    }  # fmt: skip
    alone = [limit for limit in chosen if limit >= 1]
    frame = pareto(n_devices, n_microbatches, costs, limits=alone or [1], **half)
    interrupted = frame.attrs["interrupted"]
    rows = [{**row, "levers": "", "recomputed": 0.0, "offloaded": 0.0} for row in _records(frame)]
    with bar("with levers", len(chosen), shown=progress, alone=True) as move:
        until, best = COMPILE_TIME.clock() + time_limit / 2, None
        for done, limit in enumerate(sorted(chosen) if not interrupted else ()):
            if move is not None:
                move(done, f"levers, limit {float(limit):g} ({done + 1} of {len(chosen)})")
            half["time_limit"] = max(until - COMPILE_TIME.clock(), 0.0) / (len(chosen) - done)
            half["moves"] = moves and moves // (2 * len(chosen))
            with suppress(ValueError):  # a limit below one share may be too small even so
                found = search(
                    n_devices, n_microbatches, costs, memory_limit=limit, levers=levers, host=host,
                    **half,
                )  # fmt: skip
                row = _row(limit, found, best, costs)
                best = found if best is None or found.value <= best.value else best
                rows.append({**row, "levers": ", ".join(levers), **_pulled(best.schedule)})
                interrupted = interrupted or found.interrupted
            if interrupted:
                break
    if "recompute" in levers:
        for row in _families(n_devices, n_microbatches, costs, placement, again=True):
            rows.append({**row, "levers": "recompute", "recomputed": 1.0, "offloaded": 0.0})
    for row in rows:
        row["throughput"] = n_microbatches / float(row[clock]) if row[clock] else math.inf
    columns = [*COLUMNS, "levers", "recomputed", "offloaded", "throughput"]
    merged = pd.DataFrame(rows, columns=columns).astype({"family": bool})
    merged.attrs["interrupted"] = interrupted
    return merged


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _pulled(schedule: Schedule) -> dict[str, float]:
    """The share of all activations that are recomputed, and of those that are offloaded."""
    units, pulled = schedule.n_stages * schedule.n_microbatches, list(schedule.levers.values())
    return {"recomputed": pulled.count("R") / units, "offloaded": pulled.count("O") / units}


def usual_limits(p: int, m: int, place: tuple[int, ...]) -> list[Number]:
    """From one share to twice as many as devices: every step of a chunk up to p, then coarser."""
    chunks = len(place) // p
    top = max(1, min(m, 2 * p if chunks == 1 else p + 1))
    steps = range(chunks, top * chunks + 1)
    every = max(1, math.ceil(len(steps) / 12))
    picked = sorted({*steps[::every], steps[-1]})
    return [plain(Fraction(pieces, chunks)) for pieces in picked]


def _row(
    limit: Number, found: SearchResult, before: SearchResult | None, costs: Costs
) -> dict[str, Any]:
    """What a limit gives; with more memory never worse than with less."""
    best = before if before is not None and before.value < found.value else found
    return {
        "limit": limit,
        **_times(best, best.peak, best.schedule, costs),
        "lower_bound": min(found.lower_bound, best.value),
        "gap": float(best.value / found.lower_bound - 1) if found.lower_bound else 0.0,
        "interval": min(best.interval, found.interval),
        "interval_bound": found.interval_bound,
        "method": best.method,
        "proven_optimal": found.lower_bound >= best.value,
        "family": False,
    }


def _families(
    p: int, m: int, whole: Costs, placement: Placement, *, again: bool = False
) -> list[dict[str, Any]]:
    """The named schedules whose passes the costs, of whole microbatches, describe; again:
    recomputing everything. Nobody knows what S and T take where the costs do not say it."""
    rows = []
    for family in FAMILIES.values():
        if family.placement.lower() != placement:
            continue
        options = {"v": whole.n_stages // p} if "v" in family.options else {}
        with suppress(ValueError):
            schedule, name = family(p, m, **options), family.name
            if schedule.vocabulary and not any(whole.vocabulary_scores):
                continue
            costs = per_slice(whole, schedule.n_slices)
            if again:
                schedule = recomputed(schedule, place="in waits", costs=costs)
                name = f"{name} + recompute"
            found = evaluate(schedule, costs)
            times = _times(found, max(found.peak_activations), schedule, costs)
            rows.append({"limit": None, **times, "method": name, "family": True})
    return rows


def _times(
    found: SearchResult | Evaluation, peak: Number, schedule: Schedule, costs: Costs
) -> dict[str, Any]:
    """The peak, both clocks, and the share of each that is neither forward nor backward work."""
    work = mean_work(schedule, costs, idle=("R",))
    clocks = {"makespan": found.makespan, "longest_stage": found.longest_stage}
    bubbles = {f"bubble_{name}": bubble_beside(work, time) for name, time in clocks.items()}
    return {"peak": peak, **clocks, **bubbles}


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"family": bool})
