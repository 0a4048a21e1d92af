"""What every pass of every stage costs: seconds, and bytes that come and go.

>>> from sim import FAMILIES
>>> schedule = FAMILIES["v-half"](4, 8)
>>> costs = Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
>>> costs.forward[0], costs.n_stages  # two stages per device: each takes half
((5,), 8)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property
from typing import Any, cast

from ..base.numbers import Number, checked, checked_type, checked_whole, exact, plain, plus, scaled
from ..schedule.ir import PARTS, QUEUES, Op, Schedule, Step
from .cost_tables import (
    Table,
    cell_of,
    checked_parts,
    checked_table,
    only_kept_is_freed,
    scales,
    spread,
)
from .step_times import PassTime, computing, step_time

Cells = Number | Sequence[Number] | Sequence[Sequence[Number]]
"""What `Costs.of` takes: one number, one per stage, or one per stage and slice."""


@dataclass(frozen=True)
class Costs:
    """Times and bytes of every pass; any unit of time, as long as it is one.

    forward, backward, weight: time of F, B and W, shape `(n_stages, n_slices)`.
    fused_backward: time of BW; B + W where absent.
    send: latency of each stage boundary when it crosses devices, shape `(n_stages - 1,)`.
    activation_bytes: kept from the start of F on, shape `(n_stages, n_slices)`.
    backward_bytes: **signed** change at B: a rise is taken at its start, a fall given back at its
        end. The rest of what F and B left is freed at the end of W (or of BW, where B's change
        does not appear).
    boundary_bytes: bytes that cross each stage boundary, shape `(n_stages - 1, n_slices)`.
    static_bytes: parameters, gradients and optimizer state of each stage, shape `(n_stages,)`.
    pair_scale: time of a fused F and BW of different microbatches over the sum of the two.
    group_scale: time of W over several microbatches in one kernel over the sum of the single ones.
    microbatch_scale: factor on all times of passes and on all bytes but static ones of each
        microbatch, shape `(n_microbatches, n_stages)`; one column serves all stages. () where all
        microbatches are alike. `send` is latency, and stays as it is.
    recompute: time of R; that of F where absent.
    offload, load: time of O and of L; L takes as long as O where it is absent. A schedule that
        offloads needs them. copy_latency: what every copy takes on top, however large.
    recompute_keeps: the share of an activation that an F keeps whose rest R rebuilds, 0 to 1.
    recompute_bytes: what it keeps in bytes, where that is known; that share of them where absent.
    gradient_sum: latency of the exchange of each stage's gradients between the devices that hold
        it, once a batch, shape `(n_stages,)`; gradient_bytes: what each of them sends to each other
        one. A stage for which both are 0 exchanges nothing.
    vocabulary_scores, vocabulary_gradients: time of S and of T, a number per part (shape
        `(n_devices,)`), or one for all. Microbatches scale them as they scale the last stage.
    all_reduce: latency of what S and T of different devices send each other, and of the activation
        that the last stage sends to all. Activations and their gradients have the bytes of the last
        boundary, what the softmax needs has none.
    logits_bytes: what each part keeps from the start of S to the end of T.
    all_to_all: time of F (and of R) in which its experts exchange tokens, dispatch and combine, on
        top of what it computes, shape `(n_stages, n_slices)`; all_to_all_backward: that of B and
        BW, as of F where absent. Only a fused step hides it, see `duration`.
    """

    forward: Table
    backward: Table
    weight: Table
    fused_backward: Table | None = None
    send: tuple[Number, ...] = ()
    activation_bytes: Table = ()
    backward_bytes: Table = ()
    boundary_bytes: Table = ()
    static_bytes: tuple[Number, ...] = ()
    pair_scale: Number = 1
    group_scale: Number = 1
    microbatch_scale: Table = ()
    recompute: Table | None = None
    recompute_keeps: Number = 0
    offload: Table | None = None
    load: Table | None = None
    copy_latency: Number = 0
    gradient_sum: tuple[Number, ...] = ()
    gradient_bytes: tuple[Number, ...] = ()
    vocabulary_scores: tuple[Number, ...] = (0,)
    vocabulary_gradients: tuple[Number, ...] = (0,)
    all_reduce: Number = 0
    logits_bytes: Number = 0
    recompute_bytes: Table | None = None
    all_to_all: Table = ()
    all_to_all_backward: Table | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.forward, Sequence) and not hasattr(self.forward, "tolist"):
            raise ValueError(
                f"forward is {self.forward!r}: it must have a row per stage; "
                "Costs.of(n_stages, ...) takes single numbers"
            )
        n = len(self.forward)
        if not n:
            raise ValueError("costs describe no stage: forward is empty")
        for name, rows in TABLES.items():
            if name not in _OPTIONAL or getattr(self, name) is not None:
                table = checked_table(getattr(self, name), name, n - rows)
                object.__setattr__(self, name, table)
        for name, rows in _COLUMNS.items():
            column = checked_table(getattr(self, name), name, n - rows)
            object.__setattr__(self, name, tuple(row[0] for row in column))
        for name in PER_PART:
            object.__setattr__(self, name, checked_parts(getattr(self, name), name))
        for name in ("pair_scale", "group_scale", "copy_latency", "all_reduce", "logits_bytes"):
            object.__setattr__(self, name, checked(getattr(self, name), name))
        object.__setattr__(self, "microbatch_scale", scales(self.microbatch_scale, n))
        keeps = checked(self.recompute_keeps, "recompute_keeps")
        if keeps > 1:
            raise ValueError(f"recompute_keeps is {keeps}: it must be at most 1")
        object.__setattr__(self, "recompute_keeps", keeps)
        only_kept_is_freed(self.activation_bytes, self.backward_bytes)

    @classmethod
    def of(cls, n_stages: int, **cells: Cells) -> Costs:
        """Costs from one number, one per stage, or one per stage and slice, field by field.

        >>> Costs.of(2, forward=1, backward=[1, 2], weight=1, send=0).backward
        ((1,), (2,))
        """
        n_stages = checked_whole(n_stages, "n_stages", least=0)
        known = {field.name for field in fields(cls)}
        if unknown := set(cells) - known:
            raise ValueError(f"costs have no field {min(unknown)!r}; they have {sorted(known)}")
        if missing := [name for name in _PASSES if name not in cells]:
            raise ValueError(
                f"Costs.of({n_stages}) has no {missing[0]}: give {', '.join(_PASSES)}, each a "
                f"number, one per stage, or one per stage and slice"
            )
        found: dict[str, Any] = {
            name: value
            if name in _NO_TABLES or value is None
            else spread(value, n_stages - (name in ("send", "boundary_bytes")))
            for name, value in cells.items()
        }
        rows = found.get("forward", ())
        if isinstance(rows, tuple) and n_stages and len(rows) != n_stages:
            raise ValueError(f"forward has {len(rows)} rows: it must have {n_stages}")
        return cls(**found)

    @classmethod
    def uniform(
        cls,
        schedule: Schedule,
        *,
        forward: Number = 1,
        backward: Number = 1,
        weight: Number = 1,
        send: Number = 0,
        activation_bytes: Number = 0,
        boundary_bytes: Number = 0,
        static_bytes: Number = 0,
        pair_scale: Number = 1,
        group_scale: Number = 1,
        microbatch_scale: Cells = (),
        recompute_keeps: Number = 0,
        offload: Number | None = None,
        load: Number | None = None,
        copy_latency: Number = 0,
        gradient_sum: Number = 0,
        gradient_bytes: Number = 0,
        vocabulary_scores: Number = 0,
        vocabulary_gradients: Number = 0,
        all_reduce: Number | None = None,
        logits_bytes: Number = 0,
        all_to_all: Number = 0,
        all_to_all_backward: Number | None = None,
    ) -> Costs:
        """Equal devices and equal slices: every number but `send` is of a device's **whole share**.

        A pass of one of a device's v stages and k slices takes 1/(v k) of it; `boundary_bytes` is
        what one microbatch sends, and every slice sends 1/k of it; `send` is the latency of every
        cross-device edge and is never divided, and so is `gradient_sum`. `microbatch_scale` is one
        factor per microbatch, or one per microbatch and stage. `vocabulary_scores`,
        `vocabulary_gradients` and `logits_bytes` are of the part of a device; `all_reduce` is
        `send` if not given. Copies of a schedule that offloads take no time
        where `offload` is not given, as sends do.
        """
        checked_type(schedule, Schedule, "FAMILIES[name](p, m) makes one")
        stages = Counter(schedule.placement)
        parts = [stages[device] for device in schedule.placement]
        k = schedule.n_slices
        if k < 1:
            raise ValueError(f"{schedule.name} has {k} slices: it must have at least 1")

        if offload is None and schedule.copies:
            offload = 0

        def share(whole: Number, name: str, slices: int = k) -> Table:
            of = exact(checked(whole, name))
            return tuple((plain(of / (part * slices)),) for part in parts)

        def sliced(whole: Number, name: str) -> Number:
            return plain(exact(checked(whole, name)) / k)

        edge = sliced(boundary_bytes, "boundary_bytes")
        return cls(
            forward=share(forward, "forward"),
            backward=share(backward, "backward"),
            weight=share(weight, "weight"),
            send=(checked(send, "send"),) * (len(parts) - 1),
            activation_bytes=share(activation_bytes, "activation_bytes"),
            boundary_bytes=((edge,),) * (len(parts) - 1),
            static_bytes=tuple(row[0] for row in share(static_bytes, "static_bytes", 1)),
            pair_scale=pair_scale,
            group_scale=group_scale,
            microbatch_scale=microbatch_scale,  # type: ignore[arg-type]
            recompute_keeps=recompute_keeps,
            offload=None if offload is None else share(offload, "offload"),
            load=None if load is None else share(load, "load"),
            copy_latency=copy_latency,
            gradient_sum=(checked(gradient_sum, "gradient_sum"),) * len(parts),
            gradient_bytes=tuple(row[0] for row in share(gradient_bytes, "gradient_bytes", 1)),
            vocabulary_scores=(sliced(vocabulary_scores, "vocabulary_scores"),),
            vocabulary_gradients=(sliced(vocabulary_gradients, "vocabulary_gradients"),),
            all_reduce=(send if schedule.vocabulary else 0) if all_reduce is None else all_reduce,
            logits_bytes=sliced(logits_bytes, "logits_bytes"),
            all_to_all=share(all_to_all, "all_to_all"),
            all_to_all_backward=None
            if all_to_all_backward is None
            else share(all_to_all_backward, "all_to_all_backward"),
        )

    @property
    def n_stages(self) -> int:
        return len(self.forward)

    def duration(self, step: Step) -> Number:
        """Time of one atomic step, of a single pass or of a fused run of them: see `step_time`."""
        if len(step) == 1 and not self.exchanges:
            return self._pass(step[0])
        return plain(step_time(self._timed(step)))

    def exposed(self, step: Step) -> Fraction:
        """The share of a step's time in which it computes nothing, as its all-to-alls are longer
        than what could hide them; 0 to 1."""
        if not self.exchanges or not (whole := exact(self.duration(step))):
            return Fraction(0)
        return 1 - computing(self._timed(step)) / whole

    @cached_property
    def exchanges(self) -> bool:
        """Whether any pass has an all-to-all."""
        tables = (self.all_to_all, self.all_to_all_backward or ())
        return any(cell for table in tables for row in table for cell in row)

    def change(self, kind: str, stage: int, part: int = 0) -> Number:
        """Signed bytes a pass leaves behind on its device: over F, B, W or F, BW they sum to 0."""
        kept = cell_of(self.activation_bytes, stage, part)
        at_b = cell_of(self.backward_bytes, stage, part)
        return {"F": kept, "B": at_b, "W": -plus(kept, at_b), "BW": -kept}[kind]

    def rebuilt_bytes(self, stage: int, part: int = 0) -> Number:
        """Of what F would keep, the bytes that R takes: all but what F keeps for it."""
        kept = cell_of(self.activation_bytes, stage, part)
        if self.recompute_bytes is not None:
            return plus(kept, -cell_of(self.recompute_bytes, stage, part))
        return scaled(kept, plain(1 - exact(self.recompute_keeps)))

    def crossing_bytes(self, boundary: int, part: int = 0) -> Number:
        """Bytes between stage `boundary` and the next one, in either direction."""
        return cell_of(self.boundary_bytes, boundary, part)

    def scale(self, microbatch: int, stage: int) -> Number:
        """The factor on times and bytes of that microbatch on that stage."""
        return cell_of(self.microbatch_scale, microbatch, stage) if self.microbatch_scale else 1

    def _timed(self, step: Step) -> list[PassTime]:
        """What each pass of a step computes and exchanges."""
        rest = [op.kind for op in step if op.kind != "R"]
        scale = self.group_scale if {*rest} == {"W"} else self.pair_scale
        factor = exact(scale) if len(rest) > 1 else 1
        return [
            PassTime(
                op, exact(self._pass(op)) * (1 if op.kind == "R" else factor), self._exchange(op)
            )
            for op in step
        ]

    def _exchange(self, op: Op) -> Fraction:
        """Time of the all-to-alls of a pass."""
        if op.kind in ("F", "R"):
            table = self.all_to_all
        elif op.kind in ("B", "BW"):
            table = self.all_to_all_backward or self.all_to_all
        else:
            return Fraction(0)
        return exact(cell_of(table, op.stage, op.slice)) * exact(
            self.scale(op.microbatch, op.stage)
        )

    def _pass(self, op: Op) -> Number:
        if op.kind in PARTS:
            per_part = self.vocabulary_scores if op.kind == "S" else self.vocabulary_gradients
            alone = per_part[op.stage if len(per_part) > 1 else 0]
        else:
            alone = self._unscaled(op.kind, op.stage, op.slice)
        if self.microbatch_scale:
            stage = self.n_stages - 1 if op.kind in PARTS else op.stage
            alone = scaled(alone, self.scale(op.microbatch, stage))
        return plus(alone, self.copy_latency) if op.kind in QUEUES else alone

    def _unscaled(self, kind: str, stage: int, part: int) -> Number:
        if kind == "BW" and self.fused_backward is None:
            both = cell_of(self.backward, stage, part), cell_of(self.weight, stage, part)
            return plus(*both)
        if kind == "R" and self.recompute is None:
            kind = "F"
        if kind == "L" and self.load is None:
            kind = "O"
        table = {
            "F": self.forward,
            "B": self.backward,
            "W": self.weight,
            "BW": self.fused_backward,
            "R": self.recompute,
            "O": self.offload,
            "L": self.load,
        }
        return cell_of(cast(Table, table[kind]), stage, part)


_PASSES = ("forward", "backward", "weight")
FIX = "Costs.uniform(schedule, ...) makes them"
_OPTIONAL = (
    *("fused_backward", "recompute", "offload", "load", "all_to_all_backward"),
    "recompute_bytes",
)
PER_PART = ("vocabulary_scores", "vocabulary_gradients")
_NO_TABLES = (
    *("pair_scale", "group_scale", "microbatch_scale", "recompute_keeps", "copy_latency"),
    *(*PER_PART, "all_reduce", "logits_bytes"),
)
_COLUMNS = {"send": 1, "static_bytes": 0, "gradient_sum": 0, "gradient_bytes": 0}
TABLES = {
    "forward": 0,
    "backward": 0,
    "weight": 0,
    "fused_backward": 0,
    "recompute": 0,
    "offload": 0,
    "load": 0,
    "activation_bytes": 0,
    "backward_bytes": 0,
    "recompute_bytes": 0,
    "boundary_bytes": 1,
    "all_to_all": 0,
    "all_to_all_backward": 0,
}
