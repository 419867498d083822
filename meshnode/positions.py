"""Shifts of this device's agent, and the positions that exist in them alone.

Opening a shift makes a chain for its positions and hands its keys to the squad and to the centre.
When the shift ends, closed by the agent or by the clock, the chain is erased here; at squad mates
its keys and positions are. The centre keeps them by its own rule.
Source: security 2.6 and 2.10, wire-format 4.14 and 4.15.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NoReturn, Protocol

from meshnode import shifts
from meshnode.author import Author, Draft
from meshnode.chain_keeper import ChainKeeper
from meshnode.errors import SendError
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.opening import Opened
from meshnode.reception import Checked
from meshnode.runtime import Runtime
from meshnode.shift_ends import ShiftEnds
from meshnode.store import board, delivery
from meshnode.store import bundles as rows
from meshnode.store import positions as kept
from meshnode.store.engine import Connection, Store, Transaction
from meshnode.store.positions import PositionRecord, ShiftEnd
from protocol import hlc, payloads
from protocol.brief import seal_position
from protocol.bundle import Bundle, Header, Scope, Suite
from protocol.envelope import seal_message
from protocol.errors import MalformedError, NoKeyError
from protocol.guards import POSITION_KEEP_MS, SHIFT_MS_MAX
from protocol.identity import Role
from protocol.ids import NodeId
from protocol.limits import KINDS, Kind
from protocol.payloads import (
    ACCURACY_DM_MAX,
    LATITUDE_E7_MAX,
    LONGITUDE_E7_MAX,
    Position,
)
from protocol.shifts import (
    Shift,
    encode_shift,
    is_track_subject,
    position_subject,
    split_subject,
)

__all__ = ["OpenShift", "Place", "Positions", "Tracker", "place_numbers"]

_ARCHIVISTS: Final = (Role.GATEWAY, Role.OPERATOR)
_LIST_MAX: Final = 1_000
_HOUR_MS: Final = 3_600_000
_CARRIED_MS: Final = 1000 * KINDS[Kind.POSITION].lifetime_s
"""A position that was taken travels for this long at most."""
_TRACKS_LIVE_MS: Final = SHIFT_MS_MAX + 1000 * KINDS[Kind.TRACK].lifetime_s
"""After its keys were given the last track of a shift is over at the latest."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody says to be, in the units of people."""

    latitude: float = field(repr=False)
    """Degrees, -90 to 90, north positive."""
    longitude: float = field(repr=False)
    """Degrees, -180 to 180, east positive."""
    accuracy_m: float = 0.0
    """Radius in metres, 0 to 100,000; 0 where it is not known."""


@dataclass(frozen=True, slots=True)
class OpenShift:
    """The open shift of this device's agent."""

    shift: Shift
    """Its window."""
    scopes: tuple[Scope, ...]
    """Squads that it was told to, and that get its positions."""


class Tracker(Protocol):
    """Follows our own positions through a shift, each in the transaction that tells it."""

    def begin(self, tx: Transaction, scope: Scope, shift: Shift) -> list[Checked]:
        """A shift was opened; return the bundles made. Raises: StoreFullError."""

    def note(
        self, tx: Transaction, scope: Scope, shift: Shift, place: Position
    ) -> Sequence[Checked]:
        """A position was told; return the bundles made. Raises: StoreFullError."""

    def finish(self, tx: Transaction, scope: Scope, shift: Shift) -> Sequence[Checked]:
        """The shift is about to be closed; return the bundles made."""


