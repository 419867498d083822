"""The track of our shift, segment by segment, for the operations centre alone; and those of others.

Each position that is told becomes a point; points become a bundle of the lowest class once there
are enough of them, or when the shift is closed. With the shift its chain and its points go, so
that a device which is seized later knows no way. The centre keeps segments as long as positions.
Source: wire-format 4.21, security 2.6 and 2.10.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn

from meshnode import shifts
from meshnode.author import Author, Draft
from meshnode.chain_keeper import ChainKeeper
from meshnode.errors import QuotaError, StoreFullError
from meshnode.metrics import Metrics
from meshnode.opening import Opened
from meshnode.positions import Positions
from meshnode.reception import Checked
from meshnode.runtime import Runtime
from meshnode.store import board
from meshnode.store import positions as ends
from meshnode.store.board import PointRecord, TrackRecord
from meshnode.store.engine import Store, Transaction
from meshnode.store.positions import ShiftEnd
from protocol import canonical, hlc, payloads
from protocol.bundle import Bundle, Header, Scope, Suite
from protocol.envelope import pad, seal_message
from protocol.errors import MalformedError, NoKeyError
from protocol.guards import POSITION_KEEP_MS
from protocol.ids import NodeId
from protocol.limits import Kind
from protocol.payloads import LATITUDE_E7_MAX, LONGITUDE_E7_MAX, Position, Track
from protocol.shifts import Shift, split_subject, track_subject
from protocol.tracks import TRACK_POINTS_MAX, TrackPoint

__all__ = ["POINTS_PER_SEGMENT", "TrackOf", "Tracks"]

POINTS_PER_SEGMENT: Final = 240
"""Two hours of one point every 30 s: about 4 bytes per point, the bundle around them included."""
_E7_PER_E5: Final = 100
_POINT_BYTES_MAX: Final = 32
_LIST_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class TrackOf:
    """A segment of somebody's track as people ask for it."""

    record: TrackRecord
    """Where it came from."""
    points: tuple[TrackPoint, ...] = field(repr=False)
    """The oldest first."""


