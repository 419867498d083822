"""The inputs of all vectors, made from fixed seeds: what each shows, and its clause."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace

from protocol import bundle, canonical, envelope, payloads
from protocol.bundle import Header, Scope
from protocol.canonical import Value, encode
from protocol.network_keys import KeyPurpose, WeeklyKey
from tests.vectors.board_cases import state_and_track_cases, track_body_cases
from tests.vectors.coverage_cases import coverage_cases
from tests.vectors.file_cases import again_cases, chunk_cases, manifest_cases
from tests.vectors.key_cases import (
    chain_cases,
    hpke_cases,
    prekey_cases,
    slot_cases,
    slot_secret_cases,
    sos_cases,
)
from tests.vectors.narrow_cases import brief_cases, narrow_cases, radio_cases
from tests.vectors.seeds import (
    HEADER,
    KEY,
    NODE,
    NOW_MS,
    PUBLIC,
    SEED,
    SQUAD,
    Case,
    accepted,
    refused,
)
from tests.vectors.session_cases import (
    binding_cases,
    document_cases,
    frame_cases,
    frame_payload_cases,
    paper_cases,
)
from tests.vectors.sheet_cases import catalogue_cases

__all__ = ["CASES"]

# --- clause 2 ----------------------------------------------------------------------------------


def canonical_cases() -> Iterator[Case]:
    """Values at each edge of the encoding, and each form that is not canonical."""
    for bits in (7, 8, 16, 32):
        for number in (2**bits - 1, 2**bits):
            yield accepted("2.2", f"integer {number}", encode(number).hex())
    yield accepted("2.1", "largest integer", encode(2**64 - 1).hex())
    for length in (0, 1, 255, 256):
        yield accepted("2.1", f"{length} bytes", encode(bytes(length)).hex())
    for count in (0, 15, 16):
        yield accepted("2.1", f"array of {count}", encode((0,) * count).hex())
    yield accepted("2.2", "nesting of 6", "919191919191" + "00")
    yield accepted("2.1", "a mixed record", encode((1, b"abc", (2, (b"", ())), 70_000)).hex())
    odd = {
        "nesting of 7": "91919191919191" + "00",
        "nothing": "",
        "trailing byte": "0000",
        "integer 1 in two bytes": "cc01",
        "integer 255 in three bytes": "cd00ff",
        "integer 65535 in five bytes": "ce0000ffff",
        "integer 1 in nine bytes": "cf0000000000000001",
        "signed form": "d001",
        "negative fixed form": "ff",
        "negative 8-byte form": "d3ffffffffffffffff",
        "bytes with a long length": "c5000161",
        "array with a long count": "dc000100",
        "array with the longest count": "dd0000000100",
        "array of 16,385": "dc4001" + "00" * 16_385,
        "array that announces 4,294,967,295": "ddffffffff",
        "cut short": "9200",
        "nil": "c0",
        "false": "c2",
        "true": "c3",
        "unused tag": "c1",
        "32-bit float": "ca00000000",
        "64-bit float": "cb0000000000000000",
        "text": "a161",
        "long text": "d90161",
        "map": "810000",
        "empty map": "80",
        "extension": "d40000",
        "time stamp": "d6ff00000000",
        "nil in an array": "9200c0",
    }
    for what, text in odd.items():
        yield refused("2.2", what, text)


# --- clauses 3 and 4 ---------------------------------------------------------------------------


def name_cases() -> Iterator[Case]:
    """Ids that follow from keys and words."""
    for public_key, squad, zone in ((PUBLIC, "Queyras", 7), (bytes(32), "Équipe n° 3", 65_535)):
        item = {"public_key": public_key.hex(), "squad": squad, "zone": zone}
        numbers = {"incarnation": 2**32 - 1, "seq": zone, "wall_ms": NOW_MS, "counter": 65_535}
        yield accepted("3", f"names of {squad}", item | numbers)


def scope_cases() -> Iterator[Case]:
    """One of each type, and those that are none."""
    for scope in (Scope.for_device(7, NODE), SQUAD, Scope.for_codt(1), Scope.for_zone(65_535)):
        yield accepted("3.4", f"type {scope.kind}", scope.encode().hex())
    for what, text in {
        "nothing": "",
        "type 0": "000007",
        "type 5": "050007",
        "zone 0": "040000",
        "a device without its id": "010007",
        "a squad with a byte too few": "020007" + "00" * 7,
        "a zone with a target": "04000700",
    }.items():
        yield refused("3.4", what, text)


def _container(header: bytes, body: bytes = b"body") -> str:
    signature = KEY.sign(bundle.signed_bytes(header, body))
    return (encode(header) + encode(body) + signature).hex()


def _header(**changes: Value) -> bytes:
    read = canonical.decode_untrusted(HEADER.encode(), max_bytes=160)
    assert isinstance(read, tuple)
    names = [field.name for field in fields(Header)]
    return encode(tuple((dict(zip(names, read, strict=True)) | changes).values()))


def bundle_cases() -> Iterator[Case]:
    """Each suite, the bounds of each field, and what a signature stops."""

    def item(container: str, key: bytes = PUBLIC) -> dict[str, str]:
        return {"container": container, "public_key": key.hex()}

    for changes in (
        {},
        {"suite": 2, "index": 0},
        {"suite": 2, "index": 0, "keyref": b""},
        {"suite": 3, "index": 0},
        {"suite": 4, "keyref": b"", "index": 2**32 - 1},
        {"suite": 5, "kind": 1, "index": 0},
        {"incarnation": 2**32 - 1, "seq": 2**64 - 1, "hlc": 2**64 - 1},
        {"lifetime_s": 0},
        {"lifetime_s": 90 * 86_400, "index": 2_047},
        {"kind": 9, "lifetime_s": 30 * 86_400},
        {"scope": Scope.for_codt(7).encode()},
    ):
        what = ", ".join(f"{name} {value!r}" for name, value in changes.items()) or "a text"
        yield accepted("4.2", what, item(_container(_header(**changes))))
    for length in (0, 255, 256, 4_096):
        yield accepted("4.1", f"body of {length}", item(_container(_header(), bytes(length))))
    for clause, changes in (
        ("4.2", {"suite": 0}),
        ("4.2", {"suite": 6}),
        ("4.3", {"kind": 0}),
        ("4.3", {"kind": 31}),
        ("4.2", {"author": NODE[1:]}),
        ("3.3", {"incarnation": 2**32}),
        ("3.3", {"seq": 0}),
        ("4.2", {"lifetime_s": 604_800}),
        ("4.3", {"lifetime_s": 90 * 86_400 + 1}),
        ("4.3", {"kind": 1, "lifetime_s": 7 * 86_400 + 1}),
        ("3.4", {"scope": b"\4\0\0"}),
        ("4.2", {"keyref": b""}),
        ("4.2", {"suite": 4}),
        ("4.2", {"index": 2_048}),
        ("4.2", {"suite": 2, "index": 1}),
        ("4.2", {"suite": 5, "index": 1}),
        ("4.2", {"more": 1}),
    ):
        what = ", ".join(f"{name} {value!r}" for name, value in changes.items())
        yield refused(clause, what, item(_container(_header(**changes))))
    good = bytes.fromhex(_container(_header()))
    for clause, what, raw in (
        ("4.4", "a changed body", good.replace(b"body", b"Body")),
        ("4.4", "a changed signature", good[:-1] + bytes([good[-1] ^ 1])),
        ("4.4", "a changed header", good.replace(b"chain-id", b"chain-iD")),
        ("4.1", "a trailing byte", good + b"\0"),
        ("4.1", "a byte too few", good[:-1]),
        ("4.1", "a long form of the body", good.replace(b"\xc4\x04body", b"\xc5\x00\x04body")),
        ("4.1", "four parts", b"\x94" + good[1:] + b"\0"),
    ):
        yield refused(clause, what, item(raw.hex()))
    small = {"container": encode((_header(), b"", b"\1" + bytes(63))).hex()}
    yield refused("4.4", "a key of small order", small | {"public_key": (b"\1" + bytes(31)).hex()})


def _alarms(scope: bytes) -> dict[str, payloads.Sos]:
    """Steps of one alarm at the edges of their numbers."""
    place = payloads.SosPlace(2**48 - 1, -900_000_000, 1_800_000_000, 1_000_000)
    raised = payloads.Sos(NODE, scope, "À l'aide", b"alarm-id", 0)
    step = replace(raised, text="", step=1, raiser=NODE)
    return {
        "an alarm": raised,
        "an alarm with a place": replace(raised, place=place),
        "an alarm raised anew and repeated": replace(raised, round=15, number=255),
        "an alarm seen": step,
        "an alarm closed by a witness": replace(step, step=4, round=15, basis=3, outcome=2),
        "a step that nobody knows": replace(step, step=15),
    }


def _letters(scope: bytes, item: Callable[[bytes], dict[str, str]]) -> Iterator[Case]:
    first = payloads.Origin(2**32 - 1, 2**64 - 1, scope, 2**48 - 1)
    again = payloads.encode(payloads.Text(NODE, scope, "Neige au col", first))
    yield accepted("4.31", "a text that is sent again", item(envelope.pad(again)))
    pages = (
        payloads.ReadPage(bytes(16), 7, 0, ((1, 20),), ()),
        payloads.ReadPage(NODE, 2**32 - 1, 2**54 - 1, ((0, 1), (1_023, 1)), ((5, 2),)),
    )
    read = payloads.encode(payloads.Read(NODE, scope, pages))
    yield accepted("4.32", "two pages of what was read", item(envelope.pad(read)))
    yield from manifest_cases(scope)
    yield from again_cases(scope)


def payload_cases() -> Iterator[Case]:
    """Texts and alarms at the edges of the size classes."""
    scope = SQUAD.encode()

    def item(padded: bytes, author: bytes = NODE) -> dict[str, str]:
        return {"padded": padded.hex(), "author": author.hex(), "scope": scope.hex()}

    bare = len(payloads.encode(payloads.Text(NODE, scope, "")))
    for length in (0, 63 - bare, 64 - bare, 126 - bare, 127 - bare, 4_093 - bare, 4_095 - bare):
        text = payloads.encode(payloads.Text(NODE, scope, "x" * max(0, length)))
        yield accepted("4.10", f"payload of {len(text)} bytes", item(envelope.pad(text)))
    for what, alarm in _alarms(scope).items():
        yield accepted("4.19", what, item(envelope.pad(payloads.encode(alarm))))
    bare_step = encode((1, 2, NODE, scope, b"", b"alarm-id", 1))
    yield refused("4.19", "a step that names no alarm", item(envelope.pad(bare_step)))
    long = encode((1, 2, NODE, scope, b"x", b"alarm-id", 0, (0, 0, ())))
    yield refused("4.19", "a first raising in the long form", item(envelope.pad(long)))
    weekly = (
        WeeklyKey(KeyPurpose.ZONE_SOS, 0, SEED),
        WeeklyKey(KeyPurpose.KNOCK, 2**32 - 1, bytes(32)),
    )
    keys = payloads.encode(payloads.NetworkKeys(NODE, scope, weekly))
    yield accepted("4.10", "keys of the network", item(envelope.pad(keys)))
    for what, place in {
        "the north pole": (0, 900_000_000, -1_800_000_000, 0),
        "the south pole": (2**48 - 1, -900_000_000, 1_800_000_000, 1_000_000),
    }.items():
        position = payloads.encode(payloads.Position(NODE, scope, *place))
        yield accepted("4.10", what, item(envelope.pad(position)))
    yield from state_and_track_cases(scope, item)
    yield from coverage_cases(scope, item)
    yield from _letters(scope, item)
    text = payloads.encode(payloads.Text(NODE, scope, "Neige au col"))
    yield refused("4.10", "another author", item(envelope.pad(text), bytes(16)))
    yield refused("4.10", "a padding of ones", item(text + b"\x80" + b"\1" * (63 - len(text))))
    yield refused("4.10", "a class too large", item(text + b"\x80" + bytes(127 - len(text))))
    yield refused("4.10", "no marker", item(text + bytes(64 - len(text))))
    odd: dict[str, Value] = {
        "version 2": (2, 1, NODE, scope, b"x"),
        "type 3 without keys": (1, 3, NODE, scope, []),
        "a key of no purpose": (1, 3, NODE, scope, [(1, 5, bytes(32))]),
        "a short key": (1, 3, NODE, scope, [(2, 5, bytes(31))]),
        "type 5": (1, 5, NODE, scope, b"x"),
        "beyond the pole": (1, 4, NODE, scope, 1, 1_800_000_001, 0, 0),
        "beyond the date line": (1, 4, NODE, scope, 1, 0, 3_600_000_001, 0),
        "as good as nowhere": (1, 4, NODE, scope, 1, 0, 0, 1_000_001),
        "a position without accuracy": (1, 4, NODE, scope, 1, 0, 0),
        "step 16": (1, 2, NODE, scope, b"x", b"alarm-id", 16),
        "a text that is not UTF-8": (1, 1, NODE, scope, b"\xff"),
        "a text with a step": (1, 1, NODE, scope, b"x", b"alarm-id", 0),
        "a copy of no number": (1, 1, NODE, scope, b"x", 7, 0, scope, 1),
        "a copy without a time": (1, 1, NODE, scope, b"x", 7, 1, scope),
        "no page": (1, 9, NODE, scope, []),
        "a page that says nothing": (1, 9, NODE, scope, [(NODE, 7, 0, [], [])]),
        "a page twice": (1, 9, NODE, scope, [(NODE, 7, 0, [(1, 1)], [])] * 2),
        "pages of 65": (
            *(1, 9, NODE, scope),
            [(NODE, 7, page, [(1, 1)], []) for page in range(65)],
        ),
        "runs that touch": (1, 9, NODE, scope, [(NODE, 7, 0, [(1, 1), (2, 1)], [])]),
    }
    for what, value in odd.items():
        yield refused("4.10", what, item(envelope.pad(encode(value))))


# --- bodies in clear ---------------------------------------------------------------------------


def receipt_body(*numbers: int, fill: str = "", version: int = 2) -> bytes:
    """Return a receipt of incarnation 7 whose bits are the codes of `numbers` and then `fill`."""
    bits = "".join(f"{each:0{2 * each.bit_length() - 1}b}" for each in numbers) + fill
    bits += "0" * (-len(bits) % 8)
    return bytes([version, 0, 0, 0, 7]) + bytes(8) + int(bits, 2).to_bytes(len(bits) // 8, "big")


def receipt_cases() -> Iterator[Case]:
    """Runs at their bounds, and what is not the one way to write them."""
    for what, numbers in {
        "one bundle": (1, 2, 1),
        "twenty in a row": (1, 2, 20),
        "every second of forty": (1, 2, 1) + (1, 1) * 19,
        "a whole page": (1, 1, 1_024),
        "two runs": (1, 1, 1_022, 1, 1),
        "every second": (1,) + (1, 1) * 512,
        "the longest": (2**54,) + (2, 2) * 255 + (2, 3),
    }.items():
        yield accepted("4.12", what, receipt_body(*numbers).hex())
    for what, raw in {
        "no run": receipt_body(1),
        "half a run": receipt_body(1, 2),
        "a run beyond the page": receipt_body(1, 1_024, 2),
        "a run that begins beyond the page": receipt_body(1, 1_025, 1),
        "a number cut short": receipt_body(1, 2, 1, fill="00001"),
        "a byte of zeros at the end": receipt_body(1, 2, 1) + bytes(1),
        "nothing but zeros": receipt_body(1, 2, 1)[:13] + bytes(2),
        "no bits": receipt_body(1, 2, 1)[:13],
        "page beyond the last seq": receipt_body(2**54 + 1, 2, 1),
        "too long": receipt_body(1, 2, 1)[:13] + b"\xff" * 207,
    }.items():
        yield refused("4.12", what, raw.hex())
    yield refused("1.2", "version 1", receipt_body(1, 2, 1, version=1).hex())
    yield refused("1.2", "the form before", encode([1, 7, 0, [[1, 1]], bytes(8)]).hex())


def cancel_cases() -> Iterator[Case]:
    """What is taken back, at the bounds."""
    for what, runs in {
        "one text": [[1, 1]],
        "a whole page": [[0, 1_024]],
        "every second": [[first, 1] for first in range(0, 1_024, 2)],
    }.items():
        yield accepted("4.30", what, encode([1, 2**54 - 1, runs]).hex())
    for what, runs in {
        "nothing": [],
        "runs that touch": [[0, 1], [1, 1]],
        "a run beyond the page": [[1_023, 2]],
    }.items():
        yield refused("4.30", what, encode([1, 0, runs]).hex())
    yield refused("1.2", "version 2", encode([2, 0, [[1, 1]]]).hex())
    yield refused("4.30", "page beyond the last seq", encode([1, 2**54, [[1, 1]]]).hex())


def receipt_digest_cases() -> Iterator[Case]:
    """Digests of bundles, and the eight bytes that stand for all of them."""
    for page, offsets in ((0, (1, 2, 3, 7)), (1, (0, 1_023)), (2, tuple(range(20)))):
        digests = {
            str(1_024 * page + offset): hashlib.sha256(b"%d" % offset).hexdigest()
            for offset in offsets
        }
        yield accepted("4.12", f"{len(offsets)} bundles", {"page": page, "digests": digests})


def shift_cases() -> Iterator[Case]:
    """Shifts at their bounds."""
    hour = 3_600_000
    good: dict[str, Value] = {
        "a shift": (1, bytes(8), 100 * hour, 112 * hour, 0, (0, 0)),
        "closed at once": (1, bytes(8), 100 * hour, 101 * hour, 100 * hour, (0, 0)),
        "closed at its end, after another": (
            (1, bytes(8), 100 * hour, 112 * hour, 112 * hour, (88 * hour, 100 * hour))
        ),
    }
    for what, value in good.items():
        yield accepted("4.14", what, encode(value).hex())
    odd: dict[str, Value] = {
        "version 2": (2, bytes(8), 100 * hour, 112 * hour, 0, (0, 0)),
        "thirteen hours": (1, bytes(8), 100 * hour, 113 * hour, 0, (0, 0)),
        "no time at all": (1, bytes(8), 100 * hour, 100 * hour, 0, (0, 0)),
        "closed before it began": (1, bytes(8), 100 * hour, 112 * hour, 99 * hour, (0, 0)),
        "closed after its end": (1, bytes(8), 100 * hour, 112 * hour, 112 * hour + 1, (0, 0)),
        "a short id": (1, bytes(7), 100 * hour, 112 * hour, 0, (0, 0)),
        "a shift before that overlaps": (
            (1, bytes(8), 100 * hour, 112 * hour, 0, (99 * hour, 100 * hour + 1))
        ),
        "a shift before of thirteen hours": (
            (1, bytes(8), 100 * hour, 112 * hour, 0, (80 * hour, 93 * hour))
        ),
        "a shift before that ends first": (
            (1, bytes(8), 100 * hour, 112 * hour, 0, (80 * hour, 79 * hour))
        ),
        "a time beyond 48 bits": (1, bytes(8), 2**48 - 1, 2**48, 0, (0, 0)),
    }
    for what, value in odd.items():
        yield refused("4.14", what, encode(value).hex())


def uplink_cases() -> Iterator[Case]:
    """An office, a way through mates, nobody, and claims that make no sense."""
    author, most_ms = bytes(range(16)), 2**48 - 1
    good: dict[str, Value] = {
        "an office": [1, author, 0, most_ms, 1_000],
        "through three sessions": [1, author, 3, 1, 0],
        "nobody": [1, b"", 0, 0, 0],
    }
    for what, value in good.items():
        yield accepted("4.20", what, encode(value).hex())
    odd: dict[str, Value] = {
        "nobody, a session away": [1, b"", 1, 0, 5],
        "nobody since a time": [1, b"", 0, 1, 5],
        "an office since never": [1, author, 0, 0, 5],
        "an office that reaches nobody": [1, author, 0, 1, 0],
        "four sessions": [1, author, 4, 1, 5],
        "a score too high": [1, author, 0, 1, 1_001],
        "a time beyond 48 bits": [1, author, 0, 2**48, 5],
        "a short name": [1, author[:15], 1, 1, 5],
    }
    for what, value in odd.items():
        yield refused("4.20", what, encode(value).hex())
    yield refused("1.2", "version 2", encode([2, b"", 0, 0, 0]).hex())


def audit_head_cases() -> Iterator[Case]:
    """The first entry, and the last there can be."""
    for number in (1, 2**64 - 1):
        yield accepted("4.17", f"entry {number}", encode([1, number, bytes(range(32))]).hex())
    odd: dict[str, Value] = {
        "no entry": [1, 0, bytes(32)],
        "a short hash": [1, 1, bytes(31)],
        "a long hash": [1, 1, bytes(33)],
        "one field more": [1, 1, bytes(32), 0],
    }
    for what, value in odd.items():
        yield refused("4.17", what, encode(value).hex())
    yield refused("1.2", "version 2", encode([2, 1, bytes(32)]).hex())


def key_request_cases() -> Iterator[Case]:
    """From 1 to 64 chains."""
    for count in (1, 64):
        chains = [b"%08d" % number for number in range(count)]
        yield accepted("4.13", f"{count} chains", encode([1, chains]).hex())
    odd: dict[str, Value] = {
        "no chain": [1, []],
        "65 chains": [1, [bytes(8)] * 65],
        "a short id": [1, [bytes(7)]],
        "version 0": [0, [bytes(8)]],
    }
    for what, value in odd.items():
        yield refused("4.13", what, encode(value).hex())


def symbol_cases() -> Iterator[Case]:
    """Short ids of some digests, and the first coded symbols of their set."""
    for n, count in ((0, 4), (1, 16), (3, 16), (200, 64)):
        digests = [hashlib.sha256(b"digest %d" % number).hexdigest() for number in range(n)]
        item = {"network_key": bytes(range(16)).hex(), "digests": digests, "count": count}
        yield accepted("5", f"{n} ids, {count} symbols", item)


def knock_cases() -> Iterator[Case]:
    """Knocks for both kinds of names, and the tag of an announcement."""
    key = hashlib.sha256(b"knock key").digest()
    for name in (b"00112233445566aa", b"10.0.0.5:7625", b"[fe80::1]:7625"):
        item = {"key": key.hex(), "name": name.hex(), "random": bytes(range(16)).hex()}
        yield accepted("6.12", name.decode("ascii"), item)
    tagged = {"key": key.hex(), "name": b"00112233445566aa".hex(), "port": 7_625}
    yield accepted("6.14", "a tag", tagged)


CASES: Mapping[str, Callable[[], Iterator[Case]]] = {
    "canonical": canonical_cases,
    "names": name_cases,
    "scope": scope_cases,
    "bundle": bundle_cases,
    "payload": payload_cases,
    "receipt": receipt_cases,
    "receipt_digest": receipt_digest_cases,
    "cancel": cancel_cases,
    "catalogue": catalogue_cases,
    "uplink": uplink_cases,
    "key_request": key_request_cases,
    "shift": shift_cases,
    "track_body": track_body_cases,
    "audit_head": audit_head_cases,
    "prekey": prekey_cases,
    "slots": slot_cases,
    "slot_secret": slot_secret_cases,
    "hpke": hpke_cases,
    "chain": chain_cases,
    "sos": sos_cases,
    "chunk": chunk_cases,
    "symbols": symbol_cases,
    "frames": frame_cases,
    "frame_payloads": frame_payload_cases,
    "binding": binding_cases,
    "document": document_cases,
    "knock": knock_cases,
    "papers": paper_cases,
    "narrow": narrow_cases,
    "radio": radio_cases,
    "brief": brief_cases,
}
"""One per file in this folder."""
