"""Charts: parts of a page, the same on every machine, whatever the labels."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.report.drawing import (
    COLOURS,
    Bars,
    Frame,
    Line,
    bar_chart,
    interval_chart,
    line_chart,
)
from sims.report.ticks import count_ticks, delay_ticks, share_ticks, signed_ticks, time_ticks
from sims.report.words import Words

LABELS = ["$x^{", "a\nb", "\x00\x1b", "<&>\"'", "雪🚑", "_hidden", "x" * 80]


def bars(labels: list[str]) -> str:
    """Draw one bar for each label."""
    values = np.arange(1.0, len(labels) + 1)
    frame = Frame("count", "", count_ticks(float(len(labels)), Words()))
    return bar_chart("bars", labels, [Bars("", values, "blue")], frame, ["1"] * len(labels))


def curve(name: str = "curve") -> str:
    """Draw a curve with a gap and a band."""
    x = np.arange(5.0)
    y = np.array([0, 0.2, np.nan, 0.6, 1])
    line = Line("gain", x, y, "red", marker="o", low=y - 0.1, high=y + 0.1)
    return line_chart(name, [line], Frame("x", "y", time_ticks(4, Words()), share_ticks(Words())))


@pytest.mark.slow
def test_any_label_can_be_drawn() -> None:
    svg = bars(LABELS)
    ElementTree.fromstring(svg)
    assert "$x^{" in svg
    assert "\x00" not in svg
    assert "x" * 30 not in svg, "long labels are cut"


@pytest.mark.slow
def test_a_chart_needs_nothing_else_and_follows_the_theme() -> None:
    for svg in (curve(), bars(["a"]), interval_chart("rows", ["a"], [(-1, 0, 1)], Frame("x", ""))):
        assert "http" not in svg
        assert "DejaVu" not in svg
        assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= {"#000000"}
        assert set(re.findall(r"var\(--(\w+)\)", svg)) <= set(COLOURS)


@pytest.mark.slow
def test_names_within_two_charts_differ() -> None:
    one, other = (set(re.findall(r'id="([^"]*)"', curve(name))) for name in ("one", "two"))
    assert one
    assert not one & other


@pytest.mark.slow
def test_settings_of_the_machine_do_not_matter() -> None:
    before = curve()
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.fonttype": "path"}):
        assert curve() == before
    assert "<text" in before


def test_every_colour_has_contrast_to_its_page() -> None:
    for name, (light, dark) in COLOURS.items():
        if name != "faint":
            assert _contrast(light, "#f6f8fa") >= 3
            assert _contrast(dark, "#161b22") >= 3
    assert _contrast(*COLOURS["ink"]) >= 7


def _contrast(one: str, other: str) -> float:
    low, high = sorted(_luminance(each) for each in (one, other))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    """Return the relative luminance by the WCAG's formula."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@given(st.floats(1e-6, 1e12))
def test_ticks_reach_the_largest_value(largest: float) -> None:
    places = [place for place, _ in count_ticks(largest, Words())]
    assert places[0] == 0
    assert places[-1] >= largest * (1 - 1e-9)
    assert 2 <= len(places) <= 7
    assert [place for place, _ in signed_ticks(largest, str)][-1] == places[-1]


@given(st.floats(0, 1e9))
def test_ticks_of_time_are_few(span_s: float) -> None:
    ticks = time_ticks(span_s, Words())
    assert 1 <= len(ticks) <= 30
    assert all(place <= span_s for place, _ in ticks)
    assert len({text for _, text in ticks}) == len(ticks)


def test_ticks_of_delays_lie_around() -> None:
    ticks = [place for place, _ in delay_ticks(45, 5000, Words())]
    assert ticks == [10, 60, 600, 3600, 21600]
