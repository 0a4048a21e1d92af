"""Measured pass times of a model's pieces, or of its stages, in place of modelled ones.

A configuration that was measured takes the seconds that were measured. Another one takes the
model's, times what was measured over what the model says where it was: of the measurement that is
nearest, counted in doublings of tensor parallelism, microbatch and sequence, with a different
recompute as two of them. Times of stages are for runs with as many stages, of that tensor
parallelism, microbatch, sequence and recompute, and for nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import log2
from typing import NamedTuple

from .cost_model import Bench, Configuration, Parts, Passes, Stage, parts
from .cost_model.configuration import Recompute

PLACE = ("sequence", "microbatch", "tensor", "recompute")
"""What tells one measured configuration from another."""


class Times(NamedTuple):
    """Seconds of one piece's passes; fused: B and W as one, or None."""

    passes: Passes
    fused: float | None = None


@dataclass(frozen=True)
class Measurement:
    """Times in one configuration. layers: by the name of their kind, "" for all kinds."""

    sequence: int
    microbatch: int = 1
    tensor: int = 1
    recompute: Recompute = "none"
    layers: tuple[tuple[str, Times], ...] = ()
    embedding: Times | None = None
    head: Times | None = None
    pipeline: int = 0
    virtual: int = 1
    stages: tuple[Times, ...] = ()


_USUAL = {"context": 1, "precision": "bf16", "vocabulary": "ends"}
"""What passes are measured with: a file does not say otherwise."""


@dataclass(frozen=True)
class PassTimes:
    """Measurements of one model, and where they come from."""

    source: str
    measured: tuple[Measurement, ...]


def with_times(times: PassTimes | None, bench: Bench, pieces: Parts) -> Parts:
    """The pieces as they were measured, or scaled as the nearest measurement says."""
    near = times and _nearest(times, bench.configuration)
    if not near:
        return pieces
    if bench.configuration.frozen or bench.configuration.recompute_layers:
        raise ValueError(
            "measured pass times say nothing of frozen layers, nor of only some layers computed "
            "again: plan without --pass-times, or without --frozen and --recompute-layers"
        )
    here = bench if _is_at(near, bench.configuration) else _where(near, bench)
    modelled = _modelled(here)
    named = dict(near.layers)
    layers = {
        kind: _scaled(piece, modelled.layers[kind], named.get(str(kind), named.get("")))
        for kind, piece in pieces.layers.items()
    }
    return pieces._replace(
        layers=layers,
        embedding=_scaled(pieces.embedding, modelled.embedding, near.embedding),
        head=_scaled(pieces.head, modelled.head, near.head),
    )


def stages_with_times(
    times: PassTimes | None, configuration: Configuration, stages: tuple[Stage, ...]
) -> tuple[Stage, ...]:
    """The stages as they were measured, if this configuration's were."""
    c = configuration
    for each in times.measured if times else ():
        if len(each.stages) == len(stages) and each.pipeline == c.pipeline and _is_at(each, c):
            return tuple(
                _scaled(stage, stage, time) for stage, time in zip(stages, each.stages, strict=True)
            )
    return stages


@lru_cache(maxsize=4096)
def _modelled(bench: Bench) -> Parts:
    return parts(bench)


def _nearest(times: PassTimes, c: Configuration) -> Measurement | None:
    """The measurement of pieces that is nearest to a configuration, if there is one."""
    of_pieces = [each for each in times.measured if not each.stages]
    return min(of_pieces, key=lambda each: _distance(each, c), default=None)


def _distance(each: Measurement, c: Configuration) -> float:
    return (
        abs(log2(each.tensor / c.tensor))
        + abs(log2(each.microbatch / c.microbatch))
        + abs(log2(each.sequence / c.sequence))
        + 2 * (each.recompute != c.recompute)
    )


def _is_at(each: Measurement, c: Configuration) -> bool:
    return all(getattr(each, name) == getattr(c, name) for name in PLACE) and all(
        getattr(c, name) == usual for name, usual in _USUAL.items()
    )


def _where(each: Measurement, bench: Bench) -> Bench:
    """The same model and machine in the configuration that was measured."""
    c = bench.configuration
    there = replace(
        c, sequence=each.sequence, microbatch=each.microbatch, tensor=each.tensor,
        recompute=each.recompute, batch=each.microbatch * c.data,
        sequence_parallel=each.tensor > 1 and (c.sequence_parallel or c.tensor == 1),
        context=1, precision="bf16", vocabulary="ends",
    )  # fmt: skip
    return replace(bench, configuration=there)


def _scaled(piece: Stage, modelled: Stage, times: Times | None) -> Stage:
    """A piece whose seconds are to the model's as measured ones are to the model's where they were
    measured; with nothing measured it stays as it is."""
    if times is None:
        return piece
    seconds = Passes(*(
        here * measured / there if there else measured
        for here, there, measured in zip(piece.seconds, modelled.seconds, times.passes, strict=True)
    ))  # fmt: skip
    both = seconds.backward + seconds.weight
    if times.fused is None:
        before = piece.seconds.backward + piece.seconds.weight
        return piece._replace(seconds=seconds, saving=piece.saving * both / before if before else 0)
    apart = times.passes.backward + times.passes.weight
    return piece._replace(seconds=seconds, saving=both * (1 - times.fused / apart) if apart else 0)
