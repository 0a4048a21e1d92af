"""What a training step is given, cut into microbatches.

tensor            rows spread evenly over the microbatches
tuple, dict       of tensors, each cut like that
list              the microbatches themselves, of any lengths
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import inf
from typing import Any, NamedTuple

from torch import Tensor

from ..ranks.agreement import Given, Words
from ..torch_private.graph import tree_leaves

Weigh = Callable[[Any], Any]
"""Target of a microbatch -> how many numbers its loss is a mean of."""


class Goal(NamedTuple):
    """What the loss of one microbatch compares with, and the part of the whole loss it is."""

    value: Any
    share: float


class Batch(NamedTuple):
    """Inputs, keywords and targets of one step, each `(n_microbatches,)`, and what is wrong.

    has_x, has_target: whether this rank was given any, and nothing was wrong.
    """

    inputs: list[tuple[Tensor, ...]]
    keywords: list[dict[str, Any]]
    targets: list[Goal]
    problem: str
    has_x: bool
    has_target: bool

    @property
    def parts(self) -> tuple[list[tuple[Tensor, ...]], list[dict[str, Any]], list[Goal]]:
        return self.inputs, self.keywords, self.targets


def batch_of(
    x: Any,
    target: Any,
    keywords: dict[str, Any],
    n_microbatches: int,
    *,
    first: bool,
    last: bool,
    weigh: Weigh | None = None,
) -> Batch:
    """What one rank was given, cut. first, last: whether it has the first and the last stage.
    weigh: see `goals`."""
    m = n_microbatches
    inputs: list[tuple[Tensor, ...]] = [()] * m
    named: list[dict[str, Any]] = [{}] * m
    aims = [Goal(None, 1 / m)] * m
    problem = ""
    try:
        if first and x is None:
            raise ValueError("x is missing, and this rank has the first stage")
        if last and target is None:
            raise ValueError("target is missing, and this rank has the last stage")
        if x is not None:
            inputs = positional(x, m)
        if target is not None:
            aims = goals(target, m, weigh)
        named = cut(keywords, m, "keywords")
        if isinstance(x, Tensor):
            _require_rows_of_keywords(keywords, len(x), m)
        if x is not None and isinstance(target, Tensor):
            _require_rows(inputs, aims)
    except ValueError as error:
        problem = str(error)
    return Batch(
        inputs, named, aims, problem, x is not None and not problem,
        target is not None and not problem,
    )  # fmt: skip


def announced(batch: Batch, *, mode: str, rest: str) -> tuple[Given, Words]:
    """What a rank tells the others before a step, in numbers and in words.

    mode: what was called. rest: whatever else may decide what crosses the boundaries.
    """
    words = Words(
        batch.problem,
        mode,
        _shown(batch.inputs) if batch.has_x else "",
        _shown(batch.targets) if batch.has_target else "",
    )
    keys = tuple(number(f"{signature(parts)}|{rest}") for parts in zip(*batch.parts, strict=True))
    x, target = (number(text) if text else 0 for text in (words.x, words.target))
    return Given(number(mode), x, target, keys), words


def cut(given: Any, n_microbatches: int, name: str) -> list[Any]:
    """`given` as a list of `n_microbatches`; ValueError where it cannot be cut evenly."""
    if isinstance(given, list):
        if len(given) != n_microbatches:
            raise ValueError(
                f"{name} is a list of {len(given)}, and the schedule has {n_microbatches} "
                "microbatches: give one entry per microbatch"
            )
        return given
    if isinstance(given, tuple):
        parts = [cut(part, n_microbatches, f"{name}[{i}]") for i, part in enumerate(given)]
        return list(zip(*parts, strict=True)) if parts else [()] * n_microbatches
    if isinstance(given, dict):
        found = {key: cut(part, n_microbatches, f"{name}[{key!r}]") for key, part in given.items()}
        return [{key: part[i] for key, part in found.items()} for i in range(n_microbatches)]
    if not isinstance(given, Tensor) or not given.ndim:
        return [given] * n_microbatches
    if not len(given) or len(given) % n_microbatches:
        raise ValueError(
            f"{name} has {len(given)} rows for {n_microbatches} microbatches: give a multiple of "
            f"{n_microbatches}, or a list of one entry per microbatch, of any lengths"
        )
    return list(given.tensor_split(n_microbatches))


def positional(x: Any, n_microbatches: int) -> list[tuple[Tensor, ...]]:
    """What the first stage is called with, for each microbatch."""
    found = [part if isinstance(part, tuple) else (part,) for part in cut(x, n_microbatches, "x")]
    for part in found:
        for value in part:
            if not isinstance(value, Tensor):
                raise ValueError(
                    f"x holds {type(value).__name__}: give tensors, and everything else by keyword"
                )
    return found


def goals(target: Any, n_microbatches: int, weigh: Weigh | None = None) -> list[Goal]:
    """Each microbatch's target, with its share of the elements of the whole target.

    So a loss that is a mean over the elements of a target weighs all elements alike, however
    uneven the microbatches are. Targets without tensors weigh the same. weigh: counts other than
    all elements of a target, such as those that are no padding.
    """
    values = cut(target, n_microbatches, "target")
    sizes = [float(weigh(value)) if weigh else _elements(value) for value in values]
    total = sum(sizes)
    if weigh and not (all(0 <= size < inf for size in sizes) and total):
        raise ValueError(
            f"weigh gives microbatches {', '.join(f'{size:g}' for size in sizes)}: it must count "
            "what the loss is a mean of, 0 or more, and not 0 for all"
        )
    even = not total or len(set(sizes)) == 1
    return [
        Goal(value, 1 / n_microbatches if even else size / total)
        for value, size in zip(values, sizes, strict=True)
    ]


def padding(aims: Sequence[Goal]) -> str:
    """Why a mean over microbatches is none over their elements, in words; "" if it is.

    Negative entries of whole numbers are what torch's losses leave out (`ignore_index`).
    """
    wholes = [next(iter(tensors_in(aim.value)), None) for aim in aims]
    if any(one is None or one.is_floating_point() or one.is_complex() for one in wholes):
        return ""
    counts = [int((one >= 0).sum()) for one in wholes if one is not None]
    shares = [aim.share * sum(counts) for aim in aims]
    if not sum(counts) or all(abs(a - b) < 1e-6 for a, b in zip(counts, shares, strict=True)):
        return ""
    return (
        f"targets have negative entries, which torch's losses leave out: {min(counts)} to "
        f"{max(counts)} of a microbatch are left, yet each weighs as all its elements; give "
        "torch_schedule(weigh=lambda target: (target >= 0).sum()) for the mean over what is left"
    )


def signature(parts: Any) -> str:
    """Shapes and types of the tensors in something, as text."""
    return " ".join(f"{str(t.dtype)[6:]}{list(t.shape)}" for t in tensors_in(parts))


@lru_cache
def number(text: str) -> int:
    """A number for a text: the same in every process, other for other texts."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")


