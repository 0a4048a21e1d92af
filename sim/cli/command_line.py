"""A command line of several commands: one sentence for every error of whoever typed it.

Commands are imported when they are asked for, so that a listing does not wait for a solver.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module

import typer

from ..base.extras import EXTRAS
from ..base.text import meant
from .option_errors import by_option, option_error
from .own_errors import FAULT, raised_by_us

INTERRUPTED = 130
Home = tuple[str, str]
"""Where a command is: module and function."""


class UsageError(ValueError):
    """Something was asked for in a way the command does not know: exit code 2."""


@dataclass(frozen=True)
class CommandLine:
    """What a program offers.

    package: the program is `python -m PACKAGE`, unless `program` names another one. help: what it
    is for. commands: name -> (module, function). extras: optional import -> the extra of the
    distribution that brings it. overview: makes the text of --help, instead of a plain listing.
    """

    package: str
    help: str
    commands: Mapping[str, Home]
    extras: Mapping[str, str] = field(default_factory=lambda: EXTRAS)
    program: str = ""
    overview: Callable[[], str] | None = None

    def run(self, arguments: Sequence[str] | None = None) -> int:
        """Run one command; the exit code: 0 fine, 1 bad data, 2 bad usage, 130 interrupted."""
        given = list(sys.argv[1:] if arguments is None else arguments)
        for name in ("stdout", "stderr"):  # None where whoever started us has closed it
            if getattr(sys, name) is None:
                setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
            if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a name it cannot spell
        named = given[0] if given and not given[0].startswith("-") else ""
        try:
            return self._run(given, named)
        except (KeyboardInterrupt, typer.Abort):
            return _failed("interrupted", INTERRUPTED)
        except SystemError as error:
            # Compiled code gives its result although Ctrl-C came, which Python takes for a fault.
            if not isinstance(error.__cause__, KeyboardInterrupt):
                raise
            return _failed("interrupted", INTERRUPTED)
        except BrokenPipeError:
            # Whoever read our output has gone; nothing may be written to it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except ModuleNotFoundError as error:
            return _failed(self._missing(named, error), 1)
        except UsageError as error:
            return _failed(str(error), 2)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            return _failed(where + (error.strerror or str(error)).lower(), 1)
        except MemoryError as error:
            return _failed(str(error) or "out of memory", 1)
        except (ValueError, RuntimeError) as error:
            if isinstance(error, ValueError) and not raised_by_us(error):
                error.add_note(FAULT)
                raise
            return _failed(by_option(str(error), given) or type(error).__name__, 1)
        except Exception as error:
            if not hasattr(error, "format_message"):
                raise
            asked = self._command(named, optional=True) if named else None
            return _failed(option_error(error, asked, given), getattr(error, "exit_code", 2))

    def _run(self, given: Sequence[str], named: str) -> int:
        if given == ["--version"]:
            print(_version())
            return 0
        if self.overview and given in ([], ["-h"], ["--help"]):
            print(self.overview())
            return 0
        if named and named not in self.commands:
            raise UsageError(f"unknown command {named!r}: {meant(named, self.commands)}")
        code = self._app([named] if named else list(self.commands))(
            args=list(given) or ["--help"],
            standalone_mode=False,
            prog_name=self.program or f"python -m {self.package}",
        )
        sys.stdout.flush()
        if code == INTERRUPTED:
            return _failed("interrupted", INTERRUPTED)
        return code if isinstance(code, int) else 0

    def _app(self, names: Sequence[str]) -> typer.Typer:
        app = typer.Typer(
            rich_markup_mode=None,
            add_completion=False,
            context_settings={"help_option_names": ["-h", "--help"]},
            pretty_exceptions_enable=False,
            help=self.help,
        )
        app.callback()(_root)
        for name in names:
            if command := self._command(name, optional=len(names) > 1):
                app.command(name)(command)
        return app

    def _command(self, name: str, *, optional: bool) -> Callable[..., object] | None:
        try:
            return command_at(self.commands[name])
        except (ModuleNotFoundError, AttributeError):
            if optional:
                return None
            raise

    def _missing(self, named: str, error: ModuleNotFoundError) -> str:
        missing = error.name or ""
        package = missing.partition(".")[0]
        if named and f"{self.commands[named][0]}.".startswith(f"{missing}."):
            return f"{named} is not part of this installation"
        if not (extra := self.extras.get(package)):
            raise error
        install = f"pip install 'pipebubble[{extra}]'"
        return f"{named} needs {missing}, which is not installed: {install}"


def command_at(home: Home) -> Callable[..., object]:
    """The function of a command; ModuleNotFoundError where what it needs is not installed."""
    module, function = home
    found: Callable[..., object] = getattr(import_module(module), function)
    return found


def _root() -> None:
    """Stands for the program itself, which does nothing without a command."""


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pipebubble")
    except PackageNotFoundError:
        return "pipebubble from a checkout, not installed"


def _failed(sentence: str, code: int) -> int:
    rank = os.environ.get("RANK")  # one of several processes under torchrun
    print(f"error: {f'rank {rank}: ' if rank else ''}{sentence}", file=sys.stderr)
    return code
