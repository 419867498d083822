"""Requests that are examined, and the answers to those that are granted.

A refusal has one reason and counts as a try. What is granted makes a member of the rosters, or,
from a unit authority, a pass that lasts one shift. Each function takes a state and returns
another; nothing is saved here. Source: wire-format 8.3, 8.4, 7.12, security 2.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from meshnode.authority_documents import held_rosters
from meshnode.authority_inviting import check_issuer, check_scope
from meshnode.authority_state import AuthorityState, Enrolee, OpenInvitation
from protocol import bundle as bundles
from protocol.authority import DocumentClass, Member, SignedDocument, build, unit_signer
from protocol.enrolment import (
    Answer,
    Invitation,
    Request,
    build_answer,
    check_request,
    read_prekey_untrusted,
    seal_secrets,
)
from protocol.envelope import HpkeSealer, PrekeyRecord
from protocol.errors import EnrolmentError
from protocol.guards import PASS_MS_MAX
from protocol.identity import Rights, Role
from protocol.ids import NodeId
from protocol.issuing import (
    RegionalAuthority,
    UnitAuthority,
    issue_badge,
    issue_link,
    read_request_untrusted,
)
from protocol.limits import ANSWER_PREKEYS_MAX, AUTHORITY_MEMBERS_MAX, INVITATION_TRIES_MAX
from protocol.orders import Revocation
from protocol.witnessed import PassBody, decode_pass_untrusted

__all__ = [
    "Examined",
    "answer_to",
    "check_open",
    "check_request_of",
    "entry_of",
    "issued",
    "pass_for",
    "without_ended_passes",
]


@dataclass(frozen=True, slots=True)
class Examined:
    """A request that may be granted, once people have compared its code."""

    request: Request
    """As it came."""
    invitation: Invitation
    """What it answers."""
    badge_key: bytes
    """32 raw bytes, proven."""
    link_key: bytes
    """32 raw bytes, proven."""
    prekey: PrekeyRecord
    """The device's first prekey, proven."""


# --- examining ---------------------------------------------------------------------------------


def entry_of(state: AuthorityState, request: Request) -> OpenInvitation:
    """Return the invitation that a request answers. Raises: EnrolmentError (`unknown`)."""
    for entry in state.invitations:
        if entry.invitation.token == request.token:
            return entry
    raise EnrolmentError("unknown", "this authority has made no such invitation")


def check_open(entry: OpenInvitation, now_ms: int) -> None:
    """Check that an invitation still takes a request.

    Raises: EnrolmentError (`used`, `expired`, `tries`).
    """
    if entry.is_used:
        raise EnrolmentError("used", "this invitation was used already: make a new one")
    if now_ms > entry.invitation.expires_s * 1000:
        raise EnrolmentError("expired", "this invitation is older than a day: make a new one")
    if entry.tries >= INVITATION_TRIES_MAX:
        raise EnrolmentError("tries", "too many wrong requests for this: make a new invitation")


def check_request_of(
    state: AuthorityState, request: Request, entry: OpenInvitation, now_ms: int
) -> Examined:
    """Return what a request proves.

    Raises: EnrolmentError (`altered`, `known_key`, `full`, `ended`, `revoked`); RightsError,
    MalformedError, LimitExceededError, AuthenticationError, WeakKeyError.
    """
    invitation = entry.invitation
    check_request(request, invitation.secret)
    badge_key = read_request_untrusted(request.badge_request, request.token)
    link_key = read_request_untrusted(request.link_request, request.token)
    known = {key for each in state.enrolees for key in (each.member.public_key, each.link_key)}
    if badge_key in known or link_key in known or badge_key == link_key:
        raise EnrolmentError("known_key", "this key is a known device's: make fresh keys")
    prekey = read_prekey_untrusted(request.prekey, badge_key, state.zone)
    if _is_known_prekey(state, prekey):
        raise EnrolmentError("known_key", "this prekey is a known device's: make fresh keys")
    check_scope(state, invitation.role, invitation.zone, invitation.squads)
    check_issuer(state, now_ms)
    if len(state.enrolees) >= AUTHORITY_MEMBERS_MAX:
        raise EnrolmentError("full", "this authority has as many devices as it can have")
    return Examined(request, invitation, badge_key, link_key, prekey)


def _is_known_prekey(state: AuthorityState, prekey: PrekeyRecord) -> bool:
    """True if another device came with the same prekey: one of the two is a copied image."""
    return any(prekey.public in each.prekey for each in state.enrolees)


# --- issuing -----------------------------------------------------------------------------------


