"""The options of the command `run`, as one table."""

# ruff: noqa: RUF009 (`option` makes a field of a dataclass)

from __future__ import annotations

import re
from dataclasses import dataclass

from sim.base.numbers import Number
from sim.cli.option_table import option
from sim.cli.read import (
    read_count,
    read_natural,
    read_numbers,
    read_positive,
    read_stages,
    read_stages_or_full,
    read_text,
    read_word,
    wrong,
)

DTYPES = ("float32", "float64", "bfloat16")


def read_seconds(text: str, flag: str) -> float:
    """The time in `text`, in seconds."""
    if not re.fullmatch(r"(\d{1,9}(\.\d{0,18})?|\.\d{1,18})(e[+-]?\d{1,2})?", text.strip(), re.I):
        raise wrong(text, flag, "it must be a time in seconds such as 0.002")
    return float(text)


def read_counts(text: str, flag: str) -> tuple[int, ...]:
    """Whole numbers between commas, 0 or more."""
    return tuple(read_natural(part, flag) for part in text.split(","))


@dataclass(frozen=True)
class RunOptions:
    """What the options said, in the order of the help text; None where nothing was said."""

    # fmt: off
    devices: int | None = option("P", read_count, "Pipeline devices.", short="-p")
    microbatches: int | None = option("M", read_count, "Microbatches in the batch.", short="-m")
    stages_per_device: int | None = option("V", read_count,
        "For families that take it.", short="-v")
    group_size: int | None = option("N", read_count, "For interleaved families.")
    slices: int | None = option("K", read_count, "Slices of every sequence.")
    barriers: int | None = option(
        "B", read_count, "All-reduces between F and B where devices share the vocabulary: 1 or 2."
    )
    engine: str = option("NAME", read_word("local", "torch"),
        "local: one process, a thread per device. torch: torch's own runtime, a process "
        "per device under torchrun. [default: local]", default="local")
    device: str = option("NAME", read_word("cpu", "cuda"),
        "cpu or cuda. [default: cpu]", default="cpu")
    split: str = option("HOW", read_word("deferred", "native"),
        "deferred: weight gradients put aside. native: torch's own. [default: deferred]",
        default="deferred")
    layers: tuple[int, ...] | None = option("N|a,b,..", read_counts,
        "Blocks in all, or per stage. [default: 1 per stage]")
    width: int = option("N", read_count, "[default: 64]", default=64)
    heads: int = option("N", read_count, "[default: 4]", default=4)
    vocabulary: int = option("N", read_count, "[default: 128]", default=128)
    sequence: int = option("N", read_count, "Tokens. [default: 32]", default=32)
    rows: int = option("N", read_count, "Sequences in a microbatch. [default: 2]", default=2)
    dtype: str = option("TYPE", read_word(*DTYPES),
        f"{', '.join(DTYPES)}. [default: float32]", default="float32")
    frozen: tuple[int, ...] | None = option("STAGES", read_stages,
        "Stages that train nothing, e.g. 0,1 or 0-3: no W, and no gradient for those before the "
        "first stage that trains.")
    frozen_weights: tuple[int, ...] | None = option("STAGES", read_stages,
        "Stages whose weights are frozen, e.g. 0-3, and that get adapters: B without W.")
    forward_only: bool = option("", read_text, "No stage trains anything: forwards alone.")
    recompute: tuple[int, ...] | str | None = option("STAGES", read_stages_or_full,
        "Stages that recompute, e.g. full or 0-3: F keeps its input, R rebuilds the rest.")
    recompute_place: str | None = option("PLACE", read_word("late", "in-waits"),
        "When: late, as one step with the backward, or in-waits, where a device would wait if "
        "F, B and W took equal times. [default: late]")
    offload: tuple[int, ...] | str | None = option("STAGES", read_stages_or_full,
        "Stages that offload activations to host memory, e.g. full or 0-3: away after F, back one "
        "step before the backward; what is needed again too soon stays.")
    host_bandwidth: Number | None = option("SPEED", read_positive,
        "Bytes per second at which copies to the host and back are made at most (on cpu). "
        "[default: as fast as they are]")
    host_latency: float | None = option("SECONDS", read_seconds,
        "What such a copy takes at least (on cpu). [default: 0]")
    microbatch_scale: tuple[Number, ...] | None = option("FACTORS", read_numbers,
        "How much larger each microbatch is, e.g. 1,2,0.5: a factor per microbatch on its rows "
        "(local engine). [default: all alike]")
    checkpoint: bool = option("", read_text, "Blocks recompute their forward in B.")
    seed: int = option("N", read_natural, "Of weights and data. [default: 0]", default=0)
    steps: int = option("N", read_count, "Timed iterations. [default: 1]", default=1)
    warmup: int = option("N", read_natural, "Iterations before them. [default: 1]", default=1)
    delay: float | None = option("SECONDS", read_seconds,
        "Added to every transfer (local engine).")
    partitions: str = option("HOW", read_word("streams", "green"),
        "On cuda (local engine): streams, or green: disjoint parts of the GPU. "
        "[default: streams]", default="streams")
    timeout: float = option("SECONDS", read_seconds,
        "Without progress: give up. [default: 120]", default=120.0)
    # fmt: on
