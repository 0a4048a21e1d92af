"""The program `pipebubble`: every command of the three packages in one place.

It stands in this package because no other one may import all three.
"""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter

from backend.cli.commands import COMMANDS as BACKEND
from sim.base.extras import EXTRAS
from sim.cli.command_line import CommandLine, Home, command_at
from sim.cli.commands import COMMANDS as SIM

from .cli.commands import COMMANDS as VALIDATION

PACKAGES: dict[str, tuple[str, dict[str, Home]]] = {
    "sim": ("Simulate, search and plan", SIM),
    "backend": ("Run with torch", BACKEND),
    "validation": ("Measure, and compare with what was measured", VALIDATION),
}
"""Package -> what its commands have in common, and the commands."""

HELP = (
    "The laboratory for pipeline-parallel schedules: who waits, for how long, how much memory it "
    "takes, and what a real machine says. `pipebubble COMMAND --help` explains a command, with an "
    "example."
)
OPTIONS = """Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit."""


def commands_by_package() -> dict[str, dict[str, Home]]:
    """The commands of every package, by the names that they have here.

    A name that two packages use is the simulator's; the other package's command begins with the
    name of its package.
    """
    users = Counter(name for _, commands in PACKAGES.values() for name in commands)
    return {
        package: {
            name if users[name] == 1 or package == "sim" else f"{package}-{name}": home
            for name, home in commands.items()
        }
        for package, (_, commands) in PACKAGES.items()
    }


def overview() -> str:
    """The text of --help: the commands by package, with a sentence each."""
    found = commands_by_package()
    width = min(max(shutil.get_terminal_size().columns, 60), 100)
    column = 4 + max(len(name) for commands in found.values() for name in commands)
    longer = [name for package in found for name in set(found[package]) - set(PACKAGES[package][1])]
    rule = (
        "A command is called as in its package. Where the simulator has one of that name, too, the "
        f"name of the package comes first: {', '.join(sorted(longer))}."
    )
    lines = ["Usage: pipebubble COMMAND [OPTIONS]", "", *textwrap.wrap(HELP, width)]
    for package, (heading, _) in PACKAGES.items():
        lines += ["", f"{heading} (python -m {package}):"]
        for name, home in found[package].items():
            text = f"  {name:{column - 2}}{_summary(home)}"
            lines += textwrap.wrap(text, width, subsequent_indent=" " * column)
    return "\n".join([*lines, "", *textwrap.wrap(rule, width), "", OPTIONS])


def _summary(home: Home) -> str:
    """What a command does, or what it needs that is not installed."""
    try:
        text = command_at(home).__doc__ or ""
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        return f"Needs pip install 'pipebubble[{extra}]'." if extra else "Not installed."
    return " ".join(text.strip().partition("\n\n")[0].split())


main = CommandLine(
    "validation",
    HELP,
    {name: home for commands in commands_by_package().values() for name, home in commands.items()},
    program="pipebubble",
    overview=overview,
).run
"""Run one command; the exit code: 0 fine, 1 bad data, 2 bad usage, 130 interrupted."""
