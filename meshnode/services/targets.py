"""Which mates a plotter shows, and under which numbers: on shift, not revoked, place not stale.

Pure: what the board says in, what a plotter is told out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from meshnode.directory import Directory
from meshnode.services.ais import Target
from meshnode.services.board import Mate
from protocol.ids import NodeId

__all__ = ["NUMBERS", "TARGETS_MAX", "Numbers", "shown", "targets_of"]

NUMBERS: Final = 10_000
"""Craft that one country's range of associated craft has: 98, three digits of it, four digits."""
TARGETS_MAX: Final = 100
"""Targets of one round; a plotter of class B shows about as many."""
_EXACT_DM_MAX: Final = 100
"""Ten metres, in decimetres."""


class Numbers:
    """Gives each mate a number of its own, nearly always the same on each boat and each day.

    It comes from the device's id. Where two ids want one number, the second takes the next free
    one; nobody loses a number while the node runs and knows of it.
    """

    def __init__(self, mid: int) -> None:
        """`mid` is the country's, 201-775."""
        self._first = 980_000_000 + mid * NUMBERS
        self._given: dict[NodeId, int] = {}

    def give(self, nodes: Iterable[NodeId]) -> dict[NodeId, int]:
        """Return the number of each of `nodes`, at most half of `NUMBERS`; others are forgotten."""
        present = sorted(set(nodes))[: NUMBERS // 2]
        self._given = {node: self._given[node] for node in present if node in self._given}
        taken = set(self._given.values())
        for node in present:
            if node in self._given:
                continue
            number = int.from_bytes(node, "big") % NUMBERS
            while self._first + number in taken:
                number = (number + 1) % NUMBERS
            self._given[node] = self._first + number
            taken.add(self._first + number)
        return dict(self._given)


def shown(mates: Iterable[Mate], own: NodeId, directory: Directory) -> list[Mate]:
    """Return the mates that are shown, each once, with its newest place; youngest places first.

    A place counts that is of the shift which is open, is not stale and is not of a revoked device.
    """
    newest: dict[NodeId, tuple[int, Mate]] = {}
    for mate in mates:
        if mate.node == own or not mate.is_on_shift or mate.place is None or mate.shift is None:
            continue
        record, _place, value = mate.place
        if value.is_stale or record.shift_id != mate.shift.shift_id:
            continue
        if directory.is_astray(record.author, record.incarnation, record.seq):
            continue
        known = newest.get(mate.node)
        if known is None or value.at_ms > known[0]:
            newest[mate.node] = (value.at_ms, mate)
    found = [mate for _at_ms, mate in newest.values()]
    found.sort(key=lambda mate: (-newest[mate.node][0], mate.node))
    return found


def targets_of(
    mates: Iterable[Mate], own: NodeId, directory: Directory, numbers: dict[NodeId, int]
) -> list[Target]:
    """Return what a plotter is told, at most `TARGETS_MAX`, of mates that have a number."""
    found = list[Target]()
    for mate in shown(mates, own, directory)[:TARGETS_MAX]:
        if mate.node not in numbers:
            continue
        assert mate.place is not None, "nobody is shown without a place"
        _record, place, value = mate.place
        found.append(
            Target(
                mmsi=numbers[mate.node],
                name=directory.name_of(mate.node),
                latitude_e7=place.latitude_e7,
                longitude_e7=place.longitude_e7,
                is_exact=0 < place.accuracy_dm <= _EXACT_DM_MAX,
                age_s=value.age_ms // 1000,
                second=value.at_ms // 1000 % 60,
            )
        )
    return found
