"""Names of families as people type them, and what was meant by one that is none."""

from __future__ import annotations

from difflib import get_close_matches

from ..families import FAMILIES
from .command_line import UsageError

ELSEWHERE = {
    "interleaved1f1b": "interleaved", "zbvzerobubble": "zb-v",
    "dapple": "1f1b", "pipedreamflush": "1f1b",
}  # fmt: skip
"""What torch and the papers call a family whose name resembles none of ours."""

SEARCHED = {"zb1p": "the number of devices", "zb2p": "twice the number of devices"}
"""Zero-bubble schedules that have no rule: their authors search them within this memory limit, in
shares (Qi et al. 2023, arXiv 2401.10241, experiments)."""


class UnknownFamily(UsageError):
    """A name that is neither a family nor a file."""


def unknown_family(name: str) -> str:
    """One sentence: what is close to `name`, or where to look."""
    small = name.lower().replace("_", "-")
    if limit := SEARCHED.get(small.replace("-", "")):
        return (
            f"{name!r} is no family, its authors search it: use `python -m sim search --placement "
            f"straight` with {limit} as --memory-limit"
        )
    known = ELSEWHERE.get(small.replace("-", ""))
    near = [known] if known else get_close_matches(small, FAMILIES, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`python -m sim families` lists them"
    return f"unknown family {name!r}: {hint}"
