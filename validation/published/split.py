"""Which published rows efficiencies may be fitted to; all others only judge.

The rule was written down before anything was fitted to these rows, and changed once: after the fit
for A100 and before any for H100, Nanotron was held back, which is the harder judge. A row may be
fitted to if
1. it is one of the rows in `validation/data/published_runs.csv`,
2. its source is none of `JUDGES`,
3. the SHA-256 of its configuration begins with an even byte.
The configuration leaves out the source and what was measured: a run that was repeated in a later
release of the same table falls on the same side.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from .row import DATA, Row, read_rows

KEY = ("model", "gpu", "n_gpus", "tp", "pp", "vp", "cp", "ep", "mbs", "gbs", "seq", "precision",
       "recompute", "schedule", "cut", "note")  # fmt: skip
JUDGES = ("BigScience 176B production (tr11 README)", "Llama 3 (2407.21783) table 4",
          "AMD Primus-pipeline blog", "Nanotron / Ultra-Scale Playbook")  # fmt: skip
"""Sources of a row or two, and one whose program is another than that of all other H100 rows: held
back altogether."""
_ITS_NOTE = ("Vocabulary parallelism",)
"""Sources in which the note tells configurations apart."""


def is_fitted(row: Row) -> bool:
    """Whether the row belongs to those that efficiencies are fitted to."""
    return row.text("source") not in JUDGES and configuration(row) in _even()


def configuration(row: Row) -> str:
    """What was run, without who measured it when and what came out."""
    noted = row.text("source").startswith(_ITS_NOTE)
    return " ".join(_plain(row.text(name)) for name in KEY if name != "note" or noted)


def _plain(text: str) -> str:
    """Numbers in one form: 8.0 as 8."""
    return text.removesuffix(".0").lower()


@lru_cache(maxsize=1)
def _even() -> frozenset[str]:
    keys = {configuration(row) for row in read_rows(DATA)}
    return frozenset(key for key in keys if sha256(key.encode()).digest()[0] % 2 == 0)
