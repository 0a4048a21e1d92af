"""`python -m backend`: the commands that run schedules and models with torch."""

from __future__ import annotations

from sim.cli.command_line import CommandLine, Home

COMMANDS: dict[str, Home] = {
    "run": ("backend.cli.run", "run_command"),
    "pipeload": ("backend.pipeload.cli", "pipeload_command"),
}
"""Every command and the function that is it. A new one is one line here."""

main = CommandLine(
    "backend",
    "Runs pipeline schedules on real tensors with torch. `python -m backend COMMAND --help` "
    "explains a command, with an example.",
    COMMANDS,
).run
"""Run one command; the exit code: 0 fine, 1 bad data or a failed run, 2 bad usage."""
