"""How much larger each microbatch is than the first, from passes that were measured of each."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from .passes import Passes


def microbatch_scale(
    passes: Sequence[Passes], *, of: Literal["seconds", "bytes"] = "seconds"
) -> tuple[tuple[float | Fraction, ...], ...]:
    """Factors for `Costs.microbatch_scale`, shape `(n_microbatches, n_stages)`.

    passes: of every microbatch. of: costs have one factor for times and bytes, which grow alike in
    rows, but not in tokens, of which attention sees all before. "seconds" compares all passes of
    a stage; "bytes" what its F keeps, exactly. A stage that has none of it has a factor of 1.
    """
    if of not in ("seconds", "bytes"):
        raise ValueError(f"of is {of!r}: use seconds or bytes")
    first = _totals(passes[0], of) if passes else {}
    return tuple(
        tuple(
            _ratio(size, first[stage]) if first[stage] else 1
            for stage, size in _totals(one, of).items()
        )
        for one in passes
    )


def _totals(passes: Passes, of: str) -> dict[int, float]:
    table = passes.table
    if of == "bytes":
        return dict(table[table["kind"] == "F"].groupby("stage")["bytes"].sum())
    return dict(table.groupby("stage")["mean"].sum())


def _ratio(one: float, other: float) -> float | Fraction:
    exact = Fraction(one) / Fraction(other)
    return exact if exact.denominator < 2**53 else float(exact)
