"""Unit authorities: a leader's request, the region's grant, and the report that it adopts.

Each function takes a state and returns another, or a paper; nothing is saved here. The leader's
key is made by the leader's machine and never leaves it. Source: wire-format 8.6-8.8, security 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from meshnode.authority_inviting import check_replaced, find_device, known_squads
from meshnode.authority_state import AuthorityState, Enrolee, GrantedUnit
from protocol.authority import Member, RootBody, SignedDocument
from protocol.delegation import (
    Issued,
    UnitGrant,
    UnitReport,
    UnitRequest,
    build_grant,
    build_report,
    issuer_id_untrusted,
    load_unit_key_untrusted,
    verify_grant,
    verify_report,
)
from protocol.enrolment import open_secrets, read_prekey_untrusted, seal_secrets
from protocol.envelope import HpkeSealer, PrekeySecret
from protocol.errors import EnrolmentError, RightsError
from protocol.identity import (
    UNIT_RANK,
    DeviceClass,
    Rights,
    Role,
    authority_rights_untrusted,
    verify_badge_untrusted,
    verify_link_chain_untrusted,
)
from protocol.ids import squad_id_of
from protocol.issuing import (
    RegionalAuthority,
    UnitAuthority,
    certify_unit,
    issue_badge,
    issue_link,
    public_key_der,
)
from protocol.limits import AUTHORITY_MEMBERS_MAX
from protocol.orders import Revocation, issuer_id

__all__ = [
    "Adopted",
    "UnitPending",
    "adopted",
    "granted",
    "report_of",
    "unit_state",
]


@dataclass(frozen=True, slots=True)
class UnitPending:
    """A leader's request that waits for its grant."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    """P-256."""
    prekey: PrekeySecret = field(repr=False)
    """Opens the keys of the network in the grant."""
    request: UnitRequest
    """As it is shown."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of a report."""

    names: tuple[str, ...]
    """Devices that stand in rosters now, under these names."""
    replaced: tuple[str, ...]
    """Devices that left them for others, and that are on the draft of revocations."""
    known: int
    """Devices that stood there before."""


# --- the region --------------------------------------------------------------------------------


def granted(
    state: AuthorityState,
    request: UnitRequest,
    name: str,
    squads: Sequence[str],
    regional: RegionalAuthority,
    now_ms: int,
) -> tuple[AuthorityState, UnitGrant]:
    """Return the grant for the leader called `name`, who may then enrol in `squads` for 30 days.

    Raises: RightsError beyond the leader's own rights, EnrolmentError (`name`, `squads`,
    `known_key`).
    """
    if state.is_unit:
        raise RightsError("a unit authority certifies no further authority: ask the region")
    leader = find_device(state, name)
    if leader.member.role is not Role.LEADER:
        raise RightsError(f"'{leader.member.name}' is no leader: only a leader holds a unit")
    wanted = known_squads(state, squads or leader.squads, Role.LEADER)
    if not set(wanted) <= set(leader.squads):
        own = ", ".join(leader.squads)
        raise RightsError(f"a leader's unit authority gives the squads of the leader alone: {own}")
    key = load_unit_key_untrusted(request.public_key)
    unit_id = issuer_id(request.public_key)
    if any(each.unit_id == unit_id and each.name != leader.member.name for each in state.units):
        raise EnrolmentError("known_key", "this key is another unit's: make a fresh request")
    if unit_id in state.revoked:
        raise EnrolmentError("known_key", "this key was revoked: make a fresh request")
    ids = [squad_id_of(state.zone, squad) for squad in wanted]
    issuers = certify_unit(regional, state.zone, ids, now_ms, key)
    grant = build_grant(
        request.request_id,
        issuers,
        (state.badge_issuer, state.link_issuer),
        (state.zone, state.centre_name, wanted),
        seal_secrets(request.prekey, request.request_id, state.secrets, HpkeSealer()),
        regional.key,
    )
    unit = GrantedUnit(leader.member.name, unit_id, wanted, issuers, now_ms)
    others = tuple(each for each in state.units if each.unit_id != unit_id)
    after = replace(state, units=(*others, unit))
    return after.with_note(now_ms, "granted", leader.member.name), grant


def adopted(
    state: AuthorityState, report: UnitReport, now_ms: int
) -> tuple[AuthorityState, Adopted]:
    """Return the state with the devices of a unit's report as members; rosters come after.

    The whole report, or nothing. Raises: EnrolmentError (`unknown`, `revoked`, `known_key`,
    `full`, `altered`); IdentityError, AuthenticationError and their like of what does not hold.
    """
    unit = next((each for each in state.units if each.unit_id == report.unit_id), None)
    if unit is None:
        raise EnrolmentError("unknown", "this region has granted no such unit authority")
    verify_report(report, unit.issuers[0])
    if unit.unit_id in state.revoked:
        raise EnrolmentError("revoked", "this unit authority was revoked: enrol the devices again")
    after, names, replaced, known = state, list[str](), list[str](), 0
    for issued in report.issued:
        enrolee = _enrolee_of(after, issued, unit, now_ms)
        if any(each.member.public_key == enrolee.member.public_key for each in after.enrolees):
            known += 1
            continue
        after, old = _with_adopted(after, enrolee, unit.squads, now_ms)
        names.append(enrolee.member.name)
        replaced += old
    after = after.with_note(now_ms, "adopted", unit.name)
    return after, Adopted(tuple(names), tuple(replaced), known)


