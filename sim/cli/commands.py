"""`python -m sim`: the commands of the simulator."""

from __future__ import annotations

from .command_line import CommandLine, Home

COMMANDS: dict[str, Home] = {
    "simulate": ("sim.cli.simulate", "simulate"),
    "compare": ("sim.cli.simulate", "compare"),
    "search": ("sim.search.cli.search", "search_command"),
    "pareto": ("sim.search.pareto_front.cli", "pareto_command"),
    "explore": ("sim.explorer.cli", "explore_command"),
    "plan": ("sim.planner.cli", "plan_command"),
    "model": ("sim.planner.cli_model", "model_command"),
    "machine": ("sim.planner.cli_machine", "machine_command"),
    "init": ("sim.planner.cli_init", "init_command"),
    "export": ("sim.cli.files", "export"),
    "check": ("sim.cli.files", "check"),
    "check-family": ("sim.cli.check_family", "check_family_command"),
    "families": ("sim.cli.families", "families"),
    "pipeload": ("sim.pipeload.cli", "pipeload_command"),
}
"""Every command and the function that is it. A new one is one line here."""

main = CommandLine(
    "sim",
    "The laboratory for pipeline-parallel schedules: who waits, for how long, and how much memory "
    "it takes. `python -m sim COMMAND --help` explains a command, with an example.",
    COMMANDS,
).run
"""Run one command; the exit code: 0 fine, 1 bad data, 2 bad usage, 130 interrupted."""
