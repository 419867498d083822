"""Invitations: whom an authority would let in, under which name, with which rights.

A unit authority invites agents and relays of its own squads and nobody else. Each function takes
a state and returns another; nothing is saved here. Source: wire-format 8.2, security 2.2.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from meshnode.authority_documents import held_rosters
from meshnode.authority_state import AuthorityState, Enrolee, OpenInvitation
from protocol.delegation import issuer_id_untrusted
from protocol.documents import Member, decode_name
from protocol.enrolment import Invitation
from protocol.errors import (
    EnrolmentError,
    ExpiredError,
    LimitExceededError,
    MalformedError,
    RightsError,
)
from protocol.identity import UNIT_RANK, DeviceClass, Role, check_dates, link_dates_untrusted
from protocol.ids import NodeId, parse_node_id_untrusted
from protocol.limits import INVITATION_LIFE_MS, INVITATIONS_MAX, SQUADS_PER_BADGE_MAX

__all__ = [
    "Asked",
    "Entropy",
    "check_issuer",
    "check_replaced",
    "check_scope",
    "find_device",
    "invited",
    "known_squads",
    "tidy",
]

Entropy = Callable[[int], bytes]
"""Returns that many unpredictable bytes."""
_REMEMBERED_MS = 7 * 86_400_000
"""An invitation is remembered this long after its end, so that its reuse is called by name."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants an invitation for."""

    name: str
    """Name of the device, as people will call it."""
    role: Role
    """What it may do."""
    device_class: DeviceClass
    """Kind of machine."""
    squads: Sequence[str]
    """Names of its home squads."""


def invited(
    state: AuthorityState,
    asked: Asked,
    now_ms: int,
    entropy: Entropy,
    replaces: Enrolee | None = None,
) -> tuple[AuthorityState, Invitation]:
    """Return the state with an invitation, good for one device and one day.

    With `replaces` it takes that device's name over. Raises: EnrolmentError (`name`, `squads`,
    `full`, `ended`, `revoked`), RightsError beyond the scope of a unit, MalformedError,
    LimitExceededError.
    """
    check_issuer(state, now_ms)
    squads = known_squads(state, asked.squads, asked.role)
    if state.is_unit and replaces is not None:
        check_replaced(replaces, state.squads)
    check_scope(state, asked.role, state.zone, squads)
    invitation = Invitation(
        token=entropy(8),
        secret=entropy(20),
        expires_s=(now_ms + INVITATION_LIFE_MS) // 1000,
        root_hash=state.root.digest,
        zone=state.zone,
        role=asked.role,
        device_class=asked.device_class,
        name=_free_name(state, asked.name, now_ms, replaces),
        squads=squads,
    )
    kept = tuple(
        each
        for each in state.invitations
        if _is_remembered(each, now_ms) or (state.is_unit and each.is_used)
    )
    if len(kept) >= INVITATIONS_MAX:
        raise EnrolmentError("full", "too many invitations are open: wait until some expire")
    entry = OpenInvitation(invitation, replaces=replaces.node if replaces else b"")
    after = replace(state, invitations=(*kept, entry))
    return after.with_note(now_ms, "invited", invitation.name), invitation


def check_issuer(state: AuthorityState, now_ms: int) -> None:
    """Check that this authority itself may issue: else nobody would believe it.

    Raises: EnrolmentError (`ended`, `revoked`).
    """
    try:
        check_dates(*link_dates_untrusted(state.badge_issuer), now_ms)
    except ExpiredError as error:
        raise EnrolmentError(
            "ended", "the certificate of this authority has ended: ask for a new one"
        ) from error
    if state.is_zone and state.anchor not in state.root_body.anchors:
        raise EnrolmentError("revoked", "the root names this zone no longer: ask its holders")
    revoked = state.revoked
    if revoked and issuer_id_untrusted(state.badge_issuer) in revoked:
        raise EnrolmentError("revoked", "this authority was revoked: nobody believes it any more")


def check_scope(state: AuthorityState, role: Role, zone: int, squads: Sequence[str]) -> None:
    """Check that this authority may give these rights. Raises: RightsError.

    A regional authority gives every role of its zone; what a unit may give, its certificate says,
    and every verifier checks it once more (wire-format 10.3).
    """
    if zone != state.zone:
        raise RightsError("an issuer gives only its own zone")
    if not state.is_unit:
        return
    if role.rank >= UNIT_RANK:
        raise RightsError("a unit authority enrols agents and relays: ask the region for others")
    if not squads:
        raise RightsError("a unit authority enrols into its squads: add --squad NAME")
    known = {name.casefold() for name in state.squads}
    for name in squads:
        if name.casefold() not in known:
            own = ", ".join(state.squads)
            raise RightsError(
                f"this unit authority does not give the squad '{name}': it gives {own}, ask the "
                "region for another"
            )


