"""Our policy: what a copy is worth, who may have one, what goes first and what is dropped.

Small and urgent bundles replicate freely. Large ones do while the receiver has room; above that
they carry a budget that halves at each hand-over, and its last copy moves on only to who is
clearly nearer. Plain arithmetic on numbers, so that the node and the compiled simulator run the
same text. Source: DESIGN D12, routing points 1, 2, 5 and 6; the reasoning of RAPID
(Balasubramanian, Levine and Venkataramani, SIGCOMM 2007).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from protocol.ids import NodeId
from protocol.limits import HOPS_MAX
from protocol.routing.base import Candidate

__all__ = [
    "BUDGET",
    "LEVELS",
    "SMALL_BYTES",
    "Gain",
    "copy_value",
    "is_crowded",
    "may_displace",
    "may_hand_over",
    "moves_on",
    "service_level",
    "size_class",
    "store_share",
]

SMALL_BYTES: Final = 10_000
"""Up to this size a bundle replicates freely: a thousand of them are less than one photo."""
BUDGET: Final = 10
"""Copies of a large bundle that crowded stores are asked to take."""
CROWDED_SHARE: Final = 0.8
"""A store that is fuller than this is asked for room with care."""
NEARER_SHARE: Final = 0.5
"""Clearly nearer: expects at most this share of our wait."""
SOME_COPIES: Final = 4
"""Below this number a copy more is good wherever it is."""
MOVES_SHARE: Final = 0.25
"""A holder whose peer expects at most this share of its wait gives its copy away."""
MARGIN: Final = 10.0
"""What is held stays unless it is worth less than a tenth: to churn costs more than it gains."""
RIVALRY: Final = 0.1
"""Ten copies halve the root of what one is worth, whatever their chances."""
RESERVE_SHARE: Final = 0.005
"""Of each store, kept for urgent bundles; large ones leave three times that free for small ones."""
LEVELS: Final = 9
"""Service levels are below this."""

_SOS: Final = 1
_LARGE_FOR_PEER: Final = 5
_WORTH: Final = (3000.0, 3000.0, 3.0, 3.0, 1.0)
"""What the delivery of a bundle is worth, by class."""


def service_level(traffic_class: int, size_bytes: int, is_for_peer: bool) -> int:
    """Return the rank of a bundle on a link, from 0; nothing waits for what has a higher one.

    Urgent classes come first, then small bundles by class, then large ones that have arrived
    with this hand-over, then the other large ones by class. What is large travels as bulk on a
    real link, whatever its importance: so no class of the wire goes before a higher one.
    """
    if traffic_class <= _SOS or size_bytes <= SMALL_BYTES:
        return traffic_class
    if is_for_peer:
        return _LARGE_FOR_PEER
    return _LARGE_FOR_PEER - 1 + traffic_class


def size_class(size_bytes: int) -> int:
    """Return the size in steps of four, from 0 for up to 1 KiB: within one, size does not count."""
    steps = 0
    while size_bytes > 1024 and steps < 12:
        size_bytes //= 4
        steps += 1
    return steps


def copy_value(traffic_class: int, size_bytes: int, likely: float, copies: int) -> float:
    """Return what one copy adds per byte: worth × chance in time, less with each other copy.

    The size counts twice: what is large takes room, and the contact time that its copies need.

    Args:
        likely: chance that the holder meets the destination before the bundle expires.
        copies: how many are believed to exist, at least 1.
    """
    rivals = 1.0 + RIVALRY * copies
    gain = _WORTH[traffic_class] * likely / (rivals * rivals)
    return gain * (1e5 / size_bytes) * (1e5 / size_bytes)


def may_displace(held_class: int, held_value: float, traffic_class: int, value: float) -> bool:
    """Tell whether a bundle that comes in may take the place of one that is held.

    What is urgent takes that of anything that is not; nothing takes that of what is more urgent.
    """
    if traffic_class <= _SOS < held_class:
        return True
    return held_class >= traffic_class and held_value * MARGIN < value


def store_share(traffic_class: int, size_bytes: int) -> float:
    """Return up to which share of a store a bundle may fill it."""
    if traffic_class <= _SOS:
        return 1.0
    return 1.0 - RESERVE_SHARE if size_bytes <= SMALL_BYTES else 1.0 - 3.0 * RESERVE_SHARE


def is_crowded(used_bytes: float, store_bytes: float) -> bool:
    """Tell whether a store is so full that copies of large bundles are counted."""
    return used_bytes > CROWDED_SHARE * store_bytes


def may_hand_over(budget: int, copies: int, wait_s: float, peer_wait_s: float) -> bool:
    """Tell whether a crowded peer that is not the destination gets a copy of a large bundle.

    Args:
        budget: copies that ours stands for; the last one goes only to who is clearly nearer.
        copies: how many are believed to exist; once they are some, only who is nearer gets one.
        wait_s: what we expect until we meet the destination.
        peer_wait_s: what the peer expects.
    """
    if budget <= 1:
        return peer_wait_s < wait_s * NEARER_SHARE
    return copies < SOME_COPIES or peer_wait_s <= wait_s


def moves_on(budget: int, wait_s: float, peer_wait_s: float) -> bool:
    """Tell whether the copy of a large bundle that a crowded peer took leaves its holder.

    Never that of the source. The arguments are those of `may_hand_over`, before the hand-over.
    """
    return budget <= 1 and peer_wait_s < wait_s * MOVES_SHARE


class Gain:
    """The policy as a node uses it, with what a node knows of a bundle: hops stand for copies."""

    def order(self, candidates: Iterable[Candidate], peer: NodeId, now_ms: int) -> list[Candidate]:
        """Return every unexpired candidate with hops left, in order of gain per byte."""
        alive = [each for each in candidates if each.expires_ms > now_ms and each.hops < HOPS_MAX]
        alive.sort(
            key=lambda each: (
                each.traffic_class,
                service_level(each.traffic_class, each.size_bytes, each.is_for_peer),
                not each.is_for_peer,
                size_class(each.size_bytes),
                each.hops,
                each.expires_ms,
                each.short_id,
            )
        )
        return alive
