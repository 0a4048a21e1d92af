"""Charts as plain SVG: every value where the axes say it is."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sim
from sim.pipeload import equal_layers, stream
from sim.pipeload.svg import streaming_svg
from sim.show.palette import contrast

NUMBERS = st.floats(-1e9, 1e9).map(lambda value: round(value, 6))


def corners(svg: str) -> list[list[tuple[float, float]]]:
    """The corners of every curve, in pixels; the short samples of the legend are left out."""
    found = []
    for path in re.findall(r"<path d='(M[^']*)' class='c'", svg):
        if "h14" not in path:
            numbers = [float(value) for value in re.findall(r"-?[\d.]+", path)]
            found.append(list(zip(numbers[::2], numbers[1::2], strict=True)))
    return found


def ticks(svg: str, anchor: str) -> list[tuple[float, float]]:
    """(value, pixel) of the labels of an axis: "middle" for x, "end" for y."""
    place = {"middle": "x", "end": "y"}[anchor]
    pattern = (
        rf"<text x='([\d.]+)' y='([\d.]+)' class='l' text-anchor='{anchor}'>([-\d,.e+]+)</text>"
    )
    return [
        (float(text.replace(",", "")), float(x) if place == "x" else float(y) - 4)
        for x, y, text in re.findall(pattern, svg)
    ]


def test_a_curve_goes_through_its_values_as_the_ticks_say() -> None:
    svg = sim.chart_svg({"a": ([0, 4, 10], [0, 20, 10])}, x="time", y="bytes")
    x, y = dict(ticks(svg, "middle")), dict(ticks(svg, "end"))
    assert corners(svg) == [[(x[0], y[0]), (x[4], y[20]), (x[10], y[10])]]
    assert ">time<" in svg
    assert ">bytes<" in svg


def test_steps_keep_their_value_until_the_next_one() -> None:
    svg = sim.chart_svg({"a": ([0, 10], [10, 20])}, shape="steps")
    x, y = dict(ticks(svg, "middle")), dict(ticks(svg, "end"))
    path = next(p for p in re.findall(r"d='(M[^']*)' class='c'", svg) if "h14" not in p)
    assert path == f"M{x[0]:.1f} {y[10]:.1f}H{x[10]:.1f}V{y[20]:.1f}"


def test_points_carry_their_names_and_names_are_text_not_markup() -> None:
    svg = sim.chart_svg(points={"a<b": (1, 2), "c": (3, 4)}, title="<t>")
    root = ElementTree.fromstring(svg)
    texts = [node.text for node in root.iter() if node.text]
    assert {"a<b", "c", "<t>"} <= set(texts)
    assert svg.count("<circle") == 2


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=12))
def test_nothing_lies_outside_the_picture(spots: list[tuple[float, float]]) -> None:
    xs, ys = [a for a, _ in spots], [b for _, b in spots]
    svg = sim.chart_svg({"a": (xs, ys)}, points={"b": spots[0]})
    ElementTree.fromstring(svg)
    for a, b in corners(svg)[0]:
        assert 0 <= a <= 760
        assert 0 <= b <= 320


def test_nothing_and_infinity_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        sim.chart_svg()
    with pytest.raises(ValueError, match="infinite"):
        sim.chart_svg({"a": ([1], [float("inf")])})


def test_names_of_points_keep_off_the_curves() -> None:
    curves = {
        "falls": ([2, 2.5, 3, 4, 5], [27, 21, 12.5, 5, 5]),
        "rises": ([2, 3.5, 5], [3, 6, 30]),
    }
    points = {"v-min": (2, 27), "v-half": (3, 12.5), "v-zb": (4, 5), "a-long-name": (4.25, 18)}
    for shape in ("straight", "steps"):
        svg = sim.chart_svg(curves, points=points, shape=shape)  # type: ignore[arg-type]
        boxes = [
            (float(x) - {"middle": 0.5, "end": 1, "start": 0}[anchor] * 6 * len(name), float(y),
             6 * len(name), name)
            for x, y, anchor, name in re.findall(
                r"<text x='([\d.]+)' y='([\d.]+)' class='l' text-anchor='(\w+)'>([\w-]+)<", svg
            )
            if name in points
        ]  # fmt: skip
        assert {name for *_, name in boxes} == set(points)
        for left, base, wide, name in boxes:
            for a, b in along(svg):
                assert not (left < a < left + wide and base - 9 < b < base), (name, shape)


def along(svg: str) -> list[tuple[float, float]]:
    """Points of every curve, closer to each other than a letter is wide."""
    found = []
    for path in re.findall(r"<path d='(M[^']*)' class='c'", svg):
        x = y = 0.0
        for step, words in [] if "h14" in path else re.findall(r"([MLHV])([-\d. ]+)", path):
            numbers = [float(word) for word in words.split()]
            to = (x, numbers[0]) if step == "V" else (numbers[0], [*numbers, y][1])
            if step != "M":
                found += [
                    (x + (to[0] - x) * i / 400, y + (to[1] - y) * i / 400) for i in range(401)
                ]
            x, y = to
    return found


def pictures() -> dict[str, str]:
    schedule = sim.FAMILIES["v-half"](2, 4)
    trace = sim.simulate(schedule, sim.Costs.uniform(schedule))
    streamed = stream(equal_layers(4, load=3, compute=1), loaders=2, memory_limit=3)
    return {
        "time line": sim.gantt_svg({"one": trace}),
        "chart": sim.chart_svg({"a": ([1, 2], [3, 4])}, points={"b": (1, 3)}, title="both"),
        "streamed": streaming_svg(streamed, title="streamed"),
    }


@pytest.mark.parametrize("name", ["time line", "chart", "streamed"])
def test_words_read_on_the_paper_of_the_picture_light_and_dark(name: str) -> None:
    svg = pictures()[name]
    root = ElementTree.fromstring(svg)
    sheet = next(node for node in root if node.tag.endswith("rect"))
    assert [sheet.get(side) for side in ("width", "height")] == root.get("viewBox", "").split()[2:]
    assert contrast(root.get("fill", ""), sheet.get("fill", "")) >= 4.5
    plain, dark = svg.split("@media(prefers-color-scheme:dark)", 1)
    assert not re.search(r"fill:#", plain)
    colours = dict(re.findall(r"([.\w,]+)\{fill:(#\w+)\}", dark.split("</style>")[0]))
    assert contrast(colours[".t,.l"], colours[".p"]) >= 4.5
    assert not [
        node for node in root.iter() if node.get("class") in ("t", "l") and "fill" in node.attrib
    ]
