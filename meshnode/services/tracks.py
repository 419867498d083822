"""The track of our shift, segment by segment, for the operations centre alone; and those of others.

Each position that is told becomes a point; points become a bundle of the lowest class once there
are enough of them, or when the shift ends. With the shift its chain and its points go: what is
carried on for days is sealed to the centre, and a device that is seized later knows no way. The
centre keeps segments as long as positions. Source: wire-format 4.21 and 4.33, decision 37.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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
from protocol.track_bodies import TrackBody, decode_track_body_untrusted, encode_track_body
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
        before_ms = board.newest_point_ms(tx.connection, shift.shift_id)
        board.put_point(tx, record)
        if _is_last(before_ms, place.taken_ms, shift):
            # Nobody may be there to close the shift, and what waits is erased at its end.
            return self.finish(tx, scope, shift)
        if board.points_count(tx.connection, shift.shift_id) < POINTS_PER_SEGMENT:
            return ()
        return self._make(tx, scope, shift)

    def finish(self, tx: Transaction, scope: Scope, shift: Shift) -> Sequence[Checked]:
        """See `Tracker.finish`: what is left becomes the last segments."""
        made = list[Checked]()
        while part := self._make(tx, scope, shift):
            made += part
        return made

    def _make(self, tx: Transaction, scope: Scope, shift: Shift) -> Sequence[Checked]:
        """Make a segment of the points that wait; return what was made.

        They stay where there is no room for one, or where nobody has the keys to open it.
        """
        waiting = board.points(tx.connection, shift.shift_id, TRACK_POINTS_MAX)
        points = _points(waiting)
        if not points or not self._keeper.has_track_reader(tx.connection, scope, shift):
            return ()
        centre = Scope.for_codt(scope.zone)
        payload = payloads.encode(Track(self._author.node, centre.encode(), points))
        under = self._keeper.track_key_for(tx, scope, shift)

        def body(header: Header) -> bytes:
            sealed = seal_message(under.key, header.encode(), pad(payload))
            told = TrackBody(scope.target, shift.opened_ms, shift.over_ms, sealed)
            if not told.has_stamp(hlc.wall_ms(header.hlc)):
                # The stamp may run ahead of the clock, and relays judge by the stamp.
                raise QuotaError("this stamp is after the shift, so nobody takes the track")
            return encode_track_body(told)

        draft = Draft(Kind.TRACK, Suite.CHAIN, centre, under.chain_id, under.index)
        try:
            made = self._author.make(tx, draft, body)
        except (QuotaError, StoreFullError):
            # A shift opens, tells and ends without its track; the points wait for the next try.
            self._metrics.count("tracks_held_back")
            return under.made
        board.take_points(tx, shift.shift_id, waiting[-1].taken_ms)
        self._metrics.count("tracks_made")
        return (*under.made, made)

    async def has_reader(self, scope: Scope, shift: Shift) -> bool:
        """True if somebody of the centre can open the tracks of our open shift, told to `scope`.

        Raises: StoreError, LockedError.
        """
        return await self._store.read(
            lambda conn: self._keeper.has_track_reader(conn, scope, shift)
        )

    # --- those of others ----------------------------------------------------------------------

    def keep(self, tx: Transaction, bundle: Bundle, open_message: Callable[[], Opened]) -> Opened:
        """Open a segment of another device and keep it; return what the inbox must keep of it.

        Raises: NoKeyError where this device is not of the centre, and what `open_message` raises;
        MalformedError for points outside the shift, or by a stranger.
        """
        header = bundle.header
        if not self._positions.is_archive:
            raise NoKeyError("tracks are for the operations centre alone")
        told, opened = decode_track_body_untrusted(bundle.body), open_message()
        payload = opened.payload
        scope, shift_id = split_subject(opened.chain_scope)
        shift = shifts.known_shift(tx.connection, header.author, scope)
        upto_ms = min(_over_ms(told, shift_id, shift), hlc.wall_ms(header.hlc))
        if not isinstance(payload, Track) or told.squad != scope.target:
            self._refuse(header)
        is_within = _is_within(payload.points, told.opened_ms, upto_ms)
        if not is_within or not self._positions.is_member(header.author, scope):
            self._refuse(header)
        first_ms = 1000 * payload.points[0].taken_s
        record = TrackRecord(
            author=header.author,
            scope=scope.encode(),
            shift_id=shift_id,
            first_ms=first_ms,
            ends_ms=first_ms + POSITION_KEEP_MS,
            incarnation=header.incarnation,
            seq=header.seq,
            body=payloads.encode(replace(payload, scope=scope.encode())),
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


def _is_last(before_ms: int | None, taken_ms: int, shift: Shift) -> bool:
    """True if the next point, after as long as from the one before, is after the shift."""
    return before_ms is not None and 2 * taken_ms - before_ms >= shift.ends_ms


def _over_ms(told: TrackBody, shift_id: bytes, newest: Shift | None) -> int:
    """Return until when points may lie, Unix milliseconds; 0 if the shift was told otherwise."""
    if newest is None:
        return told.over_ms
    is_same = newest.shift_id == shift_id
    if is_same is not (newest.opened_ms == told.opened_ms):
        return 0
    return min(told.over_ms, newest.over_ms) if is_same else told.over_ms


def _is_within(points: Sequence[TrackPoint], from_ms: int, upto_ms: int) -> bool:
    return from_ms // 1000 <= points[0].taken_s and points[-1].taken_s <= upto_ms // 1000


def _opened(record: TrackRecord) -> tuple[TrackPoint, ...]:
    payload = payloads.decode_untrusted(record.body, record.author, record.scope)
    assert isinstance(payload, Track), "nothing else is kept there"
    return payload.points
