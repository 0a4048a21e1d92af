"""Measured runs of a streamed model as a page: their time lines, and each beside its simulation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.pipeload.page import streaming_page

from .profile import Measured


def pipeload_page(
    runs: Mapping[str, Measured], facts: Mapping[str, Any], *, command: str = ""
) -> str:
    """The page of `runs`, by their names.

    facts: what all of them have in common. command: what makes this page again.
    """
    named = {name.replace("_", " "): measured for name, measured in runs.items()}
    table: list[dict[str, Any]] = [
        {
            "run": name,
            "measured (s)": (one.latency, f"{one.latency:.4g}"),
            "simulated (s)": (one.simulated, f"{one.simulated:.4g}"),
            "error": (one.simulated / one.latency - 1, f"{one.simulated / one.latency - 1:+.1%}"),
            "peak (bytes)": one.peak_bytes,
        }
        for name, one in named.items()
    ]
    return streaming_page(
        facts["model"],
        {name: one.run.trace for name, one in named.items()},
        heading="Measured time line",
        table=table,
        facts={name.replace("_", " "): _text(value) for name, value in facts.items()},
        command=command,
        unit="s",
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