def find_device(state: AuthorityState, words: str) -> Enrolee:
    """Return the present device that `words` names, by its name or its id.

    A unit authority also knows the devices in the rosters of the region. Raises: EnrolmentError
    (`name`).
    """
    wanted, devices = tidy(words).casefold(), (*state.present, *_listed(state))
    found = [each for each in devices if each.member.name.casefold() == wanted]
    if not found:
        try:
            node = parse_node_id_untrusted(words)
        except MalformedError:
            node = b""
        found = [each for each in devices if each.node == node]
    if not found:
        raise EnrolmentError("name", f"no device is called '{words}': see 'authority roster'")
    return found[0]


def _listed(state: AuthorityState) -> list[Enrolee]:
    """Return the devices in force that a unit authority knows from rosters alone."""
    if not state.is_unit:
        return []
    members: dict[NodeId, Member] = {}
    squads: dict[NodeId, list[str]] = {}
    revoked = state.revoked
    for roster in held_rosters(state.documents):
        for member in roster.members:
            members[member.node] = member
            if roster.unit_id:
                squads.setdefault(member.node, []).append(roster.name)
    return [
        Enrolee(member, b"", tuple(squads.get(node, ())), b"", 0)
        for node, member in members.items()
        if node not in revoked
    ]


def check_replaced(device: Enrolee, unit_squads: Sequence[str]) -> None:
    """Check that a unit of these squads may put another device in the place of this one.

    Raises: RightsError.
    """
    is_within = device.squads and set(device.squads) <= set(unit_squads)
    if device.member.role.rank >= UNIT_RANK or not is_within:
        raise RightsError(
            "a unit authority replaces agents and relays of its own squads alone: ask the region "
            "to replace this device"
        )


def _free_name(state: AuthorityState, name: str, now_ms: int, replaces: Enrolee | None) -> str:
    fitting = decode_name(tidy(name).encode(), "name")
    wanted = fitting.casefold()
    if wanted in ("codt", "zone") or wanted.startswith("squad:"):
        raise EnrolmentError("name", f"'{fitting}' means something else to 'send': take another")
    taken = {
        each.member.name.casefold() for each in state.present if each is not replaces
    } | _foreign_names(state, replaces.node if replaces else b"")
    taken |= {
        each.invitation.name.casefold()
        for each in state.invitations
        if not each.is_used and now_ms <= each.invitation.expires_s * 1000
    }
    if wanted in taken:
        raise EnrolmentError("name", f"'{fitting}' is taken or invited already: take another name")
    return fitting


def _foreign_names(state: AuthorityState, but: NodeId) -> set[str]:
    """Return names in rosters that this authority did not write: those a unit must not reuse."""
    if not state.is_unit:
        return set()
    revoked = state.revoked
    return {
        member.name.casefold()
        for roster in held_rosters(state.documents)
        for member in roster.members
        if member.node != but and member.node not in revoked
    }


def known_squads(state: AuthorityState, squads: Sequence[str], role: Role) -> tuple[str, ...]:
    """Return tidy names; a known squad keeps the spelling that its id comes from.

    Raises: EnrolmentError (`squads`), LimitExceededError, MalformedError.
    """
    if role in (Role.AGENT, Role.LEADER) and not squads:
        raise EnrolmentError("squads", "an agent or a leader needs a squad: add --squad NAME")
    if len(squads) > SQUADS_PER_BADGE_MAX:
        raise LimitExceededError("squads of a device", SQUADS_PER_BADGE_MAX, len(squads))
    spelling = {
        name.casefold(): name
        for name in [
            *(name for each in state.invitations for name in each.invitation.squads),
            *(roster.name for roster in held_rosters(state.documents) if roster.unit_id),
            *state.squads,
        ]
    }
    fitting = [decode_name(tidy(name).encode(), "squad") for name in squads]
    known = [spelling.get(name.casefold(), name) for name in fitting]
    if len({name.casefold() for name in known}) != len(known):
        raise EnrolmentError("squads", "a squad is named twice")
    return tuple(known)


def tidy(name: str) -> str:
    """Return `name` in the one form in which equal names have equal bytes."""
    return unicodedata.normalize("NFC", name).strip()


def _is_remembered(each: OpenInvitation, now_ms: int) -> bool:
    return now_ms <= each.invitation.expires_s * 1000 + _REMEMBERED_MS
