"""HTML from the templates of this folder: Jinja2 fills them in and escapes every value."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def rendered(template: str, **values: Any) -> str:
    """The text of a template, such as "page/chart.html".

    What it is given is text, and escaped, unless `asset` read it.
    """
    return _environment().get_template(template).render(values)


def asset(name: str) -> Any:
    """A file of ours, such as "page/shell.js", that a page holds just as it is."""
    return trusted((files(__package__) / name).read_text(encoding="utf-8"))


def trusted(text: str) -> Any:
    """Markup or a script that is not to be escaped."""
    from markupsafe import Markup

    return Markup(text)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only where pages are made

    found = Environment(
        loader=PackageLoader(str(__package__), ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return found
