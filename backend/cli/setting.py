"""From options of the command line to the schedule and the model that run."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

import sim
from sim import FAMILIES, Schedule
from sim.cli.command_line import UsageError
from sim.cli.options import PipelineOptions
from sim.cli.schedule import schedule_of as simulated_schedule

from .options import RunOptions

if TYPE_CHECKING:
    from torch import nn

    from ..stages.transformer import Model

MOST_DEVICES = 256
MOST_PASSES = 1_000_000
"""More would keep this machine busy for days: refused before anything is built."""


def schedule_of(name: str, options: RunOptions) -> Schedule:
    """The schedule of a family, or in a file (our JSON, or torch's CSV), validated.

    UsageError or typer.BadParameter for options that do not fit it, ValueError for a file that
    holds none and for a schedule that is too large to run.
    """
    if not _names_a_file(name):
        _require_runnable_size(options, FAMILIES[name].options if name in FAMILIES else ())
        made = simulated_schedule(
            name,
            PipelineOptions(
                devices=options.devices,
                microbatches=options.microbatches,
                stages_per_device=options.stages_per_device,
                group_size=options.group_size,
                slices=options.slices,
                barriers=options.barriers,
            ),
        )
        return as_run(made, options)
    schedule = simulated_schedule(name, PipelineOptions())
    for flag, wanted, found in (
        ("-p", options.devices, schedule.n_devices),
        ("-m", options.microbatches, schedule.n_microbatches),
        ("--slices", options.slices, schedule.n_slices),
        ("--barriers", options.barriers, schedule.vocabulary),
    ):
        if wanted is not None and wanted != found:
            raise UsageError(
                f"{flag} is {wanted}, but the schedule in {name} has {found}: leave it out"
            )
    return as_run(schedule, options)


def as_run(schedule: Schedule, options: RunOptions) -> Schedule:
    """The schedule with what the options say about its passes.

    Waits for R are sought where F, B and W take equal times: what they really take is not known
    before the run.
    """
    if options.frozen is not None:
        schedule = sim.frozen(schedule, options.frozen)
    if options.frozen_weights is not None:
        schedule = sim.frozen_weights(schedule, options.frozen_weights)
    if options.forward_only:
        schedule = sim.forward_only(schedule)
    if options.recompute is not None:
        place: Literal["late", "in waits"] = (
            "in waits" if options.recompute_place == "in-waits" else "late"
        )
        costs = sim.Costs.uniform(schedule)
        schedule = sim.recomputed(schedule, _stages(options.recompute), place=place, costs=costs)
    elif options.recompute_place is not None:
        raise typer.BadParameter("--recompute-place needs --recompute, which stages do so")
    if options.offload is not None:
        schedule = sim.offloaded(schedule, _stages(options.offload))
    for flag, given in (
        ("--host-bandwidth", options.host_bandwidth),
        ("--host-latency", options.host_latency),
    ):
        if given is not None and not (options.offload is not None or schedule.copies):
            raise typer.BadParameter(f"{flag} needs --offload, which stages do so")
    return schedule


def fitting(stages: list[nn.Module], schedule: Schedule) -> list[nn.Module]:
    """`stages`, those frozen that train nothing, and those with adapters that train adapters."""
    from ..stages.frozen import adapted

    for stage, trained in zip(stages, schedule.trains, strict=False):
        if trained == "nothing":
            stage.requires_grad_(False)
        elif trained == "adapters":
            adapted(stage)
    return stages


def rows_of(schedule: Schedule, options: RunOptions) -> tuple[int, ...]:
    """The rows of every microbatch; ValueError where a factor makes none, or a part of one."""
    factors = options.microbatch_scale
    m = schedule.n_microbatches
    if factors is None:
        return (options.rows,) * m
    if len(factors) != m:
        raise ValueError(
            f"--microbatch-scale has {len(factors)} numbers for {m} microbatches: give one for each"
        )
    found = [options.rows * Fraction(str(factor)) for factor in factors]
    for factor, rows in zip(factors, found, strict=True):
        if rows.denominator > 1 or rows < 1:
            raise ValueError(
                f"--microbatch-scale {factor} of {options.rows} rows is {float(rows):g}: every "
                "microbatch must have whole rows, choose --rows for that"
            )
    return tuple(map(int, found))


def _stages(given: tuple[int, ...] | str) -> tuple[int, ...] | None:
    """Numbers of stages; None for all of them."""
    return None if isinstance(given, str) else given


def _names_a_file(name: str) -> bool:
    suffixed = Path(name).suffix.lower() in (".json", ".csv")
    return name not in FAMILIES and (suffixed or "/" in name or Path(name).exists())


def model_of(options: RunOptions, n_stages: int) -> Model:
    """The transformer that the options describe, in `n_stages` stages."""
    layers = _layers(options.layers, n_stages)  # before torch, which takes seconds to import

    import torch

    from ..stages.transformer import Model

    return Model(
        layers,
        width=options.width,
        heads=options.heads,
        vocabulary=options.vocabulary,
        sequence=options.sequence,
        dtype=getattr(torch, options.dtype),
        checkpointed=options.checkpoint,
    )


def _layers(given: tuple[int, ...] | None, n_stages: int) -> tuple[int, ...]:
    """Blocks per stage: one each by default; one number is spread, a list is taken as it is."""
    if given is None:
        return (1,) * n_stages
    if len(given) == 1:
        from ..stages.transformer import even_layers

        return even_layers(given[0], n_stages)
    if len(given) != n_stages:
        raise UsageError(
            f"--layers names {len(given)} stages, but the schedule has {n_stages}: give a number "
            "for each, or the total"
        )
    return given


def _require_runnable_size(options: RunOptions, taken: Collection[str]) -> None:
    """taken: options that the family has."""
    p, m = options.devices or 1, options.microbatches or 1
    v = options.stages_per_device or 1 if "v" in taken else 1
    slices = options.slices or 1 if "slices" in taken else 1
    if p > MOST_DEVICES:
        raise ValueError(f"-p is {p}: one process runs at most {MOST_DEVICES} devices")
    if p * m * v * slices > MOST_PASSES:
        raise ValueError(f"{p} devices and {m} microbatches are more than {MOST_PASSES:,} passes")
