"""The options that describe a pipeline: its sizes, what its passes cost, on which devices it runs.

They are one table, the fields of `PipelineOptions`: a command that is decorated takes all of them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
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


class OptionSpec(NamedTuple):
    """One option; its flag is the name of its field. metavar: what its value is called in the help
    text, "" for an option without a value. read: from text to value. short: another flag."""

    metavar: str
    read: Reader
    help: str
    short: str


def _option(metavar: str, read: Reader, help: str, *, short: str = "") -> Any:
    """A field of `PipelineOptions`."""
    spec = OptionSpec(metavar, read, help, short)
    return field(default=None if metavar else False, metadata={"spec": spec})


@dataclass(frozen=True)
class PipelineOptions:
    """What the options said, in the order of the help text; None where nothing was said."""

    # fmt: off
    devices: int | None = _option("P", read_count, "Devices the model is split over.", short="-p")
    microbatches: int | None = _option("M", read_count, "Microbatches in one batch.", short="-m")
    forward: Number | None = _option("TIME", read_number,
        "Time of a forward pass on a device's whole share of the model, in any unit; decimals "
        "and fractions like 1/3 are exact. [default: 1]")
    backward: Number | None = _option("TIME", read_number,
        "Time of the input-gradient pass (B). [default: 1]")
    weight: Number | None = _option("TIME", read_number,
        "Time of the weight-gradient pass (W); a full backward pass takes B + W. [default: 1]")
    send: Number | None = _option("TIME", read_number,
        "Latency of every transfer between two devices. [default: 0]")
    stages_per_device: int | None = _option("V", read_count,
        "Stages on each device, for families that take it.", short="-v")
    group_size: int | None = _option("N", read_count,
        "Microbatches in a group, for interleaved families.")
    slices: int | None = _option("K", read_count,
        "Slices of every sequence, for families that take it.")
    profile: str | None = _option("FILE", read_text,
        "Measured costs of every stage (JSON), instead of the times above and bytes below.")
    activation_bytes: Number | None = _option("BYTES", read_number,
        "What a device keeps of one microbatch after its forward pass.")
    boundary_bytes: Number | None = _option("BYTES", read_number,
        "What one microbatch sends from a stage to the next.")
    static_bytes: Number | None = _option("BYTES", read_number,
        "Parameters, gradients and optimizer state of a device.")
    memory: Number | None = _option("BYTES", read_number,
        "Memory of every device; where more is needed, the error says when and for what.")
    bandwidth: Number | None = _option("BYTES", read_positive,
        "Bytes per unit of time from one device to another; transfers between the same two "
        "queue. [default: unlimited]")
    transfers: str | None = _option("MODE", read_word("overlapped", "blocking"),
        "overlapped: sends run beside compute; blocking: the sender waits until they have "
        "arrived. [default: overlapped]")
    receives: str | None = _option("MODE", read_word("buffered", "early", "just-in-time"),
        "When receives are posted: buffered, early or just-in-time. [default: buffered]")
    straggler: Mapping[int, Number] | None = _option("D=FACTOR", read_factors,
        "Slow devices, e.g. 2=1.2 or 0=1.1,3=1.5.")
    neighbour_slowdown: Number | None = _option("FACTOR", read_positive,
        "How many times as long a pass takes while all other devices compute, e.g. 1.1; linear "
        "in their number. [default: 1]")
    iterations: int | None = _option("N", read_count, "Batches in a row. [default: 1]")
    optimizer: Number | None = _option("TIME", read_number,
        "Time between two iterations on every device. [default: 0]")
    no_barrier: bool = _option("", read_text,
        "Devices go on to the next iteration without waiting for each other.")
    jitter: Number | None = _option("SIGMA", read_spread,
        "Random spread of every pass, of the logarithm of its time, e.g. 0.05. [default: 0]")
    seed: int | None = _option("N", read_natural, "Start of the random numbers. [default: 0]")
    clock: str | None = _option("CLOCK", read_word("makespan", "longest-stage"),
        "Which clock the lower bound is about and tables are sorted by; both are always shown. "
        "[default: makespan]")
    unit: str | None = _option("NAME", read_word("s", "ms", "us", "ns"),
        "What one unit of time is: s, ms, us or ns; for labels and for Perfetto.")
    note: str | None = _option("TEXT", read_text,
        "A sentence under the title of the page, e.g. where the numbers are from.")
    # fmt: on


def flag_of(name: str) -> str:
    """The flag of a field: `no_barrier` is `--no-barrier`."""
    return "--" + name.replace("_", "-")


def with_pipeline_options(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with its parameter `options` filled from the options above.

    A value that cannot be read raises typer.BadParameter with one sentence.
    """
    specs: dict[str, OptionSpec] = {
        entry.name: entry.metadata["spec"] for entry in fields(PipelineOptions)
    }

    @functools.wraps(command)
    def filled_in(**given: Any) -> None:
        values: dict[str, Any] = {}
        for name, spec in specs.items():
            text = given.pop(name)
            if isinstance(text, str):
                values[name] = spec.read(text, spec.short or flag_of(name))
            elif text:
                values[name] = True
        command(options=PipelineOptions(**values), **given)

    # typer reads options off the signature: those of the pipeline first, then the command's own.
    signature = inspect.signature(command, eval_str=True)
    own = [entry for entry in signature.parameters.values() if entry.name != "options"]
    parameters = [
        entry.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for entry in (*(_parameter(name, spec) for name, spec in specs.items()), *own)
    ]
    filled_in.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    filled_in.__annotations__ = {entry.name: entry.annotation for entry in parameters}
    del filled_in.__wrapped__
    return filled_in


def _parameter(name: str, spec: OptionSpec) -> inspect.Parameter:
    flags = [flag for flag in (spec.short, flag_of(name)) if flag]
    shown: dict[str, Any] = {"metavar": spec.metavar} if spec.metavar else {}
    option = typer.Option(*flags, help=spec.help, show_default=False, **shown)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None if spec.metavar else False,
        annotation=Annotated[str | None if spec.metavar else bool, option],
    )
