"""All families by name: a new one is one small file and one line here."""

from __future__ import annotations

from .bitpipe import BITPIPE
from .bpipe import BPIPE
from .chimera import CHIMERA
from .dualpipe import DUALPIPE
from .dualpipe_v import DUALPIPE_V
from .eager_1f1b import EAGER_1F1B
from .family import Families, Family
from .gis import GIS, GIS_H
from .gpipe import GPIPE
from .hanayo import HANAYO
from .interleaved import INTERLEAVED
from .looped_bfs import LOOPED_BFS
from .one_f_one_b import ONE_F_ONE_B
from .one_f_one_b_v import ONE_F_ONE_B_V
from .pipe_offload import PO_F, PO_H
from .seq1f1b import SEQ1F1B, SEQ1F1B_INTERLEAVED, SEQ1F1B_ZB
from .slimpipe import SLIMPIPE
from .svpp import SVPP
from .terapipe import TERAPIPE
from .two_bp import TWO_BP
from .v_half import V_HALF
from .v_min import V_MIN
from .v_min_eager import V_MIN_EAGER
from .v_zb import V_ZB
from .vocab_1f1b import VOCAB_1F1B
from .vocab_v_half import VOCAB_V_HALF
from .zb_h1 import ZB_H1
from .zb_h2 import ZB_H2
from .zb_v import ZB_V

FAMILIES: dict[str, Family] = Families(
    (family.name, family)
    for family in (
        GPIPE,
        ONE_F_ONE_B,
        EAGER_1F1B,
        INTERLEAVED,
        LOOPED_BFS,
        ZB_H1,
        ZB_H2,
        ZB_V,
        ONE_F_ONE_B_V,
        V_MIN,
        V_MIN_EAGER,
        V_HALF,
        V_ZB,
        GIS,
        GIS_H,
        HANAYO,
        CHIMERA,
        BITPIPE,
        DUALPIPE,
        DUALPIPE_V,
        SEQ1F1B,
        SEQ1F1B_INTERLEAVED,
        SEQ1F1B_ZB,
        TERAPIPE,
        SVPP,
        SLIMPIPE,
        *TWO_BP,
        BPIPE,
        PO_H,
        PO_F,
        VOCAB_1F1B,
        VOCAB_V_HALF,
    )
)
