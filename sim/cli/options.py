"""The options that describe a pipeline: its sizes, what its passes cost, on which devices it runs.

They are one table, the fields of `PipelineOptions`: a command that is decorated takes all of them.
"""

# ruff: noqa: RUF009 (`option` makes a field of a dataclass)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..base.numbers import Number
from .option_table import option, with_options
from .read import (
    read_count,
    read_factors,
    read_natural,
    read_number,
    read_numbers,
    read_positive,
    read_share,
    read_spread,
    read_stages,
    read_stages_or_full,
    read_text,
    read_word,
)


@dataclass(frozen=True)
class PipelineOptions:
    """What the options said, in the order of the help text; None where nothing was said."""

    # fmt: off
    devices: int | None = option("P", read_count, "Devices the model is split over.", short="-p")
    microbatches: int | None = option("M", read_count, "Microbatches in one batch.", short="-m")
    forward: Number | None = option("TIME", read_number,
        "Time of a forward pass on a device's whole share of the model, in any unit; decimals "
        "and fractions like 1/3 are exact. [default: 1]")
    backward: Number | None = option("TIME", read_number,
        "Time of the input-gradient pass (B). [default: 1]")
    weight: Number | None = option("TIME", read_number,
        "Time of the weight-gradient pass (W); a full backward pass takes B + W. [default: 1]")
    send: Number | None = option("TIME", read_number,
        "Latency of every transfer between two devices. [default: 0]")
    stages_per_device: int | None = option("V", read_count,
        "Stages on each device, for families that take it.", short="-v")
    group_size: int | None = option("N", read_count,
        "Microbatches in a group, for interleaved families. [default: as torch]")
    slices: int | None = option("K", read_count,
        "Slices of every sequence, for families that take it.")
    barriers: int | None = option("N", read_count,
        "All-reduces between F and B of the last stage, 1 or 2, for families that cut the "
        "vocabulary. [default: 1]")
    frozen: tuple[int, ...] | None = option("STAGES", read_stages,
        "Stages that train nothing, e.g. 0,1 or 0-3: no W, and no gradient for those before the "
        "first stage that trains.")
    frozen_weights: tuple[int, ...] | None = option("STAGES", read_stages,
        "Stages that train adapters alone, e.g. 0-3: B without W.")
    forward_only: bool = option("", read_text, "No stage trains anything: forwards alone.")
    recompute: tuple[int, ...] | str | None = option("STAGES", read_stages_or_full,
        "Stages that recompute, e.g. full or 0-3: F keeps its input, R rebuilds the rest before "
        "the backward, in the time of F.")
    recompute_place: str | None = option("PLACE", read_word("late", "in-waits"),
        "When: late, as one step with the backward, or in-waits, while the device waits for the "
        "gradient. [default: late]")
    recompute_keeps: Number | None = option("SHARE", read_share,
        "Share of an activation that is kept where it is recomputed, e.g. 0.05. [default: 0]")
    offload: tuple[int, ...] | str | None = option("STAGES", read_stages_or_full,
        "Stages that offload activations to host memory, e.g. full or 0-3: away after F, back "
        "before the backward; what is needed again too soon stays.")
    host_bandwidth: Number | None = option("SPEED", read_positive,
        "Of each device's link to its host, each way: bytes per unit of time where activations "
        "have bytes, else shares (what one microbatch keeps on a device) per unit of time.")
    host_latency: Number | None = option("TIME", read_number,
        "Time that every copy to or from the host takes on top. [default: 0]")
    host_memory: Number | None = option("BYTES", read_number,
        "Memory of the host for what is offloaded. [default: unlimited]")
    microbatch_scale: tuple[Number, ...] | None = option("FACTORS", read_numbers,
        "How much larger each microbatch is, e.g. 1,2,0.5: a factor per microbatch on times and "
        "bytes of its passes. [default: all alike]")
    profile: str | None = option("FILE", read_text,
        "Measured costs of every stage (JSON), instead of the times above and bytes below.")
    activation_bytes: Number | None = option("BYTES", read_number,
        "What a device keeps of one microbatch after its forward pass.")
    boundary_bytes: Number | None = option("BYTES", read_number,
        "What one microbatch sends from a stage to the next.")
    static_bytes: Number | None = option("BYTES", read_number,
        "Parameters, gradients and optimizer state of a device.")
    gradient_sum: Number | None = option("TIME", read_number,
        "Latency of summing gradients between the devices that hold the same stage, at the end of "
        "a batch, in schedules of two directions. [default: 0]")
    gradient_bytes: Number | None = option("BYTES", read_number,
        "Gradients of a device's whole share that such a sum sends to the other device.")
    vocabulary_scores: Number | None = option("TIME", read_number,
        "Time of S, the scores of a device's part of the vocabulary. [default: 0]")
    vocabulary_gradients: Number | None = option("TIME", read_number,
        "Time of T, the gradients of a device's part of the vocabulary. [default: 0]")
    all_reduce: Number | None = option("TIME", read_number,
        "Latency of what S and T of all devices exchange. [default: as --send]")
    logits_bytes: Number | None = option("BYTES", read_number,
        "What a device keeps of its part of the vocabulary between S and T.")
    all_to_all: Number | None = option("TIME", read_number,
        "What a forward's all-to-alls (dispatch, combine) take on top; only a pass that is fused "
        "with it hides them, as in dualpipe. [default: 0]")
    all_to_all_backward: Number | None = option("TIME", read_number,
        "The same of a backward. [default: as --all-to-all]")
    memory: Number | None = option("BYTES", read_number,
        "Memory of every device; where more is needed, the error says when and for what.")
    bandwidth: Number | None = option("BYTES", read_positive,
        "Bytes per unit of time from one device to another; transfers between the same two "
        "queue. [default: unlimited]")
    transfers: str | None = option("MODE", read_word("overlapped", "blocking"),
        "overlapped: sends run beside compute; blocking: the sender waits until they have "
        "arrived. [default: overlapped]")
    receives: str | None = option("MODE", read_word("buffered", "early", "just-in-time"),
        "When receives are posted: buffered, early or just-in-time. [default: buffered]")
    straggler: Mapping[int, Number] | None = option("D=FACTOR", read_factors,
        "Slow devices, e.g. 2=1.2 or 0=1.1,3=1.5.")
    neighbour_slowdown: Number | None = option("FACTOR", read_positive,
        "How many times as long a pass takes while all other devices compute, e.g. 1.1; linear "
        "in their number. [default: 1]")
    iterations: int | None = option("N", read_count, "Batches in a row. [default: 1]")
    optimizer: Number | None = option("TIME", read_number,
        "Time between two iterations on every device. [default: 0]")
    no_barrier: bool = option("", read_text,
        "Devices go on to the next iteration without waiting for each other.")
    jitter: Number | None = option("SIGMA", read_spread,
        "Random spread of every pass, of the logarithm of its time, e.g. 0.05. [default: 0]")
    seed: int | None = option("N", read_natural, "Start of the random numbers. [default: 0]")
    clock: str | None = option("CLOCK", read_word("makespan", "longest-stage"),
        "Which clock the lower bound is about and tables are sorted by; both are always shown. "
        "[default: makespan]")
    unit: str | None = option("NAME", read_word("s", "ms", "us", "ns"),
        "What one unit of time is: s, ms, us or ns; for labels and for Perfetto.")
    note: str | None = option("TEXT", read_text,
        "A sentence under the title of the page, e.g. where the numbers are from.")
    # fmt: on


with_pipeline_options = with_options(PipelineOptions)
"""Fills the parameter `options` of a command from the options above."""
