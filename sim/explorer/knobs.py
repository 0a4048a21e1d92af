"""The input widgets of the explorer: a table of them, and what they say as a setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import ipywidgets as widgets

from ..base.numbers import Number
from ..families import FAMILIES
from .conditions import Conditions
from .setting import Setting

WIDTH = "290px"
"""Of everything on the left."""


class Knob(NamedTuple):
    """A widget: its label, what hovering over it tells, and its range if it is a slider."""

    label: str
    tip: str
    least: int | None = None
    most: int = 0


KNOBS: dict[str, Knob] = {
    "family": Knob("family", "the rule that orders the passes"),
    "p": Knob("devices p", "devices the model is split over", 1, 32),
    "m": Knob("microbatches m", "microbatches in one batch", 1, 128),
    "v": Knob("stages v", "stages on each device", 1, 8),
    "slices": Knob("slices k", "slices of every sequence", 1, 8),
    "group_size": Knob("group (0: any)", "microbatches that run together; 0 for the usual", 0, 32),
    "forward": Knob("forward", "time of F on a device's whole share of one microbatch"),
    "backward": Knob("backward", "time of B, the input gradient, on the same"),
    "weight": Knob("weight", "time of W, the weight gradient, on the same"),
    "send": Knob("send", "latency of every transfer between devices"),
    "memory_limit": Knob("limit (0: none)", "shares of activations that a device may hold"),
}
CONDITIONS: dict[str, Knob] = {
    "slow_device": Knob("slow device", "which device is slower, counted from 0", 0, 31),
    "slow_factor": Knob("takes times", "how many times as long its passes take"),
    "last_factor": Knob("last stage times", "how many times as long the last stage takes: a "
                        "vocabulary"),
    "wire": Knob("wire time", "time that what one microbatch sends holds a wire"),
    "receives": Knob("receives", "when a runtime posts them: buffered, early, or just in time"),
    "activation": Knob("GiB of a share", "what one microbatch keeps on a whole device; 0: not "
                       "counted"),
    "capacity": Knob("GiB of a device", "beyond them it runs out of memory; 0: no end"),
    "jitter": Knob("jitter", "random factor on every pass: deviation of its logarithm"),
    "frozen": Knob("frozen stages", "so many first stages train nothing", 0, 32),
    "recompute": Knob("recompute", "activations are computed again: right before the backward, or "
                      "in a wait of the device"),
    "offload": Knob("offload", "activations go to the host and come back"),
    "copy": Knob("copy time", "time of a whole share to the host, and back"),
}  # fmt: skip
CHOICES: dict[str, list[str]] = {
    "family": list(FAMILIES),
    "receives": ["buffered", "early", "just-in-time"],
    "recompute": ["no", "late", "in waits"],
}


def knobs(values: Mapping[str, Any]) -> dict[str, Any]:
    """A widget for every name, with these values; a slider reaches at least as far as its value."""
    return {name: _widget(name, knob, values[name]) for name, knob in (KNOBS | CONDITIONS).items()}


def setting_of(at: Mapping[str, Any]) -> Setting:
    """What the values of all knobs say."""
    options = {name: at[name] for name in ("v", "slices")}
    options |= {"group_size": at["group_size"]} if at["group_size"] else {}
    times = {name: plain(at[name]) for name in ("forward", "backward", "weight", "send")}
    return Setting(
        at["family"], at["p"], at["m"], options, **times,
        memory_limit=plain(at["memory_limit"]) or None,
        conditions=Conditions(**{name: plain(at[name]) for name in CONDITIONS}),
    )  # fmt: skip


def written(values: Mapping[str, Any]) -> str:
    """The values as what stands behind the # of an address.

    >>> written({"family": "zb-v", "p": 4})
    'family=zb-v&p=4'
    """
    return urlencode(values)


def read(text: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with those that an address gives; what it gives wrongly is left as it was.

    >>> read("p=4&offload=True&nonsense=1&m=x", {"p": 1, "m": 2, "offload": False})
    {'p': 4, 'm': 2, 'offload': True}
    """
    found = dict(values)
    for name, given in parse_qsl(text):
        if name in found:
            kind = type(found[name])
            try:
                found[name] = given == "True" if kind is bool else kind(given)
            except ValueError:
                continue
    return found


def plain(value: Any) -> Any:
    """What was typed: whole numbers as such."""
    if not isinstance(value, float) or value != value or abs(value) >= 1e15:
        return value
    return int(value) if value == int(value) else value


def _widget(name: str, knob: Knob, value: Any) -> Any:
    found: Any
    if name in CHOICES:
        found = widgets.Dropdown(options=CHOICES[name], value=value)
    elif isinstance(value, bool):
        found = widgets.Checkbox(value=value, indent=True)
    elif knob.least is not None:
        found = widgets.IntSlider(value=value, min=knob.least, max=max(knob.most, value))
    else:
        step = 0.1 if name in ("slow_factor", "last_factor", "jitter") else 1
        found = widgets.FloatText(value=float(value), step=0.5 if name == "memory_limit" else step)
    found.description, found.tooltip = knob.label, knob.tip
    found.style.description_width = "110px"
    found.layout.width = WIDTH
    return found


def start(setting: Setting) -> dict[str, Number | str | bool]:
    """The values of all knobs for a setting."""
    options = {"v": 2, "slices": 2, "group_size": 0} | dict(setting.options)
    times = {name: getattr(setting, name) for name in ("forward", "backward", "weight", "send")}
    sizes = {"p": setting.devices, "m": setting.microbatches}
    limit = {"memory_limit": setting.memory_limit or 0}
    return {"family": setting.family, **sizes, **options, **times, **limit,
            **vars(setting.conditions)}  # fmt: skip
