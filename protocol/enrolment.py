"""The three papers of enrolment: invitation, request, answer; and how each is checked.

They travel as text: pasted, in a file, or as a QR code. The invitation's secret never travels
back: it keys the MACs of request and answer. The device believes nothing in an answer that does
not follow from the root hash of its invitation. Source: wire-format 8, security 2.2.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ed25519

from protocol import bundle as bundles
from protocol.armour import TextForm, armour, unarmour_untrusted
from protocol.authority import (
    DocumentClass,
    RootBody,
    RosterBody,
    SignedDocument,
    decide,
    decode_root_untrusted,
    decode_roster_untrusted,
    decode_untrusted,
)
from protocol.bundle import Scope, load_public_key
from protocol.canonical import Value, as_array, as_bytes, as_uint, encode
from protocol.canonical import decode_untrusted as decode_record_untrusted
from protocol.documents import decode_name
from protocol.envelope import (
    PrekeyRecord,
    PrekeySecret,
    Sealer,
    check_prekey,
    decode_prekey_untrusted,
)
from protocol.errors import AuthenticationError, EnrolmentError, MalformedError
from protocol.identity import (
    Badge,
    DeviceClass,
    Role,
    decode_device_class,
    decode_role,
    verify_badge_untrusted,
    verify_link_chain_untrusted,
)
from protocol.ids import NodeId, SquadId, node_id_of, squad_id_of
from protocol.issuing import make_request
from protocol.limits import (
    ANSWER_BYTES_MAX,
    ANSWER_DOCUMENTS_MAX,
    ANSWER_PREKEYS_MAX,
    CERTIFICATE_BYTES_MAX,
    CERTIFICATES_PER_CHAIN_MAX,
    DOCUMENT_BYTES_MAX,
    INVITATION_BYTES_MAX,
    PREKEY_BUNDLE_BYTES_MAX,
    REQUEST_BYTES_MAX,
    SEALED_SECRETS_BYTES_MAX,
    SQUADS_PER_BADGE_MAX,
    Kind,
)
from protocol.network_keys import Secrets, read_secrets
from protocol.witnessed import decode_pass_untrusted

__all__ = [
    "Answer",
    "Enrolled",
    "Invitation",
    "Request",
    "build_answer",
    "build_request",
    "check_answer",
    "check_request",
    "decode_answer_untrusted",
    "decode_documents_untrusted",
    "decode_invitation_untrusted",
    "decode_request_untrusted",
    "encode_documents",
    "open_secrets",
    "read_prekey_untrusted",
    "seal_secrets",
]


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the authority hands to one device, once. Source: wire-format 8.2."""

    token: bytes
    """8 bytes; names the invitation."""
    secret: bytes = field(repr=False)
    """20 bytes; whoever has it may become this device."""
    expires_s: int
    """Unix seconds after which the authority takes no request for it."""
    root_hash: bytes
    """SHA-256 of the signed part of the root document."""
    zone: int
    """1-65535."""
    role: Role
    """Decided beforehand by the authority."""
    device_class: DeviceClass
    """Kind of machine."""
    name: str
    """Name of the device."""
    squads: tuple[str, ...]
    """Names of its home squads."""

    @property
    def squad_ids(self) -> tuple[SquadId, ...]:
        """Ids of the home squads, ascending."""
        return tuple(sorted(squad_id_of(self.zone, name) for name in self.squads))

    def encode(self) -> bytes:
        """Return the canonical record; its text form is `armour(TextForm.INVITATION, …)`."""
        return encode(
            [
                1,
                self.token,
                self.secret,
                self.expires_s,
                self.root_hash,
                self.zone,
                self.role.value,
                self.device_class.value,
                self.name.encode(),
                [squad.encode() for squad in self.squads],
            ]
        )


@dataclass(frozen=True, slots=True)
class Request:
    """What a device gives back: its keys, proven, under the secret. Source: wire-format 8.3."""

    token: bytes
    """8 bytes; the invitation it answers."""
    badge_request: bytes
    """PKCS#10 DER of the badge's key."""
    link_request: bytes
    """PKCS#10 DER of the link's key."""
    prekey: bytes
    """Container of the kind-5 bundle with the device's first prekey."""
    inner: bytes
    """What the MAC covers."""
    mac: bytes
    """32 bytes."""

    @property
    def code(self) -> str:
        """Six digits that authority and device both show, to be compared by people."""
        digest = hashlib.sha256(b"meshnode enrol code 1\0" + self.inner).digest()
        return f"{int.from_bytes(digest, 'big') % 1_000_000:06d}"

    def encode(self) -> bytes:
        """Return the canonical record."""
        return encode([self.inner, self.mac])


