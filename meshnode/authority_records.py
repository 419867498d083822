"""The one encoding of what an authority remembers; it is secret, and lies sealed on the disk.

The records themselves are in `meshnode.authority_state`. Nothing is proven here: the seal around
it is what makes these bytes our own.
"""

from __future__ import annotations

from collections.abc import Sequence

from meshnode.authority_state import (
    JOURNAL_MAX,
    REASONS_MAX,
    REFUSED,
    ZONES_MAX,
    AuthorityState,
    CertifiedZone,
    Enrolee,
    GrantedUnit,
    HandedCard,
    Note,
    OpenInvitation,
    counted,
)
from protocol.armour import TextForm, armour
from protocol.authority import Member, decode_untrusted
from protocol.canonical import Value, as_array, as_bytes, as_text, as_uint, encode
from protocol.canonical import decode_untrusted as decode_record_untrusted
from protocol.enrolment import decode_invitation_untrusted
from protocol.guards import ZONE_CARDS_MAX
from protocol.identity import decode_device_class, decode_role
from protocol.limits import (
    ANSWER_DOCUMENTS_MAX,
    AUTHORITY_MEMBERS_MAX,
    BUNDLE_BYTES_MAX,
    CERTIFICATE_BYTES_MAX,
    DOCUMENT_BYTES_MAX,
    INVITATION_BYTES_MAX,
    INVITATIONS_MAX,
    NAME_BYTES_MAX,
    SIGNERS_MAX,
    SQUADS_PER_BADGE_MAX,
)
from protocol.network_keys import read_secrets
from protocol.orders import Revocation

__all__ = ["decode_state", "encode_state"]

_STATE_BYTES_MAX = 256_000_000
"""16,000 members with a prekey of 1.4 kB each are 25 MB."""
_UNITS_MAX = 1_024
_DRAFTS_MAX = 1_000
_CARDS_MAX = 3 * SIGNERS_MAX
_CARD_KIND_MAX = 3
_SIGNER_BYTES_MAX = 200


def encode_state(state: AuthorityState) -> bytes:
    """Return the canonical record; it is secret."""
    return encode(
        [
            4,
            state.zone,
            state.centre_name.encode(),
            state.secrets.record(),
            [state.anchor, state.badge_issuer, state.link_issuer],
            [document.raw for document in state.documents],
            [_invitation_record(each) for each in state.invitations],
            [_enrolee_record(each) for each in state.enrolees],
            [state.above, [name.encode() for name in state.squads]],
            [_unit_record(each) for each in state.units],
            [[each.kind, each.number, each.holder.encode(), each.signers] for each in state.cards],
            [each.record() for each in state.drafts],
            [[each.at_ms, each.action.encode(), each.subject.encode()] for each in state.journal],
            [int(state.is_zone), [_zone_record(each) for each in state.zones]],
            [[reason.encode(), count] for reason, count in state.refusals],
        ]
    )


def _invitation_record(each: OpenInvitation) -> Value:
    record = each.invitation.encode()
    return [record, each.tries, each.request_hash, each.badge, each.link, each.replaces]


def _unit_record(each: GrantedUnit) -> Value:
    squads = [name.encode() for name in each.squads]
    return [each.name.encode(), each.unit_id, squads, each.issuers, each.granted_ms]


def _zone_record(each: CertifiedZone) -> Value:
    return [
        each.zone,
        each.name.encode(),
        each.request_digest,
        [each.anchor, *each.issuers],
        each.signers,
        each.certified_ms,
        int(each.is_dropped),
    ]


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
        each.unit,
        each.replaces,
        each.token,
    ]


def decode_state(raw: bytes) -> AuthorityState:
    """Read what `encode_state` wrote. Raises: MalformedError, LimitExceededError."""
    record = as_array(decode_record_untrusted(raw, max_bytes=_STATE_BYTES_MAX), "state", 15, 13)
    # A folder whose last step was made before there were further zones has no record of them, nor
    # one that is older than the counts of refusals of those: they are counted in its journal.
    as_uint(record[0], "version of the state", len(record) - 11, len(record) - 11)
    zones = as_array(record[13], "zones", 2) if len(record) > 13 else (0, ())
    journal = tuple(_read_note(item) for item in as_array(record[12], "notes", JOURNAL_MAX, 0))
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
        above=_read_above(record[8]),
        squads=_read_names(as_array(record[8], "unit", 2)[1]),
        units=tuple(_read_unit(item) for item in as_array(record[9], "units", _UNITS_MAX, 0)),
        cards=tuple(_read_card(item) for item in as_array(record[10], "cards", _CARDS_MAX, 0)),
        drafts=tuple(_read_draft(item) for item in as_array(record[11], "drafts", _DRAFTS_MAX, 0)),
        journal=journal,
        refusals=_read_refusals(record, journal),
        zones=tuple(_read_zone(item) for item in as_array(zones[1], "zones", ZONES_MAX, 0)),
        is_zone=bool(as_uint(zones[0], "further zone", 1)),
    )


def _read_above(value: Value) -> tuple[bytes, ...]:
    items = as_array(as_array(value, "unit", 2)[0], "regional issuers", 2, 0)
    return tuple(as_bytes(item, "certificate", CERTIFICATE_BYTES_MAX, 1) for item in items)


