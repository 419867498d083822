"""Hypothesis strategies for the records of the protocol, and for what is almost one of them."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from protocol.bundle import Header, Scope, ScopeKind, Suite
from protocol.canonical import Value, decode_untrusted, encode
from protocol.cells import Part, cell_of
from protocol.coverage import Contribution, Count, Square
from protocol.envelope import PrekeyRecord, Slot, SlotSecret, prekey_id_of
from protocol.errors import MeshError
from protocol.limits import (
    BUNDLE_BYTES_MAX,
    CHAIN_MESSAGES_MAX,
    CLASS_RULES,
    KINDS,
    PREKEY_END_MS,
    Kind,
)
from protocol.network_keys import KeyPurpose, WeeklyKey
from protocol.payloads import (
    CoverageMap,
    NetworkKeys,
    Payload,
    Position,
    Sos,
    SosPlace,
    State,
    Text,
    Track,
)
from protocol.receipts import PAGE, KeyRequest, Receipt
from protocol.states import (
    DRAIN_DPCT_H_MAX,
    EMPTY_AHEAD_MS_MAX,
    OPERATOR_BYTES_MAX,
    STRENGTH_MAX,
    Battery,
    Bearer,
    Coverage,
    Unit,
)
from protocol.tracks import TrackPoint

__all__ = [
    "alarm_steps",
    "batteries",
    "contributions",
    "coverages",
    "headers",
    "key_requests",
    "mutated",
    "mutated_records",
    "payloads",
    "positions",
    "prekey_records",
    "receipts",
    "scopes",
    "slot_secrets",
    "slots",
    "track_points",
    "uints",
    "values",
]

_EDGES = sorted(
    {edge for bits in (0, 7, 8, 16, 32, 48, 64) for edge in (2**bits - 1, 2**bits, 2**bits + 1)}
)


def uints(bits: int = 64) -> st.SearchStrategy[int]:
    """Unsigned numbers of up to `bits` bits, edges of the encodings first."""
    edges = [edge for edge in _EDGES if edge < 2**bits]
    return st.sampled_from(edges) | st.integers(0, 2**bits - 1)


def values(depth: int = 3) -> st.SearchStrategy[Value]:
    """Anything with a canonical form, nested up to `depth`; arrays are tuples."""
    leaves: st.SearchStrategy[Value] = uints() | st.binary(max_size=24)
    if depth == 0:
        return leaves
    arrays: st.SearchStrategy[Value] = st.lists(values(depth - 1), max_size=5).map(tuple)
    return leaves | arrays


# --- records -----------------------------------------------------------------------------------

NODES = st.binary(min_size=16, max_size=16)
NAMES_8 = st.binary(min_size=8, max_size=8)
SEEDS = st.binary(min_size=32, max_size=32)
TARGET_BYTES = {ScopeKind.DEVICE: 16, ScopeKind.SQUAD: 8, ScopeKind.CODT: 0, ScopeKind.ZONE: 0}


@st.composite
def scopes(draw: st.DrawFn) -> Scope:
    """Any scope."""
    kind = draw(st.sampled_from(ScopeKind))
    size = TARGET_BYTES[kind]
    return Scope(kind, draw(st.integers(1, 65_535)), draw(st.binary(min_size=size, max_size=size)))


@st.composite
def headers(draw: st.DrawFn) -> Header:
    """Any header that a reader accepts."""
    suite, kind = draw(st.sampled_from(Suite)), draw(st.sampled_from(Kind))
    lifetime_s_max = CLASS_RULES[KINDS[kind].traffic_class].lifetime_s_max
    keyrefs = {Suite.CLEAR: st.just(b""), Suite.HYBRID: NAMES_8 | st.just(b"")}
    indices = {Suite.CHAIN: st.integers(0, CHAIN_MESSAGES_MAX - 1), Suite.CLEAR: uints(32)}
    return Header(
        suite=suite,
        kind=kind,
        author=draw(NODES),
        incarnation=draw(uints(32)),
        seq=draw(uints().filter(bool)),
        hlc=draw(uints()),
        lifetime_s=draw(st.integers(1, lifetime_s_max)),
        scope=draw(scopes()),
        keyref=draw(keyrefs.get(suite, NAMES_8)),
        index=draw(indices.get(suite, st.just(0))),
    )


@st.composite
def receipts(draw: st.DrawFn) -> Receipt:
    """Any receipt that a reader accepts."""
    edges = sorted(draw(st.sets(st.integers(0, PAGE), min_size=2, max_size=40)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    runs = tuple((first, end - first) for first, end in pairs)
    return Receipt(draw(uints(32)), draw(uints(54)), runs, draw(NAMES_8))


def key_requests() -> st.SearchStrategy[KeyRequest]:
    """Any key request."""
    return st.lists(NAMES_8, min_size=1, max_size=64).map(lambda ids: KeyRequest(tuple(ids)))


def weekly_keys() -> st.SearchStrategy[WeeklyKey]:
    """Any key of a week."""
    purposes = st.sampled_from([KeyPurpose.ZONE_SOS, KeyPurpose.KNOCK])
    return st.builds(WeeklyKey, purposes, uints(32), st.binary(min_size=32, max_size=32))


def _places() -> tuple[st.SearchStrategy[int], ...]:
    return (
        uints(48),
        st.integers(-900_000_000, 900_000_000),
        st.integers(-1_800_000_000, 1_800_000_000),
        st.integers(0, 1_000_000),
    )


def positions() -> st.SearchStrategy[Position]:
    """Any position."""
    return st.builds(Position, NODES, scopes().map(Scope.encode), *_places())


def alarm_steps() -> st.SearchStrategy[Sos]:
    """Any step of an alarm."""
    scope, text = scopes().map(Scope.encode), st.text(max_size=60)
    return st.builds(
        Sos,
        NODES,
        scope,
        text,
        NAMES_8,
        st.just(0),
        round=st.integers(0, 15),
        number=st.integers(0, 255),
        place=st.none() | st.builds(SosPlace, *_places()),
    ) | st.builds(
        Sos,
        NODES,
        scope,
        text,
        NAMES_8,
        st.integers(1, 15),
        raiser=NODES,
        round=st.integers(0, 15),
        basis=st.integers(0, 3),
        outcome=st.integers(0, 2),
    )


def payloads() -> st.SearchStrategy[Payload]:
    """Any payload."""
    scope = scopes().map(Scope.encode)
    text = st.text(max_size=60)
    keys = st.lists(weekly_keys(), min_size=1, max_size=32).map(tuple)
    return st.one_of(
        st.builds(Text, NODES, scope, text),
        alarm_steps(),
        st.builds(NetworkKeys, NODES, scope, keys),
        positions(),
        st.builds(State, NODES, scope, st.none() | batteries(), st.none() | coverages(), uints(48)),
        st.builds(Track, NODES, scope, track_points().map(tuple)),
        st.builds(CoverageMap, NODES, scope, NODES, contributions()),
    )


@st.composite
def contributions(draw: st.DrawFn, most: int = 6) -> Contribution:
    """Any contribution to the coverage map; many of them about the same few cells."""
    near = st.integers(0, 3).map(lambda n: 2_400_000_000 + n)
    anywhere = st.builds(
        cell_of, st.integers(-(9 * 10**8), 9 * 10**8), st.integers(-(18 * 10**8), 18 * 10**8)
    )
    places = st.tuples(near | anywhere, st.sampled_from(Part))
    squares = [
        Square(cell, part, draw(_counts()))
        for cell, part in sorted(draw(st.sets(places, min_size=1, max_size=most)))
    ]
    return Contribution(draw(st.integers(20_000, 20_100)), tuple(squares))


@st.composite
def _counts(draw: st.DrawFn) -> tuple[Count, ...]:
    bearers = sorted(draw(st.sets(st.sampled_from(Bearer), min_size=1, max_size=3)))
    tried = [draw(st.integers(3 if not n else 1, 5)) for n in range(len(bearers))]
    return tuple(
        Count(each, by, 0 if each is Bearer.NONE else draw(st.integers(0, by)))
        for each, by in zip(bearers, tried, strict=True)
    )


@st.composite
def batteries(draw: st.DrawFn) -> Battery:
    """Any look at a battery."""
    read_ms, level = draw(st.integers(0, 2**47)), draw(st.integers(0, 100))
    if draw(st.booleans()):
        return Battery(read_ms, level, is_charging=True)
    ahead_ms = draw(st.none() | st.integers(0, EMPTY_AHEAD_MS_MAX))
    empty_ms = 0 if ahead_ms is None else read_ms + ahead_ms
    return Battery(read_ms, level, False, draw(st.integers(0, DRAIN_DPCT_H_MAX)), empty_ms)


@st.composite
def coverages(draw: st.DrawFn) -> Coverage:
    """Any look at coverage."""
    read_ms, bearer = draw(uints(48)), draw(st.sampled_from(Bearer))
    if bearer is Bearer.NONE:
        return Coverage(read_ms, bearer)
    unit = draw(st.sampled_from(Unit))
    operator = draw(st.sampled_from(["", "Orange F", "Île Télécom", "x" * OPERATOR_BYTES_MAX]))
    return Coverage(read_ms, bearer, unit, draw(st.integers(0, STRENGTH_MAX[unit])), operator)


@st.composite
def track_points(draw: st.DrawFn, most: int = 12) -> list[TrackPoint]:
    """Any points of a track; most of them near the one before."""
    steps = draw(st.lists(st.integers(1, 60) | st.integers(1, 43_200), max_size=most - 1))
    taken = draw(st.integers(0, 2**39))
    north = draw(st.integers(-9_000_000, 9_000_000))
    east = draw(st.integers(-18_000_000, 18_000_000))
    points = [TrackPoint(taken, north, east)]
    near = st.integers(-400, 400)
    for step in steps:
        taken += step
        if draw(st.integers(0, 9)):
            north, east = north + draw(near), east + draw(near)
        else:
            north, east = -north, -east
        north = max(-9_000_000, min(9_000_000, north))
        east = max(-18_000_000, min(18_000_000, east))
        points.append(TrackPoint(taken, north, east))
    return points


@st.composite
def prekey_records(draw: st.DrawFn) -> PrekeyRecord:
    """Any prekey record that a reader accepts; its key is none that can be sealed to."""
    issued_ms = draw(st.integers(0, 2**47))
    ends_ms = issued_ms + draw(st.integers(1, PREKEY_END_MS))
    public = draw(SEEDS) * 38
    return PrekeyRecord(prekey_id_of(public), issued_ms, ends_ms, draw(st.integers(1, 3)), public)


def slots() -> st.SearchStrategy[Slot]:
    """Any slot."""
    return st.builds(Slot, NODES, NAMES_8, st.binary(max_size=80))


def slot_secrets() -> st.SearchStrategy[SlotSecret]:
    """Any plaintext of a slot."""
    return st.builds(
        SlotSecret,
        author=NODES,
        chain_id=NAMES_8,
        index=st.integers(0, CHAIN_MESSAGES_MAX - 1),
        scope=scopes().map(Scope.encode),
        seed=SEEDS,
    )


# --- what is almost a record -------------------------------------------------------------------


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of `seeds` after one to three edits, as radio noise or a clumsy attacker makes them."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        edit = draw(st.sampled_from(["flip", "set", "cut", "insert", "drop", "repeat"]))
        if edit == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif edit == "set" and at < len(data):
            data[at] = draw(st.sampled_from((0, 1, 0x7F, 0x80, 0x90, 0xC4, 0xCC, 0xDD, 0xFF)))
        elif edit == "cut":
            del data[at:]
        elif edit == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=9))
        elif edit == "drop":
            del data[at : at + draw(st.integers(1, 9))]
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 40))]
    return bytes(data)


@st.composite
def mutated_records(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of `seeds` with a part replaced by another canonical value: form right, content odd."""
    seed = draw(st.sampled_from(seeds))
    try:
        value = decode_untrusted(seed, max_bytes=BUNDLE_BYTES_MAX)
    except MeshError:
        return draw(values().map(encode))
    return encode(_replaced(draw, value))


def _replaced(draw: st.DrawFn, value: Value) -> Value:
    if not isinstance(value, tuple) or not value or draw(st.integers(0, 3)) == 0:
        if isinstance(value, bytes) and draw(st.booleans()):
            return draw(mutated([value]))
        return draw(values(2))
    items = list(value)
    at = draw(st.integers(0, len(items) - 1))
    edit = draw(st.sampled_from(["replace", "replace", "replace", "drop", "repeat"]))
    if edit == "replace":
        items[at] = _replaced(draw, items[at])
    elif edit == "drop":
        del items[at]
    else:
        items.insert(at, items[at])
    return tuple(items)
