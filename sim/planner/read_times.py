"""Reads measured pass times from a file:

    {"source": "torch profiler, our nodes, 30 November",
     "measured": [
       {"sequence": 8192, "microbatch": 1, "tensor": 8,
        "layer": {"forward": 0.0101, "backward": 0.0112, "weight": 0.0091},
        "head": {"forward": 0.021, "backward": 0.022, "weight": 0.019}},
       {"sequence": 8192, "microbatch": 1, "tensor": 4, "pipeline": 2,
        "stages": [{"forward": 0.4, "backward": 0.45, "weight": 0.37, "fused_backward": 0.8},
                   {"forward": 0.42, "backward": 0.47, "weight": 0.39}]}]}

The file of stages holds for stages cut as they were measured: plan with that `--cut`. Seconds are
those of one microbatch on one device, with the collectives that passes wait for.
`fused_backward` is B and W as one pass; without it the model's saving is scaled. `layer` is of
every layer, `layers` of kinds of them by name (see `python -m sim model`); `embedding` and `head`
are optional. `recompute` ("none" if not given) and `tensor`, `microbatch` (1) tell where it was
measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from ..base.json_text import object_in
from ..base.numbers import checked, checked_whole
from .cost_model import Passes
from .cost_model.configuration import Recompute
from .pass_times import PLACE, Measurement, PassTimes, Times

_PIECES = ("layer", "layers", "embedding", "head")
_PASSES = ("forward", "backward", "weight")


def read_pass_times(path: str | Path) -> PassTimes:
    """The measurements in a file; ValueError with one sentence if it is not as above."""
    found = object_in(path, "a file of pass times")
    _known(found, ("source", "measured"), str(path))
    entries = found.get("measured")
    if not isinstance(entries, list) or not entries:
        raise ValueError(f'{path} has no measurement: give a list of them as "measured"')
    measured = [
        _measurement(entry, f"measurement {i} of {path}") for i, entry in enumerate(entries)
    ]
    return PassTimes(str(found.get("source", f"measured: {path}")), tuple(measured))


def _measurement(entry: Any, where: str) -> Measurement:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} is {entry!r}: expected an object")
    _known(entry, (*PLACE, *_PIECES, "pipeline", "virtual", "stages"), where)
    if "sequence" not in entry:
        raise ValueError(f'{where} lacks "sequence": tokens of the sequences it was measured with')
    recompute = entry.get("recompute", "none")
    if recompute not in get_args(Recompute):
        raise ValueError(
            f"recompute of {where} is {recompute!r}: use {', '.join(get_args(Recompute))}"
        )
    if "stages" in entry and set(entry) & set(_PIECES):
        raise ValueError(f"{where} has stages and pieces: make two measurements of them")
    if not set(entry) & {*_PIECES, "stages"}:
        raise ValueError(f"{where} has no times: give layer, layers, embedding, head or stages")
    layers = dict(entry.get("layers", {})) | ({"": entry["layer"]} if "layer" in entry else {})
    found = Measurement(
        sequence=checked_whole(entry["sequence"], f"sequence of {where}"),
        microbatch=checked_whole(entry.get("microbatch", 1), f"microbatch of {where}"),
        tensor=checked_whole(entry.get("tensor", 1), f"tensor of {where}"),
        recompute=recompute,
        layers=tuple((name, _times(each, f"layer of {where}")) for name, each in layers.items()),
        embedding=_times(entry["embedding"], f"embedding of {where}")
        if "embedding" in entry
        else None,
        head=_times(entry["head"], f"head of {where}") if "head" in entry else None,
    )
    return _with_stages(found, entry, where) if "stages" in entry else found


def _with_stages(found: Measurement, entry: Mapping[str, Any], where: str) -> Measurement:
    pipeline = checked_whole(entry.get("pipeline"), f"pipeline of {where}")
    virtual = checked_whole(entry.get("virtual", 1), f"virtual of {where}")
    stages = entry["stages"]
    if not isinstance(stages, list) or len(stages) != pipeline * virtual:
        raise ValueError(
            f"stages of {where}: give {pipeline * virtual} of them, pipeline times virtual"
        )
    times = tuple(_times(each, f"stage {i} of {where}") for i, each in enumerate(stages))
    return replace(found, pipeline=pipeline, virtual=virtual, stages=times)


def _times(entry: Any, where: str) -> Times:
    if not isinstance(entry, Mapping) or not set(_PASSES) <= set(entry):
        raise ValueError(f"{where} needs the seconds of {', '.join(_PASSES)}")
    _known(entry, (*_PASSES, "fused_backward"), where)
    passes = Passes(*(float(checked(entry[name], f"{name} of {where}")) for name in _PASSES))
    fused = entry.get("fused_backward")
    return Times(passes, None if fused is None else float(checked(fused, f"fused of {where}")))


def _known(entry: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    if unknown := set(entry) - set(names):
        raise ValueError(f"{where} has no field {min(unknown)!r}: fields are {', '.join(names)}")
