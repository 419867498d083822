"""Epidemic forwarding: everything goes to everybody, in order of expected gain per byte.

Right for small squads within quotas (DESIGN D12); the order is what matters when a contact is
short. Source: Vahdat and Becker 2000; order from routing point 1.
"""

from __future__ import annotations

from collections.abc import Iterable

from protocol.ids import NodeId
from protocol.limits import HOPS_MAX
from protocol.routing.base import Candidate

__all__ = ["Epidemic"]


class Epidemic:
    """Class first, then what is for this peer, then small before large, then deadline."""

    def order(self, candidates: Iterable[Candidate], peer: NodeId, now_ms: int) -> list[Candidate]:
        """Return every unexpired candidate with hops left, most urgent first."""
        alive = [
            candidate
            for candidate in candidates
            if candidate.expires_ms > now_ms and candidate.hops < HOPS_MAX
        ]
        alive.sort(
            key=lambda candidate: (
                candidate.traffic_class,
                not candidate.is_for_peer,
                max(0, candidate.size_bytes.bit_length() - 10) // 2,
                candidate.expires_ms,
                candidate.short_id,
            )
        )
        return alive
