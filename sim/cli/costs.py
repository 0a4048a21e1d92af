"""From options of the command line to the costs they describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import typer

from ..base.numbers import Number, exact, plain
from ..base.text import plural
from ..engine.costs import Costs
from ..engine.costs_json import costs_from_json
from ..schedule.ir import Schedule
from .option_table import flag_of
from .options import PipelineOptions
from .text_files import text_of_file

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


def costs_of(options: PipelineOptions, schedule: Schedule) -> Costs:
    """The costs asked for: of a profile, or equal on all devices."""
    costs = _equal_or_measured(options, schedule)
    scale = options.microbatch_scale
    partners = {schedule.store(device) for device in copying_devices(schedule)}
    if options.offload is not None or options.host_bandwidth is not None:
        costs = _copying(costs, options, schedule, options.host_bandwidth)
    elif partners and None not in partners and options.bandwidth and options.activation_bytes:
        costs = _copying(costs, options, schedule, options.bandwidth)  # no host is in the way
    elif schedule.copies and costs.offload is None:
        raise ValueError(f"{schedule.name} offloads: add --host-bandwidth, how fast its copies are")
    if options.recompute_keeps is not None:
        costs = keeping(costs, options.recompute_keeps)
    if scale is None:
        return costs
    if len(scale) != schedule.n_microbatches:
        raise ValueError(
            f"--microbatch-scale has {plural(len(scale), 'number')} for "
            f"{plural(schedule.n_microbatches, 'microbatch')}: give one for each"
        )
    return replace(costs, microbatch_scale=tuple((factor,) for factor in scale))


def keeping(costs: Costs, share: Number) -> Costs:
    """The same costs in which an F whose rest R rebuilds keeps that share, of bytes too."""
    return replace(costs, recompute_keeps=share, recompute_bytes=None)


def copying_devices(schedule: Schedule) -> list[int]:
    """The devices that copy activations away."""
    return [d for d, row in enumerate(schedule.orders) if any(op.kind == "O" for op in row)]


def _copying(
    costs: Costs, options: PipelineOptions, schedule: Schedule, bandwidth: Number | None
) -> Costs:
    """The same costs with the time of copies to the host, or a partner, and back; what a profile
    says about them counts no more."""
    if bandwidth is None:
        raise typer.BadParameter("--offload needs --host-bandwidth, how fast the copies are")
    size = costs.activation_bytes
    if not any(cell for row in size for cell in row):  # in shares, of which a stage has its part
        size = Costs.uniform(schedule, activation_bytes=1).activation_bytes
    per_unit = exact(bandwidth)
    times = tuple(tuple(plain(exact(cell) / per_unit) for cell in row) for row in size)
    return replace(costs, offload=times, load=None, copy_latency=options.host_latency or 0)


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