def _require_rows(inputs: list[tuple[Tensor, ...]], aims: list[Goal]) -> None:
    """ValueError where a target has not as many rows as x, or a multiple, one per token."""
    for i, (part, aim) in enumerate(zip(inputs, aims, strict=True)):
        have, want = (next((len(t) for t in tensors_in(p) if t.ndim), 0) for p in (part, aim))
        if have and want % have:
            raise ValueError(
                f"microbatch {i} has {have} rows of x and {want} of target: they must be as many"
            )


def _require_rows_of_keywords(keywords: dict[str, Any], n_rows: int, n_microbatches: int) -> None:
    """ValueError where a tensor would be cut that has other rows than x."""
    for name, value in keywords.items():
        if isinstance(value, Tensor) and value.ndim and len(value) != n_rows:
            raise ValueError(
                f"keywords[{name!r}] has {len(value)} rows and x {n_rows}: a tensor by keyword is "
                f"cut like x; for one that goes to every microbatch give [{name}] * "
                f"{n_microbatches}"
            )


def _shown(parts: Sequence[Any]) -> str:
    """Shapes of all microbatches, in short where they are the same."""
    each = [signature(part) for part in parts]
    return f"{len(each)} x {each[0]}" if len(set(each)) == 1 else ", ".join(each)


def _elements(value: Any) -> float:
    return next((leaf.numel() for leaf in tensors_in(value)), 0)


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in something; torch's own walk is slow, and most of it are tuples and dicts."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, tuple):
        return [tensor for part in value for tensor in tensors_in(part)]
    if type(value) is dict:
        return [tensor for part in value.values() for tensor in tensors_in(part)]
    if value is None or isinstance(value, str | int | float):
        return []
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