def _enrolee_of(state: AuthorityState, issued: Issued, unit: GrantedUnit, now_ms: int) -> Enrolee:
    """Return the device that an entry of a report proves."""
    anchors = state.root_body.anchors
    chain = (issued.badge, unit.issuers[0], state.badge_issuer)
    badge = verify_badge_untrusted(chain, anchors, now_ms)
    ids = tuple(sorted(squad_id_of(state.zone, name) for name in issued.squads))
    if not ids or badge.squads != ids:
        raise EnrolmentError("altered", "the report names other squads than a badge")
    link_key = _link_key(state, issued, unit, now_ms)
    read_prekey_untrusted(issued.prekey, badge.public_key, state.zone)
    taken = {each.member.name for each in state.present if each.node != issued.replaces}
    return Enrolee(
        Member(badge.public_key, badge.role, badge.device_class, _free(issued.name, taken)),
        link_key,
        issued.squads,
        issued.prekey,
        issued.enrolled_ms,
        unit=unit.unit_id,
        replaces=issued.replaces,
    )


def _link_key(state: AuthorityState, issued: Issued, unit: GrantedUnit, now_ms: int) -> bytes:
    """Return the key of a link certificate that the unit itself issued."""
    return verify_link_chain_untrusted(
        (issued.link, unit.issuers[1], state.link_issuer), state.root_body.anchors, now_ms
    )


def _free(name: str, taken: set[str]) -> str:
    """Return `name`, with a number behind it if somebody else is called so."""
    folded = {each.casefold() for each in taken}
    tries = (name, *(f"{name[:56]} {number}" for number in range(2, len(taken) + 3)))
    return next(each for each in tries if each.casefold() not in folded)


def _with_adopted(
    state: AuthorityState, enrolee: Enrolee, unit_squads: Sequence[str], now_ms: int
) -> tuple[AuthorityState, list[str]]:
    known = {key for each in state.enrolees for key in (each.member.public_key, each.link_key)}
    if enrolee.link_key in known:
        raise EnrolmentError("known_key", "this key is a known device's: make fresh keys")
    if len(state.enrolees) >= AUTHORITY_MEMBERS_MAX:
        raise EnrolmentError("full", "this authority has as many devices as it can have")
    old = [each for each in state.present if enrolee.replaces and each.node == enrolee.replaces]
    for each in old:
        check_replaced(each, unit_squads)
    others = tuple(
        replace(each, is_removed=True) if each in old else each for each in state.enrolees
    )
    drafts = [each for each in state.drafts if each.subject != enrolee.replaces]
    drafts += [Revocation(each.node, now_ms, 0, 0) for each in old]
    after = replace(state, enrolees=(*others, enrolee), drafts=tuple(drafts))
    return after, [each.member.name for each in old]


# --- the leader --------------------------------------------------------------------------------


def unit_state(
    pending: UnitPending,
    grant: UnitGrant,
    documents: Sequence[SignedDocument],
    root: RootBody,
    now_ms: int,
) -> AuthorityState:
    """Return the first state of the unit authority that a grant makes.

    `documents` are those that the leader's node holds, `root` its root in force. The grant is
    tried: a badge and a link certificate under it must hold for everybody. Raises: EnrolmentError
    (`altered`, `key`, `rights`); IdentityError and its like of the part that does not hold.
    """
    if grant.request_id != pending.request.request_id:
        raise EnrolmentError("altered", "this grant is for another request")
    if issuer_id_untrusted(grant.badge_issuer) != issuer_id(pending.request.public_key):
        raise EnrolmentError("key", "this grant certifies the key of another leader")
    unit = UnitAuthority(pending.key, grant.badge_issuer, grant.link_issuer, grant.above)
    ids = tuple(sorted(squad_id_of(grant.zone, name) for name in grant.squads))
    given = authority_rights_untrusted(grant.badge_issuer)
    if (given.rank, given.zone, given.squads) != (UNIT_RANK, grant.zone, ids):
        raise EnrolmentError("rights", "this grant says other rights than its certificate")
    _try_out(unit, grant.zone, ids[0], root, now_ms)
    verify_grant(grant)
    secrets = open_secrets(pending.prekey, grant.request_id, grant.sealed_secrets, HpkeSealer())
    return AuthorityState(
        zone=grant.zone,
        centre_name=grant.centre_name,
        secrets=secrets,
        anchor=root.anchors[0],
        badge_issuer=grant.badge_issuer,
        link_issuer=grant.link_issuer,
        documents=tuple(sorted(documents, key=lambda each: (each.cls, each.scope))),
        above=grant.above,
        squads=grant.squads,
    )


def _try_out(unit: UnitAuthority, zone: int, squad: bytes, root: RootBody, now_ms: int) -> None:
    """Issue to a key that is thrown away, and verify as any stranger would."""
    key = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    rights = Rights(Role.AGENT, zone, (squad,), DeviceClass.PHONE)
    verify_badge_untrusted(issue_badge(unit, key, rights, now_ms), root.anchors, now_ms)
    verify_link_chain_untrusted(issue_link(unit, key, now_ms), root.anchors, now_ms)


def report_of(state: AuthorityState, key: ec.EllipticCurvePrivateKey) -> UnitReport:
    """Return everything that this unit has issued, signed. Raises: LimitExceededError."""
    entries = {each.invitation.token: each for each in state.invitations}
    issued = tuple(
        Issued(
            badge=entries[each.token].badge,
            link=entries[each.token].link,
            name=each.member.name,
            squads=each.squads,
            prekey=each.prekey,
            enrolled_ms=each.enrolled_ms,
            replaces=each.replaces,
        )
        for each in state.present
    )
    return build_report(issuer_id(public_key_der(key.public_key())), issued, key)
