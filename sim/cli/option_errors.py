"""A wrong option or argument in one sentence: which one, what was typed, and the rule."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, get_args, get_origin

RULES: dict[object, str] = {int: "a whole number", float: "a number"}
"""What a typed value must be, where its text has to be converted."""


def option_error(error: Any, command: Callable[..., object] | None, given: Sequence[str]) -> str:
    """What typer (or the click it brings) objects to, in our words.

    command: the function that was asked for; given: what was typed. The rule is read off the type
    of the option in `command`, because versions of typer differ in what they say, and in whether
    they say what was typed.
    """
    text = str(error.format_message())
    param = getattr(error, "param", None)
    rule = _rule(command, str(param.name)) if param is not None else ""
    wrong = text.startswith("Invalid value")
    if wrong and param is not None:
        flag, value = _as_typed(list(param.opts), given)
        if rule and flag:
            return f"{flag} is {_short(value)}: it must be {rule}"
        return text.removeprefix("Invalid value for ").rstrip(".")
    if near := getattr(error, "possibilities", None):
        return f"no such option: {error.option_name}: did you mean {' or '.join(sorted(near))}?"
    if wrong:
        text = text.removeprefix("Invalid value: ")
    return text[:1].lower() + text[1:].rstrip(".")


_FIELD = re.compile(r"(\w+)( is | has | parallel size )")


def by_option(sentence: str, given: Sequence[str]) -> str:
    """A sentence about a field, as it is called in Python, about the option that was typed for it.

    >>> by_option("context_by is 'star': use one of ring", ["--context-by", "star"])
    "--context-by is 'star': use one of ring"
    >>> by_option("tensor parallel size 3 does not divide 8 devices", ["--tensor=3"])
    '--tensor 3 does not divide 8 devices'
    """
    found = _FIELD.match(sentence)
    flag = "--" + found[1].replace("_", "-") if found else ""
    if not found or flag not in {word.partition("=")[0] for word in given}:
        return sentence
    told = " " if found[2] == " parallel size " else found[2]
    return f"{flag}{told}{sentence[found.end() :]}"


def _rule(command: Callable[..., object] | None, name: str) -> str:
    """What the value of a parameter must be; "" where any text will do."""
    if command is None:
        return ""
    parameters = inspect.signature(command, eval_str=True).parameters
    annotation: Any = parameters[name].annotation if name in parameters else str
    kind, *notes = get_args(annotation) if hasattr(annotation, "__metadata__") else (annotation,)
    if get_origin(kind) is not None:  # int | None, list[int]
        kind = next((part for part in get_args(kind) if part is not type(None)), kind)
    rule = RULES.get(kind, "")
    for end, words in (("min", "or more"), ("max", "or less")):
        limits = [limit for note in notes if (limit := getattr(note, end, None)) is not None]
        rule += f", {limits[0]} {words}" if rule and limits else ""
    return rule


def _as_typed(flags: Sequence[str], given: Sequence[str]) -> tuple[str, str]:
    """The flag as it was typed last, and what was typed after it; ("", "") if it was not."""
    for position in range(len(given) - 1, -1, -1):
        for flag in flags:
            word = given[position]
            if word == flag and position + 1 < len(given):
                return flag, given[position + 1]
            if flag.startswith("--") and word.startswith(f"{flag}="):
                return flag, word.removeprefix(f"{flag}=")
            if not flag.startswith("--") and word.startswith(flag) and len(word) > len(flag):
                return flag, word.removeprefix(flag)
    return "", ""


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
