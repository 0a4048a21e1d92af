"""`python -m validation`: its commands, a small module each."""

from __future__ import annotations

from sim.cli.command_line import CommandLine

COMMANDS: dict[str, tuple[str, str]] = {
    "calibrate": ("validation.cli.calibrate", "calibrate_command"),
    "compare": ("validation.cli.compare", "compare_command"),
    "report": ("validation.cli.report", "report_command"),
    "gpu": ("validation.cli.gpu", "gpu_command"),
    "vtrain": ("validation.cli.vtrain", "vtrain_command"),
    "published": ("validation.cli.published", "published_command"),
    "llm-foundry": ("validation.cli.llm_foundry", "llm_foundry_command"),
    "throughput": ("validation.cli.throughput", "throughput_command"),
    "trace": ("validation.cli.trace", "trace_command"),
    "searches": ("validation.cli.searches", "searches_command"),
}
"""Every command and the function that is it. A new one is one line here."""

main = CommandLine(
    "validation",
    "Measures this machine, and says how far the simulator is from it and from what others "
    "published. `python -m validation COMMAND --help` explains a command, with an example.",
    COMMANDS,
).run
"""Run one command; the exit code: 0 fine, 1 bad data, 2 bad usage, 130 interrupted."""
