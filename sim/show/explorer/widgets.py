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
from ...base.gc_pause import gc_pause
from ...base.numbers import Number
from ...families import FAMILIES
from ..timeline import packed
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
PIN = ("Pin this to compare with", "Unpin what it is compared with")
SHOW = ("Show the Python", "Hide the Python")


@dataclass(eq=False)
class Explorer:
    """What `explore` gives. Show it as the last line of a cell; drive it from Python, too:

        explorer.controls["family"].value = "zb-v"

    controls: the input widgets by name (`LABELS`). pin, show_code: toggle buttons. pictures: the
    widget that draws the time lines. facts, message, code: texts. now: what is shown, None where
    these numbers make no schedule. pinned: what it is compared with. lines: the time lines as they
    are drawn, "now" and "pinned" (see `sim.show.timeline.packed`).
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
    lines: dict[str, dict[str, Any]] = field(default_factory=dict)
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
    explorer.pictures.stale = now is None
    explorer.facts.layout.visibility = "visible" if now else "hidden"
    explorer.code.value = code(now.setting, _pinned_setting(explorer)) if now else ""
    if now:
        explorer.message.value = message_html(now.complaint)
        _draw(explorer, now)


def _draw(explorer: Explorer, now: Played) -> None:
    pinned = explorer.pinned
    explorer.facts.value = facts_html(now, pinned)
    found = {"now": _line(now)}
    if pinned:
        found["pinned"] = explorer.lines.get("pinned") or _line(pinned)
    explorer.lines = found
    show(explorer.pictures, list(found.values()))


def _line(one: Played) -> dict[str, Any]:
    return packed(one.trace, title=title(one.setting), limit=one.setting.memory_limit)


def _pin(explorer: Explorer) -> None:
    if explorer.pin.value and explorer.now is None:  # there is nothing to pin
        explorer.pin.value = False
        return
    explorer.pinned, explorer.lines = (explorer.now if explorer.pin.value else None), {}
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
