"""The call for a report of an archive; `Api` has it beside its own."""

from __future__ import annotations

from typing import Final

from meshnode.calls.archive import ArchiveCalls
from meshnode.calls.base import Json
from meshnode.errors import ArchiveError
from meshnode.vault.kinds import day_of
from protocol.bundle import Scope
from protocol.documents import Unit
from protocol.identity import Role
from protocol.ids import NodeId, SquadId

__all__ = ["ArchiveReportCalls"]

_DAYS: Final = 30
_SERVE: Final = frozenset({Role.RELAY, Role.GATEWAY})


class ArchiveReportCalls(ArchiveCalls):
    """What people may ask of how the network does."""

    async def archive_report(self, from_ms: int | None = None, to_ms: int | None = None) -> Json:
        """Return arrivals, delays, deliveries, alarms and coverage of a period of whole UTC days.

        Of the last thirty where nothing is given. No name, no id; groups of few devices are not
        shown. One at a time: others wait. Raises: ArchiveError, LockedError, ControlError.
        """
        from meshnode.gateway.report.making import Plan, make

        now_ms = self._node.runtime.now_ms()
        last_day = day_of(now_ms if to_ms is None else max(to_ms - 1, 0))
        first_day = last_day - _DAYS + 1 if from_ms is None else day_of(from_ms)
        if first_day > last_day:
            raise ArchiveError("the period of a report begins before it ends")
        gateway = self._gateway()
        directory = self._node.membership.directory
        plan = Plan(
            first_day,
            last_day,
            now_ms,
            {
                Scope.for_squad(each.zone, SquadId(each.unit_id)).encode(): len(each.members)
                for each in directory.rosters()
                if each.unit is Unit.SQUAD
            },
            self._is_helper,
        )
        archive = await gateway.archive()
        async with gateway.reporting:
            return await make(archive, plan)

    def _is_helper(self, node: NodeId) -> bool:
        member = self._node.membership.directory.member(node)
        return member is None or member.role not in _SERVE
