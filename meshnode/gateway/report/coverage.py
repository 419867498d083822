"""Which network there was, by squares of a tenth of a degree; pure.

A device tells its coverage and its place apart; both are of its own clock, so that a look is put
where the device was nearest to it in time. Source: wire-format 4.22, decision 61.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final, NamedTuple

from meshnode.gateway.archive.facts import Opened
from meshnode.gateway.report.counting import Devices
from meshnode.gateway.report.groups import Looks
from protocol import payloads
from protocol.errors import RemoteProtocolError
from protocol.limits import Kind
from protocol.payloads import Payload, Position, State
from protocol.states import Bearer

__all__ = ["BEARERS", "CELL_DEGREES", "NEAR_MS", "Coverages", "Square"]

CELL_DEGREES: Final = 0.1
"""Side of a square: 11 km from south to north, 8 km from west to east in France."""
NEAR_MS: Final = 900_000
"""A place further from a look than a quarter of an hour says nothing of it."""
BEARERS: Final = {
    Bearer.NONE: "none",
    Bearer.G2: "2G",
    Bearer.G3: "3G",
    Bearer.G4: "4G",
    Bearer.G5: "5G",
    Bearer.LAN: "LAN",
}
_KINDS: Final = frozenset({int(Kind.POSITION), int(Kind.STATE)})
_E7: Final = 10_000_000
_CELL_E7: Final = _E7 // 10


class Square(NamedTuple):
    """A square, by its south-western corner."""

    south: int
    """Tenths of a degree, north positive."""
    west: int
    """Tenths of a degree, east positive."""


class Coverages:
    """Looks by square; under None those that no place is near to."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self.squares: dict[Square | None, Looks] = {}

    def take(self, contents: Iterable[Opened]) -> None:
        """Count the looks of one day, which must come author by author."""
        for author, own in groupby(contents, key=lambda each: each.name.author):
            self._take(self._devices.number(author), list(_read(own)))

    def _take(self, device: int, told: list[Payload]) -> None:
        places = sorted(
            (each.taken_ms, Square(each.latitude_e7 // _CELL_E7, each.longitude_e7 // _CELL_E7))
            for each in told
            if isinstance(each, Position)
        )
        times = [at_ms for at_ms, _square in places]
        looks = {
            each.coverage.read_ms: each.coverage.bearer
            for each in told
            if isinstance(each, State) and each.coverage is not None
        }
        for at_ms, bearer in looks.items():
            square = _nearest(times, places, at_ms)
            found = self.squares.setdefault(square, Looks())
            found.devices.add(device)
            found.bearers[BEARERS[bearer]] += 1


def _read(contents: Iterable[Opened]) -> Iterator[Payload]:
    for each in contents:
        if each.kind not in _KINDS:
            continue
        try:
            yield payloads.decode_untrusted(each.raw, each.name.author, each.scope)
        except RemoteProtocolError:
            # Kept as it came, and of a version that says nothing to this one.
            continue


def _nearest(times: list[int], places: list[tuple[int, Square]], at_ms: int) -> Square | None:
    after = bisect_left(times, at_ms)
    near = [places[place] for place in (after - 1, after) if 0 <= place < len(places)]
    best = min(near, key=lambda each: (abs(each[0] - at_ms), each), default=None)
    return best[1] if best is not None and abs(best[0] - at_ms) <= NEAR_MS else None
