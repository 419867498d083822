"""Every function of the node that reads bytes of a peer, with seeds and allowed errors.

The second half of the table in `parsers.py`. What a function needs of a node beside the bytes, a
store, a descriptor or a TLS stream, stands here as the little that it asks of it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, cast

from zeroconf import ServiceStateChange, Zeroconf, const
from zeroconf._cache import DNSCache
from zeroconf._dns import DNSPointer
from zeroconf._protocol.incoming import DNSIncoming
from zeroconf._protocol.outgoing import DNSOutgoing
from zeroconf.asyncio import AsyncServiceInfo

from meshnode import dump, explain, map_files, stick
from meshnode.discovery import mdns
from meshnode.discovery.addresses import LocalAddress, Surroundings
from meshnode.links import inbound, tls
from meshnode.reception import Examiner
from meshnode.runtime import system_runtime
from protocol import knock
from protocol import stick as sealed
from protocol.armour import TextForm, armour
from protocol.canonical import encode
from protocol.errors import (
    AuthenticationError,
    EnvelopeError,
    ExpiredError,
    LimitExceededError,
    MalformedError,
)
from protocol.limits import MDNS_LOOKUPS_MAX
from protocol.narrow import frames, kiss
from protocol.network_keys import epoch_at
from tests.properties.archives import ARCHIVE_PARSERS
from tests.properties.documents_shown import SHEET_PARSERS
from tests.properties.foreign import FOREIGN_PARSERS
from tests.properties.narrow_parsers import NARROW_PARSERS
from tests.properties.parsers import (
    ANSWER,
    BADGE_CHAIN,
    CERTIFICATES,
    CHAIN_BUNDLE,
    HEADER,
    PARSERS,
    SEALED,
)
from tests.properties.receipt_parsers import RECEIPT_PARSERS
from tests.properties.sensing import SENSOR_PARSERS
from tests.properties.sessions import REMOTE, SCRIPT
from tests.properties.table import Parser
from tests.properties.units import UNIT_PARSERS, OneKey, of_ascii, result_of
from tests.properties.zones import ZONE_PARSERS
from tests.protocol.enrolling import (
    INVITATION,
    NOW_MS,
    PREKEY,
    REQUEST,
    ROOT_DOCUMENT,
    ROSTER,
    SEALER,
    SECRET,
)

__all__ = ["ALL_PARSERS", "NODE_PARSERS"]

STICK_ERRORS = (MalformedError, LimitExceededError, EnvelopeError)
WHOLE_FILE = b"MESHSTK1" + len(HEADER.raw).to_bytes(4, "big") + HEADER.raw + SEALED
TRACE = b'{"at_ms": 1, "event": "sighted", "addresses": 2}\n{"at_ms": 2, "event": "stored"}\n'
PEM = (
    b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n"
)
TEXTS = {
    "invitation": armour(TextForm.INVITATION, INVITATION.encode()).encode(),
    "request": armour(TextForm.REQUEST, REQUEST.encode()).encode(),
    "answer": armour(TextForm.ANSWER, ANSWER.encode()).encode(),
    "documents": armour(TextForm.DOCUMENTS, encode([1, [ROSTER, ROOT_DOCUMENT.raw]])).encode(),
}


# --- sealed files ------------------------------------------------------------------------------


@contextmanager
def _descriptor(data: bytes) -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        os.write(file.fileno(), data)
        yield file.fileno()


def _header_of_file(data: bytes) -> object:
    with _descriptor(data) as descriptor:
        return stick._read_header_untrusted(descriptor)


def _content_of_file(data: bytes) -> object:
    """Read a file whose header and key are right, to its end."""
    key = sealed.open_file_key(HEADER, SECRET, SEALER)
    items: list[object] = []
    with _descriptor(b"MESHSTK1" + bytes(4) + HEADER.raw + data) as descriptor:
        source = stick._Input(descriptor, HEADER, key)
        while (found := source.next_untrusted()) is not None:
            items += found
    return items


def _key_of_file(data: bytes) -> object:
    header = sealed.decode_header_untrusted(data)
    nobody, store = cast(Any, None), cast(Any, OneKey())
    return result_of(
        stick.Stick(store, nobody, nobody, nobody, SEALER, OneKey.find)._key_untrusted(header)
    )


def _refused_store(data: bytes) -> object:
    """A store is never read from bytes; saying so is all that this function does."""
    with suppress(MalformedError):
        dump._store_untrusted(data)
        raise AssertionError("a store was explained from its bytes")
    return None


# --- links and discovery -----------------------------------------------------------------------


class _Shown:
    """A TLS stream whose peer showed these bytes."""

    def __init__(self, certificate: bytes) -> None:
        self._certificate = certificate

    def getpeercert(self, *, binary_form: bool) -> bytes:
        assert binary_form
        return self._certificate


HERE = Surroundings((LocalAddress("192.168.43.7", 24, 3), LocalAddress("fe80::7", 64, 3)))
NAME = "0123456789abcdef"
SERVICE = f"{NAME}.{mdns._SERVICE}"


KNOCK_KEY = b"k" * 32
KNOCK_KEYS = {epoch_at(NOW_MS): (KNOCK_KEY,)}
TAG = knock.announcement_tag(KNOCK_KEY, NAME.encode(), 7625)
KNOCK = knock.make_knock(KNOCK_KEY, NAME.encode(), bytes(range(16)))


def _knocked(data: bytes) -> object:
    guard = knock.KnockGuard()
    guard.check_untrusted(data, [NAME.encode()], KNOCK_KEYS, NOW_MS)
    return guard


def _tagged(data: bytes) -> object:
    """Read the last two bytes as the port."""
    port = int.from_bytes(data[-2:], "big")
    return knock.is_tagged_untrusted(data[:-2], NAME.encode(), port, KNOCK_KEYS, NOW_MS)


def _announcement(
    host: bytes, port: int = 7625, properties: dict[str | bytes, bytes] | None = None
) -> bytes:
    """Return the packet of a node that announces itself."""
    info = AsyncServiceInfo(
        mdns._SERVICE,
        SERVICE,
        port=port,
        server=f"{NAME}.local.",
        addresses=[host],
        properties=properties or {},
    )
    out = DNSOutgoing(const._FLAGS_QR_RESPONSE | const._FLAGS_AA)
    for record in (info.dns_pointer(), info.dns_service(), info.dns_text(), *info.dns_addresses()):
        out.add_answer_at_time(record, 0)
    return out.packets()[0]


class _Heard:
    """What the thread of multicast discovery would tell the node."""

    def __init__(self) -> None:
        self.sightings: list[mdns.Sighting] = []
        self.ignored = 0

    def post(self, sighting: mdns.Sighting) -> None:
        self.sightings.append(sighting)

    def ignore(self) -> None:
        self.ignored += 1

    def mistrust(self) -> None:
        self.ignored += 1


class _Knocks:
    """Knock keys of one week."""

    keys = KNOCK_KEYS


_AT_REST = replace(system_runtime(), now_ms=lambda: NOW_MS)


class _Cached:
    """As much of zeroconf as an announcement that came whole needs."""

    def __init__(self, packet: DNSIncoming) -> None:
        self.cache = DNSCache()
        self.cache.async_add_records(packet.answers())


def _packet(data: bytes) -> object:
    """Let a packet go the way from the socket to a hint that may be dialled."""
    packet = DNSIncoming(data)
    if not packet.valid:
        return None
    heard = _Heard()
    seal = mdns._Seal(cast(Any, _Knocks()), _AT_REST)
    responder = mdns._Responder("f" * 16, 7625, (), cast(mdns._Inbox, heard), seal)
    # No question is asked about what is missing: that would need a socket.
    responder._lookups = {str(number): cast(Any, None) for number in range(MDNS_LOOKUPS_MAX)}
    zeroconf = cast(Zeroconf, _Cached(packet))
    names = [each.alias for each in packet.answers() if isinstance(each, DNSPointer)]
    for name in names:
        # zeroconf passes on names of the service that is browsed for, and no others.
        if name.endswith(f".{mdns._SERVICE}"):
            responder._heard(zeroconf, mdns._SERVICE, name, ServiceStateChange.Added)
    return [mdns._hint(sighting, HERE) for sighting in heard.sightings]


PACKETS = (
    _announcement(bytes([192, 168, 43, 9]), properties={mdns._TAG: TAG}),
    _announcement(bytes([8, 8, 8, 8]), 0),
    _announcement(bytes.fromhex("fe80") + bytes(13) + b"\x09", properties={mdns._TAG: bytes(8)}),
)
assert _packet(PACKETS[0])
assert not _packet(PACKETS[1])


FRAMES = (
    frames.Piece(frames.FrameKind.DATA, 7, 1, 2, 3, 4, b"piece"),
    frames.Call(7, 1, 2, bytes(32), is_answer=False),
    frames.Beacon(1),
)
MAP = b"PMTiles\x03" + bytes(119)


def _examiner() -> Examiner:
    nobody = cast(Any, None)
    return Examiner(nobody, nobody, nobody, bytes(16))


NODE_PARSERS: tuple[Parser, ...] = (
    Parser(
        "meshnode.dump.explain_untrusted",
        lambda data: dump.explain_untrusted(data, "a file"),
        (CHAIN_BUNDLE.raw, ROSTER, *BADGE_CHAIN, SCRIPT, TRACE, PEM, WHOLE_FILE, *TEXTS.values()),
    ),
    Parser(
        "meshnode.map_files.read_region_untrusted",
        lambda data: map_files.read_region_untrusted("a", data, len(data)),
        (MAP, MAP[:-1]),
    ),
    Parser(
        "narrow.frames.decode_frame_untrusted",
        frames.decode_frame_untrusted,
        tuple(frames.encode_frame(each) for each in FRAMES),
    ),
    Parser(
        "narrow.kiss.KissDecoder.feed_untrusted",
        lambda data: list(kiss.KissDecoder().feed_untrusted(data)),
        (kiss.encode_kiss(b"\xc0\xdb" * 40),),
    ),
    Parser("meshnode.dump._recognise_untrusted", dump._recognise_untrusted, (ROSTER, SCRIPT)),
    Parser("meshnode.dump._stick_untrusted", dump._stick_untrusted, (WHOLE_FILE,)),
    Parser("meshnode.dump._store_untrusted", _refused_store, (b"SQLite format 3\0",)),
    Parser("meshnode.dump._pem_untrusted", dump._pem_untrusted, (PEM,)),
    Parser("meshnode.dump._frames_untrusted", dump._frames_untrusted, (SCRIPT,), REMOTE),
    Parser("meshnode.dump._trace_untrusted", dump._trace_untrusted, (TRACE,)),
    Parser(
        "meshnode.explain.bundle_untrusted", explain.bundle_untrusted, (CHAIN_BUNDLE.raw, PREKEY)
    ),
    Parser(
        "meshnode.explain.document_untrusted",
        explain.document_untrusted,
        (ROSTER, ROOT_DOCUMENT.raw),
    ),
    Parser("meshnode.explain.certificate_untrusted", explain.certificate_untrusted, CERTIFICATES),
    Parser("meshnode.explain._text_untrusted", explain._text_untrusted, (TEXTS["invitation"],)),
    Parser(
        "meshnode.explain.invitation_untrusted",
        of_ascii(TextForm.INVITATION, explain.invitation_untrusted),
        (INVITATION.encode(),),
    ),
    Parser(
        "meshnode.explain.request_untrusted",
        of_ascii(TextForm.REQUEST, explain.request_untrusted),
        (REQUEST.encode(),),
    ),
    Parser(
        "meshnode.explain.answer_untrusted",
        of_ascii(TextForm.ANSWER, explain.answer_untrusted),
        (ANSWER.encode(),),
    ),
    Parser(
        "meshnode.explain.documents_untrusted",
        of_ascii(TextForm.DOCUMENTS, explain.documents_untrusted),
        (encode([1, [ROSTER, ROOT_DOCUMENT.raw]]),),
    ),
    Parser(
        "meshnode.reception.Examiner._decode_untrusted",
        lambda data: _examiner()._decode_untrusted(data),
        (CHAIN_BUNDLE.raw,),
        (),
    ),
    Parser("meshnode.stick.Stick._key_untrusted", _key_of_file, (HEADER.raw,), STICK_ERRORS),
    Parser("meshnode.stick._read_header_untrusted", _header_of_file, (WHOLE_FILE,)),
    Parser("meshnode.stick._Input.next_untrusted", _content_of_file, (SEALED,), STICK_ERRORS),
    Parser(
        "meshnode.links.tls._peer_certificate_untrusted",
        lambda data: tls._peer_certificate_untrusted(cast(Any, _Shown(data)), NOW_MS),
        CERTIFICATES,
        (MalformedError, LimitExceededError, ExpiredError),
    ),
    Parser(
        "meshnode.links.inbound.is_urgent_untrusted",
        inbound.is_urgent_untrusted,
        (CHAIN_BUNDLE.raw,),
        (),
    ),
    Parser("meshnode.discovery.mdns packet", _packet, PACKETS, ()),
    Parser(
        "knock.KnockGuard.check_untrusted",
        _knocked,
        (KNOCK,),
        (MalformedError, AuthenticationError),
    ),
    Parser("knock.is_tagged_untrusted", _tagged, (TAG + (7625).to_bytes(2, "big"),)),
)

ALL_PARSERS: tuple[Parser, ...] = (
    *PARSERS,
    *NODE_PARSERS,
    *UNIT_PARSERS,
    *ARCHIVE_PARSERS,
    *ZONE_PARSERS,
    *NARROW_PARSERS,
    *RECEIPT_PARSERS,
    *SENSOR_PARSERS,
    *FOREIGN_PARSERS,
    *SHEET_PARSERS,
)
"""The whole table: every function of the product that reads bytes of a peer."""
