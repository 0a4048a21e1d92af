"""The command `families`: what there is to choose from."""

from __future__ import annotations

import json

from ..families import FAMILIES
from .simulate import Json


def families(as_json: Json = False) -> None:
    """List the families: placement, passes, formulas, source.

    Formulas are over p devices, m microbatches, v stages per device, k slices, groups of N, and
    F, B, W: the times of the passes on a device's whole share. They hold exactly at zero send and
    where "exact when" is true.

    Example:  python -m sim families --json
    """
    rows = [
        {
            "name": family.name,
            "placement": family.placement,
            "passes": family.passes,
            "bubble": family.bubble,
            "clock": family.clock,
            "peak": family.peak,
            "exact_when": family.exact_when,
            "options": list(family.options),
            "source": family.source,
        }
        for family in FAMILIES.values()
    ]
    if as_json:
        print(json.dumps(rows))
        return
    from ..show.table import families_table, print_table

    print_table(families_table(rows))
