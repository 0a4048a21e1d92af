"""Where a page with figures of plotly's has the library: within, beside it, or on the network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .text_files import write_text

Plotly = Literal["embed", "directory", "cdn"]
PlotlyOption = Annotated[
    Plotly,
    typer.Option(
        "--plotly",
        help="Where plotly.js is: in the page (4.6 MB), in a file beside it, or on the network.",
    ),
]


def write_page(path: str, page: str, plotly: Plotly) -> None:
    """Writes a page that embeds plotly.js, or the same page without it.

    "directory" puts plotly.min.js into the folder of the page, once for all pages there; "cdn"
    names the address of that very version, which a browser asks for when the page is opened.
    """
    from plotly.offline import get_plotlyjs_version

    from ..show.plot import plotly_script

    library = f"<script>{plotly_script()}</script>"
    source = "plotly.min.js"
    if plotly == "directory":
        write_text(str(Path(path).parent / source), plotly_script())
    elif plotly == "cdn":
        source = f"https://cdn.plot.ly/plotly-{get_plotlyjs_version()}.min.js"
    if plotly != "embed":
        page = page.replace(library, f'<script src="{source}" charset="utf-8"></script>')
    write_text(path, page)
