"""One enrolment for tests: an authority, an invitation, its request and its answer."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric import ed25519

from protocol import bundle as bundles
from protocol import hlc
from protocol.authority import (
    DocumentClass,
    Member,
    RootBody,
    RosterBody,
    SignerRule,
    Unit,
    build,
    document_signer,
    root_signer,
)
from protocol.bundle import Header, Scope, Suite
from protocol.enrolment import (
    Answer,
    Enrolled,
    Invitation,
    build_answer,
    build_request,
    check_answer,
    seal_secrets,
)
from protocol.envelope import (
    HpkeSealer,
    PrekeyRecord,
    PrekeySecret,
    encode_prekey,
)
from protocol.identity import DeviceClass, Rights, Role
from protocol.ids import node_id_of, squad_id_of
from protocol.issuing import (
    issue_badge,
    issue_link,
    make_regional,
    make_root,
    public_key_der,
)
from protocol.limits import (
    Kind,
)
from protocol.network_keys import Secrets

NOW_MS = 1_800_000_000_000
ZONE = 7
SEALER = HpkeSealer()
ROOT = make_root(NOW_MS)
REGIONAL = make_regional(ROOT, ZONE, NOW_MS)
OTHER = make_root(NOW_MS)


def private(number: int) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def raw(key: ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


DOCUMENTS, BADGE, LINK, MATE, STRANGER = (private(number) for number in range(1, 6))
KEYS = (raw(BADGE), raw(LINK))
ROOT_BODY = RootBody(
    network_name="Alpes",
    epoch=1,
    root_keys=(public_key_der(ROOT.key.public_key()),),
    anchors=(ROOT.certificate,),
    rules=(
        SignerRule(DocumentClass.ROOT, 1, ()),
        SignerRule(DocumentClass.ROSTER, 1, (raw(DOCUMENTS),)),
    ),
)
ROOT_DOCUMENT = build(
    DocumentClass.ROOT, b"", (1, 1), NOW_MS, ROOT_BODY.encode(), [root_signer(ROOT.key)]
)
INVITATION = Invitation(
    token=b"token-01",
    secret=b"s" * 20,
    expires_s=NOW_MS // 1000 + 86_400,
    root_hash=ROOT_DOCUMENT.digest,
    zone=ZONE,
    role=Role.AGENT,
    device_class=DeviceClass.PHONE,
    name="alice",
    squads=("Queyras", "Ubaye"),
)
SECRETS = Secrets(b"n" * 16, b"z" * 32, 2_976, b"k" * 32, 2_977)
RIGHTS = Rights(Role.AGENT, ZONE, INVITATION.squad_ids, DeviceClass.PHONE)


def roster(
    *keys: ed25519.Ed25519PrivateKey, signer: ed25519.Ed25519PrivateKey = DOCUMENTS
) -> bytes:
    members = tuple(
        Member(key, Role.AGENT, DeviceClass.PHONE, "someone")
        for key in sorted(raw(key) for key in keys)
    )
    body = RosterBody(Unit.SQUAD, ZONE, squad_id_of(ZONE, "Queyras"), "Queyras", members)
    version = (1, 1)
    return build(
        DocumentClass.ROSTER, body.scope, version, NOW_MS, body.encode(), [document_signer(signer)]
    ).raw


ROSTER = roster(BADGE, MATE)


def prekey_bundle(key: ed25519.Ed25519PrivateKey, record: PrekeyRecord, **changes: object) -> bytes:
    fields: dict[str, object] = {
        "suite": Suite.CLEAR,
        "kind": Kind.PREKEY,
        "author": node_id_of(raw(key)),
        "incarnation": 5,
        "seq": 1,
        "hlc": hlc.pack(NOW_MS, 0),
        "lifetime_s": 9 * 86_400,
        "scope": Scope.for_zone(ZONE),
    }
    header = Header(**(fields | changes))  # type: ignore[arg-type]
    return bundles.build(header, encode_prekey(record), key.sign).raw


SECRET, RECORD = SEALER.make_prekey(NOW_MS)
PREKEY = prekey_bundle(BADGE, RECORD)
MATE_PREKEY = prekey_bundle(MATE, SEALER.make_prekey(NOW_MS)[1])
REQUEST = build_request(INVITATION, BADGE, LINK, PREKEY)


def make_answer(
    invitation: Invitation = INVITATION,
    rights: Rights = RIGHTS,
    badge_key: bytes = KEYS[0],
    link_key: bytes = KEYS[1],
    documents: Sequence[bytes] = (ROOT_DOCUMENT.raw, ROSTER),
    prekeys: Sequence[bytes] = (MATE_PREKEY,),
    sealed: bytes | None = None,
    at_ms: int = NOW_MS,
) -> Answer:
    chains = (
        issue_badge(REGIONAL, badge_key, rights, at_ms),
        issue_link(REGIONAL, link_key, at_ms),
    )
    secrets = seal_secrets(RECORD, invitation.token, SECRETS, SEALER) if sealed is None else sealed
    return build_answer(invitation, chains, documents, prekeys, secrets)


def accept(answer: Answer, secret: PrekeySecret = SECRET, now_ms: int = NOW_MS) -> Enrolled:
    return check_answer(answer, INVITATION, KEYS, secret, now_ms, SEALER)
