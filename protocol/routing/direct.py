"""Direct delivery: a bundle waits at its source for its destination. The floor of comparisons."""

from __future__ import annotations

from collections.abc import Iterable

from protocol.ids import NodeId
from protocol.routing.base import Candidate

__all__ = ["Direct"]


class Direct:
    """Only what is for the peer itself, in order of class and age."""

    def order(self, candidates: Iterable[Candidate], peer: NodeId, now_ms: int) -> list[Candidate]:
        """Return the unexpired candidates whose destination is `peer`, most urgent first."""
        mine = [each for each in candidates if each.is_for_peer and each.expires_ms > now_ms]
        mine.sort(key=lambda each: (each.traffic_class, each.created_ms, each.short_id))
        return mine
