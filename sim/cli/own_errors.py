"""Which errors are answers to whoever typed a command, and which are faults of ours."""

from __future__ import annotations

import dis

OURS = ("sim", "backend", "validation")
"""Packages whose every `raise` is a sentence for a reader."""
FAULT = "This is a fault of pipebubble's, not of what was given: please report these lines."


def raised_by_us(error: BaseException) -> bool:
    """Whether a `raise` of ours made it. What numpy, pandas or `float` complain about names no
    option, and is seen as what it is, with its traceback."""
    at = error.__traceback__
    while at and at.tb_next:
        at = at.tb_next
    if at is None:
        return False
    package = str(at.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
    raises = dis.opname[at.tb_frame.f_code.co_code[at.tb_lasti]] == "RAISE_VARARGS"
    return raises and package in OURS