def _read_names(value: Value) -> tuple[str, ...]:
    items = as_array(value, "squads", SQUADS_PER_BADGE_MAX, 0)
    return tuple(as_text(item, "squad", NAME_BYTES_MAX) for item in items)


def _read_certificate(value: Value) -> bytes:
    return as_bytes(value, "certificate", CERTIFICATE_BYTES_MAX, 1)


def _read_unit(value: Value) -> GrantedUnit:
    record = as_array(value, "unit", 5)
    issuers = as_array(record[3], "certificates", 2)
    return GrantedUnit(
        name=as_text(record[0], "name", NAME_BYTES_MAX),
        unit_id=as_bytes(record[1], "unit id", 16),
        squads=_read_names(record[2]),
        issuers=(_read_certificate(issuers[0]), _read_certificate(issuers[1])),
        granted_ms=as_uint(record[4], "time of the grant"),
    )


def _read_zone(value: Value) -> CertifiedZone:
    record = as_array(value, "zone", 7)
    anchor, badge_issuer, link_issuer = map(
        _read_certificate, as_array(record[3], "certificates", 3)
    )
    return CertifiedZone(
        zone=as_uint(record[0], "zone", 65_535, 1),
        name=as_text(record[1], "name of the centre", NAME_BYTES_MAX),
        request_digest=as_bytes(record[2], "request", 32),
        anchor=anchor,
        issuers=(badge_issuer, link_issuer),
        signers=tuple(
            as_bytes(key, "signer", 32)
            for key in as_array(record[4], "signers", 1 + 2 * ZONE_CARDS_MAX, 3)
        ),
        certified_ms=as_uint(record[5], "time"),
        is_dropped=bool(as_uint(record[6], "dropped", 1)),
    )


def _read_card(value: Value) -> HandedCard:
    record = as_array(value, "card", 4)
    signers = as_array(record[3], "signers", 2, 1)
    return HandedCard(
        kind=as_uint(record[0], "kind of card", _CARD_KIND_MAX, 1),
        number=as_uint(record[1], "number of the card", SIGNERS_MAX, 1),
        holder=as_text(record[2], "holder", NAME_BYTES_MAX),
        signers=tuple(as_bytes(key, "signer", _SIGNER_BYTES_MAX, 1) for key in signers),
    )


def _read_draft(value: Value) -> Revocation:
    record = as_array(value, "revocation", 4)
    return Revocation(
        as_bytes(record[0], "subject", 16),
        as_uint(record[1], "time of the loss"),
        as_uint(record[2], "incarnation", 0xFFFFFFFF),
        as_uint(record[3], "last good number"),
    )


def _read_note(value: Value) -> Note:
    record = as_array(value, "note", 3)
    return Note(
        as_uint(record[0], "time"),
        as_text(record[1], "action", 32),
        as_text(record[2], "subject", 512),
    )


def _read_refusals(record: Sequence[Value], journal: Sequence[Note]) -> tuple[tuple[str, int], ...]:
    if len(record) < 15:
        return counted((), (each.subject for each in journal if each.action == REFUSED))
    items = [
        as_array(item, "refusals", 2) for item in as_array(record[14], "reasons", REASONS_MAX, 0)
    ]
    return tuple(
        (as_text(reason, "reason", 64), as_uint(count, "count")) for reason, count in items
    )


def _read_invitation(value: Value) -> OpenInvitation:
    record = as_array(value, "invitation", 6)
    text = armour(TextForm.INVITATION, as_bytes(record[0], "invitation", INVITATION_BYTES_MAX, 1))
    return OpenInvitation(
        invitation=decode_invitation_untrusted(text),
        tries=as_uint(record[1], "tries"),
        request_hash=as_bytes(record[2], "request hash", 32, 0),
        badge=as_bytes(record[3], "badge", CERTIFICATE_BYTES_MAX, 0),
        link=as_bytes(record[4], "link certificate", CERTIFICATE_BYTES_MAX, 0),
        replaces=as_bytes(record[5], "replaced device", 16, 0),
    )


def _read_enrolee(value: Value) -> Enrolee:
    record = as_array(value, "enrolee", 9)
    member = as_array(record[0], "member", 4)
    return Enrolee(
        member=Member(
            public_key=as_bytes(member[0], "public key", 32),
            role=decode_role(as_uint(member[1], "role")),
            device_class=decode_device_class(as_uint(member[2], "device class")),
            name=as_text(member[3], "name", NAME_BYTES_MAX),
        ),
        link_key=as_bytes(record[1], "link key", 32),
        squads=_read_names(record[2]),
        prekey=as_bytes(record[3], "prekey", BUNDLE_BYTES_MAX, 1),
        enrolled_ms=as_uint(record[4], "time of enrolment"),
        is_removed=bool(as_uint(record[5], "removed", 1)),
        unit=as_bytes(record[6], "unit", 16, 0),
        replaces=as_bytes(record[7], "replaced device", 16, 0),
        token=as_bytes(record[8], "token", 8, 0),
    )
