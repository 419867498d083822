"""Authority documents for rigs, signed by the authority of their fleet."""

from __future__ import annotations

from collections.abc import Sequence

from protocol.authority import (
    DocumentClass,
    RosterBody,
    SignedDocument,
    Unit,
    build,
    document_signer,
)
from protocol.authority import (
    Member as ListedMember,
)
from protocol.identity import DeviceClass, binding_message
from protocol.ids import squad_id_of
from protocol.orders import BeaconBody, Revocation, RevocationBody, WipeBody, WipeLevel
from protocol.witnessed import ErasureBody
from sims.fleet import ZONE
from sims.runtime import START_MS
from tests.meshnode.rig import SQUAD, Member, Rig


def roster(
    rig: Rig, names: Sequence[str], version: int, *, squad: str = SQUAD, issued_ms: int = START_MS
) -> SignedDocument:
    """Return a squad's roster of `version`, signed by the authority of the fleet."""
    listed = sorted(
        (
            ListedMember(
                rig[name].device.badge.public_key,
                rig[name].device.plan.role,
                DeviceClass.PHONE,
                name,
            )
            for name in names
        ),
        key=lambda member: member.public_key,
    )
    body = RosterBody(Unit.SQUAD, ZONE, squad_id_of(ZONE, squad), squad, tuple(listed))
    signers = [rig.fleet.document_signer]
    return build(DocumentClass.ROSTER, body.scope, (1, version), issued_ms, body.encode(), signers)


def revocations(
    rig: Rig, names: Sequence[str], version: int, *, issued_ms: int = START_MS
) -> SignedDocument:
    """Return the operator's list that revokes devices by name, with nothing good of theirs."""
    entries = sorted((Revocation(rig[name].id, issued_ms, 0, 0) for name in names), key=_subject)
    return signed_list(rig, entries, version, issued_ms=issued_ms)


def signed_list(
    rig: Rig, entries: Sequence[Revocation], version: int, *, issued_ms: int = START_MS
) -> SignedDocument:
    """Return the operator's list with these entries."""
    signer, body = rig.fleet.cards.revocation, RevocationBody(tuple(entries))
    at = (1, version)
    return build(DocumentClass.REVOCATION, signer.signer_id, at, issued_ms, body.encode(), [signer])


def _subject(entry: Revocation) -> bytes:
    return entry.subject


def wipe_order(
    rig: Rig,
    names: Sequence[str],
    order_id: bytes = b"order-01",
    *,
    level: WipeLevel = WipeLevel.ALL,
    cards: Sequence[int] = (0, 1),
    issued_ms: int = START_MS,
) -> SignedDocument:
    """Return an order to wipe devices by name, signed with these of the three cards."""
    body = WipeBody(level, tuple(sorted(rig[name].id for name in names)))
    signers = [rig.fleet.cards.wipe[card] for card in cards]
    return build(DocumentClass.WIPE, order_id, (1, 1), issued_ms, body.encode(), signers)


def beacon(rig: Rig, version: int, issued_ms: int) -> SignedDocument:
    """Return a sign of life of the centre."""
    body, signers = BeaconBody(ZONE, bytes(8)), [rig.fleet.cards.beacon]
    return build(DocumentClass.BEACON, body.scope, (1, version), issued_ms, body.encode(), signers)


def erasure(
    rig: Rig, name: str, order_id: bytes = b"order-01", *, issued_ms: int = START_MS
) -> SignedDocument:
    """Return the proof of a device that it destroyed its keys."""
    device = rig[name].device
    binding = device.keys.badge.sign(binding_message(device.link_chain[0]))
    body = ErasureBody(
        order_id, device.node, WipeLevel.ALL, device.badge.chain, device.link_chain, binding
    )
    signer = document_signer(device.keys.link)
    return build(DocumentClass.ERASURE, body.scope, (1, 1), issued_ms, body.encode(), [signer])


async def publish_roster(rig: Rig, member: Member, names: Sequence[str], version: int) -> int:
    """Bring a squad's roster into force at one node; return how many documents took effect."""
    taken = await member.node.membership.accept([roster(rig, names, version).raw])
    await member.node.relay.requeue_held()
    await member.node.settle()
    return taken
