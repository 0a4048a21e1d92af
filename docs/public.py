"""Writes down what is public, so that a change of it is seen in a diff.

python docs/public.py          writes docs/public.txt

Names, parameters, defaults and options; the rule for what may change is docs/stability.md.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from validation.console import commands_by_package

LISTING = Path(__file__).resolve().parent / "public.txt"
FRONT_DOORS = ("sim", "sim.search", "backend", "validation")
PROGRAMS = ("sim", "backend", "validation")


def main() -> None:
    LISTING.write_text(listing(), encoding="utf-8")
    print(f"wrote {LISTING.name}")


def listing() -> str:
    """The whole text: a line per name, member, option and family."""
    lines = ["What is public (see stability.md). Made by `make api`; a test holds it to be true."]
    for door in FRONT_DOORS:
        lines += ["", f"# import {door}", *exported(door)]
    for program in PROGRAMS:
        lines += ["", f"# python -m {program}", *commands(program)]
    names = [name for package in commands_by_package().values() for name in package]
    lines += ["", "# pipebubble: the same commands in one program", *names]
    return "\n".join(lines) + "\n"


def exported(door: str) -> Iterator[str]:
    """`__all__` of a package with the parameters of each name and the members of each class."""
    package = importlib.import_module(door)
    for name in sorted(package.__all__):
        thing = getattr(package, name)
        constant = f" = {thing}" if isinstance(thing, tuple) else ""
        yield f"{name}{parameters(thing)}{constant}"
        if isinstance(thing, dict):
            yield from (f"  {key}" for key in thing)
        elif isinstance(thing, type):
            yield from (f"  .{member}" for member in members(thing))


def parameters(thing: Any) -> str:
    """Names and defaults in parentheses, without annotations; "" where nothing can be called."""
    if not callable(thing) or not (inspect.isclass(thing) or inspect.isroutine(thing)):
        return ""
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return "(Exception)"
    plain = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in inspect.signature(thing).parameters.values()
        if each.name != "self"
    ]
    return re.sub(r"<function (\S+) at 0x\w+>", r"\1", str(inspect.Signature(plain)))


def members(thing: type) -> Iterator[str]:
    """Fields, properties and methods that the class itself adds."""
    fields = getattr(thing, "__dataclass_fields__", ())
    own = {name for name in (*vars(thing), *fields) if not name.startswith("_")}
    for name in sorted(own):
        found = inspect.getattr_static(thing, name, None)
        method = getattr(thing, name, None)
        called = isinstance(found, classmethod | staticmethod) or inspect.isfunction(found)
        yield f"{name}{parameters(method)}" if called else name


def commands(program: str) -> Iterator[str]:
    """Each command with its arguments and options, read from its help."""
    run: Callable[[list[str]], int] = importlib.import_module(f"{program}.__main__").main
    for name in re.findall(r"^  (\S+)", section(helped(run), "Commands"), flags=re.MULTILINE):
        text = helped(run, name)
        arguments = re.findall(r"^  ([^\s-]\S*)", section(text, "Arguments"), flags=re.MULTILINE)
        yield " ".join([name, *arguments])
        options = re.findall(r"^  (-[^A-Z<{\n]*)", section(text, "Options"), flags=re.MULTILINE)
        yield from sorted(f"  {line.split('  ')[0].strip()}" for line in options)


def helped(run: Callable[[list[str]], int], *words: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        run([*words, "--help"])
    return said.getvalue()


def section(text: str, title: str) -> str:
    """The indented lines below `title:`."""
    return text.partition(f"\n{title}:\n")[2].partition("\n\n")[0]


if __name__ == "__main__":
    main()
