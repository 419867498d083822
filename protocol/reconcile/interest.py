"""What a node holds and wants, cut into sets that are reconciled one by one."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.limits import TrafficClass

__all__ = ["Interest"]


@dataclass(frozen=True, slots=True, order=True)
class Interest:
    """One zone and one class; each has a set, a sketch and a place in the reconciliation."""

    zone: int
    """1-65535."""
    traffic_class: TrafficClass
    """Order of service."""
