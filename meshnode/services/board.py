"""The squad board: what each mate last told of itself, how old that is, and what is too old.

Battery and coverage are told while a shift is open and erased with it, as positions are: off duty
a device tells nothing of its owner. Each value carries its own time, so the newest message alone
is kept; the board never shows a stale value as if it were of now. Source: wire-format 4.22,
security 2.6 and 2.10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NoReturn

from meshnode import shifts
from meshnode.author import Author, Draft
from meshnode.chain_keeper import ChainKeeper
from meshnode.directory import DirectoryEntry
from meshnode.errors import SendError
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.opening import Opened
from meshnode.positions import Positions
from meshnode.reception import Checked
from meshnode.runtime import Runtime
from meshnode.services.drain import Drain
from meshnode.services.readings import BatterySeen, CoverageSeen, Network
from meshnode.store import board as rows
from meshnode.store import bundles, peers
from meshnode.store import positions as places
from meshnode.store.board import StateRecord
from meshnode.store.engine import Connection, Store, Transaction
from meshnode.store.positions import PositionRecord, ShiftEnd
from meshnode.store.records import BundleSummary, PeerRecord
from protocol import hlc, payloads
from protocol.bundle import Bundle, Header, Scope, Suite
from protocol.envelope import pad, seal_message
from protocol.errors import MalformedError, NoKeyError
from protocol.identity import Role
from protocol.ids import NodeId
from protocol.limits import KINDS, Kind
from protocol.payloads import Position, State
from protocol.shifts import Shift, position_subject
from protocol.states import (
    OPERATOR_BYTES_MAX,
    STRENGTH_MAX,
    Battery,
    Bearer,
    Coverage,
    Unit,
    is_plain,
)

__all__ = ["AHEAD_MS_MAX", "STALE_MS", "Board", "Mate", "Value", "is_stale", "place_value"]

_MINUTE_MS: Final = 60_000
STALE_MS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "position": 6 * _MINUTE_MS,
        "coverage": 6 * _MINUTE_MS,
        "battery": 15 * _MINUTE_MS,
        "shift": 30 * _MINUTE_MS,
    }
)
"""From which age each value is stale. A device at rest tells every 5 minutes, so one minute after
a message that did not come its place is one of before; a battery is slower; whoever was not heard
of for half an hour may have ended the shift."""
AHEAD_MS_MAX: Final = _MINUTE_MS
"""A value that is dated further ahead is of unknown age, and shown as stale."""
_LIST_MAX: Final = 1_000
_LIFETIME_S: Final = KINDS[Kind.STATE].lifetime_s
_BEARERS: Final = {
    Network.NONE.value: Bearer.NONE,
    Network.TWO_G.value: Bearer.G2,
    Network.THREE_G.value: Bearer.G3,
    Network.FOUR_G.value: Bearer.G4,
    Network.FIVE_G.value: Bearer.G5,
    Network.LAN.value: Bearer.LAN,
}
_CREW: Final = (Role.AGENT, Role.LEADER)


@dataclass(frozen=True, slots=True)
class Value:
    """How old one value of the board is."""

    at_ms: int
    """When it was so, by the clock of whoever told it, Unix milliseconds."""
    age_ms: int
    """How long ago, at least; 0 where it is dated ahead of our clock."""
    is_stale: bool
    """True where it must not be taken for how things are now."""


@dataclass(frozen=True, slots=True)
class Mate:
    """One line of the board."""

    node: NodeId
    """Who."""
    scope: Scope
    """The squad that this line is of."""
    shift: Shift | None
    """The newest shift that is known of it here; None for none."""
    is_on_shift: bool
    """True while that shift is open by our clock, and it is not revoked."""
    heard: Value | None
    """When it last told anything of its shift, place or state; stale as a shift is."""
    place: tuple[PositionRecord, Position, Value] | None = field(repr=False)
    """Where it was."""
    battery: tuple[Battery, Value] | None
    """How its battery was."""
    coverage: tuple[Coverage, Value] | None
    """What network it had."""
    gateway_ms: int
    """Its last contact with a gateway as it told, Unix milliseconds; 0 for none."""
    is_up: bool
    """True while this device has a session with it."""
    met_ms: int
    """Our last contact with it, Unix milliseconds; 0 for none."""
    is_revoked: bool
    """True where its badge is revoked, whenever it told this."""


@dataclass(slots=True)
class _Seen:
    """What is kept of one mate in one squad."""

    shift: Shift | None = None
    state: StateRecord | None = None
    place: PositionRecord | None = None
    placed_ms: int | None = None
    """When the bundle of that place came here; None where it is not held any more."""


class Board:
    """Tells our own state, keeps that of mates, and puts together what a squad sees of itself."""

    def __init__(
        self,
        author: Author,
        store: Store,
        runtime: Runtime,
        membership: Membership,
        keeper: ChainKeeper,
        positions: Positions,
        metrics: Metrics,
    ) -> None:
        self._author = author
        self._store = store
        self._runtime = runtime
        self._membership = membership
        self._keeper = keeper
        self._positions = positions
        self._metrics = metrics
        self._drain = Drain()

    # --- our own state --------------------------------------------------------------------------

    async def report(
        self, battery: BatterySeen | None = None, coverage: CoverageSeen | None = None
    ) -> list[Checked]:
        """Tell the squads of the open shift how this device is; the caller announces it.

        What is None stays as it was told last in this shift.
        Raises: SendError (`no_shift`), QuotaError, StoreFullError, StoreError, LockedError.
        """
        now_ms = self._runtime.now_ms()
        told = None if battery is None else self._drain.of(battery, now_ms)
        seen = None if coverage is None else _coverage(coverage, now_ms)
        made = await self._store.write(lambda tx: self._report(tx, told, seen))
        self._metrics.count("states_made")
        return made

    def _report(
        self, tx: Transaction, battery: Battery | None, coverage: Coverage | None
    ) -> list[Checked]:
        now_ms = self._runtime.now_ms()
        found = self._positions.open_shift_in(tx.connection)
        if found is None:
            self._positions.agents_squads()
            raise _no_shift()
        gateway_ms = self._gateway_ms(tx.connection, now_ms)
        held = {
            each.scope: each
            for each in rows.states(tx.connection, now_ms, _LIST_MAX)
            if each.author == self._author.node
        }
        made = list[Checked]()
        for scope in found.scopes:
            before = held.get(scope.encode())
            old = None if before is None else _opened_state(before)
            state = State(
                self._author.node,
                scope.encode(),
                battery or (old.battery if old else None),
                coverage or (old.coverage if old else None),
                gateway_ms,
            )
            made += self._tell(tx, scope, found.shift, state)
        return made

    def _tell(self, tx: Transaction, scope: Scope, shift: Shift, state: State) -> list[Checked]:
        encoded, now_ms = payloads.encode(state), self._runtime.now_ms()
        under = self._keeper.position_key_for(tx, scope, shift)

        def body(header: Header) -> bytes:
            if not shift.is_open(hlc.wall_ms(header.hlc)):
                # The stamp may run ahead of the clock, and readers judge by the stamp.
                raise _no_shift()
            return seal_message(under.key, header.encode(), pad(encoded))

        # No longer than the shift, so that nobody carries it into the evening.
        left_s = max(1, (shift.ends_ms - now_ms) // 1000)
        draft = Draft(
            Kind.STATE,
            Suite.CHAIN,
            scope,
            under.chain_id,
            under.index,
            lifetime_s=min(_LIFETIME_S, left_s),
        )
        checked = self._author.make(tx, draft, body)
        assert checked.bundle is not None, "it was made a line above"
        self._keep(tx, checked.bundle.header, state, shift)
        return [*under.made, checked]

    def _gateway_ms(self, conn: Connection, now_ms: int) -> int:
        """Return when a gateway was last met, now where one is, or we are one."""
        directory = self._membership.directory
        own = directory.member(self._author.node)
        if own is not None and own.role is Role.GATEWAY:
            return now_ms
        met = [
            now_ms if peer.is_up else min(peer.last_ms, now_ms)
            for peer in peers.list_peers(conn)
            if (entry := directory.trusted(peer.node)) is not None and entry.role is Role.GATEWAY
        ]
        return max(met, default=0)

    # --- that of mates --------------------------------------------------------------------------

    def keep(self, tx: Transaction, bundle: Bundle, open_message: Callable[[], Opened]) -> Opened:
        """Open a state of another device and keep it; return what the inbox must keep of it.

        Raises: NoKeyError where its shift is not open, and what `open_message` raises;
        MalformedError for a state that is dated ahead of itself, or by a stranger.
        """
        header, now_ms = bundle.header, self._runtime.now_ms()
        shift = shifts.known_shift(tx.connection, header.author, header.scope)
        stamp_ms = hlc.wall_ms(header.hlc)
        if shift is None or not (shift.is_open(now_ms) and shift.is_open(stamp_ms)):
            raise NoKeyError("the shift of this state is not open")
        opened = open_message()
        payload = opened.payload
        if not isinstance(payload, State) or header.lifetime_s > _LIFETIME_S:
            self._refuse(header)
        is_dated = all(at_ms <= stamp_ms for at_ms in _times(payload))
        if not is_dated or not self._positions.is_member(header.author, header.scope):
            self._refuse(header)
        if self._keep(tx, header, payload, shift):
            self._metrics.count("states_kept")
        return opened

    def _refuse(self, header: Header) -> NoReturn:
        self._metrics.count("states_refused")
        self._runtime.trace("state_refused", bundle=str(header.id))
        raise MalformedError("this state is dated ahead of itself, or by no squad mate")

    def _keep(self, tx: Transaction, header: Header, state: State, shift: Shift) -> bool:
        subject = position_subject(header.scope, shift.shift_id)
        if not self._positions.is_archive:
            # It goes with the shift, also where no key of its positions ever came.
            places.note_end(tx, ShiftEnd(header.author, subject, shift.ends_ms))
        record = StateRecord(
            author=header.author,
            scope=header.scope.encode(),
            stamp=header.hlc,
            incarnation=header.incarnation,
            seq=header.seq,
            received_ms=self._runtime.now_ms(),
            ends_ms=shift.over_ms,
            body=payloads.encode(state),
        )
        return rows.put_state(tx, record)

    # --- the board ------------------------------------------------------------------------------

    async def mates(self) -> list[Mate]:
        """Return a line for everybody who is of our squads or told us something, ourselves too.

        Those on duty come first, then by name. Raises: StoreError, LockedError.
        """
        now_ms = self._runtime.now_ms()
        return await self._store.read(lambda conn: self._mates(conn, now_ms))

    def _mates(self, conn: Connection, now_ms: int) -> list[Mate]:
        directory = self._membership.directory
        seen = self._seen(conn, now_ms)
        met = {peer.node: peer for peer in peers.list_peers(conn)}
        found = [
            self._mate(node, scope, each, met.get(node), now_ms)
            for (node, scope), each in seen.items()
        ]
        found.sort(key=lambda mate: (not mate.is_on_shift, directory.name_of(mate.node), mate.node))
        return found

    def _seen(self, conn: Connection, now_ms: int) -> dict[tuple[NodeId, Scope], _Seen]:
        squads = self._squads()
        seen: dict[tuple[NodeId, Scope], _Seen] = {
            (entry.node, scope): _Seen() for scope, crew in squads.items() for entry in crew
        }
        for place in places.positions(conn, now_ms, _LIST_MAX):
            key = (place.author, Scope.decode_untrusted(place.scope))
            seen.setdefault(key, _Seen()).place = place
        for state in rows.states(conn, now_ms, _LIST_MAX):
            key = (state.author, Scope.decode_untrusted(state.scope))
            seen.setdefault(key, _Seen()).state = state
        for scope in {scope for _node, scope in seen}:
            for node, shift in shifts.known_shifts(conn, scope):
                if (node, scope) in seen:
                    seen[node, scope].shift = shift
            for told in bundles.by_slot(conn, Kind.POSITION, scope.encode(), 0):
                known = seen.get((told.author, scope))
                if known and known.place and _name(known.place) == _name(told):
                    known.placed_ms = told.received_ms
        return seen

    def _squads(self) -> dict[Scope, list[DirectoryEntry]]:
        """Return who is on the board of each of our squads whatever it told: agents, leaders."""
        directory = self._membership.directory
        own = directory.member(self._author.node)
        if own is None:
            return {}
        crew = [entry for entry in directory.members() if entry.role in _CREW]
        return {
            Scope.for_squad(own.zone, squad): [each for each in crew if squad in each.squads]
            for squad in own.squads
        }

    def _mate(
        self, node: NodeId, scope: Scope, seen: _Seen, met: PeerRecord | None, now_ms: int
    ) -> Mate:
        is_revoked = node in self._membership.directory.revoked
        shift, state = seen.shift, None if seen.state is None else _opened_state(seen.state)
        received_ms = now_ms if seen.state is None else seen.state.received_ms
        place = None
        if seen.place is not None:
            value = _value("position", seen.place.taken_ms, _placed_ms(seen, now_ms), now_ms)
            place = (seen.place, _opened_place(seen.place), value)
        battery = coverage = None
        if state is not None and state.battery is not None:
            at_ms = state.battery.read_ms
            battery = (state.battery, _value("battery", at_ms, received_ms, now_ms))
        if state is not None and state.coverage is not None:
            at_ms = state.coverage.read_ms
            coverage = (state.coverage, _value("coverage", at_ms, received_ms, now_ms))
        return Mate(
            node=node,
            scope=scope,
            shift=shift,
            is_on_shift=shift is not None and shift.is_open(now_ms) and not is_revoked,
            heard=_heard(seen, now_ms),
            place=place,
            battery=battery,
            coverage=coverage,
            gateway_ms=0 if state is None else state.gateway_ms,
            is_up=met is not None and met.is_up,
            met_ms=0 if met is None else met.last_ms,
            is_revoked=is_revoked,
        )


def is_stale(name: str, age_ms: int, ahead_ms: int = 0) -> bool:
    """True for a value called `name` in `STALE_MS` that is too old, or dated too far ahead."""
    return age_ms >= STALE_MS[name] or ahead_ms > AHEAD_MS_MAX


def place_value(at_ms: int, now_ms: int) -> Value:
    """Judge a place by the clock of whoever took it, where nothing else is known of it."""
    return _value("position", at_ms, now_ms, now_ms)


def _value(name: str, at_ms: int, received_ms: int, now_ms: int) -> Value:
    """Judge a value by the clock of its author and by how long it lies here, whichever is older.

    So a mate whose clock is ahead, but not by much, is not young for ever.
    """
    age_ms = max(0, now_ms - at_ms, now_ms - received_ms)
    return Value(at_ms, age_ms, is_stale(name, age_ms, at_ms - now_ms))


def _placed_ms(seen: _Seen, now_ms: int) -> int:
    return now_ms if seen.placed_ms is None else seen.placed_ms


def _name(told: PositionRecord | BundleSummary) -> tuple[int, int]:
    return told.incarnation, told.seq


def _heard(seen: _Seen, now_ms: int) -> Value | None:
    told = []
    if seen.shift is not None:
        at_ms = seen.shift.closed_ms or seen.shift.opened_ms
        told.append(_value("shift", at_ms, now_ms, now_ms))
    if seen.state is not None:
        at_ms, received_ms = hlc.wall_ms(seen.state.stamp), seen.state.received_ms
        told.append(_value("shift", at_ms, received_ms, now_ms))
    if seen.place is not None:
        told.append(_value("shift", seen.place.taken_ms, _placed_ms(seen, now_ms), now_ms))
    return min(told, key=lambda value: (value.is_stale, value.age_ms)) if told else None


def _times(state: State) -> list[int]:
    found = [state.gateway_ms]
    found += [each.read_ms for each in (state.battery, state.coverage) if each is not None]
    return found


def _coverage(seen: CoverageSeen, now_ms: int) -> Coverage:
    """Return what was seen in the bounds of the wire; a name that does not print is left out."""
    bearer = _BEARERS.get(str(seen.bearer.value), Bearer.NONE)
    read_ms = min(seen.taken_ms, now_ms)
    if bearer is Bearer.NONE:
        return Coverage(read_ms, bearer)
    unit, strength = Unit.NONE, 0
    dbm, percent = getattr(seen, "signal_dbm", None), seen.signal_pct
    if dbm is not None:
        unit, strength = Unit.MINUS_DBM, min(STRENGTH_MAX[Unit.MINUS_DBM], max(0, -round(dbm)))
    elif percent is not None:
        unit, strength = Unit.PERCENT, min(100, max(0, round(percent)))
    name = seen.operator.encode("utf-8", "ignore")[:OPERATOR_BYTES_MAX].decode("utf-8", "ignore")
    name = name.strip()
    return Coverage(read_ms, bearer, unit, strength, name if is_plain(name) else "")


def _opened_state(record: StateRecord) -> State:
    payload = payloads.decode_untrusted(record.body, record.author, record.scope)
    assert isinstance(payload, State), "nothing else is kept there"
    return payload


def _opened_place(record: PositionRecord) -> Position:
    payload = payloads.decode_untrusted(record.body, record.author, record.scope)
    assert isinstance(payload, Position), "nothing else is kept there"
    return payload


def _no_shift() -> SendError:
    return SendError(
        "no_shift",
        "no shift is open, and a device tells of itself in one alone: run 'meshnode shift open'",
    )
