"""The command line: `python -m sim COMMAND`. One sentence for every error, and never a traceback.

Commands are imported when they are asked for, so that a listing does not wait for a solver.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module

import typer

from .cli_setting import UnknownFamily

COMMANDS: dict[str, tuple[str, str]] = {
    "simulate": ("sim.cli_simulate", "simulate"),
    "compare": ("sim.cli_simulate", "compare"),
    "search": ("sim.search.cli", "search_command"),
    "pareto": ("sim.search.cli", "pareto_command"),
    "plan": ("sim.planner.cli", "plan_command"),
    "export": ("sim.cli_files", "export"),
    "check": ("sim.cli_files", "check"),
    "families": ("sim.cli_families", "families"),
    "pipeload": ("sim.pipeload.cli", "pipeload_command"),
}
"""Every command and the function that is it. A new one is one line here."""

EXTRAS = {"ortools": "search", "numba": "search", "joblib": "plan", "torch": "torch"}
"""Which extra of the package brings an optional import."""

PROGRAM = "python -m sim"
INTERRUPTED = 130
HELP = (
    "The laboratory for pipeline-parallel schedules: who waits, for how long, and how much memory "
    "it takes. `python -m sim COMMAND --help` explains a command, with an example."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 fine, 1 bad data, 2 bad usage, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for name in ("stdout", "stderr"):  # None where whoever started us has closed it
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    try:
        if given == ["--version"]:
            print(_version())
            return 0
        named = given[0] if given and not given[0].startswith("-") else ""
        if named and named not in COMMANDS:
            near = get_close_matches(named, COMMANDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
            return _failed(f"unknown command {named!r}: {hint}", 2)
        code = _app([named] if named else COMMANDS)(
            args=given or ["--help"], standalone_mode=False, prog_name=PROGRAM
        )
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return _failed("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone; nothing may be written to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModuleNotFoundError as error:
        missing = error.name or ""
        package = missing.partition(".")[0]
        if package == "sim" and f"{COMMANDS[named][0]}.".startswith(f"{missing}."):
            return _failed(f"{named} is not part of this installation", 1)
        if not (extra := EXTRAS.get(package)):
            raise
        install = f"pip install 'pipebubble[{extra}]'"
        return _failed(f"{given[0]} needs {error.name}, which is not installed: {install}", 1)
    except UnknownFamily as error:
        return _failed(str(error), 2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _failed(where + (error.strerror or str(error)).lower(), 1)
    except (ValueError, MemoryError) as error:
        return _failed(str(error) or "out of memory", 1)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return _failed(_usage(error), getattr(error, "exit_code", 2))
    if code == INTERRUPTED:
        return _failed("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _app(names: Sequence[str] | dict[str, tuple[str, str]]) -> typer.Typer:
    app = typer.Typer(
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
        help=HELP,
    )
    app.callback()(_root)
    for name in names:
        if command := _command(name, optional=len(names) > 1):
            app.command(name)(command)
    return app


def _root() -> None:
    """The laboratory for pipeline-parallel schedules."""


def _command(name: str, *, optional: bool) -> Callable[..., object] | None:
    module, function = COMMANDS[name]
    try:
        found: Callable[..., object] = getattr(import_module(module), function)
    except (ModuleNotFoundError, AttributeError):
        if optional:
            return None
        raise
    return found


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pipebubble")
    except PackageNotFoundError:
        return "pipebubble from a checkout, not installed"


def _usage(error: Exception) -> str:
    """The error of a wrong option or argument as one sentence."""
    text = str(error.format_message())  # type: ignore[attr-defined]
    _, said, rule = text.partition(": ")
    if text.startswith("Invalid value") and said:
        text = rule
    return text[:1].lower() + text[1:].rstrip(".")


def _failed(sentence: str, code: int) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return code
