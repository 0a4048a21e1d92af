"""Which layers each stage holds: even, uneven, written as Megatron's layout strings, or balanced.

In a layout string E is the embedding, t a transformer layer, m a multi-token-prediction layer and L
the head with its loss; stages end at |; x*3 repeats a letter or a group in brackets; commas only
help the eye:

    >>> parse_layout("Et*2|(tt|)*2tL").stages
    (Part(embedding=True, layers=2, head=False, predictions=0), \
Part(embedding=False, layers=2, head=False, predictions=0), \
Part(embedding=False, layers=2, head=False, predictions=0), \
Part(embedding=False, layers=1, head=True, predictions=0))
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Part(NamedTuple):
    """What one stage holds; predictions: multi-token-prediction layers."""

    embedding: bool
    layers: int
    head: bool
    predictions: int = 0


@dataclass(frozen=True)
class Split:
    """A model cut into stages; first and last layer follow from the counts."""

    stages: tuple[Part, ...]

    def __post_init__(self) -> None:
        n = len(self.stages)
        for position, part in enumerate(self.stages):
            if part.layers < 0 or not any(part):
                raise ValueError(f"stage {position} is empty: give it a layer")
            if part.embedding and position:
                raise ValueError(f"the embedding is on stage {position}: it belongs on stage 0")
            if part.head and position < n - 1:
                raise ValueError(f"the head is on stage {position}: it belongs on stage {n - 1}")
        if not n or not self.stages[0].embedding or not self.stages[-1].head:
            raise ValueError("a split starts with the embedding and ends with the head")
        if len(predicting := [s for s, part in enumerate(self.stages) if part.predictions]) > 1:
            raise ValueError(
                f"prediction layers are on stages {predicting[0]} and {predicting[1]}: "
                "they belong on one stage"
            )
        if predicting and any(part.layers for part in self.stages[predicting[0] + 1 :]):
            raise ValueError(
                f"prediction layers are on stage {predicting[0]}: they belong after all layers"
            )

    @property
    def n_layers(self) -> int:
        return sum(part.layers for part in self.stages)

    @property
    def predictions(self) -> int:
        """Multi-token-prediction layers of all stages."""
        return sum(part.predictions for part in self.stages)

    @property
    def first_layers(self) -> tuple[int, ...]:
        """Number of the first layer of each stage."""
        found, at = [], 0
        for part in self.stages:
            found.append(at)
            at += part.layers
        return tuple(found)


def split_of(counts: Sequence[int]) -> Split:
    """The split with so many layers on each stage."""
    last = len(counts) - 1
    return Split(
        tuple(Part(stage == 0, layers, stage == last) for stage, layers in enumerate(counts))
    )


def with_predictions(split: Split, n: int) -> Split:
    """The split with so many multi-token-prediction layers, on the last stage unless it says where
    they are; ValueError if it has another number of them."""
    if split.predictions == n:
        return split
    if split.predictions:
        raise ValueError(
            f"the split has {split.predictions} multi-token-prediction layers (m), but the model "
            f"has {n or 'none'}: {f'write {n}' if n else 'leave them out'}"
        )
    return Split((*split.stages[:-1], split.stages[-1]._replace(predictions=n)))


def even_split(n_layers: int, n_stages: int, *, first_less: int = 0, last_less: int = 0) -> Split:
    """As many layers on every stage, but so many fewer on the first and on the last."""
    total = n_layers + first_less + last_less
    if n_stages < 1 or total % n_stages:
        raise ValueError(
            f"{n_layers} layers, {first_less} and {last_less} fewer on the first and last stage, "
            f"cannot be spread over {n_stages} stages: the nearest number of layers that can is "
            f"{max(round(total / max(n_stages, 1)), 1) * max(n_stages, 1) - first_less - last_less}"
        )
    counts = [total // n_stages] * n_stages
    counts[0] -= first_less
    counts[-1] -= last_less
    return split_of(counts)


def balanced_split(
    layers: Sequence[float], n_stages: int, *, embedding: float = 0.0, head: float = 0.0
) -> Split:
    """The split whose slowest stage is as fast as can be, and the others as even as that allows.

    layers: work of each layer, in any unit. embedding, head: work of the ends. Only stages with an
    end may do without a layer. ValueError if there are more stages than parts.
    """
    n = len(layers)
    if n_stages < 1 or n_stages > n + (2 if n_stages > 1 else 0):
        raise ValueError(f"{n} layers cannot fill {n_stages} stages: use 1 to {n + 2}")
    sums = [0.0]
    for work in layers:
        sums.append(sums[-1] + work)
    ends = [0.0] * n_stages
    ends[0] += embedding
    ends[-1] += head
    least = [_least(stage, ends) for stage in range(n_stages)]

    def enough(limit: float) -> bool:
        """Whether stages that take all they can below the limit take every layer."""
        at, after = 0, sum(least)
        for stage in range(n_stages):
            after -= least[stage]
            room = sums[at] + limit * (1 + 1e-12) - ends[stage]
            end = min(bisect_right(sums, room) - 1, n - after)
            if end - at < least[stage]:
                return False
            at = end
        return at == n

    low, high = max(*ends, max(layers), (sums[-1] + sum(ends)) / n_stages), sums[-1] + sum(ends)
    if n_stages > 1 and layers[0] and layers.count(layers[0]) == n:
        high = _limit_of_equal(n, layers[0], ends, low)
        return split_of(_even_within(sums, ends, least, high))
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return split_of(_even_within(sums, ends, least, high))


def _limit_of_equal(n: int, layer: float, ends: Sequence[float], low: float) -> float:
    """The least that the slowest of several stages can take when n layers are equal: a number of
    them, with an end or without one, not below `low`."""
    bases = (0.0, ends[0], ends[-1])
    heights = [base + layer * math.ceil((low - base) / layer * (1 - 1e-12)) for base in bases]
    while True:
        limit = min(height for height in heights if height >= low * (1 - 1e-12))
        room = limit * (1 + 1e-12)
        fits = sum(int((room - end) / layer) for end in (ends[0], ends[-1]))
        if fits + (len(ends) - 2) * int(room / layer) >= n:
            return limit
        heights = [height + layer if height <= limit else height for height in heights]


def evened(
    split: Split, placement: Sequence[int], *, layer: float, embedding: float, head: float
) -> Split:
    """The split after layers moved from busy to idle devices, one at a time, as long as that helps.

    For equal layers on devices with several stages: stages that are even one by one may leave a
    device with two large ones. layer, embedding, head: their work. placement: device of a stage.
    """
    counts = [part.layers for part in split.stages]
    loads = [0.0] * (max(placement) + 1)
    for stage, device in enumerate(placement):
        part = split.stages[stage]
        loads[device] += part.layers * layer + part.embedding * embedding + part.head * head
    while True:
        busy, idle = loads.index(max(loads)), loads.index(min(loads))
        if loads[busy] - loads[idle] <= layer * (1 + 1e-9):
            return split_of(counts)
        giving = [s for s, d in enumerate(placement) if d == busy and counts[s] > _least(s, counts)]
        if not giving:
            return split_of(counts)
        taking = [s for s, d in enumerate(placement) if d == idle]
        counts[max(giving, key=counts.__getitem__)] -= 1
        counts[min(taking, key=counts.__getitem__)] += 1
        loads[busy] -= layer
        loads[idle] += layer


def _least(stage: int, counts: Sequence[float]) -> int:
    return 0 if len(counts) > 1 and stage in (0, len(counts) - 1) else 1


def _even_within(sums: list[float], ends: list[float], least: list[int], limit: float) -> list[int]:
    """Counts near the running average that keep every stage within the limit."""
    n, n_stages = len(sums) - 1, len(ends)
    limit *= 1 + 1e-9
    start = [n] * (n_stages + 1)  # the earliest layer from which the stages from here on can finish
    for stage in reversed(range(n_stages)):
        at = start[stage + 1] - least[stage]
        at = max(at, 0)
        while at and sums[start[stage + 1]] - sums[at - 1] + ends[stage] <= limit:
            at -= 1
        start[stage] = at
    counts, at = [], 0
    for stage in range(n_stages):
        later = sum(least[stage + 1 :])
        low = max(start[stage + 1], at + least[stage])
        high = low
        while high < n - later and sums[high + 1] - sums[at] + ends[stage] <= limit:
            high += 1
        share = (sums[n] - sums[at] + sum(ends[stage:])) / (n_stages - stage) - ends[stage]
        end = min(range(low, high + 1), key=lambda e: abs(sums[e] - sums[at] - share))
        if stage == n_stages - 1:
            end = n
        counts.append(end - at)
        at = end
    return counts


_TOKEN = re.compile(r"[Etm L|(),]|\*\d+")


def parse_layout(text: str) -> Split:
    """The split in a Megatron-LM layout string (`--pipeline-model-parallel-layout`).

    ValueError with the place of what cannot be read.
    """
    stages = _flat(text).split("|")
    order = "".join(stages)
    if not re.fullmatch(r"Et*m*L", order):
        raise ValueError(
            f"layout {text!r} reads {order[:12]}...: write one E first, then t's, then m's if there"
            " are any, and one L last"
        )
    return Split(
        tuple(
            Part("E" in stage, stage.count("t"), "L" in stage, stage.count("m")) for stage in stages
        )
    )


def layout_text(split: Split) -> str:
    """The layout string of a split, equal stages folded; `parse_layout` reads it back."""
    stages = [
        ("E" if part.embedding else "")
        + _times(part.layers, "t")
        + _times(part.predictions, "m")
        + ("L" if part.head else "")
        for part in split.stages
    ]
    found, position = [], 0
    while position < len(stages):
        run = 1
        while position + run < len(stages) and stages[position + run] == stages[position]:
            run += 1
        if run > 1 and position + run < len(stages):
            found.append(f"({stages[position]}|)*{run}")
        else:
            found.append("|".join([stages[position]] * run) + "|")
        position += run
    return "".join(found).removesuffix("|")


def _times(layers: int, letter: str) -> str:
    return letter * layers if layers < 3 else f"{letter}*{layers}"


def _flat(text: str) -> str:
    groups: list[list[str]] = [[]]
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if not found:
            raise ValueError(
                f"layout {text!r}: {text[position]!r} at place {position} is none of E t m L | "
                "( ) , or *number"
            )
        token = found[0]
        if token == "(":
            groups.append([])
        elif token == ")":
            if len(groups) == 1:
                raise ValueError(f"layout {text!r}: ) at place {position} closes no bracket")
            inner = "".join(groups.pop())
            groups[-1].append(inner)
        elif token.startswith("*"):
            if not groups[-1]:
                raise ValueError(f"layout {text!r}: {token} at place {position} repeats nothing")
            groups[-1][-1] *= int(token[1:])
        elif token not in ", ":
            groups[-1].append(token)
        position = found.end()
    if len(groups) > 1:
        raise ValueError(f"layout {text!r}: a bracket is not closed")
    return "".join(groups[0])


def imbalance(loads: Sequence[float]) -> float:
    """The largest load over the average, minus one; 0 is perfect."""
    return max(loads) / (math.fsum(loads) / len(loads)) - 1 if loads else 0.0
