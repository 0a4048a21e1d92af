"""From options of the command line to the schedule they describe."""

from __future__ import annotations

from pathlib import Path

import typer

from ..engine.offloaded import offloaded
from ..engine.recomputed import Place, recomputed
from ..families import FAMILIES
from ..families.family import Family
from ..schedule.ir import Schedule
from ..schedule.replicas import gradient_sums
from ..schedule.training import forward_only, frozen, frozen_weights
from .costs import copying_devices, costs_of
from .family_names import UnknownFamily, unknown_family
from .option_table import flag_of
from .options import PipelineOptions
from .schedule_file import schedule_in

MOST_PASSES = 5_000_000
"""A play of this many takes about 12 GB; more would not fit in the memory of a usual machine."""


def schedule_of(name: str, options: PipelineOptions, *, strict: bool = True) -> Schedule:
    """The schedule of a family, or in a file (our JSON, or torch's CSV), validated.

    strict: an option the family does not take is an error, unless the schedule already is so.
    """
    schedule = _as_run(_named(name, options, strict=strict), options, strict=strict)
    for flag in ("gradient_sum", "gradient_bytes") if strict else ():
        if getattr(options, flag) is not None and not gradient_sums(schedule):
            raise typer.BadParameter(
                f"{schedule.name} holds every stage once, so there is nothing to sum: leave "
                f"{flag_of(flag)} out"
            )
    for flag in ("vocabulary_scores", "vocabulary_gradients", "all_reduce", "logits_bytes"):
        if strict and getattr(options, flag) is not None and not schedule.vocabulary:
            cut = [name for name, family in FAMILIES.items() if "S" in family.passes.split()]
            raise typer.BadParameter(
                f"{schedule.name} does not cut the vocabulary: leave {flag_of(flag)} out, or take "
                f"one of {', '.join(cut)}"
            )
    return schedule


def _named(name: str, options: PipelineOptions, *, strict: bool) -> Schedule:
    if name in FAMILIES:
        return _built(FAMILIES[name], options, strict=strict)
    if not name:
        raise UnknownFamily(unknown_family(name))
    known_as_file = Path(name).suffix.lower() in (".json", ".csv") or "/" in name
    if not known_as_file and not Path(name).exists():
        raise UnknownFamily(unknown_family(name))
    schedule = schedule_in(name)
    for flag, asked, found in (
        ("-p", options.devices, schedule.n_devices),
        ("-m", options.microbatches, schedule.n_microbatches),
        ("--slices", options.slices, schedule.n_slices),
    ):
        if asked is not None and asked != found:
            raise ValueError(
                f"{flag} is {asked}, but the schedule in {name} has {found}: leave it out"
            )
    _fits_in_memory(schedule.n_ops, name, options)
    return schedule


def _built(family: Family, options: PipelineOptions, *, strict: bool) -> Schedule:
    p, m = options.devices, options.microbatches
    if p is None or m is None:
        missing = "-p, the number of devices" if p is None else "-m, the number of microbatches"
        raise typer.BadParameter(f"{family.name} needs {missing}")
    asked = {
        "v": options.stages_per_device,
        "group_size": options.group_size,
        "slices": options.slices,
        "barriers": options.barriers,
    }
    chosen = {name: value for name, value in asked.items() if value is not None}
    taken = {name: value for name, value in chosen.items() if name in family.options}
    stages = p * family.stages_met(chosen.get("v"))
    slices = chosen.get("slices", 2 if "slices" in family.options else 1)
    n_passes = stages * m * slices * len(family.passes.split())
    _fits_in_memory(n_passes, f"{family.name} on {p} devices with {m} microbatches", options)
    schedule = family(p, m, **taken)
    real = {"v": schedule.n_stages / p, "slices": schedule.n_slices}
    for name in chosen if strict else ():
        if name not in taken and real.get(name) != chosen[name]:
            takes = " and ".join(_FLAGS[option] for option in family.options)
            says = f"it takes {takes}" if takes else "it takes -p and -m alone"
            raise typer.BadParameter(f"{family.name} does not take {_FLAGS[name]}: {says}")
    return schedule


def _as_run(schedule: Schedule, options: PipelineOptions, *, strict: bool) -> Schedule:
    """The schedule with what the options say about its passes."""
    _check_training(options)
    if options.frozen is not None:
        schedule = frozen(schedule, options.frozen)
    if options.frozen_weights is not None:
        schedule = frozen_weights(schedule, options.frozen_weights)
    if options.forward_only:
        schedule = forward_only(schedule)
    if options.recompute is not None:
        stages = None if isinstance(options.recompute, str) else options.recompute
        place: Place = "in waits" if options.recompute_place == "in-waits" else "late"
        schedule = recomputed(schedule, stages, place=place, costs=costs_of(options, schedule))
    if options.offload is not None:
        stages = None if isinstance(options.offload, str) else options.offload
        schedule = offloaded(schedule, stages, costs=costs_of(options, schedule))
    for name in ("host_bandwidth", "host_latency", "host_memory") if strict else ():
        if getattr(options, name) is not None and not (options.offload or schedule.copies):
            raise typer.BadParameter(f"{flag_of(name)} needs --offload, which stages do so")
    copying = {schedule.store(device) for device in copying_devices(schedule)} if strict else set()
    if options.host_memory is not None and copying and None not in copying:
        raise typer.BadParameter(
            f"{schedule.name} offloads to other devices, not to a host: leave --host-memory out"
        )
    if options.recompute is not None:
        return schedule
    if options.recompute_place is not None or options.recompute_keeps is not None:
        flag = "place" if options.recompute_place is not None else "keeps"
        if not schedule.levers:
            raise typer.BadParameter(f"--recompute-{flag} needs --recompute, which stages do so")
    return schedule


def _check_training(options: PipelineOptions) -> None:
    """Refuses what would take back, without a word, what another option says."""
    if both := sorted({*(options.frozen or ())} & {*(options.frozen_weights or ())}):
        raise typer.BadParameter(
            f"--frozen and --frozen-weights both name stage {both[0]}: a stage trains nothing, or "
            "adapters alone"
        )
    if not options.forward_only:
        return
    for name in ("frozen", "frozen_weights", "recompute", "offload"):
        if getattr(options, name) is not None:
            raise typer.BadParameter(
                f"--forward-only leaves no backward pass: leave {flag_of(name)} out"
            )


def _fits_in_memory(n_passes: int, what: str, options: PipelineOptions) -> None:
    plays = options.iterations or 1
    if n_passes * plays > MOST_PASSES:
        times = f", {plays} times" if plays > 1 else ""
        raise ValueError(f"{what}{times}: that is more than {MOST_PASSES:,} passes")


_FLAGS = {
    "v": "-v", "group_size": "--group-size", "slices": "--slices", "barriers": "--barriers",
}  # fmt: skip