@dataclass(frozen=True, slots=True)
class Answer:
    """What makes the device a member. Source: wire-format 8.4."""

    token: bytes
    """8 bytes; the invitation it ends."""
    badge_chain: tuple[bytes, ...]
    """DER, badge first."""
    link_chain: tuple[bytes, ...]
    """DER, link certificate first."""
    documents: tuple[bytes, ...]
    """The root document, every roster of the zone, and what else is in force; from a unit
    authority also the pass of the device."""
    prekeys: tuple[bytes, ...]
    """Containers of prekey bundles of those whom the device will write to first."""
    sealed_secrets: bytes
    """Hybrid ciphertext of `Secrets`, to the prekey of the request."""
    inner: bytes
    """What the MAC covers."""
    mac: bytes
    """32 bytes."""

    def encode(self) -> bytes:
        """Return the canonical record."""
        return encode([self.inner, self.mac])


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An answer that holds in every part."""

    badge: Badge
    """Who the device is now."""
    link_chain: tuple[bytes, ...]
    """DER, link certificate first."""
    root: RootBody
    """The root in force."""
    documents: tuple[SignedDocument, ...]
    """Root and rosters, checked."""
    prekeys: tuple[bytes, ...]
    """Containers, signatures checked."""
    secrets: Secrets
    """Opened."""


# --- invitation --------------------------------------------------------------------------------


def decode_invitation_untrusted(text: str) -> Invitation:
    """Read the text of an invitation. Raises: MalformedError, LimitExceededError."""
    raw = unarmour_untrusted(TextForm.INVITATION, text)
    record = as_array(
        decode_record_untrusted(raw, max_bytes=INVITATION_BYTES_MAX), "invitation", 10
    )
    as_uint(record[0], "version of the invitation", 1, 1)
    squads = as_array(record[9], "squads", SQUADS_PER_BADGE_MAX, 0)
    return Invitation(
        token=as_bytes(record[1], "token", 8),
        secret=as_bytes(record[2], "secret", 20),
        expires_s=as_uint(record[3], "expiry", 2**48),
        root_hash=as_bytes(record[4], "root hash", 32),
        zone=as_uint(record[5], "zone", 65_535, 1),
        role=decode_role(as_uint(record[6], "role")),
        device_class=decode_device_class(as_uint(record[7], "device class")),
        name=decode_name(record[8], "name"),
        squads=tuple(decode_name(squad, "squad") for squad in squads),
    )


# --- request -----------------------------------------------------------------------------------


def build_request(
    invitation: Invitation,
    badge_key: ed25519.Ed25519PrivateKey,
    link_key: ed25519.Ed25519PrivateKey,
    prekey: bytes,
) -> Request:
    """Return the request of the holder of both keys; `prekey` is a bundle signed by the badge."""
    token = invitation.token
    badge_request, link_request = make_request(badge_key, token), make_request(link_key, token)
    inner = encode([1, token, badge_request, link_request, prekey])
    mac = _request_mac(invitation.secret, inner)
    return Request(token, badge_request, link_request, prekey, inner, mac)


def decode_request_untrusted(text: str) -> Request:
    """Read the text of a request; nothing in it is proven yet.

    Raises: MalformedError, LimitExceededError.
    """
    inner, mac = _outer_untrusted(TextForm.REQUEST, text)
    record = as_array(decode_record_untrusted(inner, max_bytes=REQUEST_BYTES_MAX), "request", 5)
    as_uint(record[0], "version of the request", 1, 1)
    return Request(
        token=as_bytes(record[1], "token", 8),
        badge_request=as_bytes(record[2], "badge request", CERTIFICATE_BYTES_MAX, 1),
        link_request=as_bytes(record[3], "link request", CERTIFICATE_BYTES_MAX, 1),
        prekey=as_bytes(record[4], "prekey", PREKEY_BUNDLE_BYTES_MAX, 1),
        inner=inner,
        mac=mac,
    )


def check_request(request: Request, secret: bytes) -> None:
    """Check that the request was made by whoever holds the invitation's secret.

    Raises: EnrolmentError (`altered`).
    """
    if not hmac.compare_digest(request.mac, _request_mac(secret, request.inner)):
        raise EnrolmentError("altered", "this request was changed, or is not for this invitation")


def _request_mac(secret: bytes, inner: bytes) -> bytes:
    return hmac.digest(secret, b"meshnode enrol request 1\0" + inner, "sha256")


def _outer_untrusted(form: TextForm, text: str) -> tuple[bytes, bytes]:
    raw = unarmour_untrusted(form, text)
    record = as_array(decode_record_untrusted(raw, max_bytes=form.bytes_max), "record", 2)
    return as_bytes(record[0], "inner record", form.bytes_max, 0), as_bytes(record[1], "MAC", 32)


def read_prekey_untrusted(container: bytes, public_key: bytes, zone: int) -> PrekeyRecord:
    """Return the prekey in a kind-5 bundle of the holder of `public_key` (32 raw bytes).

    Raises: MalformedError, LimitExceededError, AuthenticationError, WeakKeyError.
    """
    bundle = bundles.decode_untrusted(container)
    header = bundle.header
    if header.kind is not Kind.PREKEY or header.scope != Scope.for_zone(zone):
        raise MalformedError("this bundle is not a prekey for the zone")
    if header.author != node_id_of(public_key):
        raise AuthenticationError("this prekey is another device's")
    bundles.verify(bundle, load_public_key(public_key))
    record = decode_prekey_untrusted(bundle.body)
    check_prekey(record)
    return record


# --- answer ------------------------------------------------------------------------------------


def build_answer(
    invitation: Invitation,
    chains: tuple[Sequence[bytes], Sequence[bytes]],
    documents: Sequence[bytes],
    prekeys: Sequence[bytes],
    sealed_secrets: bytes,
) -> Answer:
    """Return the answer to `invitation`; `chains` are those of badge and link."""
    inner = encode([1, invitation.token, *chains, documents, prekeys, sealed_secrets])
    mac = _answer_mac(invitation.secret, inner)
    return _answer_untrusted(inner, mac)


def decode_answer_untrusted(text: str) -> Answer:
    """Read the text of an answer; nothing in it is proven yet.

    Raises: MalformedError, LimitExceededError.
    """
    return _answer_untrusted(*_outer_untrusted(TextForm.ANSWER, text))


def _answer_untrusted(inner: bytes, mac: bytes) -> Answer:
    record = as_array(decode_record_untrusted(inner, max_bytes=ANSWER_BYTES_MAX), "answer", 7)
    as_uint(record[0], "version of the answer", 1, 1)
    return Answer(
        token=as_bytes(record[1], "token", 8),
        badge_chain=_chain_untrusted(record[2]),
        link_chain=_chain_untrusted(record[3]),
        documents=_documents_untrusted(record[4]),
        prekeys=tuple(
            as_bytes(item, "prekey", PREKEY_BUNDLE_BYTES_MAX, 1)
            for item in as_array(record[5], "prekeys", ANSWER_PREKEYS_MAX, 0)
        ),
        sealed_secrets=as_bytes(record[6], "sealed secrets", SEALED_SECRETS_BYTES_MAX, 1),
        inner=inner,
        mac=mac,
    )


def _chain_untrusted(value: Value) -> tuple[bytes, ...]:
    items = as_array(value, "chain", CERTIFICATES_PER_CHAIN_MAX, 1)
    return tuple(as_bytes(item, "certificate", CERTIFICATE_BYTES_MAX, 1) for item in items)


def _documents_untrusted(value: Value) -> tuple[bytes, ...]:
    items = as_array(value, "documents", ANSWER_DOCUMENTS_MAX, 1)
    return tuple(as_bytes(item, "document", DOCUMENT_BYTES_MAX, 1) for item in items)


def _answer_mac(secret: bytes, inner: bytes) -> bytes:
    return hmac.digest(secret, b"meshnode enrol answer 1\0" + inner, "sha256")


def check_answer(
    answer: Answer,
    invitation: Invitation,
    keys: tuple[bytes, bytes],
    prekey: PrekeySecret,
    now_ms: int,
    sealer: Sealer,
) -> Enrolled:
    """Return what `answer` gives to the device with these raw public keys (badge, link).

    Raises: EnrolmentError (`altered`, `root`, `key`, `rights`, `roster`); IdentityError,
    DocumentError, EnvelopeError, MalformedError, LimitExceededError or AuthenticationError of
    the part that does not hold.
    """
    mac = _answer_mac(invitation.secret, answer.inner)
    if answer.token != invitation.token or not hmac.compare_digest(answer.mac, mac):
        raise EnrolmentError("altered", "this answer was changed, or is for another invitation")
    documents = tuple(decode_untrusted(raw) for raw in answer.documents)
    root, rosters = _check_documents(documents, invitation.root_hash)
    badge = verify_badge_untrusted(answer.badge_chain, root.anchors, now_ms)
    link_key = verify_link_chain_untrusted(answer.link_chain, root.anchors, now_ms)
    if (badge.public_key, link_key) != keys:
        raise EnrolmentError("key", "this answer certifies keys of another device")
    invited = (invitation.role, invitation.zone, invitation.squad_ids, invitation.device_class)
    if (badge.role, badge.zone, badge.squads, badge.device_class) != invited:
        raise EnrolmentError("rights", "this answer gives other rights than the invitation")
    members = {member.node: (member.public_key, r.zone) for r in rosters for member in r.members}
    members |= _passed(documents, root)
    if badge.node not in members:
        raise EnrolmentError("roster", "this answer has no roster with this device in it")
    for container in answer.prekeys:
        author = members.get(bundles.decode_untrusted(container).header.author)
        if author is None:
            raise EnrolmentError("roster", "this answer has a prekey of an unknown device")
        read_prekey_untrusted(container, *author)
    secrets = open_secrets(prekey, answer.token, answer.sealed_secrets, sealer)
    return Enrolled(badge, answer.link_chain, root, documents, answer.prekeys, secrets)


def _check_documents(
    documents: Sequence[SignedDocument], root_hash: bytes
) -> tuple[RootBody, list[RosterBody]]:
    """Check each document by the root that the invitation pinned."""
    roots = [document for document in documents if document.cls is DocumentClass.ROOT]
    if len(roots) != 1 or not hmac.compare_digest(roots[0].digest, root_hash):
        raise EnrolmentError(
            "root", "the authority's root is not that of the invitation: ask for a new invitation"
        )
    root = decode_root_untrusted(roots[0].body)
    if len({(document.cls, document.scope) for document in documents}) != len(documents):
        raise MalformedError("this answer has a document twice")
    for document in documents:
        decide(None, document, root)
    return root, [
        decode_roster_untrusted(document.body)
        for document in documents
        if document.cls is DocumentClass.ROSTER
    ]


def _passed(documents: Sequence[SignedDocument], root: RootBody) -> dict[NodeId, tuple[bytes, int]]:
    """Return key and zone of each device whose pass, checked before, is among `documents`."""
    found = {}
    for document in documents:
        if document.cls is DocumentClass.PASS:
            chain = decode_pass_untrusted(document.body).badge_chain
            badge = verify_badge_untrusted(chain, root.anchors, document.issued_ms)
            found[badge.node] = (badge.public_key, badge.zone)
    return found


# --- secrets and documents ---------------------------------------------------------------------


def seal_secrets(record: PrekeyRecord, token: bytes, secrets: Secrets, sealer: Sealer) -> bytes:
    """Return `secrets` for the holder of this prekey alone."""
    plaintext = encode(secrets.record())
    return sealer.seal_hybrid(record.public, _secrets_info(token), plaintext)


def open_secrets(prekey: PrekeySecret, token: bytes, sealed: bytes, sealer: Sealer) -> Secrets:
    """Return what `seal_secrets` sealed. Raises: EnvelopeError, MalformedError."""
    plaintext = sealer.open_hybrid(prekey, _secrets_info(token), sealed)
    return read_secrets(decode_record_untrusted(plaintext, max_bytes=128))


def _secrets_info(token: bytes) -> bytes:
    return b"meshnode enrol secrets 1\0" + token


def encode_documents(documents: Sequence[bytes]) -> str:
    """Return the text that carries documents to enrolled devices. Source: wire-format 8.5."""
    return armour(TextForm.DOCUMENTS, encode([1, documents]))


def decode_documents_untrusted(text: str) -> tuple[bytes, ...]:
    """Read what `encode_documents` wrote; each document proves itself.

    Raises: MalformedError, LimitExceededError.
    """
    raw = unarmour_untrusted(TextForm.DOCUMENTS, text)
    record = as_array(decode_record_untrusted(raw, max_bytes=ANSWER_BYTES_MAX), "documents", 2)
    as_uint(record[0], "version of the documents", 1, 1)
    return _documents_untrusted(record[1])
