"""Documents that came into force lately, for sessions that were just beginning.

A session shows the versions held when it begins; what comes into force before it is live would be
missed by it. Costs 256 documents of memory at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final
from weakref import WeakKeyDictionary

from meshnode.links.base import Link
from protocol.ids import NodeId

__all__ = ["News"]

_NEWS_MAX: Final = 256


class News:
    """The newest documents, numbered, and what each beginning session has seen of them."""

    def __init__(self) -> None:
        self._news: deque[tuple[int, bytes, NodeId | None]] = deque(maxlen=_NEWS_MAX)
        self._count = 0
        self._shown: WeakKeyDictionary[Link, int] = WeakKeyDictionary()

    def add(self, raws: Sequence[bytes], source: NodeId | None) -> None:
        """Remember documents that `source`, or this device itself (None), brought into force."""
        for raw in raws:
            self._count += 1
            self._news.append((self._count, raw, source))

    def show(self, link: Link) -> None:
        """The versions held by now are being shown on `link`."""
        self._shown[link] = self._count

    def missed(self, link: Link, peer: NodeId) -> list[bytes] | None:
        """Return what `peer` was not shown on `link` and did not bring; None if it is too much."""
        since = self._shown.pop(link, self._count)
        if self._count - since > len(self._news):
            return None
        return [raw for number, raw, source in self._news if number > since and source != peer]
