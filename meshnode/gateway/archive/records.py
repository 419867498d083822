"""Plain records that go into and come out of the archive; free of SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from meshnode.retention import DataClass
from protocol.ids import BundleId, NodeId
from protocol.limits import Kind

__all__ = ["Day", "Found", "Held", "Put", "Query", "Taken"]


class Taken(NamedTuple):
    """One bundle, or the content of one, on its way into the archive."""

    is_content: bool
    """True for opened content, False for a container."""
    name: BundleId
    """The bundle, or the message that the content is of."""
    digest: bytes
    """32 bytes of a bundle; empty for content."""
    kind: Kind
    """What it is."""
    scope: bytes
    """Encoded scope."""
    created_ms: int
    """By the author's clock, Unix milliseconds."""
    expires_ms: int
    """End of its life in the mesh, Unix milliseconds."""
    at_ms: int
    """When the gateway took it in or opened it, Unix milliseconds."""
    hops: int
    """Hand-overs behind the copy."""
    raw: bytes
    """Container, or content: UTF-8 of a text, else the encoded payload."""

    def __repr__(self) -> str:
        return f"<Taken {self.name}>"


@dataclass(frozen=True, slots=True)
class Put:
    """What became of a batch."""

    bundles: int
    """Containers that were new."""
    contents: int
    """Contents that were new."""
    again: int
    """Of both, those that the archive had already, from this gateway or from another."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; whatever is not given does not matter."""

    words: tuple[str, ...] = field(default=(), repr=False)
    """Folded words that all must be in the text."""
    beginnings: tuple[str, ...] = field(default=(), repr=False)
    """Folded: for each of them some word of the text must begin so."""
    author: NodeId | None = None
    """Who wrote it."""
    scope: bytes | None = None
    """For whom it was, encoded; of a position the squad."""
    classes: tuple[DataClass, ...] = ()
    """Any of these; empty for all."""
    from_ms: int = 0
    """Written at this time or later, Unix milliseconds."""
    to_ms: int = 2**53
    """Written before this time, Unix milliseconds."""
    limit: int = 100
    """Answers at most."""


@dataclass(frozen=True, slots=True)
class Found:
    """One bundle or content of the archive."""

    is_content: bool
    """True for opened content, False for a container."""
    name: BundleId
    """The bundle, or the message."""
    data_class: DataClass
    """By which rule it is kept."""
    day: int
    """Day that its retention counts from, since 1970."""
    kind: Kind
    """What it is."""
    scope: bytes
    """Encoded scope."""
    created_ms: int
    """When it was written, Unix milliseconds by the author's clock."""
    at_ms: int
    """When the gateway took it in or opened it, Unix milliseconds."""
    gateway: NodeId
    """Which gateway was the first."""
    raw: bytes | None = field(repr=False)
    """Container or content; None where it does not open, or was not asked for."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the archive holds of one class, of one author or of all."""

    data_class: DataClass
    """Which class."""
    bundles: int
    """Containers."""
    contents: int
    """Contents that were opened."""
    oldest_day: int | None
    """Oldest day of them, since 1970; None where there are none."""


class Day(NamedTuple):
    """One class and day that is over."""

    data_class: DataClass
    """Which class."""
    day: int
    """Since 1970."""
    bundles: int
    """Containers."""
    contents: int
    """Contents."""
