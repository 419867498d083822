"""Every function of the protocol that reads bytes of a peer, with seeds and allowed errors.

One table for Hypothesis (`test_untrusted.py`) and for the fuzzer (`tests.fuzz.fuzz_untrusted`).
Each entry takes bytes; text, decoded values and states are made of those bytes here, so that
whatever the peer controls comes from the input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from protocol import (
    armour,
    attachments,
    authority,
    bundle,
    cancels,
    certificates,
    documents,
    enrolment,
    envelope,
    identity,
    ids,
    issuing,
    payloads,
    shifts,
    states,
    stick,
    uplinks,
)
from protocol.armour import TextForm
from protocol.canonical import Value, encode
from protocol.errors import (
    AuthenticationError,
    IdentityError,
    LimitExceededError,
    MalformedError,
    TamperedError,
    WeakKeyError,
)
from protocol.limits import ANSWER_BYTES_MAX, FRAME_BYTES_MAX, Kind
from protocol.network_keys import KeyPurpose, WeeklyKey
from protocol.reconcile import symbols
from tests.properties.audits import AUDIT_PARSERS
from tests.properties.orders import ORDER_PARSERS
from tests.properties.sessions import SESSION_PARSERS
from tests.properties.table import Parser, value_of
from tests.properties.tracks import POINTS, TRACK_PARSERS, coverage_map
from tests.protocol.enrolling import (
    INVITATION,
    KEYS,
    MATE_PREKEY,
    NOW_MS,
    PREKEY,
    RECORD,
    REQUEST,
    ROOT,
    ROOT_BODY,
    ROOT_DOCUMENT,
    ROSTER,
    SEALER,
    SECRET,
    ZONE,
    make_answer,
)

__all__ = ["PARSERS"]

ANSWER = make_answer()
ANCHORS = [ROOT.certificate]
BADGE_CHAIN, LINK_CHAIN = ANSWER.badge_chain, ANSWER.link_chain
CERTIFICATES = (BADGE_CHAIN[0], BADGE_CHAIN[1], LINK_CHAIN[0], ROOT.certificate)
IDENTITY = (MalformedError, LimitExceededError, IdentityError)
SCOPE = bundle.Scope.for_squad(ZONE, b"squad-id").encode()
NODE = bytes(range(16))
TEXT = payloads.encode(payloads.Text(NODE, SCOPE, "Neige au col"))
SOS = payloads.encode(payloads.Sos(NODE, SCOPE, "À l'aide", b"alarm-id", 0))
SOS_PLACED = payloads.encode(
    payloads.Sos(
        NODE, SCOPE, "À l'aide", b"alarm-id", 0, number=1, place=payloads.SosPlace(1, 2, -3, 4)
    )
)
SOS_CLOSED = payloads.encode(
    payloads.Sos(NODE, SCOPE, "", b"alarm-id", 4, raiser=NODE, basis=1, outcome=1)
)
CHAIN_BUNDLE = bundle.build(
    bundle.Header(
        suite=bundle.Suite.CHAIN,
        kind=Kind.TEXT,
        author=NODE,
        incarnation=7,
        seq=1,
        hlc=NOW_MS << 16,
        lifetime_s=600,
        scope=bundle.Scope.for_codt(ZONE),
        keyref=b"chain-id",
        index=3,
    ),
    bytes(300),
    lambda message: message[:32] * 2,
)
CLAIM = uplinks.encode_claim(uplinks.Claim(bytes(16), 2, 5, 700))
CANCEL = cancels.encode_cancel(cancels.make_cancel(0, (1, 2, 3, 9)))
AGAIN = payloads.encode(
    payloads.Text(NODE, SCOPE, "Neige au col", payloads.Origin(7, 1, SCOPE, NOW_MS))
)
READ = payloads.encode(
    payloads.Read(NODE, SCOPE, (payloads.ReadPage(NODE, 7, 0, ((1, 3),), ((5, 1),)),))
)
SHIFT = shifts.encode_shift(shifts.Shift(b"shift-id", NOW_MS, NOW_MS + 3_600_000))
KEYS_OF_WEEK = payloads.encode(
    payloads.NetworkKeys(NODE, SCOPE, (WeeklyKey(KeyPurpose.KNOCK, 2_976, bytes(32)),))
)
MANIFEST = attachments.Manifest(
    "plan.pdf", attachments.Media.PDF, 70_000, bytes(32), bytes(range(32)), 32_768
)
ATTACHED = payloads.encode(payloads.Attached(NODE, SCOPE, "the plan", MANIFEST))
ATTACHED_AGAIN = payloads.encode(
    payloads.Attached(NODE, SCOPE, "the plan", MANIFEST, payloads.Origin(7, 1, SCOPE, NOW_MS))
)
SMALL_JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffc0000b080010001001011100")
POSITION = payloads.encode(payloads.Position(NODE, SCOPE, NOW_MS, 448_900_000, 66_400_000, 50))
BATTERY = states.Battery(NOW_MS, 61, False, 85, NOW_MS + 25_000_000)
COVERAGE = states.Coverage(NOW_MS, states.Bearer.G4, states.Unit.MINUS_DBM, 97, "Orange F")
STATE = payloads.encode(payloads.State(NODE, SCOPE, BATTERY, COVERAGE, NOW_MS))
UNKNOWN_STATE = payloads.encode(payloads.State(NODE, SCOPE, None, None, 0))
TRACK = payloads.encode(payloads.Track(NODE, SCOPE, tuple(POINTS)))
SLOTS = envelope.encode_slots([envelope.Slot(NODE, RECORD.prekey_id, b"sealed")] * 2)
SLOT_SECRET = envelope.encode_slot_secret(
    envelope.SlotSecret(NODE, b"chain-id", 3, SCOPE, b"s" * 32)
)


# --- from bytes to what a function takes -------------------------------------------------------


def of_text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    """Read bytes as text, broken characters and all."""
    return lambda data: read(data.decode("utf-8", "surrogateescape"))


def of_armoured(form: TextForm, read: Callable[[str], object]) -> Callable[[bytes], object]:
    """Read bytes as the record inside a text whose check is right."""
    return lambda data: read(armour.armour(form, data))


def of_papers(
    form: TextForm, read: Callable[[str], object], mac: bytes
) -> Callable[[bytes], object]:
    """Read bytes as the inner record of a request or an answer."""
    return lambda data: read(armour.armour(form, encode([data, mac])))


def of_value(read: Callable[[Value], object]) -> Callable[[bytes], object]:
    """Read bytes as the canonical form of a value."""
    return lambda data: read(value_of(data))


def of_chain(read: Callable[[Sequence[bytes]], object]) -> Callable[[bytes], object]:
    """Read bytes as a chain of certificates, or as the only one in it."""

    def run(data: bytes) -> object:
        try:
            value = value_of(data)
        except (MalformedError, LimitExceededError):
            return read([data])
        items = value if isinstance(value, tuple) else (value,)
        return read([item for item in items if isinstance(item, bytes)])

    return run


# --- sealed files ------------------------------------------------------------------------------


def _file() -> tuple[stick.StickHeader, bytes, bytes]:
    """Return header, file key and sealed content of a small file."""
    writer = stick.StickWriter([RECORD], SEALER, lambda count: bytes(range(count)))
    content = stick.encode_document(ROSTER) + stick.encode_bundle(3, CHAIN_BUNDLE.raw)
    sealed = b"".join(writer.feed(content)) + writer.finish()
    header = stick.decode_header_untrusted(writer.preamble[stick.PREAMBLE_BYTES :])
    return header, stick.open_file_key(header, SECRET, SEALER), sealed


HEADER, FILE_KEY, SEALED = _file()
CONTENT = stick.encode_document(ROSTER) + stick.encode_bundle(3, CHAIN_BUNDLE.raw)


def _read_sealed(data: bytes) -> object:
    reader = stick.StickReader(HEADER, FILE_KEY)
    return reader.feed_untrusted(data), reader.finish_untrusted()


def _read_content(data: bytes) -> object:
    reader = stick.ContentReader()
    items = reader.feed_untrusted(data)
    reader.finish_untrusted()
    return items


def _read_item(data: bytes) -> object:
    reader = stick.ContentReader()
    reader._frames.feed(data)
    frame = reader._next_untrusted()
    return None if frame is None else reader._item_untrusted(*frame)


def _next_of_content(data: bytes) -> object:
    reader = stick.ContentReader()
    reader._frames.feed(data)
    return reader._next_untrusted()


# --- symbols -----------------------------------------------------------------------------------

COLUMNS = bytes(12 * 4) + b"\x00\x01\x80\xff"


def _read_columns(data: bytes) -> object:
    """Take count and first symbol from the input too."""
    count, first = (data[0] % 8, data[1] * 17) if len(data) > 1 else (4, 0)
    return symbols.decode_symbols_untrusted(data[2:], count, first)


PARSERS: tuple[Parser, ...] = (
    Parser(
        "armour.unarmour_untrusted",
        of_text(lambda text: armour.unarmour_untrusted(TextForm.INVITATION, text)),
        (armour.armour(TextForm.INVITATION, b"record").encode(), b"MESHI1:~aaaaaa"),
    ),
    Parser("authority.decode_untrusted", authority.decode_untrusted, (ROSTER, ROOT_DOCUMENT.raw)),
    Parser("authority._record_untrusted", authority._record_untrusted, (ROSTER,)),
    Parser(
        "authority._signature_untrusted",
        of_value(authority._signature_untrusted),
        (encode([b"signer-8", bytes(64)]),),
    ),
    Parser("bundle.Scope.decode_untrusted", bundle.Scope.decode_untrusted, (SCOPE, b"\3\0\7")),
    Parser("bundle.decode_untrusted", bundle.decode_untrusted, (CHAIN_BUNDLE.raw, PREKEY)),
    Parser("bundle._cut_untrusted", bundle._cut_untrusted, (CHAIN_BUNDLE.raw,)),
    Parser("bundle._header_untrusted", bundle._header_untrusted, (CHAIN_BUNDLE.header_bytes,)),
    Parser(
        "canonical.decode_untrusted",
        value_of,
        (encode([1, b"abc", [2**64 - 1, [], [[300]]]]), b"\xdd\xff\xff\xff\xff"),
    ),
    Parser(
        "documents.decode_root_untrusted", documents.decode_root_untrusted, (ROOT_BODY.encode(),)
    ),
    Parser(
        "documents.decode_roster_untrusted",
        documents.decode_roster_untrusted,
        (authority.decode_untrusted(ROSTER).body,),
    ),
    Parser(
        "documents._rule_untrusted",
        of_value(documents._rule_untrusted),
        (
            encode([2, 1, [KEYS[0]], []]),
            encode([1, 1, [], [bytes(1_952)]]),
            encode([5, 1, [KEYS[0]], [], [7]]),
        ),
    ),
    Parser(
        "documents._member_untrusted",
        of_value(documents._member_untrusted),
        (encode([KEYS[0], 1, 1, b"alice"]),),
    ),
    Parser(
        "documents._device_key_untrusted",
        of_value(documents._device_key_untrusted),
        (encode(KEYS[0]), encode(bytes(32))),
    ),
    Parser(
        "documents.load_root_key_untrusted",
        documents.load_root_key_untrusted,
        (ROOT_BODY.root_keys[0],),
    ),
    Parser(
        "enrolment.decode_invitation_untrusted",
        of_armoured(TextForm.INVITATION, enrolment.decode_invitation_untrusted),
        (INVITATION.encode(),),
    ),
    Parser(
        "enrolment.decode_request_untrusted",
        of_papers(TextForm.REQUEST, enrolment.decode_request_untrusted, REQUEST.mac),
        (REQUEST.inner,),
    ),
    Parser(
        "enrolment.decode_answer_untrusted",
        of_papers(TextForm.ANSWER, enrolment.decode_answer_untrusted, ANSWER.mac),
        (ANSWER.inner,),
    ),
    Parser(
        "enrolment.decode_documents_untrusted",
        of_armoured(TextForm.DOCUMENTS, enrolment.decode_documents_untrusted),
        (encode([1, [ROSTER, ROOT_DOCUMENT.raw]]),),
    ),
    Parser(
        "enrolment._outer_untrusted",
        of_armoured(
            TextForm.REQUEST, lambda text: enrolment._outer_untrusted(TextForm.REQUEST, text)
        ),
        (REQUEST.encode(),),
    ),
    Parser(
        "enrolment._answer_untrusted",
        lambda data: enrolment._answer_untrusted(data, ANSWER.mac),
        (ANSWER.inner,),
    ),
    Parser(
        "enrolment._chain_untrusted",
        of_value(enrolment._chain_untrusted),
        (encode(BADGE_CHAIN),),
    ),
    Parser(
        "enrolment._documents_untrusted",
        of_value(enrolment._documents_untrusted),
        (encode([ROSTER]),),
    ),
    Parser(
        "enrolment.read_prekey_untrusted",
        lambda data: enrolment.read_prekey_untrusted(data, KEYS[0], ZONE),
        (PREKEY, MATE_PREKEY),
        (MalformedError, LimitExceededError, AuthenticationError, WeakKeyError),
    ),
    Parser(
        "envelope.unpad_untrusted",
        envelope.unpad_untrusted,
        (envelope.pad(b"text"), envelope.pad(bytes(40))),
    ),
    Parser(
        "envelope.decode_prekey_untrusted",
        envelope.decode_prekey_untrusted,
        (envelope.encode_prekey(RECORD),),
    ),
    Parser("envelope.decode_slots_untrusted", envelope.decode_slots_untrusted, (SLOTS,)),
    Parser(
        "envelope.decode_slot_secret_untrusted",
        envelope.decode_slot_secret_untrusted,
        (SLOT_SECRET,),
    ),
    Parser(
        "identity.verify_badge_untrusted",
        of_chain(lambda chain: identity.verify_badge_untrusted(chain, ANCHORS, NOW_MS)),
        (encode(BADGE_CHAIN), encode(LINK_CHAIN), encode([BADGE_CHAIN[0], ROOT.certificate])),
        IDENTITY,
    ),
    Parser(
        "identity.read_badge_untrusted",
        of_chain(lambda chain: identity.read_badge_untrusted(chain, ANCHORS)),
        (encode(BADGE_CHAIN), encode(LINK_CHAIN)),
        IDENTITY,
    ),
    Parser(
        "identity.verify_link_chain_untrusted",
        of_chain(lambda chain: identity.verify_link_chain_untrusted(chain, ANCHORS, NOW_MS)),
        (encode(LINK_CHAIN), encode(BADGE_CHAIN)),
        IDENTITY,
    ),
    Parser(
        "identity.link_dates_untrusted",
        identity.link_dates_untrusted,
        CERTIFICATES,
    ),
    Parser("identity.check_anchor_untrusted", identity.check_anchor_untrusted, CERTIFICATES[::-1]),
    Parser(
        "identity.authority_rights_untrusted",
        identity.authority_rights_untrusted,
        BADGE_CHAIN[::-1],
    ),
    Parser(
        "certificates.read_certificate_untrusted",
        certificates.read_certificate_untrusted,
        CERTIFICATES,
    ),
    Parser("identity.rights_untrusted", identity.rights_untrusted, CERTIFICATES),
    Parser("identity._parse_untrusted", identity._parse_untrusted, CERTIFICATES),
    Parser(
        "identity._rights_untrusted",
        identity._rights_untrusted,
        (encode([1, 1, ZONE, [b"squad-01", b"squad-02"], 1]),),
    ),
    Parser(
        "identity._authority_rights_untrusted",
        identity._authority_rights_untrusted,
        (encode([1, 5, ZONE, []]), encode([1, 2, ZONE, [b"squad-01"]])),
    ),
    Parser(
        "identity._squads_untrusted",
        of_value(identity._squads_untrusted),
        (encode([b"squad-01", b"squad-02"]),),
    ),
    Parser(
        "ids.parse_node_id_untrusted",
        of_text(ids.parse_node_id_untrusted),
        (ids.print_node_id(NODE).encode(),),
    ),
    Parser(
        "ids.parse_bundle_id_untrusted",
        of_text(ids.parse_bundle_id_untrusted),
        (str(CHAIN_BUNDLE.id).encode(), "٣.٣.٣".encode()),
    ),
    Parser(
        "issuing.read_request_untrusted",
        lambda data: issuing.read_request_untrusted(data, INVITATION.token),
        (REQUEST.badge_request, REQUEST.link_request),
        (MalformedError, LimitExceededError, AuthenticationError, WeakKeyError),
    ),
    Parser(
        "payloads.decode_untrusted",
        lambda data: payloads.decode_untrusted(data, NODE, SCOPE),
        (
            *(TEXT, SOS, KEYS_OF_WEEK, POSITION, STATE, UNKNOWN_STATE, TRACK),
            coverage_map(NODE, SCOPE),
            *(SOS_PLACED, SOS_CLOSED, AGAIN, READ, ATTACHED, ATTACHED_AGAIN),
        ),
        (MalformedError, LimitExceededError, TamperedError),
    ),
    Parser(
        "states.read_battery_untrusted",
        lambda data: states.read_battery_untrusted(value_of(data)),
        (encode(states.battery_fields(BATTERY)), encode(())),
    ),
    Parser(
        "states.read_coverage_untrusted",
        lambda data: states.read_coverage_untrusted(value_of(data)),
        (encode(states.coverage_fields(COVERAGE)), encode(())),
    ),
    Parser(
        "attachments.decode_manifest_untrusted",
        attachments.decode_manifest_untrusted,
        (attachments.encode_manifest(MANIFEST),),
    ),
    Parser(
        "attachments.read_manifest_untrusted",
        of_value(attachments.read_manifest_untrusted),
        (attachments.encode_manifest(MANIFEST),),
    ),
    Parser("attachments.jpeg_size_untrusted", attachments.jpeg_size_untrusted, (SMALL_JPEG,)),
    Parser(
        "attachments.check_thumbnail_untrusted",
        attachments.check_thumbnail_untrusted,
        (SMALL_JPEG,),
    ),
    Parser("shifts.decode_shift_untrusted", shifts.decode_shift_untrusted, (SHIFT,)),
    Parser("uplinks.decode_claim_untrusted", uplinks.decode_claim_untrusted, (CLAIM,)),
    Parser("cancels.decode_cancel_untrusted", cancels.decode_cancel_untrusted, (CANCEL,)),
    Parser(
        "reconcile.symbols.decode_symbols_untrusted", _read_columns, (b"\x04\x00" + COLUMNS, b"")
    ),
    Parser(
        "stick.header_bytes_untrusted",
        stick.header_bytes_untrusted,
        (b"MESHSTK1\x00\x00\x01\x00", b"MESHSTK1\xff\xff\xff\xff"),
    ),
    Parser("stick.decode_header_untrusted", stick.decode_header_untrusted, (HEADER.raw,)),
    Parser(
        "stick._slot_untrusted",
        of_value(stick._slot_untrusted),
        (encode([RECORD.prekey_id, bytes(40)]),),
    ),
    Parser(
        "stick.StickReader.feed_untrusted",
        lambda data: stick.StickReader(HEADER, FILE_KEY).feed_untrusted(data),
        (SEALED, SEALED * 60),
        (MalformedError, LimitExceededError, TamperedError),
    ),
    Parser(
        "stick.StickReader.finish_untrusted",
        _read_sealed,
        (SEALED,),
        (MalformedError, LimitExceededError, TamperedError),
    ),
    Parser(
        "stick.ContentReader.feed_untrusted",
        lambda data: stick.ContentReader().feed_untrusted(data),
        (CONTENT,),
    ),
    Parser("stick.ContentReader.finish_untrusted", _read_content, (CONTENT,)),
    Parser("stick.ContentReader._next_untrusted", _next_of_content, (CONTENT,)),
    Parser("stick.ContentReader._item_untrusted", _read_item, (CONTENT,)),
    Parser("stick._bundle_untrusted", stick._bundle_untrusted, (b"\3" + CHAIN_BUNDLE.raw, b"\3")),
    *AUDIT_PARSERS,
    *ORDER_PARSERS,
    *SESSION_PARSERS,
    *TRACK_PARSERS,
)

assert len(ANSWER.encode()) < FRAME_BYTES_MAX < ANSWER_BYTES_MAX
