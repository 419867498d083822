"""What relays know of shifts: which positions may exist, and which they refuse.

A position is carried only if it is dated in a shift of its author that is known here. One that
arrives before its shift is refused without a trace in the store, so that it is brought again.
A track tells its own shift, which no known one may contradict: it comes to port days later.
This room reads what is in clear and holds no key. Source: wire-format 4.14 and 4.33, security 2.10.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from meshnode.directory import Directory
from meshnode.store import bundles as rows
from meshnode.store.engine import Connection, Transaction
from meshnode.store.records import BundleRecord
from protocol import bundle as bundles
from protocol import hlc
from protocol.bundle import Bundle, Header, Scope, ScopeKind
from protocol.errors import RemoteProtocolError
from protocol.ids import NodeId
from protocol.limits import KINDS, Kind
from protocol.quota import Allowance
from protocol.reports import Reception
from protocol.shifts import Shift, decode_shift_untrusted
from protocol.track_bodies import TrackBody, decode_track_body_untrusted

__all__ = [
    "add_many",
    "allows_track",
    "is_for",
    "is_for_inbox",
    "is_well_formed",
    "known_shift",
    "known_shifts",
    "own_shift",
]

# Bound once: asking an enumeration for a member costs 0.15 µs, and these are asked per bundle.
_SHIFT: Final = Kind.SHIFT
_POSITION: Final = Kind.POSITION
_CHAIN_KEYS: Final = Kind.CHAIN_KEYS
_DEVICE: Final = ScopeKind.DEVICE
_STORED: Final = Reception.STORED
_PREKEY: Final = Kind.PREKEY
_SOS: Final = Kind.SOS

_TRACK: Final = Kind.TRACK
_BOUND: Final = frozenset({Kind.POSITION, Kind.TRACK, Kind.CHAIN_KEYS})
"""Kinds that may hang on a shift."""
_OF_SHIFT: Final = frozenset({Kind.SHIFT, Kind.POSITION, Kind.STATE})
"""Kinds that the centre of the zone reads beside the squad."""
_LETTERS: Final = (Kind.TEXT, Kind.NOTE, Kind.CHUNK, Kind.CANCEL, Kind.READ, Kind.SHEETS)
_TOLD: Final = (Kind.SHIFT, Kind.POSITION, Kind.STATE, Kind.TRACK, Kind.COVERAGE)
_KEYS: Final = (Kind.CHAIN_KEYS, Kind.KEY_REQUEST, Kind.NETWORK_KEYS)
_FOR_PEOPLE: Final = frozenset((*_LETTERS, *_TOLD, *_KEYS))
"""Kinds that only those whom they are for have a use for."""


def is_well_formed(bundle: Bundle) -> bool:
    """Tell whether a shift and places in it are made as the wire format says.

    True for other kinds.
    """
    header = bundle.header
    if header.kind is _POSITION:
        return _is_short(header) and header.scope.kind is ScopeKind.SQUAD
    if header.kind is _TRACK:
        return _is_short(header) and header.scope.kind is ScopeKind.CODT and _is_declared(bundle)
    if header.kind is not _SHIFT:
        return True
    try:
        shift = decode_shift_untrusted(bundle.body)
    except RemoteProtocolError:
        return False
    is_past = max(shift.opened_ms, shift.closed_ms) <= hlc.wall_ms(header.hlc)
    return is_past and header.scope.kind is ScopeKind.SQUAD and header.index == 0


def _is_short(header: Header) -> bool:
    return header.lifetime_s <= KINDS[header.kind].lifetime_s


def _is_declared(bundle: Bundle) -> bool:
    """True for a track that is dated in the shift that it declares."""
    try:
        body = decode_track_body_untrusted(bundle.body)
    except RemoteProtocolError:
        return False
    return body.has_stamp(hlc.wall_ms(bundle.header.hlc))


def add_many(
    tx: Transaction,
    records: Sequence[BundleRecord],
    headers: Sequence[Header],
    allowed: Mapping[NodeId, Allowance] = MappingProxyType({}),
) -> list[Reception]:
    """Store records as `bundles.add_many` does, but those that no shift covers: NO_SHIFT.

    Shifts go first, so that what comes with its shift finds it.
    """
    fates = [_STORED] * len(records)
    is_shift = [header.kind is _SHIFT for header in headers]
    if any(is_shift):
        _add(tx, records, [n for n, each in enumerate(is_shift) if each], fates, allowed)
    others = [n for n, each in enumerate(is_shift) if not each]
    for place in [n for n in others if headers[n].kind in _BOUND]:
        if not _is_covered(tx.connection, headers[place], records[place].raw):
            fates[place] = Reception.NO_SHIFT
    _add(tx, records, [n for n in others if fates[n] is _STORED], fates, allowed)
    return fates


def _add(
    tx: Transaction,
    records: Sequence[BundleRecord],
    places: Sequence[int],
    fates: list[Reception],
    allowed: Mapping[NodeId, Allowance],
) -> None:
    outcomes = rows.add_many(tx, [records[place] for place in places], allowed)
    for place, outcome in zip(places, outcomes, strict=True):
        fates[place] = outcome


def _is_covered(conn: Connection, header: Header, raw: bytes) -> bool:
    if header.kind is _TRACK:
        body = decode_track_body_untrusted(bundles.decode_untrusted(raw).body)
        scope = Scope.for_squad(header.scope.zone, body.squad)
        shift = known_shift(conn, header.author, scope)
        return shift is None or allows_track(shift, body, hlc.wall_ms(header.hlc))
    if header.kind is _POSITION:
        shift = known_shift(conn, header.author, header.scope)
        return shift is not None and shift.has(hlc.wall_ms(header.hlc))
    if not header.keyref or header.scope.kind is not ScopeKind.SQUAD:
        # Keys of other chains; and those for one asker, who alone has a use for them.
        return True
    shift = known_shift(conn, header.author, header.scope)
    return shift is not None and shift.shift_id == header.keyref


def allows_track(newest: Shift, body: TrackBody, stamp_ms: int) -> bool:
    """True if the newest shift that is known of an author does not contradict a track of it.

    Of that shift it must be dated before its end, also where it was closed after the track was
    made; of an earlier one before this one began; a later one has to be told first.
    """
    if body.opened_ms == newest.opened_ms:
        return stamp_ms <= newest.over_ms
    if body.opened_ms > newest.opened_ms:
        return False
    start_ms, end_ms = newest.before
    return stamp_ms <= (end_ms if body.opened_ms == start_ms else newest.opened_ms)


def known_shift(conn: Connection, author: NodeId, scope: Scope) -> Shift | None:
    """Return the newest shift of `author` in a squad that is known here, open or not."""
    return dict(known_shifts(conn, scope)).get(author)


def own_shift(conn: Connection, own: NodeId, incarnation: int, scope: Scope) -> Shift | None:
    """Return our newest shift in a squad, None if we told none in this incarnation.

    One that a restored store knows of was ended by the restoring: its keys may have been used.
    """
    found = rows.by_slot(conn, Kind.SHIFT, scope.encode(), 0)
    if not any(each.author == own and each.incarnation == incarnation for each in found):
        return None
    return known_shift(conn, own, scope)


def known_shifts(conn: Connection, scope: Scope) -> list[tuple[NodeId, Shift]]:
    """Return the newest shift of everybody in a squad. Cost: some 10 µs for each.

    A shift whose row is damaged is not known: what hangs on it is refused until its author tells
    the next one, and what lies here of it is erased by the end that was noted.
    """
    found = rows.by_slot(conn, Kind.SHIFT, scope.encode(), 0)
    raws = rows.raw_many(conn, [each.short_id for each in found])
    return [
        (each.author, decode_shift_untrusted(bundles.decode_untrusted(raws[each.short_id][0]).body))
        for each in found
        if each.short_id in raws
    ]


def is_for_inbox(node: NodeId, zone: int, header: Header, directory: Directory) -> bool:
    """Tell whether the inbox of `node`, whose own zone is `zone`, has to do with a bundle."""
    kind = header.kind
    if kind is _PREKEY:
        return True
    if kind is _SOS:
        if header.scope.zone == zone:
            return True
    elif kind not in _FOR_PEOPLE:
        return False
    return is_for(node, header, directory)


def is_for(node: NodeId, header: Header, directory: Directory) -> bool:
    """Tell whether a bundle is for the inbox of `node`.

    A shift, a position and the keys of a shift are for the squad and for the centre of its zone.
    """
    scope = header.scope
    if scope.kind is _DEVICE:
        return scope.target == node
    kind = header.kind
    # Under a text the reference is its chain, under keys the shift that they are for.
    is_bound = kind in _OF_SHIFT or (kind is _CHAIN_KEYS and bool(header.keyref))
    if is_bound and scope.kind is ScopeKind.SQUAD:
        return node in directory.position_readers(scope, header.author)
    return directory.is_recipient(node, scope, header.author)
