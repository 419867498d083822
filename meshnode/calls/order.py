"""The calls about who is in the rosters and what is ordered about them, for `Api`.

No key of an authority is here: an order comes signed by cards, and is judged like a peer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from meshnode.calls.base import Calls, Json
from meshnode.directory import DirectoryEntry, UnknownNameError
from meshnode.errors import ControlError
from meshnode.lease import lease_ms_of
from meshnode.services.board import Mate
from meshnode.store import peers
from meshnode.store.records import PeerRecord
from protocol.authority import DocumentClass, SignedDocument, count_signers, decode_untrusted
from protocol.enrolment import decode_documents_untrusted
from protocol.errors import MalformedError
from protocol.identity import DeviceClass
from protocol.ids import NodeId, parse_node_id_untrusted, print_node_id
from protocol.orders import Revocation, decode_revocation_untrusted, decode_wipe_untrusted

__all__ = ["OrderCalls"]

_MEMBERS_AT_ONCE: Final = 500
"""Devices that are described without a break, some ten milliseconds."""


class OrderCalls(Calls):
    """What people may ask of rosters and orders."""

    async def members(self) -> Json:
        """Return everybody in the rosters held here, the revoked as well, by zone and name.

        `lease_ends_ms` is the latest time until which a device opens by the newest beacon that is
        known here, Unix milliseconds; 0 where there are no leases, or no beacon came.
        Raises: StoreError, LockedError. Cost: O(devices) of all zones.
        """
        node, trust = self._node, self._node.membership.trust
        await node.contact_log.flush()
        met = {each.node: each for each in await node.store.read(peers.list_peers)}
        told: dict[NodeId, list[Mate]] = {}
        for mate in await node.require_desk().board.mates():
            told.setdefault(mate.node, []).append(mate)
        directory = node.membership.directory
        everybody = directory.everybody()
        squads = {each.unit_id: each.name for each in directory.rosters() if each.unit_id}
        wipes = self._wipes()
        zones = sorted({each.zone for each in everybody})
        members: list[Json] = []
        for start in range(0, len(everybody), _MEMBERS_AT_ONCE):
            members += [
                {
                    **self._member(each),
                    "squads": [squads.get(squad, squad.hex()) for squad in each.squads],
                    "wipe": wipes.get(each.node, ""),
                    **self._duty(told.get(each.node, ()), met.get(each.node)),
                }
                for each in everybody[start : start + _MEMBERS_AT_ONCE]
            ]
            # Nobody else waits for a whole country to be listed.
            await trio.lowlevel.checkpoint()
        return {
            "now_ms": node.runtime.now_ms(),
            "zones": [
                {
                    "zone": zone,
                    "is_own": zone == node.identity.zone,
                    "beacon_ms": trust.beacon_ms(zone),
                }
                for zone in zones
            ],
            "members": members,
        }

    def _member(self, entry: DirectoryEntry) -> Json:
        """Return what documents say of a device."""
        trust, node = self._node.membership.trust, entry.node
        revoked = self._node.membership.directory.revoked.get(node)
        beacon_ms = trust.beacon_ms(entry.zone) if trust.has_beacons else 0
        return {
            **self._who(node),
            "role": entry.role.name.lower(),
            "device": entry.device_class.name.lower(),
            "zone": entry.zone,
            "is_self": node == self._node.identity.node,
            "is_revoked": revoked is not None,
            "revoked_since_ms": 0 if revoked is None else revoked.since_ms,
            "lease_ends_ms": _lease_ends_ms(beacon_ms, entry.device_class),
        }

    def _wipes(self) -> dict[NodeId, str]:
        """Return how devices stand with wipe orders: `ordered`, or `proven` by any of them."""
        trust = self._node.membership.trust
        found = {node: "ordered" for each in trust.wipe_orders() for node in each.body.devices}
        return found | {node: "proven" for _order, node in trust.erasures()}

    def _duty(self, told: Sequence[Mate], met: PeerRecord | None) -> Json:
        """Return what a device told of its shift, and our last contact with it."""
        open_ones = [each.shift for each in told if each.is_on_shift and each.shift is not None]
        heard = [each.heard.at_ms for each in told if each.heard is not None]
        return {
            "is_on_shift": bool(open_ones),
            "shift_over_ms": max((each.over_ms for each in open_ones), default=0),
            "heard_ms": max(heard, default=0),
            "met_ms": 0 if met is None else met.last_ms,
            "is_in_contact": met is not None and met.is_up,
        }

    # --- orders -----------------------------------------------------------------------------

    def devices_named(self, ids: Sequence[str]) -> list[Json]:
        """Return name and id of enrolled devices by their ids. Raises: UnknownNameError."""
        return [self._who(self._enrolled(each)) for each in ids]

    def _enrolled(self, text: str) -> NodeId:
        try:
            node = parse_node_id_untrusted(text)
        except MalformedError as error:
            raise UnknownNameError(f"no device has the id '{text}'") from error
        if self._node.membership.directory.member(node) is None:
            raise UnknownNameError(f"no device has the id '{text}'")
        return node

    def is_revoked(self, node: str) -> bool:
        """True if the device of this id is trusted no longer. Raises: UnknownNameError."""
        return self._enrolled(node) in self._node.membership.directory.revoked

    def read_order(self, text: str) -> Json:
        """Return what a signed revocation or wipe order says, and how many really signed it.

        `devices` are the ids it is about; of a revocation `fresh` are those that nobody here knew
        of, or of which it calls less good than is known here. Nothing takes effect. Raises:
        MalformedError, LimitExceededError, ControlError (`order`) for another document.
        """
        document = _only(text)
        root = self._node.membership.trust.root
        rule = root.rule(document.cls)
        found: Json = {
            "signed": count_signers(document, root),
            "needed": 0 if rule is None else rule.threshold,
        }
        if document.cls is DocumentClass.WIPE:
            order = decode_wipe_untrusted(document.body)
            devices = [print_node_id(each) for each in order.devices]
            level = order.level.name.lower()
            return {"what": "wipe", "level": level, "devices": devices, "fresh": devices, **found}
        if document.cls is DocumentClass.REVOCATION:
            entries = decode_revocation_untrusted(document.body).entries
            return {
                "what": "revoke",
                "level": "",
                "devices": [print_node_id(NodeId(each.subject)) for each in entries],
                "fresh": [
                    print_node_id(NodeId(each.subject)) for each in entries if self._is_news(each)
                ],
                **found,
            }
        raise ControlError("order", "this is no order: it must revoke or wipe devices")

    def _is_news(self, entry: Revocation) -> bool:
        """True if an entry revokes more than is known here."""
        known = self._node.membership.directory.revoked.get(entry.subject)
        return known is None or known.and_also(entry).good != known.good

    async def take_order(self, text: str) -> Json:
        """Take a signed order into force and pass it on, judged as `import_documents` judges.

        Raises: MalformedError, LimitExceededError, StoreError.
        """
        judged = await self._node.membership.judge([_only(text).raw])
        await self._node.settle()
        await self._node.audit.flush()
        refused = dict(judged.refused)
        return {"taken": judged.taken, "known": judged.known, "refused": refused}

    async def note_order(self, event: str, ids: Sequence[str]) -> None:
        """Write a step of an order into the audit log, once for each device. Raises: StoreError."""
        for each in ids:
            self._node.audit.note(event, parse_node_id_untrusted(each))
        await self._node.audit.flush()


def _only(text: str) -> SignedDocument:
    """Return the one document in a text. Raises: MalformedError, LimitExceededError."""
    raws = decode_documents_untrusted(text)
    if len(raws) != 1:
        raise MalformedError("this text holds more than one document")
    return decode_untrusted(raws[0])


def _lease_ends_ms(beacon_ms: int, device_class: DeviceClass) -> int:
    return beacon_ms + lease_ms_of(device_class) if beacon_ms else 0
