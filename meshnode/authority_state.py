"""What an authority remembers: invitations, members, documents, units, cards, its journal.

Frozen records; how they are written is said in `meshnode.authority_records`, where they lie and
who may change them in `meshnode.authority_home`. Every change makes a new state, so a refused
step changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from protocol.authority import (
    DocumentClass,
    Member,
    RootBody,
    SignedDocument,
    Unit,
    decode_root_untrusted,
)
from protocol.enrolment import Invitation
from protocol.identity import Role
from protocol.ids import NodeId, SquadId, squad_id_of
from protocol.network_keys import KeyPurpose, Secrets, WeeklyKey, in_use
from protocol.orders import Revocation, decode_revocation_untrusted, united
from protocol.zones import ZoneRequest

__all__ = [
    "JOURNAL_MAX",
    "REASONS_MAX",
    "REFUSED",
    "ZONES_MAX",
    "AuthorityState",
    "CertifiedZone",
    "Enrolee",
    "GrantedUnit",
    "HandedCard",
    "Note",
    "OpenInvitation",
    "counted",
    "revoked_in",
]

JOURNAL_MAX = 2_000
REASONS_MAX = 256
"""Reasons that are counted apart; they are words of this program, of which there are fewer."""
REFUSED = "refused"
"""Action of the lines about what was refused; their subject is the reason."""
"""Notes kept; a busy authority writes some dozens a day."""
ZONES_MAX = 256
"""Requests of further zones that are remembered, those of dropped zones too."""


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
    replaces: NodeId = b""
    """The device whose place and name it takes over; empty for none."""

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
    unit: bytes = b""
    """Id of the unit authority that enrolled it in the field; empty for the region itself."""
    replaces: NodeId = b""
    """The device whose place it took; empty for none."""
    token: bytes = b""
    """8 bytes, the invitation by which it came; empty if a unit authority invited it."""

    @property
    def node(self) -> NodeId:
        """Its id."""
        return self.member.node

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
class GrantedUnit:
    """A unit authority that the region certified."""

    name: str
    """The leader's device, as people call it."""
    unit_id: bytes
    """16 bytes, `issuer_id` of its key; by it the unit is revoked."""
    squads: tuple[str, ...]
    """Names of the squads that it may give."""
    issuers: tuple[bytes, bytes]
    """DER of its certificates for badges and for links."""
    granted_ms: int
    """Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class CertifiedZone:
    """A further zone that the holders of the root let in."""

    zone: int
    """1-65535."""
    name: str
    """What its operations centre is called."""
    request_digest: bytes
    """32 bytes; the request that it came with."""
    anchor: bytes
    """DER of the anchor above it, whose key is kept nowhere."""
    issuers: tuple[bytes, bytes]
    """DER of its certificates, for badges and for links."""
    signers: tuple[bytes, ...]
    """Ed25519 keys that the root names for it: of rosters, then two of each operator's card."""
    certified_ms: int
    """Unix milliseconds."""
    is_dropped: bool = False
    """The root names it no longer; its request never counts again."""

    @property
    def cards(self) -> int:
        """Operators' cards of the zone that the root names."""
        return len(self.signers) // 2

    def is_recarded_by(self, request: ZoneRequest) -> bool:
        """True if a request of this zone asks for other operators' cards than it has."""
        return set(self.signers) != set(request.signers.keys)