def issued(
    state: AuthorityState, examined: Examined, issuer: RegionalAuthority, now_ms: int
) -> tuple[AuthorityState, OpenInvitation, Enrolee]:
    """Return the state with a new member and its used invitation; rosters are not written yet.

    A device whose place it takes stands in no roster any more, and on the draft of revocations.
    """
    invitation, request = examined.invitation, examined.request
    before = entry_of(state, request)
    enrolee = Enrolee(
        Member(examined.badge_key, invitation.role, invitation.device_class, invitation.name),
        examined.link_key,
        invitation.squads,
        request.prekey,
        enrolled_ms=now_ms,
        replaces=before.replaces,
        token=request.token,
    )
    rights = Rights(invitation.role, invitation.zone, invitation.squad_ids, invitation.device_class)
    entry = replace(
        before,
        request_hash=hashlib.sha256(request.inner).digest(),
        badge=issue_badge(issuer, examined.badge_key, rights, now_ms)[0],
        link=issue_link(issuer, examined.link_key, now_ms)[0],
    )
    # What was revoked since it was invited is neither drafted nor taken out of the rosters.
    is_replacing = bool(before.replaces) and before.replaces not in state.revoked
    others = tuple(
        replace(each, is_removed=True) if is_replacing and each.node == before.replaces else each
        for each in state.enrolees
    )
    after = replace(state, enrolees=(*others, enrolee)).with_invitation(entry)
    if is_replacing:
        draft = Revocation(before.replaces, now_ms, 0, 0)
        after = replace(after, drafts=_with_draft(after.drafts, draft))
    return after.with_note(now_ms, "issued", invitation.name), entry, enrolee


def _with_draft(drafts: Sequence[Revocation], draft: Revocation) -> tuple[Revocation, ...]:
    others = [each for each in drafts if each.subject != draft.subject]
    return (*others, draft)


def pass_for(
    issuer: UnitAuthority, entry: OpenInvitation, enrolee: Enrolee, now_ms: int
) -> SignedDocument:
    """Return the pass by which the squad knows a newcomer at once, for one shift."""
    chain = (entry.badge, issuer.badge_issuer, issuer.regional[0])
    body = PassBody(enrolee.member.name, now_ms + PASS_MS_MAX, chain)
    return build(
        DocumentClass.PASS, enrolee.node, (1, 1), now_ms, body.encode(), [unit_signer(issuer.key)]
    )


def without_ended_passes(state: AuthorityState, now_ms: int) -> AuthorityState:
    """Return the state without passes whose shift is over."""
    kept = tuple(
        each
        for each in state.documents
        if each.cls is not DocumentClass.PASS or decode_pass_untrusted(each.body).ends_ms > now_ms
    )
    return replace(state, documents=kept)


def answer_to(
    state: AuthorityState,
    entry: OpenInvitation,
    enrolee: Enrolee,
    prekey: PrekeyRecord,
    now_ms: int,
) -> Answer:
    """Return the answer to a granted request, with every document that is in force here."""
    invitation, sealer = entry.invitation, HpkeSealer()
    is_relay = invitation.role is Role.RELAY
    secrets = state.secrets.for_relay() if is_relay else state.secrets
    chains = (
        (entry.badge, state.badge_issuer, *state.above[:1]),
        (entry.link, state.link_issuer, *state.above[1:]),
    )
    return build_answer(
        invitation,
        chains,
        [document.raw for document in state.documents],
        _prekeys_for(state, enrolee, now_ms),
        seal_secrets(prekey, invitation.token, secrets, sealer),
    )


def _prekeys_for(state: AuthorityState, enrolee: Enrolee, now_ms: int) -> list[bytes]:
    """Return prekeys of the centre's readers and of squad mates that are still good."""
    scopes = {(unit, unit_id) for unit, unit_id, _ in enrolee.units(state.zone)}
    known = _members_shown(state) if state.is_unit else None
    found = []
    for other in reversed(state.present):
        is_centre = other.member.role in (Role.GATEWAY, Role.OPERATOR)
        is_mate = any((unit, unit_id) in scopes for unit, unit_id, _ in other.units(state.zone))
        if other == enrolee or not (is_centre or is_mate):
            continue
        if known is not None and other.node not in known:
            continue
        if bundles.decode_untrusted(other.prekey).header.expires_ms > now_ms:
            found.append((not is_centre, other.prekey))
    # The centre first: where there are too many, mates are met before it is.
    found.sort(key=lambda each: each[0])
    return [prekey for _, prekey in found[:ANSWER_PREKEYS_MAX]]


def _members_shown(state: AuthorityState) -> set[NodeId]:
    """Return whom the documents of an answer make a member: by a roster, or by a pass."""
    passed = {each.scope for each in state.documents if each.cls is DocumentClass.PASS}
    rosters = held_rosters(state.documents)
    return passed | {member.node for roster in rosters for member in roster.members}
