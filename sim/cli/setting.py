"""From options of the command line to the schedule, the costs and the cluster they describe."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import typer

from ..base.files import write_text_atomically
from ..base.numbers import Number, exact, plain
from ..base.text import plural
from ..engine.cluster import Cluster, Link
from ..engine.costs import Costs
from ..engine.costs_json import costs_from_json
from ..engine.offloaded import offloaded
from ..engine.recomputed import Place, recomputed
from ..families import FAMILIES
from ..families.family import Family
from ..schedule.ir import Schedule
from ..schedule.json_form import from_json
from ..schedule.replicas import gradient_sums
from ..schedule.torch_csv import TorchFile, torch_file
from ..schedule.torch_rows import lists_of_passes
from ..schedule.training import forward_only, frozen, frozen_weights
from ..schedule.validate import validate
from .command_line import UsageError
from .option_table import flag_of
from .options import PipelineOptions

MOST_PASSES = 5_000_000
"""A play of this many takes about 12 GB; more would not fit in the memory of a usual machine."""

COST_OPTIONS = ("forward", "backward", "weight", "send", "activation_bytes", "boundary_bytes",
                "static_bytes", "gradient_sum", "gradient_bytes", "vocabulary_scores",
                "vocabulary_gradients", "all_reduce", "logits_bytes", "all_to_all",
                "all_to_all_backward")  # fmt: skip


BytesFor = tuple[str, tuple[str, ...]]
BYTES_FOR: dict[str, BytesFor] = {
    "memory": ("that fill it", ("activation_bytes", "static_bytes", "logits_bytes")),
    "host_memory": ("that fill it", ("activation_bytes",)),
    "bandwidth": ("that cross it", ("boundary_bytes", "gradient_bytes")),
    "memory_bytes": ("that fill it", ("activation_bytes", "static_bytes")),
}
"""Limits that do nothing until somebody says how many bytes there are."""

ELSEWHERE = {
    "interleaved1f1b": "interleaved", "zbvzerobubble": "zb-v",
    "dapple": "1f1b", "pipedreamflush": "1f1b",
}  # fmt: skip
"""What torch and the papers call a family whose name resembles none of ours."""

SEARCHED = {"zb1p": "the number of devices", "zb2p": "twice the number of devices"}
"""Zero-bubble schedules that have no rule: their authors search them within this memory limit, in
shares (Qi et al. 2023, arXiv 2401.10241, experiments)."""


class UnknownFamily(UsageError):
    """A name that is neither a family nor a file."""


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


def schedule_in(path: str) -> Schedule:
    """The schedule in a file, JSON or what torch writes by its content; validated. What its reader
    should know about a file of torch is told on stderr.

    Every error begins with the path: of several files, people must know which one.
    """
    schedule, notes = file_in(path)
    for note in notes:
        print(f"note: {path}: {note}", file=sys.stderr)
    return schedule


def file_in(path: str) -> TorchFile:
    """The same with the notes, and none told."""
    text = text_of_file(path)
    looks_like_json = text.lstrip().startswith(("{", "[")) and not lists_of_passes(text)
    if looks_like_json or Path(path).suffix.lower() == ".json":
        try:
            schedule = from_json(text)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        validate(replace(schedule, name=path))
        return TorchFile(schedule, ())
    found = torch_file(text, name=path)
    return found._replace(schedule=replace(found.schedule, name=Path(path).stem))


def text_of_file(path: str) -> str:
    """The text of a file; ValueError if it cannot be read."""
    if not path:
        raise ValueError("cannot read a file without a name")
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file") from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None


def check_writable(path: str) -> None:
    """ValueError now rather than after a long simulation, if `path` cannot be written."""
    target = Path(path)
    if not path:
        raise ValueError("cannot write a file without a name")
    if target.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder")
    if not target.parent.is_dir():
        raise ValueError(f"cannot write {path}: there is no folder {target.parent}")


def write_text(path: str, text: str) -> None:
    """Write the whole file or nothing, and say so on stderr; ValueError if it cannot be written."""
    try:
        write_text_atomically(path, text)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ValueError(f"cannot write {path}: {reason}") from None
    print(f"wrote {path}", file=sys.stderr)


def unknown_family(name: str) -> str:
    """One sentence: what is close to `name`, or where to look."""
    small = name.lower().replace("_", "-")
    if limit := SEARCHED.get(small.replace("-", "")):
        return (
            f"{name!r} is no family, its authors search it: use `python -m sim search --placement "
            f"straight` with {limit} as --memory-limit"
        )
    known = ELSEWHERE.get(small.replace("-", ""))
    near = [known] if known else get_close_matches(small, FAMILIES, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`python -m sim families` lists them"
    return f"unknown family {name!r}: {hint}"


def costs_of(options: PipelineOptions, schedule: Schedule) -> Costs:
    """The costs asked for: of a profile, or equal on all devices."""
    costs = _equal_or_measured(options, schedule)
    scale = options.microbatch_scale
    partners = {schedule.store(device) for device in _copying_devices(schedule)}
    if options.offload is not None or options.host_bandwidth is not None:
        costs = _copying(costs, options, schedule, options.host_bandwidth)
    elif partners and None not in partners and options.bandwidth and options.activation_bytes:
        costs = _copying(costs, options, schedule, options.bandwidth)  # no host is in the way
    elif schedule.copies and costs.offload is None:
        raise ValueError(f"{schedule.name} offloads: add --host-bandwidth, how fast its copies are")
    if options.recompute_keeps is not None:
        costs = replace(costs, recompute_keeps=options.recompute_keeps)
    if scale is None:
        return costs
    if len(scale) != schedule.n_microbatches:
        raise ValueError(
            f"--microbatch-scale has {plural(len(scale), 'number')} for "
            f"{plural(schedule.n_microbatches, 'microbatch')}: give one for each"
        )
    return replace(costs, microbatch_scale=tuple((factor,) for factor in scale))


def _copying_devices(schedule: Schedule) -> list[int]:
    """The devices that copy activations away."""
    return [d for d, row in enumerate(schedule.orders) if any(op.kind == "O" for op in row)]


def _copying(
    costs: Costs, options: PipelineOptions, schedule: Schedule, bandwidth: Number | None
) -> Costs:
    """The same costs with the time of copies to the host, or a partner, and back."""
    if bandwidth is None:
        raise typer.BadParameter("--offload needs --host-bandwidth, how fast the copies are")
    size = costs.activation_bytes
    if not any(cell for row in size for cell in row):  # in shares, of which a stage has its part
        size = Costs.uniform(schedule, activation_bytes=1).activation_bytes
    per_unit = exact(bandwidth)
    times = tuple(tuple(plain(exact(cell) / per_unit) for cell in row) for row in size)
    return replace(costs, offload=times, copy_latency=options.host_latency or 0)


def _equal_or_measured(options: PipelineOptions, schedule: Schedule) -> Costs:
    given = {name: value for name in COST_OPTIONS if (value := getattr(options, name)) is not None}
    if options.profile is None:
        return Costs.uniform(schedule, **given)
    if given:
        raise ValueError(
            f"{flag_of(next(iter(given)))} and --profile both give costs: leave one of them out"
        )
    text = text_of_file(options.profile)
    try:
        return costs_from_json(text)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{options.profile}: {error}") from None


def check_bytes(
    given: Mapping[str, Any], costs: Costs, needs: Mapping[str, BytesFor] = BYTES_FOR
) -> None:
    """Refuses a limit on bytes where neither an option nor the file of the costs has any."""
    for name, (what, sources) in needs.items():
        if given.get(name) is None or any(given.get(source) is not None for source in sources):
            continue
        if not (profile := given.get("profile")):
            flags = " or ".join(map(flag_of, sources))
            raise typer.BadParameter(f"{flag_of(name)} needs the bytes {what}: add {flags}")
        if not any(_any(getattr(costs, source)) for source in sources):
            raise typer.BadParameter(f"{flag_of(name)} needs the bytes {what}: {profile} has none")


def _any(table: Any) -> bool:
    return any(map(_any, table)) if isinstance(table, tuple) else bool(table)


def cluster_of(options: PipelineOptions, schedule: Schedule) -> Cluster:
    """The devices and links asked for."""
    if options.gradient_bytes is not None and options.bandwidth is None:
        raise typer.BadParameter("--gradient-bytes take no time without --bandwidth: add it")
    n = schedule.n_devices
    slowdown: list[Number] = [1] * n
    for device, factor in (options.straggler or {}).items():
        if device >= n:
            raise ValueError(
                f"--straggler names device {device}, but there are {n}, counted from 0"
            )
        slowdown[device] = factor
    links: dict[str, Link] = {}
    if options.bandwidth is not None:
        placements = (schedule.placement, *schedule.routes)
        neighbours = [pair for places in placements for pair in pairwise(places)]
        if options.gradient_bytes:
            neighbours += [(one.source, one.destination) for one in gradient_sums(schedule)]
        if schedule.vocabulary:
            neighbours += combinations(range(n), 2)  # each part sends to every other one
        for device in _copying_devices(schedule):
            if (partner := schedule.store(device)) is not None:
                neighbours.append((device, partner))
        pairs = {pair for a, b in neighbours if a != b for pair in ((a, b), (b, a))}
        links = {f"{a}->{b}": Link(0, options.bandwidth) for a, b in sorted(pairs)}
    modes: dict[str, Any] = {
        name: value for name in ("transfers", "receives") if (value := getattr(options, name))
    }
    return Cluster(
        n,
        memory=(options.memory,) * n,
        slowdown=tuple(slowdown),
        neighbour_slowdown=options.neighbour_slowdown or 1,
        host_memory=options.host_memory,
        links=links,
        routes={(int(a), int(b)): (f"{a}->{b}",) for a, b in (name.split("->") for name in links)},
        **modes,
    )


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
    copying = {schedule.store(device) for device in _copying_devices(schedule)} if strict else set()
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
