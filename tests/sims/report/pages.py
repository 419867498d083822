"""Reads a page back: its elements, texts and data, with the standard library's parser."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

VOID = {"meta", "input", "br", "link"}
ADDRESS = re.compile(r"https?:|(?<![:\w])//|\bsrc\s*=|@import|url\((?!#)", re.IGNORECASE)
"""What could make a browser ask another computer for something."""


@dataclass
class Element:
    """One element that was opened."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Parsed:
    """A page, read."""

    raw: str
    elements: list[Element] = field(default_factory=list)
    text: str = ""
    unclosed: list[str] = field(default_factory=list)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements with a tag and these attributes."""
        wanted = attributes.items()
        return [
            each
            for each in self.elements
            if each.tag == tag and all(each.attributes.get(name) == value for name, value in wanted)
        ]

    @property
    def identifiers(self) -> list[str]:
        """Return every id, as often as it is given."""
        return [each.attributes["id"] for each in self.elements if "id" in each.attributes]

    def data(self) -> dict[str, list[list[str]]]:
        """Return the tables that the page offers as files, by name."""
        found = {}
        for link in self.all("a"):
            head, _, body = link.attributes["href"].partition(",")
            assert head == "data:text/csv;charset=utf-8"
            found[link.attributes["download"]] = list(csv.reader(io.StringIO(unquote(body))))
        return found

    def animation(self) -> dict[str, Any]:
        """Return the data of the animation."""
        (script,) = self.all("script", id="animation-data")
        found: dict[str, Any] = json.loads(script.text)
        return found


class _Reader(HTMLParser):
    def __init__(self, page: Parsed) -> None:
        super().__init__()
        self._page = page
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._page.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1].tag != tag:
            self._page.unclosed.append(tag)
        else:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1].text += data
        if not self._open or self._open[-1].tag not in {"script", "style"}:
            self._page.text += data

    def close(self) -> None:
        super().close()
        self._page.unclosed += [each.tag for each in self._open]


def read_page(path: Path) -> Parsed:
    """Return a page, read."""
    page = Parsed(path.read_text(encoding="utf-8"))
    reader = _Reader(page)
    reader.feed(page.raw)
    reader.close()
    return page


def check_page(page: Parsed) -> None:
    """Check what holds for every report."""
    assert page.unclosed == []
    assert ADDRESS.findall(page.raw) == []
    assert len(page.identifiers) == len(set(page.identifiers))
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy.attributes["content"].startswith("default-src 'none'; connect-src 'none'")
    assert "script-src 'sha256-" in policy.attributes["content"]
    assert not [name for each in page.elements for name in each.attributes if name[:2] == "on"]
    figures = [each for each in page.all("figure") if each.attributes["id"] != "animation"]
    assert len(figures) > 3
    names = {f"{each.attributes['id']}.csv" for each in figures}
    assert names == set(page.data()), "every figure is also given as data"
    for chart in page.all("svg", role="img"):
        for name in chart.attributes["aria-labelledby"].split():
            assert name in page.identifiers
