"""A plan's sentences name fields, as they are in Python; on the command line they name options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection
from functools import wraps
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")
_FIELD = re.compile(r"(\w+)( is | has | parallel size )")


def by_option(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """The command, whose errors begin with its option where they begin with a field's name."""
    names = frozenset(inspect.signature(command).parameters)

    @wraps(command)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return command(*args, **kwargs)
        except ValueError as error:
            if type(error) is not ValueError:
                raise
            raise ValueError(option_named(str(error), names)) from error

    return run


def option_named(text: str, names: Collection[str]) -> str:
    """The sentence with an option in the place of a field that it begins with.

    >>> option_named("context_by is 'star': use one of ring", {"context_by"})
    "--context-by is 'star': use one of ring"
    >>> option_named("tensor parallel size 3 does not divide 8 devices", {"tensor"})
    '--tensor 3 does not divide 8 devices'
    """
    found = _FIELD.match(text)
    if not found or found[1] not in names:
        return text
    told = " " if found[2] == " parallel size " else found[2]
    return f"--{found[1].replace('_', '-')}{told}{text[found.end() :]}"
