"""The options that describe a question: which pipeline, what its passes cost, on which devices."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import typer

from ..base.numbers import Number
from .read import (
    Reader,
    read_count,
    read_factors,
    read_natural,
    read_number,
    read_positive,
    read_spread,
    read_text,
    read_word,
)


@dataclass(frozen=True)
class Question:
    """What the options said, field by field as in `OPTIONS`; None where nothing was said."""

    devices: int | None = None
    microbatches: int | None = None
    forward: Number | None = None
    backward: Number | None = None
    weight: Number | None = None
    send: Number | None = None
    stages_per_device: int | None = None
    group_size: int | None = None
    slices: int | None = None
    profile: str | None = None
    activation_bytes: Number | None = None
    boundary_bytes: Number | None = None
    static_bytes: Number | None = None
    memory: Number | None = None
    bandwidth: Number | None = None
    transfers: str | None = None
    receives: str | None = None
    straggler: Mapping[int, Number] | None = None
    neighbour_slowdown: Number | None = None
    iterations: int | None = None
    optimizer: Number | None = None
    no_barrier: bool = False
    jitter: Number | None = None
    seed: int | None = None
    clock: str | None = None
    unit: str | None = None
    note: str | None = None


class Ask(NamedTuple):
    """One option: flag, short flag, what its value is called, how it is read, what it means."""

    flag: str
    short: str
    value: str
    read: Reader
    help: str


OPTIONS: dict[str, Ask] = {
    "devices": Ask("--devices", "-p", "P", read_count, "Devices the model is split over."),
    "microbatches": Ask("--microbatches", "-m", "M", read_count, "Microbatches in one batch."),
    "forward": Ask(
        "--forward", "", "TIME", read_number,
        "Time of a forward pass on a device's whole share of the model, in any unit; decimals and "
        "fractions like 1/3 are exact. [default: 1]",
    ),
    "backward": Ask(
        "--backward", "", "TIME", read_number,
        "Time of the input-gradient pass (B). [default: 1]",
    ),
    "weight": Ask(
        "--weight", "", "TIME", read_number,
        "Time of the weight-gradient pass (W); a full backward pass takes B + W. [default: 1]",
    ),
    "send": Ask(
        "--send", "", "TIME", read_number,
        "Latency of every transfer between two devices. [default: 0]",
    ),
    "stages_per_device": Ask(
        "--stages-per-device", "-v", "V", read_count,
        "Stages on each device, for families that take it.",
    ),
    "group_size": Ask(
        "--group-size", "", "N", read_count,
        "Microbatches in a group, for interleaved families.",
    ),
    "slices": Ask(
        "--slices", "", "K", read_count, "Slices of every sequence, for families that take it."
    ),
    "profile": Ask(
        "--profile", "", "FILE", read_text,
        "Measured costs of every stage (JSON), instead of the times above and bytes below.",
    ),
    "activation_bytes": Ask(
        "--activation-bytes", "", "BYTES", read_number,
        "What a device keeps of one microbatch after its forward pass.",
    ),
    "boundary_bytes": Ask(
        "--boundary-bytes", "", "BYTES", read_number,
        "What one microbatch sends from a stage to the next.",
    ),
    "static_bytes": Ask(
        "--static-bytes", "", "BYTES", read_number,
        "Parameters, gradients and optimizer state of a device.",
    ),
    "memory": Ask(
        "--memory", "", "BYTES", read_number,
        "Memory of every device; where more is needed, the error says when and for what.",
    ),
    "bandwidth": Ask(
        "--bandwidth", "", "BYTES", read_positive,
        "Bytes per unit of time from one device to another; transfers between the same two queue. "
        "[default: unlimited]",
    ),
    "transfers": Ask(
        "--transfers", "", "MODE", read_word("overlapped", "blocking"),
        "overlapped: sends run beside compute; blocking: the sender waits until they have arrived. "
        "[default: overlapped]",
    ),
    "receives": Ask(
        "--receives", "", "MODE", read_word("buffered", "early", "just-in-time"),
        "When receives are posted: buffered, early or just-in-time. [default: buffered]",
    ),
    "straggler": Ask(
        "--straggler", "", "D=FACTOR", read_factors, "Slow devices, e.g. 2=1.2 or 0=1.1,3=1.5."
    ),
    "neighbour_slowdown": Ask(
        "--neighbour-slowdown", "", "FACTOR", read_positive,
        "How many times as long a pass takes while all other devices compute, e.g. 1.1; linear in "
        "their number. [default: 1]",
    ),
    "iterations": Ask("--iterations", "", "N", read_count, "Batches in a row. [default: 1]"),
    "optimizer": Ask(
        "--optimizer", "", "TIME", read_number,
        "Time between two iterations on every device. [default: 0]",
    ),
    "no_barrier": Ask(
        "--no-barrier", "", "", read_text,
        "Devices go on to the next iteration without waiting for each other.",
    ),
    "jitter": Ask(
        "--jitter", "", "SIGMA", read_spread,
        "Random spread of every pass, of the logarithm of its time, e.g. 0.05. [default: 0]",
    ),
    "seed": Ask("--seed", "", "N", read_natural, "Start of the random numbers. [default: 0]"),
    "clock": Ask(
        "--clock", "", "CLOCK", read_word("makespan", "longest-stage"),
        "Which clock the lower bound is about and tables are sorted by; both are always shown. "
        "[default: makespan]",
    ),
    "unit": Ask(
        "--unit", "", "NAME", read_word("s", "ms", "us", "ns"),
        "What one unit of time is: s, ms, us or ns; for labels and for Perfetto.",
    ),
    "note": Ask(
        "--note", "", "TEXT", read_text,
        "A sentence under the title of the page, e.g. where the numbers are from.",
    ),
}  # fmt: skip
"""Every field of `Question`, in the order of the help text."""


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with its parameter `question` filled from the options above.

    A value that cannot be read raises typer.BadParameter with one sentence.
    """

    @functools.wraps(command)
    def with_question(**given: Any) -> None:
        read: dict[str, Any] = {}
        for name, ask in OPTIONS.items():
            text = given.pop(name)
            if text is not None:
                read[name] = (
                    text if isinstance(text, bool) else ask.read(text, ask.short or ask.flag)
                )
        command(question=Question(**read), **given)

    signature = inspect.signature(command, eval_str=True)
    own = [entry for entry in signature.parameters.values() if entry.name != "question"]
    parameters = [
        entry.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for entry in (*(_parameter(name, ask) for name, ask in OPTIONS.items()), *own)
    ]
    with_question.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_question.__annotations__ = {entry.name: entry.annotation for entry in parameters}
    del with_question.__wrapped__
    return with_question


def _parameter(name: str, ask: Ask) -> inspect.Parameter:
    flags = [flag for flag in (ask.short, ask.flag) if flag]
    shown: dict[str, Any] = {"metavar": ask.value} if ask.value else {}
    option = typer.Option(*flags, help=ask.help, show_default=False, **shown)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None if ask.value else False,
        annotation=Annotated[str | None if ask.value else bool, option],
    )
