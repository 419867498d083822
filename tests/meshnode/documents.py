"""Authority documents for rigs, signed by the authority of their fleet."""

from __future__ import annotations

from collections.abc import Sequence

from protocol.authority import (
    DocumentClass,
    RosterBody,
    SignedDocument,
    Unit,
    build,
)
from protocol.authority import (
    Member as ListedMember,
)
from protocol.identity import DeviceClass
from protocol.ids import squad_id_of
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


async def publish_roster(rig: Rig, member: Member, names: Sequence[str], version: int) -> int:
    """Bring a squad's roster into force at one node; return how many documents took effect."""
    taken = await member.node.membership.accept([roster(rig, names, version).raw])
    await member.node.relay.requeue_held()
    await member.node.settle()
    return taken