class Tracks:
    """Makes our segments, and keeps those of others at the centre; a `Tracker` of positions."""

    def __init__(
        self,
        author: Author,
        store: Store,
        runtime: Runtime,
        keeper: ChainKeeper,
        positions: Positions,
        metrics: Metrics,
    ) -> None:
        self._author = author
        self._store = store
        self._runtime = runtime
        self._keeper = keeper
        self._positions = positions
        self._metrics = metrics

    # --- our own ------------------------------------------------------------------------------

    def begin(self, tx: Transaction, scope: Scope, shift: Shift) -> list[Checked]:
        """See `Tracker.begin`: the centre gets the keys while it may be in reach."""
        subject = track_subject(scope, shift.shift_id)
        ends.note_end(tx, ShiftEnd(self._author.node, subject, shift.ends_ms))
        return self._keeper.start_tracks(tx, scope, shift)

    def note(
        self, tx: Transaction, scope: Scope, shift: Shift, place: Position
    ) -> Sequence[Checked]:
        """See `Tracker.note`: keep the point, and make a segment of enough of them."""
        numbers = (place.latitude_e7 + LATITUDE_E7_MAX, place.longitude_e7 + LONGITUDE_E7_MAX)
        body = canonical.encode(numbers)
        record = PointRecord(shift.shift_id, place.taken_ms, shift.ends_ms, body)
        board.put_point(tx, record)
        if board.points_count(tx.connection, shift.shift_id) < POINTS_PER_SEGMENT:
            return ()
        return self._make(tx, scope, shift)

    def finish(self, tx: Transaction, scope: Scope, shift: Shift) -> Sequence[Checked]:
        """See `Tracker.finish`: what is left becomes the last segment."""
        return self._make(tx, scope, shift)

    def _make(self, tx: Transaction, scope: Scope, shift: Shift) -> Sequence[Checked]:
        """Make a segment of the points that wait; they stay where there is no room for one."""
        waiting = board.points(tx.connection, shift.shift_id, TRACK_POINTS_MAX)
        points = _points(waiting)
        if not points:
            return ()
        payload = payloads.encode(Track(self._author.node, scope.encode(), points))
        under = self._keeper.track_key_for(tx, scope, shift)

        def body(header: Header) -> bytes:
            if not shifts.has_stamp(shift, header):
                # The stamp may run ahead of the clock, and relays judge by the stamp.
                raise QuotaError("this stamp is after the shift, so nobody takes the track")
            return seal_message(under.key, header.encode(), pad(payload))

        draft = Draft(Kind.TRACK, Suite.CHAIN, scope, under.chain_id, under.index)
        try:
            made = self._author.make(tx, draft, body)
        except (QuotaError, StoreFullError):
            # A shift opens, tells and ends without its track; the points wait for the next try.
            self._metrics.count("tracks_held_back")
            return under.made
        board.take_points(tx, shift.shift_id, waiting[-1].taken_ms)
        self._metrics.count("tracks_made")
        return (*under.made, made)

    # --- those of others ----------------------------------------------------------------------

    def keep(self, tx: Transaction, bundle: Bundle, open_message: Callable[[], Opened]) -> Opened:
        """Open a segment of another device and keep it; return what the inbox must keep of it.

        Raises: NoKeyError where this device is not of the centre, and what `open_message` raises;
        MalformedError for points outside the shift, or by a stranger.
        """
        header = bundle.header
        if not self._positions.is_archive:
            raise NoKeyError("tracks are for the operations centre alone")
        opened = open_message()
        payload = opened.payload
        _scope, shift_id = split_subject(opened.chain_scope)
        shift = shifts.known_shift(tx.connection, header.author, header.scope)
        window = None if shift is None else _window(shift, shift_id)
        if not isinstance(payload, Track) or window is None:
            self._refuse(header)
        upto_ms = min(window[1], hlc.wall_ms(header.hlc))
        is_within = _is_within(payload.points, window[0], upto_ms)
        if not is_within or not self._positions.is_member(header.author, header.scope):
            self._refuse(header)
        first_ms = 1000 * payload.points[0].taken_s
        record = TrackRecord(
            author=header.author,
            scope=header.scope.encode(),
            shift_id=shift_id,
            first_ms=first_ms,
            ends_ms=first_ms + POSITION_KEEP_MS,
            incarnation=header.incarnation,
            seq=header.seq,
            body=payloads.encode(payload),
        )
        if board.put_track(tx, record):
            self._metrics.count("tracks_kept")
        return opened

    def _refuse(self, header: Header) -> NoReturn:
        self._metrics.count("tracks_refused")
        self._runtime.trace("track_refused", bundle=str(header.id))
        raise MalformedError("this track is outside its shift, or by no squad mate")

    async def of(self, author: NodeId, since_ms: int = 0) -> list[TrackOf]:
        """Return the segments of one author, the oldest first. Raises: StoreError, LockedError."""
        now_ms = self._runtime.now_ms()
        found = await self._store.read(
            lambda conn: board.tracks_of(conn, author, now_ms, since_ms, _LIST_MAX)
        )
        return [TrackOf(each, _opened(each)) for each in found]


def _points(waiting: Sequence[PointRecord]) -> tuple[TrackPoint, ...]:
    """Return points in whole seconds, the last of each second."""
    found = dict[int, TrackPoint]()
    for each in waiting:
        value = canonical.decode_untrusted(each.body, max_bytes=_POINT_BYTES_MAX)
        north, east = (canonical.as_uint(n, "degrees") for n in canonical.as_array(value, "at", 2))
        taken_s = each.taken_ms // 1000
        found[taken_s] = TrackPoint(
            taken_s,
            round((north - LATITUDE_E7_MAX) / _E7_PER_E5),
            round((east - LONGITUDE_E7_MAX) / _E7_PER_E5),
        )
    return tuple(found[taken_s] for taken_s in sorted(found))


def _window(shift: Shift, shift_id: bytes) -> tuple[int, int]:
    """Return the time in which points of a shift may lie, Unix milliseconds."""
    if shift.shift_id == shift_id:
        return shift.opened_ms, shift.over_ms
    return shift.before


def _is_within(points: Sequence[TrackPoint], from_ms: int, upto_ms: int) -> bool:
    return from_ms // 1000 <= points[0].taken_s and points[-1].taken_s <= upto_ms // 1000


def _opened(record: TrackRecord) -> tuple[TrackPoint, ...]:
    payload = payloads.decode_untrusted(record.body, record.author, record.scope)
    assert isinstance(payload, Track), "nothing else is kept there"
    return payload.points
