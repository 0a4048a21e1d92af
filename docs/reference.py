"""The pages of the reference: one for every public name, from what its source says, not run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).resolve().parent.parent
DOORS = ("sim", "sim.search", "backend", "validation")
"""Packages whose `__all__` is what is public: docs/public.txt has the same."""

FACTORY = re.compile(r"field\(default_factory=(\w+)\)")
HEADED = ("    options:", "      heading_level: 1", "      show_root_heading: true",
          "      show_root_full_path: true")  # fmt: skip
"""With a heading that mkdocstrings makes."""


def reference_pages() -> Iterator[tuple[str, str]]:
    """Where each page lies, and its Markdown."""
    for door in DOORS:
        package = _package(door)
        names = sorted(map(str, package.exports or ()), key=lambda name: (name.lower(), name))
        yield f"api/{door}/index.md", _index(package, names)
        for name in names:
            yield f"api/{door}/{name}.md", _page(door, name, package[name])


def _package(door: str) -> Any:
    top, *inner = door.split(".")
    found = griffe.load(top, search_paths=[ROOT], resolve_aliases=True)
    for name in inner:
        found = found[name]
    return found


def _index(package: Any, names: list[str]) -> str:
    """What the package is, and a line per name: the first one of its docstring."""
    lines = [f"# {package.path}", "", _text(package), "", "| name | what it is |", "|---|---|"]
    for name in names:
        lines.append(f"| [{_code(name)}]({name}.md) | {_cell(_first_line(package[name]))} |")
    return "\n".join(lines) + "\n"


def _page(door: str, name: str, thing: Any) -> str:
    where = Path(thing.filepath).relative_to(ROOT)
    lines = ["---", f"title: {name}", "---", ""]
    if thing.is_function:  # its heading brings the signature along
        return "\n".join([*lines, f"::: {door}.{name}", *HEADED, ""])
    lines += [f"# {door}.{name}", "", f"`{where}`", ""]
    if rows := list(_rows(thing)):
        lines += ["| field | what it is |", "|---|---|", *rows, ""]
    return "\n".join([*lines, f"::: {door}.{name}", ""])


def _rows(thing: Any) -> Iterator[str]:
    """A row for every field of a dataclass or named tuple: its name, type and default, and what its
    docstring says of it."""
    found = fields(thing)
    _, meanings = told_apart(_text(thing), found)
    for name, member in found.items():
        kind = str(member.annotation)
        if member.value is not None:
            kind += " = " + FACTORY.sub(r"\1()", str(member.value))
        meaning = meanings.get(name, "") or _first_line(member)
        yield f"| **{_code(name)}**<br>{_code(kind)} | {_cell(meaning)} |"


def fields(thing: Any) -> dict[str, Any]:
    """The fields of a dataclass or named tuple; {} of anything else."""
    if not thing.is_class:
        return {}
    bases = {str(base).rpartition(".")[2] for base in thing.bases}
    if "dataclass" not in thing.labels and "NamedTuple" not in bases:
        return {}
    return {
        name: member
        for name, member in thing.members.items()
        if member.is_attribute and not name.startswith("_") and "property" not in member.labels
    }


def told_apart(text: str, names: Iterable[str]) -> tuple[str, dict[str, str]]:
    """A docstring without what it says of fields, and that by field.

    >>> told_apart("A link. latency: seconds. bandwidth: of it.", ["latency", "bandwidth"])
    ('A link.', {'latency': 'seconds.', 'bandwidth': 'of it.'})
    """
    one = "|".join(map(re.escape, names))
    if not one:
        return text, {}
    head = re.compile(rf"(?:^|(?<=[.;:)]\s)|(?<=\n))((?:{one})(?:, (?:{one}))*): ")
    rest, found = [], {}
    for part in text.split("\n\n"):
        if part.lstrip().startswith((">>>", "```")):
            rest.append(part)
            continue
        begin, *told = head.split(part)
        if begin.strip():
            rest.append(begin.rstrip())
        for heads, meaning in zip(told[::2], told[1::2], strict=True):
            for name in heads.split(", "):
                found[name] = " ".join(meaning.split()).rstrip(";")
    return "\n\n".join(rest), found


def _text(thing: Any) -> str:
    return thing.docstring.value if thing.docstring else ""


def _first_line(thing: Any) -> str:
    return _text(thing).split("\n\n")[0].replace("\n", " ")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    """Code in a cell: Markdown leaves a backslash before | in backticks, and a long name may be
    broken where its words end."""
    return f"<code>{escape(text).replace('|', '&#124;').replace('_', '_<wbr>')}</code>"
