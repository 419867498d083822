"""Reads a page as a browser would, and complains of all that could load or run."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

from meshnode.viewer.bounds import DOCUMENT_PICTURES_BYTES_MAX, DOCUMENT_PICTURES_MAX
from protocol.attachments import Media, sniff

__all__ = ["inert"]

_ALLOWED = {
    "html": {"lang"},
    "head": set(),
    "meta": {"charset", "http-equiv", "content", "name"},
    "title": set(),
    "style": set(),
    "body": set(),
    "p": {"class"},
    "img": {"alt", "width", "src"},
    **{f"h{level}": set[str]() for level in range(1, 7)},
    **{tag: set[str]() for tag in ("strong", "em", "table", "tr", "td")},
}
_DATA = re.compile(r"data:image/(png|jpeg);base64,([A-Za-z0-9+/]+={0,2})")
_POLICY = re.compile(
    r"default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='; img-src data:; "
    r"base-uri 'none'; form-action 'none'"
)


class _Page(HTMLParser):
    """Collects pictures; any element or attribute that is not expected fails the test."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[tuple[str, bytes]] = []
        self.policies: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        assert len(told) == len(attrs)
        assert told.keys() <= _ALLOWED[tag], (tag, told.keys())
        if tag == "img":
            found = _DATA.fullmatch(told["src"])
            assert found is not None, told["src"][:80]
            raw = base64.b64decode(found[2], validate=True)
            assert sniff(raw) is {"png": Media.PNG, "jpeg": Media.JPEG}[found[1]]
            self.pictures.append((told["alt"], raw))
        elif tag == "meta" and "http-equiv" in told:
            assert told["http-equiv"] == "Content-Security-Policy", "a page that goes elsewhere"
            assert not self.pictures, "the policy comes first"
            self.policies.append(told["content"])

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


def inert(page: str) -> list[tuple[str, bytes]]:
    """Return the pictures of a page with their alternative texts, once nothing in it can act."""
    reader = _Page()
    reader.feed(page)
    reader.close()
    (policy,) = reader.policies
    assert _POLICY.fullmatch(policy), policy
    assert len(reader.pictures) <= DOCUMENT_PICTURES_MAX
    assert sum(len(raw) for _words, raw in reader.pictures) <= DOCUMENT_PICTURES_BYTES_MAX
    assert "url(" not in page.partition("<style>")[2].partition("</style>")[0]
    return reader.pictures
