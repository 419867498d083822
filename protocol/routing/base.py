"""What a routing policy sees and answers; pure, shared with the simulators.

Source: DESIGN D12, routing point 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from protocol.ids import NodeId, ShortId
from protocol.limits import Kind, TrafficClass

__all__ = ["Candidate", "Router"]


class Candidate(NamedTuple):
    """A bundle that a peer lacks."""

    short_id: ShortId
    """Its name in reconciliation."""
    traffic_class: TrafficClass
    """Order of service."""
    kind: Kind
    """What it is."""
    size_bytes: int
    """Length of the container."""
    created_ms: int
    """Author's stamp, Unix milliseconds."""
    expires_ms: int
    """End of life, Unix milliseconds."""
    is_for_peer: bool
    """The peer is its destination."""
    hops: int
    """Hand-overs of our copy."""


class Router(Protocol):
    """Decides what a peer gets, and in which order."""

    def order(self, candidates: Iterable[Candidate], peer: NodeId, now_ms: int) -> list[Candidate]:
        """Return those worth sending to `peer` now, most urgent first."""
