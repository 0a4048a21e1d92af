"""Options of a command as one table: a frozen dataclass, a field per option.

@dataclass(frozen=True)
class Sizes:
    devices: int | None = option("P", read_count, "Devices.", short="-p")

@with_options(Sizes)
def command(options: Sizes) -> None: ...
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import field, fields
from typing import Annotated, Any, NamedTuple

import typer

from .read import Reader

Command = Callable[..., None]


class OptionSpec(NamedTuple):
    """One option; its flag is the name of its field. metavar: what its value is called in the help
    text, "" for an option without a value. read: from text to value. short: another flag."""

    metavar: str
    read: Reader
    help: str
    short: str


def option(
    metavar: str, read: Reader, help: str = "", *, short: str = "", default: object = None
) -> Any:
    """A field of a table of options. default: its value where nothing is typed."""
    unset = default if metavar else False
    return field(default=unset, metadata={"spec": OptionSpec(metavar, read, help, short)})


def flag_of(name: str) -> str:
    """The flag of a field: `no_barrier` is `--no-barrier`."""
    return "--" + name.replace("_", "-")


def with_options(table: type) -> Callable[[Command], Command]:
    """Fills the parameter `options` of a command with a `table` of what was typed.

    A value that cannot be read raises typer.BadParameter with one sentence.
    """
    specs: dict[str, OptionSpec] = {entry.name: entry.metadata["spec"] for entry in fields(table)}

    def decorated(command: Command) -> Command:
        @functools.wraps(command)
        def filled_in(**given: Any) -> None:
            values: dict[str, Any] = {}
            for name, spec in specs.items():
                text = given.pop(name)
                if isinstance(text, str):
                    values[name] = spec.read(text, spec.short or flag_of(name))
                elif text:
                    values[name] = True
            command(options=table(**values), **given)

        # typer reads options off the signature: those of the table first, then the command's own.
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

    return decorated


def _parameter(name: str, spec: OptionSpec) -> inspect.Parameter:
    flags = [flag for flag in (spec.short, flag_of(name)) if flag]
    shown: dict[str, Any] = {"metavar": spec.metavar} if spec.metavar else {}
    found = typer.Option(*flags, help=spec.help, show_default=False, **shown)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None if spec.metavar else False,
        annotation=Annotated[str | None if spec.metavar else bool, found],
    )
