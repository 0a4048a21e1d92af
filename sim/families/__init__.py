"""All families by name: a new one is one small file and one line here."""

from __future__ import annotations

from .family import Family
from .one_f_one_b import ONE_F_ONE_B

FAMILIES: dict[str, Family] = {family.name: family for family in (ONE_F_ONE_B,)}
