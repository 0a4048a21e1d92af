"""The command `explore`: the explorer as a page that needs no server."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ..cli.as_typed import as_typed
from ..cli.command_line import UsageError
from ..cli.family_names import unknown_family
from ..cli.text_files import check_writable, write_text
from ..families import FAMILIES


def explore_command(
    html: Annotated[str, typer.Option("--html", metavar="FILE", help="Write the page here.")],
    families: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FAMILY", help="Which families; by default those that are known best."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")
    ] = False,
) -> None:
    """The explorer as one page without a server: what if, for a few settings.

    4 or 8 devices, 8 or 16 microbatches, three sets of times. Every knob there is has `make
    explore`, or sim.explore() in a notebook.

    Example:  python -m sim explore --html explorer.html
    """
    check_writable(html)
    names = list(dict.fromkeys(families or ()))
    for name in names:
        if name not in FAMILIES:
            raise UsageError(unknown_family(name))
    from .static import KNOWN, static_page

    shown = names or [*KNOWN]
    write_text(html, static_page(shown, command=as_typed(), progress=True))
    if as_json:
        print(json.dumps({"html": html, "families": shown}))