@dataclass(frozen=True, slots=True)
class HandedCard:
    """A card whose keys the root names; the private halves are on the card alone."""

    kind: int
    """As `CardKind`: 1 operator, 2 wipe, 3 root."""
    number: int
    """1-16 within its kind."""
    holder: str
    """Name of the person."""
    signers: tuple[bytes, ...]
    """Public keys, one for each class that it signs: Ed25519, or the DER of a root key."""


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the journal: what was done or refused; no secret and no text is in it."""

    at_ms: int
    """Unix milliseconds."""
    action: str
    """One word: invited, issued, refused, removed, granted, adopted, revoked, ordered, …"""
    subject: str
    """Name of the device, unit or card, or the reason of a refusal."""


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
    """DER of this authority, for badges."""
    link_issuer: bytes
    """DER of this authority, for link certificates."""
    documents: tuple[SignedDocument, ...]
    """The root, then everything else in force that is known here, by class and scope."""
    invitations: tuple[OpenInvitation, ...] = ()
    """Those that are open, or were not long ago."""
    enrolees: tuple[Enrolee, ...] = ()
    """In order of enrolment."""
    above: tuple[bytes, ...] = ()
    """Of a unit authority: DER of the regional issuers of badges and links. Else empty."""
    squads: tuple[str, ...] = ()
    """Of a unit authority: names of the only squads it may give. Else empty."""
    units: tuple[GrantedUnit, ...] = ()
    """Unit authorities that the region certified."""
    cards: tuple[HandedCard, ...] = ()
    """Cards that the region made, by kind and number."""
    drafts: tuple[Revocation, ...] = ()
    """Devices that shall be revoked as soon as a card is at hand."""
    journal: tuple[Note, ...] = ()
    """Oldest first, at most `JOURNAL_MAX`."""
    refusals: tuple[tuple[str, int], ...] = ()
    """How often each reason refused something since the folder was made, by reason."""
    zones: tuple[CertifiedZone, ...] = ()
    """Further zones, in the folder whose cards sign the root."""
    is_zone: bool = False
    """True in the folder of a further zone, whose root others sign."""

    @property
    def is_unit(self) -> bool:
        """True for a unit authority in a leader's hands."""
        return bool(self.above)

    @property
    def squad_ids(self) -> tuple[SquadId, ...]:
        """Ids of the squads of a unit authority, ascending."""
        return tuple(sorted(squad_id_of(self.zone, name) for name in self.squads))

    @property
    def root_body(self) -> RootBody:
        """What the root in force says. Cost: some milliseconds."""
        return decode_root_untrusted(self.root.body)

    def with_note(self, at_ms: int, action: str, subject: str) -> AuthorityState:
        """Return the state with one more line in its journal; a refusal is counted, too."""
        journal = (*self.journal, Note(at_ms, action, subject))[-JOURNAL_MAX:]
        if action != REFUSED:
            return replace(self, journal=journal)
        return replace(self, journal=journal, refusals=counted(self.refusals, [subject]))

    def with_document(self, document: SignedDocument) -> AuthorityState:
        """Return the state with `document` in the place of the one with its class and scope."""
        key = (document.cls, document.scope)
        others = [each for each in self.documents if (each.cls, each.scope) != key]
        ordered = sorted((*others, document), key=lambda each: (each.cls, each.scope))
        return replace(self, documents=tuple(ordered))

    @property
    def root(self) -> SignedDocument:
        """The root document in force."""
        return self.documents[0]

    @property
    def revoked(self) -> dict[bytes, Revocation]:
        """Everything that any signer has revoked, by node id or issuer id."""
        return revoked_in(self.documents)

    @property
    def listed(self) -> tuple[Enrolee, ...]:
        """Devices that rosters name: revoked ones too, whose good bundles need their keys."""
        return tuple(enrolee for enrolee in self.enrolees if not enrolee.is_removed)

    @property
    def present(self) -> tuple[Enrolee, ...]:
        """Devices that rosters name and nobody has revoked."""
        revoked = self.revoked
        return tuple(enrolee for enrolee in self.listed if enrolee.node not in revoked)

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


def _in_use(found: Sequence[WeeklyKey], purpose: KeyPurpose, now_ms: int) -> WeeklyKey:
    by_id = {each.key_id: each for each in found if each.purpose is purpose}
    key_id = in_use(by_id, now_ms)
    assert key_id is not None, "an authority has a key of each purpose from its beginning"
    return by_id[key_id]


def revoked_in(documents: Iterable[SignedDocument]) -> dict[bytes, Revocation]:
    """Return everything that the lists among `documents` revoke, by node id or issuer id."""
    return united(
        decode_revocation_untrusted(each.body)
        for each in documents
        if each.cls is DocumentClass.REVOCATION
    )


def counted(
    refusals: Iterable[tuple[str, int]], reasons: Iterable[str]
) -> tuple[tuple[str, int], ...]:
    """Return how often each reason refused something, with `reasons` counted once more each."""
    counts = Counter(dict(refusals))
    for reason in reasons:
        assert reason in counts or len(counts) < REASONS_MAX, "a reason is a word of this program"
        counts[reason] += 1
    return tuple(sorted(counts.items()))
