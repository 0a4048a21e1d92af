"""The page of comparisons, complete in itself."""

from __future__ import annotations

import re

import plotly.graph_objects as go
import pytest
from report_page import rows

import sim
from sim.show.pages import chart_page
from sim.show.report import page
from sim.show.scatter_svg import scatter_svg

FAMILIES = ("1f1b", "zb-h2", "zb-v", "dualpipe-v")


def shown(html: str) -> str:
    """The page without its scripts and styles."""
    return re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)


def test_the_page_names_both_clocks_for_every_schedule() -> None:
    text = shown(page(rows(*FAMILIES), facts={"forward": "10"}))
    for name in FAMILIES:
        assert f">{name}</a>" in text
    assert "makespan" in text
    assert "longest stage" in text
    assert "the bubble" not in text.lower()
    assert "<dt>forward</dt><dd>10</dd>" in text


def test_the_page_refers_to_nothing_outside_and_needs_no_plotly() -> None:
    html = page(rows(*FAMILIES))
    assert not re.findall(
        r"<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=\s*[\"'](?!data:)", html
    )
    assert "plotly.js v" not in html
    assert "@import" not in html


def test_a_page_of_sixteen_devices_and_every_family_stays_small() -> None:
    assert len(page(rows("v-half", "1f1b", p=16, m=64))) < 500_000


@pytest.mark.parametrize("width", [350, 680])
def test_every_dot_of_the_scatter_has_a_name(width: int) -> None:
    found = [row for row, _ in rows(*sim.FAMILIES, p=4, m=8)]
    picture = scatter_svg(
        [row["schedule"] for row in found],
        [max(row["peak_activations"]) for row in found],
        [100 * row["bubble_makespan"] for row in found],
        y="bubble (%)",
        width=width,
    )
    dots = re.findall(r"<a class='dot'.*?</a>", picture)
    spots = {re.search(r"c[xy]='[^']+' c[xy]='[^']+'", dot)[0] for dot in dots}  # type: ignore[index]
    assert sum("<text" in dot for dot in dots) == len(spots) > 10
    outside = set(sim.FAMILIES) - set(re.findall(r"data-name='([^']+)'", picture))
    assert all(f">{name} (" in picture for name in outside)


def test_a_schedule_that_cannot_be_played_stands_on_the_page_with_its_reason() -> None:
    failed = ({"schedule": "interleaved", "error": "m is 7: it must be <even>"}, None)
    text = shown(page([*rows("1f1b"), failed]))
    assert "<b>interleaved</b>: m is 7: it must be &lt;even&gt;" in text


def test_a_name_from_a_file_cannot_become_markup() -> None:
    name = "</script><script>document.title='taken'</script>"
    found, trace = rows("1f1b")[0]
    html = page([({**found, "schedule": name}, trace), *rows("zb-h1")], note=name)
    assert "<script>document.title" not in html


def test_the_same_question_gives_the_same_page() -> None:
    assert page(rows("zb-h1", "1f1b")) == page(rows("zb-h1", "1f1b"))


def test_a_page_about_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one schedule"):
        page([({"schedule": "1f1b", "error": "no"}, None)])


def test_a_page_of_charts_holds_its_table_and_shows_names_as_text() -> None:
    name = "</script><script>document.title='taken'</script>"
    figure = go.Figure(layout={"font": {}})
    html = chart_page(
        name, {name: figure, "b": figure}, heading=name, facts={name: name}, note=name,
        command=name, reading={name: [name]},
        table=[{name: name, "x": 1234567, "y": (0.5, "50%"), "z": None}],
    )  # fmt: skip
    assert "<script>document.title" not in html
    cells = '<td data-value="1234567.0">1,234,567</td><td data-value="0.5">50%</td><td></td>'
    assert cells in shown(html)
    with pytest.raises(ValueError, match="at least one figure"):
        chart_page("nothing", {})


def test_a_bound_is_explained_where_there_is_one() -> None:
    ((found, trace),) = rows("1f1b")
    assert "The bound" in shown(page([(found, trace)]))
    assert "The bound" not in shown(page([({**found, "gap": None}, trace)]))


def test_a_very_long_time_line_says_what_it_leaves_out() -> None:
    html = page(rows("1f1b", p=8, m=900))
    assert "Shown are the first 12,000 of 14,400 passes." in html
