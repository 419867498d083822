"""Figures of one run: what was sent, what arrived and how long it took, what it cost.

A delay is the virtual time from writing to the moment at which a recipient's node announced the
message; a recipient that is still without it has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sims.record import WorldRecord

__all__ = ["Measures", "measure"]


@dataclass(frozen=True, slots=True)
class Measures:
    """Figures of one run."""

    messages_sent: int
    """Messages that a node promised to keep."""
    copies_due: int
    """Pairs of message and recipient; for the operations centre one recipient counts."""
    copies_arrived: int
    """Those of them that arrived."""
    delay_median_s: float | None
    """Half of the copies that arrived took at most this long; None if none arrived."""
    delay_p90_s: float | None
    """Nine in ten took at most this long."""
    bundles_moved: int
    """Bundles that came into a store over a link."""
    bytes_moved: int
    """Bytes of all finished sessions, in both directions."""


def measure(world: WorldRecord) -> Measures:
    """Return the figures of a run."""
    arrivals: dict[tuple[str, str], int] = {}
    moved = 0
    for line in world.lines:
        fields = dict(line.fields)
        if line.event == "message_arrived":
            arrivals.setdefault((line.node, str(fields["message"])), line.at_ms)
        elif line.event == "bundles_stored" and fields["source"]:
            moved += int(str(fields["count"]))
    due, delays = 0, list[float]()
    for sent in world.sent:
        names = [world.name_of(node) for node in sent.recipients]
        times = [arrivals.get((name, str(sent.message))) for name in names]
        came = sorted(at_ms - sent.at_ms for at_ms in times if at_ms is not None)
        due += 1 if sent.is_any_enough else len(names)
        delays += [ms / 1000 for ms in (came[:1] if sent.is_any_enough else came)]
    delays.sort()
    return Measures(
        messages_sent=len(world.sent),
        copies_due=due,
        copies_arrived=len(delays),
        delay_median_s=_quantile(delays, 0.5),
        delay_p90_s=_quantile(delays, 0.9),
        bundles_moved=moved,
        bytes_moved=sum(device.moved_bytes for device in world.devices),
    )


def _quantile(ordered: Sequence[float], part: float) -> float | None:
    """Return the least value that at least `part` of all are not above."""
    if not ordered:
        return None
    return ordered[max(0, -(-len(ordered) * round(part * 100) // 100) - 1)]
