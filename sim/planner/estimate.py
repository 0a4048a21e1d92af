"""One configuration's seconds and bytes: bounds first, then the schedule's time line."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple, get_args

from ..families import FAMILIES
from ..search import evaluate
from .cost_model import (
    Bench,
    Configuration,
    Parts,
    Split,
    Stage,
    Tail,
    automatic_split,
    costs_of,
    even_split,
    head_flops,
    layer_flops,
    layout_text,
    model_flops,
    parse_layout,
    parts,
    refusal,
    stages_of,
    static,
    tail_seconds,
    with_predictions,
)
from .cost_model.precision import no_faster_units
from .cost_model.vocabulary import delayed_microbatches, more_microbatches
from .orders import Order, Orders, Shape, shape_of, short
from .pass_times import stages_with_times, with_times
from .problem import Cut as Cut
from .problem import Problem

TICKS = 10**9
"""Times are evaluated in whole nanoseconds."""


class Prepared(NamedTuple):
    """A configuration with its stages: what can be said before there is a schedule."""

    bench: Bench
    split: Split
    stages: tuple[Stage, ...]
    placement: tuple[int, ...]
    tail: float
    tail_parts: Tail

    @property
    def shape(self) -> Shape:
        c = self.bench.configuration
        return shape_of(c.schedule, c.pipeline, c.virtual, c.n_microbatches)


class Estimate(NamedTuple):
    """What one iteration takes. seconds: all of it; pipeline: passes, sends and waiting; tail:
    gradients over data parallelism and the optimizer. busy: share of the pipeline's time that an
    average device computes. memory: bytes of the fullest device."""

    seconds: float
    pipeline: float
    tail: float
    busy: float
    memory: float


class Rates(NamedTuple):
    """Speeds of an iteration: sequences per second, tokens per second and device, and model FLOPs
    over what the devices could do."""

    samples_per_second: float
    tokens_per_second_per_device: float
    mfu: float


def prepare(problem: Problem, configuration: Configuration) -> Prepared:
    """The stages of a configuration; ValueError with one sentence if the model cannot be cut so."""
    device, precision = problem.machine.device, configuration.precision
    if reason := refusal(problem.model, configuration) or no_faster_units(device, precision):
        raise ValueError(reason)
    bench = Bench(problem.model, configuration, problem.machine, problem.efficiency)
    placement = _placement(configuration)
    split, stages = _stages(problem, _plain(configuration), placement)
    per_device = _on_devices(configuration)
    tails = [
        tail_seconds(bench, [stages[s] for s in on], gradient_bytes=problem.gradient_bytes)
        for on in _distinct(per_device, split)
    ]
    tail = max(tails, key=lambda each: each.seconds)
    return Prepared(bench, split, stages, placement, tail.seconds, tail)


def seconds_at_least(problem: Problem, prepared: Prepared) -> float:
    """A lower bound on the iteration: on each device all of its own passes one after the other.

    Where the clock starts and ends with the iteration, the forwards before a device's first pass
    come before, and after its last backward those of the stages before its first one: that is the
    last of all its passes where B and W are one, and else the last but for W's.
    """
    c = prepared.bench.configuration
    apart = "W" in FAMILIES[c.schedule].passes.split()
    work, until_last = [0.0] * c.pipeline, [0.0] * c.pipeline
    before, after = [0.0] * c.pipeline, [0.0] * c.pipeline
    forwards = backwards = 0.0
    for stage, device in zip(prepared.stages, prepared.placement, strict=True):
        if not work[device]:
            before[device], after[device] = forwards, backwards
        whole = _work(prepared, stage)
        later = stage.seconds.weight if apart else 0.0
        work[device] += whole
        until_last[device] += whole - later
        forwards += stage.seconds.forward
        backwards += whole - stage.seconds.forward - later
    m = c.n_microbatches
    if problem.clock != "makespan":
        return m * max(work) + prepared.tail
    return prepared.tail + max(
        first + max(m * whole, m * chain + last)
        for first, whole, chain, last in zip(before, work, until_last, after, strict=True)
    )


def bytes_at_least(problem: Problem, prepared: Prepared) -> float:
    """A lower bound on the fullest device: what stays, and one microbatch, which every device
    holds whole when its gradient comes back."""
    c = prepared.bench.configuration
    need = [0.0] * c.pipeline
    each: dict[int, float] = {}  # most stages are alike, and one object
    for stage, device in zip(prepared.stages, prepared.placement, strict=True):
        if id(stage) not in each:
            held = static(stage.held, c, problem.per).total
            each[id(stage)] = held + stage.kept.after_forward
        need[device] += each[id(stage)]
    return max(need)


def peak_bytes(problem: Problem, prepared: Prepared, order: Order) -> float:
    """Bytes of the fullest device when the passes run in this order, whenever that is."""
    c = prepared.bench.configuration
    worst, more = 0.0, more_microbatches(c)
    for device, counts in enumerate(order.counts):
        on = [prepared.stages[s] for s in order.schedule.stages_of[device]]
        held = sum(static(stage.held, c, problem.per).total for stage in on)
        live = counts.live @ [stage.kept.after_forward for stage in on]
        live = live + counts.pending @ [stage.kept.after_backward for stage in on]
        live = live + more * sum(stage.kept.after_forward for stage in on)
        scratch = max(stage.scratch(problem.per) for stage in on)
        worst = max(worst, held + scratch + float(live.max(initial=0)))
    return worst


def estimate(
    problem: Problem, prepared: Prepared, orders: Orders, *, exact: bool = False,
    sends: bool = True,
) -> Estimate:  # fmt: skip
    """Seconds and bytes of one iteration under the compiled evaluator.

    Of many microbatches only some are played (see `orders.short`): after that a pipeline repeats,
    and a further p of them (or group) cost as much as the last p did, or what they cost the busiest
    device if that is more: it may still have been catching up. `exact` plays them all; without
    `sends` transfers take no time.
    """
    whole = prepared.shape
    shape = whole if exact else short(whole)
    order = orders(shape)
    memory = peak_bytes(problem, prepared, order)
    seconds = _clock(problem, prepared, order, sends)
    if shape != whole:
        less = orders(shape._replace(microbatches=shape.microbatches - shape.period))
        if peak_bytes(problem, prepared, less) != memory:  # grows with every microbatch: GPipe
            return estimate(problem, prepared, orders, exact=True, sends=sends)
        again = (whole.microbatches - shape.microbatches) // shape.period
        seconds += again * (seconds - _clock(problem, prepared, less, sends))
        seconds = max(seconds, seconds_at_least(problem, prepared) - prepared.tail)
    work = sum(_work(prepared, stage) for stage in prepared.stages) / whole.devices
    seconds += delayed_microbatches(prepared.bench.configuration) * work
    busy = whole.microbatches * work / seconds
    return Estimate(seconds + prepared.tail, seconds, prepared.tail, busy, memory)


def rates(problem: Problem, configuration: Configuration, seconds: float) -> Rates:
    """The speeds that so many seconds per iteration are."""
    c, machine = configuration, problem.machine
    flops = model_flops(problem.model, c.sequence, c.batch)
    if c.lora:  # of six operations per weight and token four
        flops -= c.batch * head_flops(problem.model, c.sequence).weight
        for kind, n in problem.model.kinds().items():
            flops -= n * layer_flops(problem.model, c.sequence, c.batch, kind=kind).weight
    for kind in problem.model.each[: c.frozen]:
        passes = layer_flops(problem.model, c.sequence, c.batch, kind=kind)
        flops -= passes.backward + passes.weight
    return Rates(
        c.batch / seconds,
        c.batch * c.sequence / seconds / c.n_devices,
        flops / seconds / c.n_devices / machine.device.flops,
    )


def layout(prepared: Prepared) -> str:
    """Which layers each stage holds, as Megatron writes it."""
    return layout_text(prepared.split)


def _work(prepared: Prepared, stage: Stage) -> float:
    """Seconds of all passes of a stage for one microbatch, as the schedule runs them."""
    fused = "BW" in FAMILIES[prepared.bench.configuration.schedule].passes.split()
    return stage.seconds.total - (stage.saving if fused else 0)


def _clock(problem: Problem, prepared: Prepared, order: Order, sends: bool) -> float:
    costs = costs_of(
        prepared.bench, prepared.stages, order.schedule.placement, per=problem.per, ticks=TICKS,
        sends=sends,
    )  # fmt: skip
    found = evaluate(order.schedule, costs)
    return float(getattr(found, problem.clock)) / TICKS


def _plain(c: Configuration) -> Configuration:
    """The configuration without what does not change a single stage, so that many share one."""
    zero = max(c.zero, 1)  # who holds the optimizer's state changes nothing in a pass
    return replace(c, schedule="1f1b", virtual=1, batch=c.data * c.microbatch, zero=zero)


@lru_cache(maxsize=4096)
def _parts(problem: Problem, c: Configuration) -> Parts:
    bench = Bench(problem.model, c, problem.machine, problem.efficiency)
    return with_times(problem.measured, bench, parts(bench))


@lru_cache(maxsize=4096)
def _stages(
    problem: Problem, c: Configuration, placement: tuple[int, ...]
) -> tuple[Split, tuple[Stage, ...]]:
    pieces, n_stages = _parts(problem, c), len(placement)
    bench = Bench(
        problem.model, replace(c, virtual=n_stages // c.pipeline), problem.machine,
        problem.efficiency,
    )  # fmt: skip
    if problem.cut == "balanced":
        split = automatic_split(bench, pieces, placement)
    elif problem.cut not in get_args(Cut):
        split = parse_layout(problem.cut)
    else:
        less = 1 if problem.cut == "one-less" else 0
        split = even_split(problem.model.layers, n_stages, first_less=less, last_less=less)
    split = with_predictions(split, problem.model.mtp_layers)
    stages = stages_of(bench, split, pieces, placement)
    return split, stages_with_times(problem.measured, bench.configuration, stages)


def _placement(c: Configuration) -> tuple[int, ...]:
    p = c.pipeline
    if FAMILIES[c.schedule].placement == "V":
        return (*range(p), *range(p - 1, -1, -1))
    return tuple(range(p)) * c.virtual


def _on_devices(c: Configuration) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in range(c.pipeline)]
    for stage, device in enumerate(_placement(c)):
        found[device].append(stage)
    return found


def _distinct(per_device: list[list[int]], split: Split) -> list[list[int]]:
    """One device of each kind: those with equal stages take equally long."""
    kinds = {tuple(split.stages[s] for s in on): on for on in per_device}
    first, last = per_device[0], per_device[-1]
    return [*kinds.values(), first, last]
