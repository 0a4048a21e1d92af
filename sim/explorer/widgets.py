"""The explorer: widgets in, pictures out, at once."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

try:
    import anywidget as _anywidget  # noqa: F401
    import ipywidgets as widgets
    from traitlets import TraitError
except ImportError as error:
    raise ImportError(
        f"sim.explore needs {error.name}: pip install 'pipebubble[notebooks]'"
    ) from None
from ..base.gc_pause import gc_pause
from ..base.numbers import Number
from ..families import FAMILIES
from ..show.templates import rendered
from ..show.timeline import packed
from .about import family_html, front_html
from .better import better
from .facts import facts_html, message_html
from .knobs import CONDITIONS, KNOBS, WIDTH, knobs, read, setting_of, start, written
from .pictures import Pictures, show
from .setting import Played, Setting, code, played, title

PIN = ("Pin this to compare with", "Unpin what it is compared with")
SHOW = ("Show the Python", "Hide the Python")
FRONT = ("All families at these numbers", "Hide the other families")
SEARCH_SECONDS = 10
SEARCH = f"Search a better order ({SEARCH_SECONDS} s)"


@dataclass(eq=False)
class Explorer:
    """What `explore` gives. Show it as the last line of a cell; drive it from Python, too:

        explorer.controls["family"].value = "zb-v"

    controls: the input widgets by name (`knobs.KNOBS` and `knobs.CONDITIONS`). pin, show_code,
    show_front: toggle buttons. find: the button of a search. pictures: the widget that draws the
    time lines. about, facts, message, found, front, code: texts. now: what is shown, None where
    these numbers make no schedule. pinned: what it is compared with. lines: the time lines as they
    are drawn, "now", "pinned" and "found" (see `sim.show.timeline.packed`).
    """

    controls: Mapping[str, Any]
    pin: Any = field(default_factory=lambda: _toggle(PIN[0], "thumb-tack"))
    show_code: Any = field(default_factory=lambda: _toggle(SHOW[0], "code"))
    show_front: Any = field(default_factory=lambda: _toggle(FRONT[0], "line-chart"))
    find: Any = field(
        default_factory=lambda: widgets.Button(
            description=SEARCH,
            icon="search",
            layout=widgets.Layout(width=WIDTH),
            tooltip="annealing and solver look for a faster order within the limit, with its bound",
        )
    )
    pictures: Pictures = field(default_factory=Pictures)
    about: Any = field(default_factory=widgets.HTML)
    facts: Any = field(default_factory=widgets.HTML)
    found: Any = field(default_factory=widgets.HTML)
    front: Any = field(default_factory=widgets.HTML)
    message: Any = field(default_factory=widgets.HTML)
    code: Any = field(default_factory=lambda: widgets.Textarea(rows=14))
    now: Played | None = None
    pinned: Played | None = None
    lines: dict[str, dict[str, Any]] = field(default_factory=dict)
    box: Any = None
    held: bool = False

    @property
    def setting(self) -> Setting:
        """What the widgets say."""
        return setting_of({name: control.value for name, control in self.controls.items()})

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
    begin = Setting(
        family, p, m, options, forward=forward, backward=backward, weight=weight, send=send,
        memory_limit=memory_limit,
    )  # fmt: skip
    played(begin)
    controls = knobs(start(begin))
    explorer = Explorer(controls)
    explorer.box = _box(explorer)
    for control in controls.values():
        control.observe(lambda change: None if explorer.held else update(explorer), "value")
    explorer.pin.observe(lambda change: _pin(explorer), "value")
    explorer.show_code.observe(lambda change: _show_code(explorer), "value")
    explorer.show_front.observe(lambda change: _show_front(explorer), "value")
    explorer.find.on_click(lambda button: _search(explorer))
    explorer.pictures.observe(lambda change: _go_to(explorer, change["new"]), "asked")
    update(explorer)
    return explorer


@gc_pause()
def update(explorer: Explorer) -> None:
    """Plays what the widgets say and shows it; one sentence instead of pictures where it cannot.

    Pictures go out first: a reader looks at them while numbers and bounds are still worked out.
    """
    try:
        explorer.now = played(explorer.setting)
        _draw(explorer, explorer.now)
        said = explorer.now.complaint
    except (ValueError, ArithmeticError) as error:
        explorer.now, said = None, str(error)
    now = explorer.now
    explorer.pictures.stale = now is None
    explorer.message.value = message_html(said)
    explorer.found.value = ""
    explorer.about.value = family_html(explorer.controls["family"].value, now)
    explorer.facts.layout.visibility = "visible" if now else "hidden"
    if now:
        explorer.facts.value = facts_html(now, explorer.pinned)
    explorer.code.value = code(now.setting, _pinned_setting(explorer)) if now else ""
    _show_front(explorer)
    options = FAMILIES[explorer.controls["family"].value].options
    for name in ("v", "slices", "group_size"):
        explorer.controls[name].layout.display = "" if name in options else "none"
    explorer.pictures.address = written({n: c.value for n, c in explorer.controls.items()})


def _draw(explorer: Explorer, now: Played) -> None:
    pinned = explorer.pinned
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


def _show_front(explorer: Explorer) -> None:
    shown = explorer.show_front.value and explorer.now is not None
    explorer.show_front.description = FRONT[explorer.show_front.value]
    explorer.front.value = front_html(explorer.now) if shown and explorer.now else ""


def _go_to(explorer: Explorer, address: str) -> None:
    """Sets all knobs at once to what an address says."""
    explorer.held = True
    now = {name: control.value for name, control in explorer.controls.items()}
    for name, value in read(address, now).items():
        with contextlib.suppress(TraitError):
            explorer.controls[name].value = value
    explorer.held = False
    update(explorer)


def _search(explorer: Explorer) -> None:
    """A better order of the same passes within the limit, its bound, and its time line."""
    now = explorer.now
    if now is None:
        return
    explorer.find.disabled, explorer.find.description = True, "Searching..."
    try:
        words, trace = better(now, seconds=SEARCH_SECONDS)
        explorer.found.value = rendered("explorer/found.html", words=words)
        if trace is not None:
            explorer.lines["found"] = packed(trace, title="found")
            show(explorer.pictures, list(explorer.lines.values()))
    except (ValueError, ImportError) as error:
        explorer.found.value = message_html(str(error))
    explorer.find.disabled, explorer.find.description = False, SEARCH


def _pinned_setting(explorer: Explorer) -> Setting | None:
    return explorer.pinned.setting if explorer.pinned else None


def _box(explorer: Explorer) -> Any:
    """Widgets and facts on the left, pictures on the right; on a narrow screen below each other."""
    explorer.code.layout.width = "auto"
    explorer.code.layout.display = "none"
    column, wrap = {"flex": "0 0 310px"}, {"flex_flow": "row wrap", "align_items": "flex-start"}
    c = explorer.controls
    more = widgets.Accordion([widgets.VBox([c[name] for name in CONDITIONS])], selected_index=None)
    more.set_title(0, "Devices, wires, memory, levers")
    more.layout.width = WIDTH
    left = widgets.VBox(
        [c["family"], explorer.about, *(c[name] for name in KNOBS if name != "family"), more,
         explorer.pin, explorer.find, explorer.show_front, explorer.show_code, explorer.facts],
        layout=widgets.Layout(**column),
    )  # fmt: skip
    right = widgets.VBox(
        [explorer.message, explorer.found, explorer.code, explorer.front, explorer.pictures],
        layout=widgets.Layout(flex="1 1 400px", min_width="320px"),
    )
    return widgets.HBox([left, right], layout=widgets.Layout(**wrap))


def _toggle(text: str, icon: str) -> Any:
    return widgets.ToggleButton(description=text, icon=icon, layout=widgets.Layout(width=WIDTH))
