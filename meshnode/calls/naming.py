"""The call about whom a message can be written to, in plain values; `Api` has it."""

from __future__ import annotations

from collections import Counter

from meshnode.calls.base import Calls, Json
from protocol.bundle import Scope
from protocol.identity import Role
from protocol.ids import print_node_id

__all__ = ["NamingCalls"]


class NamingCalls(Calls):
    """What people may ask of names."""

    async def names(self) -> Json:
        """Return who can be written to from here: the centre, the zone, its squads and devices.

        `to` is the word that `send` takes: of namesakes their ids. Revoked devices and relays,
        which read nothing, are left out. Cost: O(devices log devices) of all zones.
        """
        directory, own = self._node.membership.directory, self._node.identity
        me = directory.member(own.node)
        mine = frozenset() if me is None else frozenset(me.squads)
        members = [
            each
            for each in directory.members()
            if each.zone == own.zone and each.role is not Role.RELAY and each.node != own.node
        ]
        counts = Counter(each.name.casefold() for each in directory.members())
        squads = {each.unit_id: each.name for each in directory.rosters() if each.unit_id}
        units = [Scope.for_codt(own.zone), Scope.for_zone(own.zone)]
        return {
            "units": [
                {
                    "to": directory.describe(each),
                    "devices": len(directory.recipients(each, own.node)),
                }
                for each in units
            ],
            "squads": [
                {
                    "to": f"squad:{each.name}",
                    "name": each.name,
                    "is_own": each.unit_id in mine,
                    "devices": len(
                        directory.recipients(Scope.for_squad(each.zone, each.unit_id), own.node)
                    ),
                }
                for each in directory.rosters()
                if each.unit_id and each.zone == own.zone
            ],
            "members": [
                {
                    **self._who(each.node),
                    "to": each.name
                    if counts[each.name.casefold()] == 1
                    else print_node_id(each.node),
                    "role": each.role.name.lower(),
                    "squads": [squads[squad] for squad in each.squads if squad in squads],
                }
                for each in members
            ],
        }
