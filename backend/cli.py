"""The command line: `python -m backend COMMAND`. One sentence for every error, no traceback.

Commands are imported when they are asked for: `--help` does not wait for torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module

import typer

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("backend.cli_run", "run_command"),
    "pipeload": ("backend.cli_pipeload", "pipeload_command"),
}
"""Every command and the function that is it. A new one is one line here."""

PROGRAM = "python -m backend"
HELP = (
    "Runs pipeline schedules on real tensors with torch. `python -m backend COMMAND --help` "
    "explains a command, with an example."
)


class UsageError(ValueError):
    """Something was asked for in a way the command does not know: exit code 2."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 fine, 1 bad data or a failed run, 2 bad usage."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        named = given[0] if given and not given[0].startswith("-") else ""
        if named and named not in COMMANDS:
            near = get_close_matches(named, COMMANDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
            return _failed(f"unknown command {named!r}: {hint}", 2)
        code = _app([named] if named else list(COMMANDS))(
            args=given or ["--help"], standalone_mode=False, prog_name=PROGRAM
        )
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return _failed("interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "backend":
            return _failed(f"{named} is not part of this installation", 1)
        if package not in ("torch", "safetensors"):
            raise
        install = "pip install 'pipebubble[torch]'"
        return _failed(f"{named} needs {error.name}, which is not installed: {install}", 1)
    except UsageError as error:
        return _failed(str(error), 2)
    except (ValueError, RuntimeError, MemoryError, OSError) as error:
        return _failed(str(error) or type(error).__name__, 1)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        text = str(error.format_message())
        return _failed(text[:1].lower() + text[1:].rstrip("."), getattr(error, "exit_code", 2))
    return code if isinstance(code, int) else 0


def _app(names: Sequence[str]) -> typer.Typer:
    app = typer.Typer(
        rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False, help=HELP
    )
    app.callback()(_root)
    for name in names:
        if command := _command(name, optional=len(names) > 1):
            app.command(name)(command)
    return app


def _root() -> None:
    """Runs pipeline schedules on real tensors."""


def _command(name: str, *, optional: bool) -> Callable[..., object] | None:
    module, function = COMMANDS[name]
    try:
        found: Callable[..., object] = getattr(import_module(module), function)
    except (ModuleNotFoundError, AttributeError):
        if optional:
            return None
        raise
    return found


def _failed(sentence: str, code: int) -> int:
    rank = os.environ.get("RANK")
    print(f"error: {f'rank {rank}: ' if rank else ''}{sentence}", file=sys.stderr)
    return code
