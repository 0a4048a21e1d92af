"""The explorer: widgets in, pictures out, at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

try:
    import anywidget as _anywidget  # noqa: F401
    import ipywidgets as widgets
except ImportError as error:
    raise ImportError(
        f"sim.explore needs {error.name}: pip install 'pipebubble[notebooks]'"
    ) from None
import plotly.graph_objects as go

from ...base.gc_pause import gc_pause
from ...base.numbers import Number
from ...families import FAMILIES
from ..plot import gantt, memory_curve
from ..style import ALARM, USUAL_WIDTH
from .facts import facts_html, message_html
from .pictures import Pictures, show
from .setting import Played, Setting, code, played, title

LABELS = {
    "family": "family", "p": "devices p", "m": "microbatches m", "v": "stages v",
    "slices": "slices k", "group_size": "group (0: any)", "forward": "forward",
    "backward": "backward", "weight": "weight", "send": "send",
    "memory_limit": "limit (0: none)",
}  # fmt: skip
WIDTH = "290px"
"""Of everything on the left."""
LEFT = 72
"""Pixels left of every picture, for names of devices and numbers."""
PIN = ("Pin this to compare with", "Unpin what it is compared with")
SHOW = ("Show the Python", "Hide the Python")


@dataclass(eq=False)
class Explorer:
    """What `explore` gives. Show it as the last line of a cell; drive it from Python, too:

        explorer.controls["family"].value = "zb-v"

    controls: the input widgets by name (`LABELS`). pin, show_code: toggle buttons. pictures: the
    widget that draws the figures. facts, message, code: texts. now: what is shown, None where these
    numbers make no schedule. pinned: what it is compared with. figures: by name, as drawn:
    "time line" and "memory", and the same of the pinned one.
    """

    controls: Mapping[str, Any]
    pin: Any = field(default_factory=lambda: _toggle(PIN[0], "thumb-tack"))
    show_code: Any = field(default_factory=lambda: _toggle(SHOW[0], "code"))
    pictures: Pictures = field(default_factory=Pictures)
    facts: Any = field(default_factory=widgets.HTML)
    message: Any = field(default_factory=widgets.HTML)
    code: Any = field(default_factory=lambda: widgets.Textarea(rows=14))
    now: Played | None = None
    pinned: Played | None = None
    figures: dict[str, go.Figure] = field(default_factory=dict)
    box: Any = None

    @property
    def setting(self) -> Setting:
        """What the widgets say."""
        at = {name: control.value for name, control in self.controls.items()}
        options = {name: at[name] for name in ("v", "slices")}
        options |= {"group_size": at["group_size"]} if at["group_size"] else {}
        times = {name: _plain(at[name]) for name in ("forward", "backward", "weight", "send")}
        limit = _plain(at["memory_limit"]) or None
        return Setting(at["family"], at["p"], at["m"], options, **times, memory_limit=limit)

    def _repr_mimebundle_(self, **asked: Any) -> Any:
        return self.box._repr_mimebundle_(**asked)


def explore(
    family: str = "v-half",
    p: int = 8,
    m: int = 32,
    *,
    v: int = 2,
    slices: int = 2,
    group_size: int | None = None,
    forward: Number = 10,
    backward: Number = 12,
    weight: Number = 8,
    send: Number = 1,
    memory_limit: Number | None = None,
) -> Explorer:
    """A what-if explorer for a notebook: change a number, see time line, memory and facts at once.

    The arguments are where it starts: times of a device's whole share of one microbatch,
    `memory_limit` in shares. `v`, `slices` and `group_size` serve the families that take them.
    Needs ipywidgets and anywidget: `pip install 'pipebubble[notebooks]'`.
    """
    # Where it starts is checked as such: a slider would silently move to its nearest end.
    options = {"v": v, "slices": slices} | (
        {} if group_size is None else {"group_size": group_size}
    )
    played(
        Setting(
            family, p, m, options, forward=forward, backward=backward, weight=weight, send=send,
            memory_limit=memory_limit,
        )
    )  # fmt: skip
    whole, times = widgets.IntSlider, widgets.FloatText
    controls = {
        "family": widgets.Dropdown(options=list(FAMILIES), value=family),
        "p": whole(value=p, min=1, max=max(32, p)),
        "m": whole(value=m, min=1, max=max(128, m)),
        "v": whole(value=v, min=1, max=max(8, v)),
        "slices": whole(value=slices, min=1, max=max(8, slices)),
        "group_size": whole(value=group_size or 0, min=0, max=max(32, group_size or 0)),
        "forward": times(value=float(forward), step=1),
        "backward": times(value=float(backward), step=1),
        "weight": times(value=float(weight), step=1),
        "send": times(value=float(send), step=1),
        "memory_limit": times(value=float(memory_limit or 0), step=0.5),
    }
    for name, control in controls.items():
        control.description = LABELS[name]
        control.style.description_width = "110px"
        control.layout.width = WIDTH
    explorer = Explorer(controls)
    explorer.box = _box(explorer)
    for control in controls.values():
        control.observe(lambda change: update(explorer), "value")
    explorer.pin.observe(lambda change: _pin(explorer), "value")
    explorer.show_code.observe(lambda change: _show_code(explorer), "value")
    update(explorer)
    return explorer


@gc_pause()
def update(explorer: Explorer) -> None:
    """Plays what the widgets say and shows it; one sentence instead of pictures where it cannot."""
    options = FAMILIES[explorer.controls["family"].value].options
    for name in ("v", "slices", "group_size"):
        explorer.controls[name].layout.display = "" if name in options else "none"
    try:
        explorer.now = played(explorer.setting)
    except (ValueError, ArithmeticError) as error:
        explorer.now = None
        explorer.message.value = message_html(str(error))
    now = explorer.now
    for part in (explorer.pictures, explorer.facts):
        part.layout.visibility = "visible" if now else "hidden"
    explorer.code.value = code(now.setting, _pinned_setting(explorer)) if now else ""
    if now:
        explorer.message.value = message_html(now.complaint)
        _draw(explorer, now)


def _draw(explorer: Explorer, now: Played) -> None:
    pinned = explorer.pinned
    explorer.facts.value = facts_html(now, pinned)
    both = [now] + ([pinned] if pinned else [])
    end = max(float(one.facts.makespan) for one in both) or 1.0
    top = 1.08 * max(float(max(one.facts.peak, one.setting.memory_limit or 0)) for one in both)
    found = {"time line": _time_line(now), "memory": _memory(now)}
    if pinned:  # like below like, so that they can be compared
        was = explorer.figures
        found = {
            "time line": found["time line"],
            "pinned time line": was.get("pinned time line") or _time_line(pinned),
            "memory": found["memory"],
            "pinned memory": was.get("pinned memory") or _memory(pinned),
        }
    for name, figure in found.items():
        figure.update_xaxes(range=[0, end])
        figure.update_yaxes(automargin=False)  # one axis of time: all begin at the same place
        figure.update_layout(margin_l=LEFT)
        if name.endswith("memory"):
            figure.update_yaxes(range=[0, top])
    explorer.figures = found
    show(explorer.pictures, list(found.values()))


def _time_line(one: Played) -> go.Figure:
    # Labels chosen for this width: fitting them in the browser takes longer than all the rest.
    return gantt(one.trace, title=title(one.setting), width=USUAL_WIDTH)


def _memory(one: Played) -> go.Figure:
    figure = memory_curve(one.trace, title=f"memory of {one.setting.family}")
    if (limit := one.setting.memory_limit) is not None:
        figure.add_hline(
            y=float(limit),
            line={"dash": "dash", "width": 1.4, "color": ALARM},
            annotation={"text": "limit", "font": {"size": 11}},
            annotation_position="top left",
        )
    return figure.update_layout(height=290)


def _pin(explorer: Explorer) -> None:
    if explorer.pin.value and explorer.now is None:  # there is nothing to pin
        explorer.pin.value = False
        return
    explorer.pinned, explorer.figures = (explorer.now if explorer.pin.value else None), {}
    explorer.pin.description = PIN[explorer.pin.value]
    update(explorer)


def _show_code(explorer: Explorer) -> None:
    explorer.code.layout.display = "" if explorer.show_code.value else "none"
    explorer.show_code.description = SHOW[explorer.show_code.value]


def _pinned_setting(explorer: Explorer) -> Setting | None:
    return explorer.pinned.setting if explorer.pinned else None


def _box(explorer: Explorer) -> Any:
    """Widgets and facts on the left, pictures on the right; on a narrow screen below each other."""
    explorer.code.layout.width = "auto"
    explorer.code.layout.display = "none"
    column, wrap = {"flex": "0 0 310px"}, {"flex_flow": "row wrap", "align_items": "flex-start"}
    left = widgets.VBox(
        [*explorer.controls.values(), explorer.pin, explorer.show_code, explorer.facts],
        layout=widgets.Layout(**column),
    )
    right = widgets.VBox(
        [explorer.message, explorer.code, explorer.pictures],
        layout=widgets.Layout(flex="1 1 600px", min_width="320px"),
    )
    return widgets.HBox([left, right], layout=widgets.Layout(**wrap))


def _toggle(text: str, icon: str) -> Any:
    return widgets.ToggleButton(description=text, icon=icon, layout=widgets.Layout(width=WIDTH))


def _plain(value: float) -> Number:
    """What was typed: whole numbers as such."""
    return int(value) if value == value and abs(value) < 1e15 and value == int(value) else value