class Positions:
    """Opens and closes our shift, tells where we are, keeps where others are."""

    def __init__(
        self,
        author: Author,
        store: Store,
        runtime: Runtime,
        membership: Membership,
        keeper: ChainKeeper,
        ends: ShiftEnds,
        metrics: Metrics,
    ) -> None:
        self._author = author
        self._store = store
        self._runtime = runtime
        self._membership = membership
        self._keeper = keeper
        self._ends = ends
        self._metrics = metrics
        self.trackers: list[Tracker] = []
        """Told of the first squad of a shift: a way is one, whoever else may see where it leads."""

    # --- the shift of our agent ---------------------------------------------------------------

    async def current(self) -> OpenShift | None:
        """Return the open shift, None where there is none. Raises: StoreError."""
        return await self._store.read(self.open_shift_in)

    def open_shift_in(self, conn: Connection) -> OpenShift | None:
        """Return the open shift as `current` does, in the caller's transaction."""
        now_ms, found = self._runtime.now_ms(), list[tuple[Scope, Shift]]()
        for scope in self.own_squads():
            shift = shifts.own_shift(conn, self._author.node, self._store.incarnation, scope)
            if shift is not None and shift.is_open(now_ms):
                found.append((scope, shift))
        if not found:
            return None
        return OpenShift(found[0][1], tuple(scope for scope, _shift in found))

    def agents_squads(self) -> list[Scope]:
        """Return the squads that a shift here is told to.

        Raises: SendError (`relay`, `no_squad`) where this device can have none.
        """
        own = self._membership.directory.member(self._author.node)
        if own is not None and own.role is Role.RELAY:
            raise SendError(
                "relay",
                "this device is a relay, which has no agent and so no shift: for one, invite it"
                " anew with 'meshnode authority invite --role agent --squad NAME'",
            )
        squads = self.own_squads()
        if not squads:
            raise SendError(
                "no_squad",
                "this device belongs to no squad, which a shift is told to: for one, invite it"
                " anew with 'meshnode authority invite --role agent --squad NAME'",
            )
        return squads

    def own_squads(self) -> list[Scope]:
        """Return the squads of this device; none where no roster names it."""
        own = self._membership.directory.member(self._author.node)
        if own is None:
            return []
        return [Scope.for_squad(own.zone, squad) for squad in own.squads]

    async def open_shift(self, hours: int = SHIFT_MS_MAX // _HOUR_MS) -> list[Checked]:
        """Open a shift of 1 to 12 hours; the caller announces what it makes.

        Raises: SendError (`shift_open`, `hours`, `relay`, `no_squad`), StoreFullError, StoreError.
        """
        if not 1 <= hours <= SHIFT_MS_MAX // _HOUR_MS:
            raise SendError("hours", "a shift lasts from one to twelve hours")
        made = await self._store.write(lambda tx: self._open(tx, hours * _HOUR_MS))
        self._metrics.count("shifts_opened")
        await self._ends.empty_log()
        return made

    def _open(self, tx: Transaction, length_ms: int) -> list[Checked]:
        squads, now_ms = self.agents_squads(), self._runtime.now_ms()
        if self.open_shift_in(tx.connection) is not None:
            raise SendError("shift_open", "a shift is open already: close it first")
        shift_id, made = self._runtime.entropy(8), list[Checked]()
        for scope in squads:
            old = shifts.known_shift(tx.connection, self._author.node, scope)
            before = _window_before(old, now_ms)
            shift = Shift(shift_id, now_ms, now_ms + length_ms, 0, before)
            made.append(self._tell(tx, scope, shift))
            self._ends.erase_all(tx, self._author.node, scope, shift)
            subject = position_subject(scope, shift_id)
            kept.note_end(tx, ShiftEnd(self._author.node, subject, shift.ends_ms))
            made += self._keeper.start_positions(tx, scope, shift)
        for tracker in self.trackers:
            made += tracker.begin(tx, squads[0], shift)
        return made

    async def close_shift(self) -> list[Checked]:
        """End the open shift and erase its keys and positions here; the caller announces it.

        Raises: SendError (`no_shift`), StoreFullError, StoreError.
        """
        made = await self._store.write(self._close)
        await self._ends.empty_log()
        return made

    def _close(self, tx: Transaction) -> list[Checked]:
        found = self.open_shift_in(tx.connection)
        if found is None:
            self.agents_squads()
            raise _no_shift()
        made = list[Checked]()
        for tracker in self.trackers:
            made += tracker.finish(tx, found.scopes[0], found.shift)
        # Not before the last track was made: nobody takes one that is dated after the close.
        now_ms = min(self._runtime.now_ms(), found.shift.ends_ms)
        for scope in found.scopes:
            shift = shifts.known_shift(tx.connection, self._author.node, scope)
            assert shift is not None, "it was found in this transaction"
            closed = replace(shift, closed_ms=now_ms)
            made.append(self._tell(tx, scope, closed))
            self._ends.erase_all(tx, self._author.node, scope, closed)
        return made

    def _tell(self, tx: Transaction, scope: Scope, shift: Shift) -> Checked:
        draft = Draft(Kind.SHIFT, Suite.CLEAR, scope)
        return self._author.make(tx, draft, lambda _header: encode_shift(shift))

    # --- where we are -------------------------------------------------------------------------

    async def report(self, place: Place, taken_ms: int | None = None) -> list[Checked]:
        """Tell the squads of the open shift where this device is; the caller announces it.

        `taken_ms` is when it was there, Unix milliseconds; None is this moment. A time to come
        counts as this moment, and one before the shift is refused.
        Raises: SendError (`no_shift`, `place`), StoreFullError, StoreError.
        """
        numbers = place_numbers(place)
        made = await self._store.write(lambda tx: self._report(tx, numbers, taken_ms))
        self._metrics.count("positions_made")
        return made

    def _report(
        self, tx: Transaction, numbers: tuple[int, int, int], taken_ms: int | None
    ) -> list[Checked]:
        found, now_ms = self.open_shift_in(tx.connection), self._runtime.now_ms()
        at_ms = now_ms if taken_ms is None else min(taken_ms, now_ms)
        if found is None:
            self.agents_squads()
        if found is None or not found.shift.is_open(at_ms):
            raise _no_shift()
        made = list[Checked]()
        for scope in found.scopes:
            shift = shifts.known_shift(tx.connection, self._author.node, scope)
            assert shift is not None, "it was found in this transaction"
            made += self._report_to(tx, scope, shift, (at_ms, *numbers))
        own = Position(self._author.node, found.scopes[0].encode(), at_ms, *numbers)
        for tracker in self.trackers:
            made += tracker.note(tx, found.scopes[0], found.shift, own)
        return made

    def _report_to(
        self, tx: Transaction, scope: Scope, shift: Shift, numbers: tuple[int, int, int, int]
    ) -> list[Checked]:
        payload = Position(self._author.node, scope.encode(), *numbers)
        under = self._keeper.position_key_for(tx, scope, shift)

        def body(header: Header) -> bytes:
            if not shift.is_open(hlc.wall_ms(header.hlc)):
                # The stamp may run ahead of the clock, and relays judge by the stamp.
                raise _no_shift()
            return seal_message(under.key, header.encode(), seal_position(payload, header))

        draft = Draft(Kind.POSITION, Suite.CHAIN, scope, under.chain_id, under.index)
        checked = self._author.make(tx, draft, body)
        assert checked.bundle is not None, "it was made a line above"
        self._keep(tx, checked.bundle.header, payload, shift)
        return [*under.made, checked]

    # --- where others are ---------------------------------------------------------------------

    async def newest(self) -> list[tuple[PositionRecord, Position]]:
        """Return the newest position of everybody that is kept here. Raises: StoreError."""
        now_ms = self._runtime.now_ms()
        found = await self._store.read(lambda conn: kept.positions(conn, now_ms, _LIST_MAX))
        return [(each, _opened(each)) for each in found]

    async def on_shift(self) -> list[tuple[NodeId, Scope, Shift]]:
        """Return who of our squads has an open shift, and is not revoked. Raises: StoreError."""
        now_ms, squads = self._runtime.now_ms(), self.own_squads()
        revoked = self._membership.directory.revoked

        def find(conn: Connection) -> list[tuple[NodeId, Scope, Shift]]:
            return [
                (node, scope, shift)
                for scope in squads
                for node, shift in shifts.known_shifts(conn, scope)
                if shift.is_open(now_ms) and node not in revoked
            ]

        return await self._store.read(find)

    def keep(self, tx: Transaction, bundle: Bundle, open_message: Callable[[], Opened]) -> Opened:
        """Open a position of another device and keep it; return what the inbox must keep of it.

        Raises: NoKeyError where its shift is over and this device is not of the centre, and what
        `open_message` raises; MalformedError for a position outside its shift, or by a stranger.
        """
        header, now_ms = bundle.header, self._runtime.now_ms()
        shift = shifts.known_shift(tx.connection, header.author, header.scope)
        if not self.is_archive and not _is_fresh(shift, header, now_ms):
            raise NoKeyError("the shift of this position is over")
        opened = open_message()
        payload = opened.payload
        if not isinstance(payload, Position) or shift is None:
            self._refuse(header)
        is_dated = shift.has(payload.taken_ms) and payload.taken_ms <= hlc.wall_ms(header.hlc)
        if not is_dated or not self.is_member(header.author, header.scope):
            self._refuse(header)
        if self._keep(tx, header, payload, shift, split_subject(opened.chain_scope)[1]):
            self._metrics.count("positions_kept")
        return opened

    def _refuse(self, header: Header) -> NoReturn:
        self._metrics.count("positions_refused")
        self._runtime.trace("position_refused", bundle=str(header.id))
        raise MalformedError("this position is outside its shift, or by no squad mate")

    def is_member(self, author: NodeId, scope: Scope) -> bool:
        """True if the roster of a squad names this device."""
        member = self._membership.directory.member(author)
        return member is not None and scope.target in member.squads

    def _keep(
        self,
        tx: Transaction,
        header: Header,
        payload: Position,
        shift: Shift,
        shift_id: bytes = b"",
    ) -> bool:
        is_archive = self.is_archive
        ends_ms = payload.taken_ms + POSITION_KEEP_MS if is_archive else shift.over_ms
        record = PositionRecord(
            author=payload.author,
            scope=payload.scope,
            shift_id=shift_id or shift.shift_id,
            taken_ms=payload.taken_ms,
            ends_ms=ends_ms,
            incarnation=header.incarnation,
            seq=header.seq,
            body=payloads.encode(payload),
        )
        return kept.put(tx, record, is_archive=is_archive)

    @property
    def is_archive(self) -> bool:
        """True for a gateway or an operator, which keep what others erase."""
        own = self._membership.directory.member(self._author.node)
        return own is not None and own.role in _ARCHIVISTS

    # --- the end of a shift -------------------------------------------------------------------

    def chain_ends_ms(self, tx: Transaction, author: NodeId, subject: bytes) -> int | None:
        """Return how long the keys of a shift's chain may be kept; None for not at all.

        Notes in the same transaction that they must be erased.
        """
        scope, shift_id = split_subject(subject)
        shift, now_ms = shifts.known_shift(tx.connection, author, scope), self._runtime.now_ms()
        if is_track_subject(subject):
            # For the centre alone, which may never have heard of that shift.
            return now_ms + _TRACKS_LIVE_MS if self.is_archive else None
        if shift is None or shift.shift_id != shift_id:
            return None
        if self.is_archive:
            return shift.ends_ms + _CARRIED_MS
        if not shift.is_open(now_ms):
            self._ends.drop_keys(tx, author, shift_id)
            return None
        kept.note_end(tx, ShiftEnd(author, subject, shift.ends_ms))
        return shift.ends_ms

    def note_shift(self, tx: Transaction, bundle: Bundle) -> None:
        """A shift of another device came: erase what hangs on those that it ends."""
        header = bundle.header
        shift = shifts.known_shift(tx.connection, header.author, header.scope)
        if shift is not None and not shift.is_open(self._runtime.now_ms()):
            board.drop_states(tx, header.author, header.scope.encode())
        if shift is not None and not self.is_archive:
            self._ends.erase_all(tx, header.author, header.scope, shift)
            self._forget_unopened(tx, header.author, header.scope, shift)

    def _forget_unopened(
        self, tx: Transaction, author: NodeId, scope: Scope, newest: Shift
    ) -> None:
        """No key will come any more for a position or a state of a shift that is over."""
        if newest.is_open(self._runtime.now_ms()):
            return
        found = [
            each
            for kind in (Kind.POSITION, Kind.STATE)
            for each in rows.by_slot(tx.connection, kind, scope.encode(), 0)
        ]
        delivery.mark_opened(tx, [each.short_id for each in found if each.author == author])


def _is_fresh(shift: Shift | None, header: Header, now_ms: int) -> bool:
    """True for a position of the shift that is open now."""
    is_open = shift is not None and shift.is_open(now_ms)
    return is_open and shift is not None and shift.is_open(hlc.wall_ms(header.hlc))


def _window_before(old: Shift | None, now_ms: int) -> tuple[int, int]:
    """Return the window of the last shift while a position of it may still be on its way."""
    if old is None or old.over_ms + _CARRIED_MS <= now_ms or old.opened_ms >= now_ms:
        return 0, 0
    return old.opened_ms, min(old.over_ms, now_ms)


def _opened(record: PositionRecord) -> Position:
    payload = payloads.decode_untrusted(record.body, record.author, record.scope)
    assert isinstance(payload, Position), "nothing else is kept there"
    return payload


def place_numbers(place: Place) -> tuple[int, int, int]:
    """Return latitude, longitude and accuracy as on the wire. Raises: SendError (`place`)."""
    # Asked so that a number that is none is refused too: it compares with nothing.
    if not (abs(place.latitude) <= 90 and abs(place.longitude) <= 180):
        raise SendError("place", "a latitude is from -90 to 90 degrees, a longitude to 180")
    if not 0 <= place.accuracy_m <= ACCURACY_DM_MAX / 10:
        raise SendError("place", "an accuracy is from 0 to 100,000 metres")
    return (
        round(place.latitude * LATITUDE_E7_MAX / 90),
        round(place.longitude * LONGITUDE_E7_MAX / 180),
        round(place.accuracy_m * 10),
    )


def _no_shift() -> SendError:
    return SendError(
        "no_shift", "no shift is open, and positions exist in one alone: run 'meshnode shift open'"
    )
