"""What an authority remembers: invitations, members, documents, and the keys of the network.

Frozen records and their one encoding; where they lie and who may change them is the business of
`meshnode.authority_home`. Every change makes a new state, so a refused step changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from protocol.armour import TextForm, armour
from protocol.authority import (
    Member,
    RosterBody,
    SignedDocument,
    Unit,
    decode_roster_untrusted,
    decode_untrusted,
)
from protocol.canonical import Value, as_array, as_bytes, as_text, as_uint, encode
from protocol.canonical import decode_untrusted as decode_record_untrusted
from protocol.documents import DocumentClass
from protocol.enrolment import (
    Invitation,
    decode_invitation_untrusted,
)
from protocol.identity import Role, decode_device_class, decode_role
from protocol.ids import squad_id_of
from protocol.limits import (
    ANSWER_DOCUMENTS_MAX,
    AUTHORITY_MEMBERS_MAX,
    BUNDLE_BYTES_MAX,
    CERTIFICATE_BYTES_MAX,
    DOCUMENT_BYTES_MAX,
    INVITATION_BYTES_MAX,
    INVITATIONS_MAX,
    NAME_BYTES_MAX,
    SQUADS_PER_BADGE_MAX,
)
from protocol.network_keys import KeyPurpose, Secrets, WeeklyKey, in_use, read_secrets

__all__ = [
    "AuthorityState",
    "Enrolee",
    "OpenInvitation",
    "decode_state",
    "held_rosters",
    "roster_bodies",
]

_STATE_BYTES_MAX = 256_000_000
"""16,000 members with a prekey of 1.4 kB each are 25 MB."""


@dataclass(frozen=True, slots=True)
class OpenInvitation:
    """An invitation and what came of it."""

    invitation: Invitation
    """As it was handed out."""
    tries: int = 0
    """Requests that were refused."""
    request_hash: bytes = b""
    """32 bytes of the request that used it; empty before."""
    badge: bytes = b""
    """DER issued for it, so that a lost answer can be made again."""
    link: bytes = b""
    """DER issued for it."""

    @property
    def is_used(self) -> bool:
        """True once a certificate was issued for it."""
        return bool(self.request_hash)


@dataclass(frozen=True, slots=True)
class Enrolee:
    """A device that this authority has certified."""

    member: Member
    """Key, role, kind and name, as rosters show them."""
    link_key: bytes
    """32 raw bytes."""
    squads: tuple[str, ...]
    """Names of its squads."""
    prekey: bytes
    """Container of the prekey bundle that came with its request."""
    enrolled_ms: int
    """Unix milliseconds."""
    is_removed: bool = False
    """No roster names it any more; its keys stay known, so that they never come back."""

    def units(self, zone: int) -> tuple[tuple[Unit, bytes, str], ...]:
        """Return (unit, id, name) of each roster it stands in.

        Gateways and operators make the operations centre; a device without a squad stands there
        too, so that everybody can verify it.
        """
        squads = tuple((Unit.SQUAD, squad_id_of(zone, name), name) for name in self.squads)
        if self.member.role in (Role.GATEWAY, Role.OPERATOR) or not squads:
            return ((Unit.CENTRE, b"", ""), *squads)
        return squads


@dataclass(frozen=True, slots=True)
class AuthorityState:
    """Everything an authority remembers, but its signing keys."""

    zone: int
    """1-65535."""
    centre_name: str
    """What the operations centre of the zone is called."""
    secrets: Secrets = field(repr=False)
    """Keys that every member gets."""
    anchor: bytes
    """DER of the root certificate."""
    badge_issuer: bytes
    """DER of the regional authority, for badges."""
    link_issuer: bytes
    """DER of the regional authority, for link certificates."""
    documents: tuple[SignedDocument, ...]
    """The root, then the newest roster of each unit."""
    invitations: tuple[OpenInvitation, ...] = ()
    """Those that are open, or were not long ago."""
    enrolees: tuple[Enrolee, ...] = ()
    """In order of enrolment."""

    @property
    def root(self) -> SignedDocument:
        """The root document in force."""
        return self.documents[0]

    @property
    def present(self) -> tuple[Enrolee, ...]:
        """Devices that stand in rosters."""
        return tuple(enrolee for enrolee in self.enrolees if not enrolee.is_removed)

    def with_invitation(self, changed: OpenInvitation) -> AuthorityState:
        """Return the state in which `changed` stands for the invitation with its token."""
        token = changed.invitation.token
        return replace(
            self,
            invitations=tuple(
                changed if each.invitation.token == token else each for each in self.invitations
            ),
        )

    def with_weekly(self, found: Sequence[WeeklyKey], now_ms: int) -> AuthorityState:
        """Return the state that hands out the keys of this week, if they are among `found`.

        Operators' nodes alone make new keys: a second source would give a device keys that nobody
        else has.
        """
        knock = _in_use((*self.secrets.weekly, *found), KeyPurpose.KNOCK, now_ms)
        sos = _in_use((*self.secrets.weekly, *found), KeyPurpose.ZONE_SOS, now_ms)
        secrets = replace(
            self.secrets,
            sos_key=sos.key,
            sos_epoch=sos.epoch,
            knock_key=knock.key,
            knock_epoch=knock.epoch,
        )
        return replace(self, secrets=secrets)

    def encode(self) -> bytes:
        """Return the canonical record; it is secret."""
        return encode(
            [
                2,
                self.zone,
                self.centre_name.encode(),
                self.secrets.record(),
                [self.anchor, self.badge_issuer, self.link_issuer],
                [document.raw for document in self.documents],
                [_invitation_record(each) for each in self.invitations],
                [_enrolee_record(each) for each in self.enrolees],
            ]
        )


def _in_use(found: Sequence[WeeklyKey], purpose: KeyPurpose, now_ms: int) -> WeeklyKey:
    by_id = {each.key_id: each for each in found if each.purpose is purpose}
    key_id = in_use(by_id, now_ms)
    assert key_id is not None, "an authority has a key of each purpose from its beginning"
    return by_id[key_id]


def _invitation_record(each: OpenInvitation) -> Value:
    record = each.invitation.encode()
    return [record, each.tries, each.request_hash, each.badge, each.link]


def _enrolee_record(each: Enrolee) -> Value:
    member = each.member
    return [
        [
            member.public_key,
            member.role.value,
            member.device_class.value,
            member.name.encode(),
        ],
        each.link_key,
        [name.encode() for name in each.squads],
        each.prekey,
        each.enrolled_ms,
        int(each.is_removed),
    ]


def decode_state(raw: bytes) -> AuthorityState:
    """Read what `AuthorityState.encode` wrote. Raises: MalformedError, LimitExceededError."""
    record = as_array(decode_record_untrusted(raw, max_bytes=_STATE_BYTES_MAX), "state", 8)
    as_uint(record[0], "version of the state", 2, 2)
    certificates = as_array(record[4], "certificates", 3)
    anchor, badge_issuer, link_issuer = (
        as_bytes(der, "certificate", CERTIFICATE_BYTES_MAX, 1) for der in certificates
    )
    documents = as_array(record[5], "documents", ANSWER_DOCUMENTS_MAX, 1)
    invitations = as_array(record[6], "invitations", 2 * INVITATIONS_MAX, 0)
    enrolees = as_array(record[7], "enrolees", AUTHORITY_MEMBERS_MAX, 0)
    return AuthorityState(
        zone=as_uint(record[1], "zone", 65_535, 1),
        centre_name=as_text(record[2], "name of the centre", NAME_BYTES_MAX),
        secrets=read_secrets(record[3]),
        anchor=anchor,
        badge_issuer=badge_issuer,
        link_issuer=link_issuer,
        documents=tuple(
            decode_untrusted(as_bytes(item, "document", DOCUMENT_BYTES_MAX, 1))
            for item in documents
        ),
        invitations=tuple(_read_invitation(item) for item in invitations),
        enrolees=tuple(_read_enrolee(item) for item in enrolees),
    )


def _read_invitation(value: Value) -> OpenInvitation:
    record = as_array(value, "invitation", 5)
    text = armour(TextForm.INVITATION, as_bytes(record[0], "invitation", INVITATION_BYTES_MAX, 1))
    return OpenInvitation(
        invitation=decode_invitation_untrusted(text),
        tries=as_uint(record[1], "tries"),
        request_hash=as_bytes(record[2], "request hash", 32, 0),
        badge=as_bytes(record[3], "badge", CERTIFICATE_BYTES_MAX, 0),
        link=as_bytes(record[4], "link certificate", CERTIFICATE_BYTES_MAX, 0),
    )


def _read_enrolee(value: Value) -> Enrolee:
    record = as_array(value, "enrolee", 6)
    member = as_array(record[0], "member", 4)
    return Enrolee(
        member=Member(
            public_key=as_bytes(member[0], "public key", 32),
            role=decode_role(as_uint(member[1], "role")),
            device_class=decode_device_class(as_uint(member[2], "device class")),
            name=as_text(member[3], "name", NAME_BYTES_MAX),
        ),
        link_key=as_bytes(record[1], "link key", 32),
        squads=tuple(
            as_text(name, "squad", NAME_BYTES_MAX)
            for name in as_array(record[2], "squads", SQUADS_PER_BADGE_MAX, 0)
        ),
        prekey=as_bytes(record[3], "prekey", BUNDLE_BYTES_MAX, 1),
        enrolled_ms=as_uint(record[4], "time of enrolment"),
        is_removed=bool(as_uint(record[5], "removed", 1)),
    )


def roster_bodies(state: AuthorityState) -> tuple[RosterBody, ...]:
    """Return the rosters that `state.enrolees` make: the centre, then the squads by id.

    A squad that lost its last member keeps an empty roster: else others would keep the old one.
    """
    names: dict[tuple[Unit, bytes], str] = {(Unit.CENTRE, b""): state.centre_name}
    members: dict[tuple[Unit, bytes], list[Member]] = {}
    for roster in held_rosters(state.documents):
        names.setdefault((roster.unit, roster.unit_id), roster.name)
    for enrolee in state.present:
        for unit, unit_id, name in enrolee.units(state.zone):
            names.setdefault((unit, unit_id), name)
            members.setdefault((unit, unit_id), []).append(enrolee.member)
    ordered = sorted(names, key=lambda each: (each[0] is Unit.SQUAD, each[1]))
    return tuple(
        RosterBody(
            unit=unit,
            zone=state.zone,
            unit_id=unit_id,
            name=names[unit, unit_id],
            members=tuple(
                sorted(members.get((unit, unit_id), ()), key=lambda each: each.public_key)
            ),
        )
        for unit, unit_id in ordered
    )


def held_rosters(documents: Sequence[SignedDocument]) -> tuple[RosterBody, ...]:
    """Return the rosters among `documents`."""
    return tuple(
        decode_roster_untrusted(document.body)
        for document in documents
        if document.cls is DocumentClass.ROSTER
    )
