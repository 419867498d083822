"""Whether the inbox of a node has something to do with a bundle; asked for each one that comes.

This reads headers and rosters, and opens nothing. Source: DESIGN section 4, security 2.10.
"""

from __future__ import annotations

from typing import Final

from meshnode import shifts
from meshnode.directory import Directory
from protocol.bundle import Header
from protocol.ids import NodeId
from protocol.limits import Kind

__all__ = ["is_for_inbox"]

# Bound once: asking an enumeration for a member costs 0.15 µs, and these are asked per bundle.
_PREKEY: Final = Kind.PREKEY
_SOS: Final = Kind.SOS

_LETTERS: Final = (Kind.TEXT, Kind.NOTE, Kind.CHAIN_KEYS, Kind.KEY_REQUEST)
_FOR_PEOPLE: Final = frozenset((*_LETTERS, Kind.SHIFT, Kind.POSITION, Kind.NETWORK_KEYS))
"""Kinds that only those whom they are for have a use for."""


def is_for_inbox(node: NodeId, zone: int, header: Header, directory: Directory) -> bool:
    """Tell whether the inbox of `node`, whose own zone is `zone`, takes a bundle."""
    kind = header.kind
    if kind is _PREKEY:
        return True
    if kind is _SOS:
        if header.scope.zone == zone:
            return True
    elif kind not in _FOR_PEOPLE:
        return False
    return shifts.is_for(node, header, directory)
