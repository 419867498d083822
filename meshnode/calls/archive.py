"""The calls about a gateway's archive, in plain values; `Api` has them beside its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from meshnode.calls.base import Calls, Json
from meshnode.directory import UnknownNameError
from meshnode.errors import ArchiveError, ControlError
from meshnode.retention import RETENTION, DataClass
from meshnode.store import spool
from meshnode.vault.kinds import DAY_MS
from protocol.bundle import Scope
from protocol.errors import MalformedError
from protocol.ids import NodeId, parse_node_id_untrusted, print_bundle_id

if TYPE_CHECKING:
    # An archive is loaded by gateways alone.
    from meshnode.gateway.archive.purge_log import Entry
    from meshnode.gateway.archive.records import Found
    from meshnode.gateway.gateway import Gateway

__all__ = ["ArchiveCalls"]

_FOUND_MAX: Final = 1_000
_LOG_MAX: Final = 10_000


class ArchiveCalls(Calls):
    """What people may ask of the archive."""

    async def archive_found(self) -> bool:
        """Begin an archive; False where there is one. Raises: ArchiveError, LockedError."""
        gateway = self._gateway()
        if gateway.master.exists():
            return False
        await self._node.runtime.run_blocking(gateway.found)
        gateway.anew.set()
        self._node.audit.note("archive_founded")
        await self._node.audit.flush()
        return True

    async def archive_status(self) -> Json:
        """Return what waits, what the archive holds, and how it stands.

        Where the archive does not answer, `error` says so and `held` is empty; `faults` are all
        that is known not to work, `troubles` the parts of the work that do not get done, each
        with the kind of its reason. Raises: ControlError, StoreError.
        """
        gateway = self._gateway()
        found: Json = {
            **await self._archive_standing(gateway),
            "database": "postgresql" if gateway.plan.url else "sqlite",
            "shed": self._node.store.spool_shed,
            "error": "",
            "held": [],
        }
        if not found["is_archiving"] or self._node.desk is None:
            return found
        try:
            archive = await gateway.archive()
            held = await archive.held()
        except ArchiveError as error:
            faults = dict.fromkeys([str(error), *found["faults"]])
            now = _told("feed", error.reason, str(error))
            others = [each for each in found["troubles"] if each["part"] != now["part"]]
            return found | {"error": str(error), "faults": [*faults], "troubles": [now, *others]}
        found["held"] = [
            {
                "class": str(each.data_class),
                "bundles": each.bundles,
                "contents": each.contents,
                "oldest_ms": 0 if each.oldest_day is None else each.oldest_day * DAY_MS,
            }
            for each in held
        ]
        return found

    async def _archive_standing(self, gateway: Gateway) -> Json:
        """Return how far an archive is behind and what does not work; no key is needed."""
        waiting = await self._node.store.read(spool.waiting)
        return {
            "is_archiving": gateway.master.exists(),
            "waiting": waiting.rows,
            "waiting_bytes": waiting.size_bytes,
            "waiting_bytes_max": gateway.plan.spool_bytes_max,
            "waiting_since_ms": waiting.oldest_ms,
            "is_shut": gateway.master.exists() and self._node.desk is None,
            "purged_ms": gateway.standing.purged_ms,
            "faults": [*gateway.standing.faults],
            "troubles": [
                _told(each.part, each.reason, each.words) for each in gateway.standing.troubles
            ],
        }

    async def archive_search(
        self,
        text: str = "",
        author: str = "",
        to: str = "",
        classes: Sequence[str] = (),
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 100,
        *,
        bundles: bool = False,
    ) -> Json:
        """Return what fits, the newest day first: contents, or with `bundles` containers.

        Raises: UnknownNameError, ArchiveError, LockedError, ControlError.
        """
        from meshnode.gateway.archive.records import Query
        from meshnode.gateway.archive.words import asked_in

        archive = await self._gateway().archive()
        words, beginnings = asked_in(text)
        if text.strip() and not (words or beginnings):
            raise ArchiveError("there is no word to look for: a word has two letters or more")
        query = Query(
            words=tuple(words),
            beginnings=tuple(beginnings),
            author=self._archived_by(author) if author else None,
            scope=self._archived_for(to) if to else None,
            classes=_classes(classes),
            from_ms=from_ms or 0,
            to_ms=to_ms or Query().to_ms,
            limit=max(0, min(limit, _FOUND_MAX)),
        )
        found = await (archive.bundles(query) if bundles else archive.contents(query))
        return {"found": [self._archived(each) for each in found]}

    def _archived(self, found: Found) -> Json:
        from meshnode.gateway.shown import shown

        return {
            "message": print_bundle_id(found.name),
            "author": self._who(found.name.author),
            "to": self._describe(found.scope),
            "class": str(found.data_class),
            "kind": found.kind.name.lower(),
            "created_ms": found.created_ms,
            "at_ms": found.at_ms,
            "gateway": self._who(found.gateway),
            "keep_until_ms": self._ends_ms(found.data_class, found.day),
            **(shown(found) if found.is_content else {"bytes": len(found.raw or b"")}),
        }

    def _ends_ms(self, data_class: DataClass, day: int) -> int:
        """Return when a thing is destroyed by the terms of now, Unix milliseconds."""
        return (day + self._gateway().plan.terms[data_class] + 1) * DAY_MS

    # --- retention --------------------------------------------------------------------------

    async def retention(self) -> Json:
        """Return how long the archive keeps what, why, and what is due next; no key is needed."""
        gateway = self._gateway()
        return {
            "terms": [
                {
                    "class": str(each),
                    "days": gateway.plan.terms[each],
                    "days_default": rule.days,
                    "days_min": rule.days_min,
                    "days_max": rule.days_max,
                    "reason": rule.reason,
                }
                for each, rule in RETENTION.items()
            ]
        }

    async def retention_log(self, last: int = 100) -> Json:
        """Return the newest entries of the purge log; whether it is whole `retention_verify` says.

        Raises: ArchiveError, LockedError, ControlError.
        """
        from meshnode.gateway.archive.purge_log import late_days

        entries, head = await self._gateway().entries()
        shown = entries[-max(1, min(last, _LOG_MAX)) :] if entries else []
        late = late_days(entries)
        return {
            "entries": [
                {**self._entry(each), "late_days": late.get(each.number, 0)} for each in shown
            ],
            "last": head.number,
            "hash": head.hash.hex(),
        }

    def _entry(self, entry: Entry) -> Json:
        return {
            "number": entry.number,
            "at_ms": entry.at_ms,
            "gateway": self._who(entry.gateway),
            "action": str(entry.action),
            "details": dict(entry.details),
        }

    async def retention_verify(self) -> Json:
        """Check the whole purge log. Raises: ArchiveTamperedError, ArchiveError, LockedError."""
        gateway = self._gateway()
        entries, head = await gateway.entries()
        return {
            "entries": len(entries),
            "unnamed": sum(not gateway.is_named(each.gateway) for each in entries),
            "last": head.number,
            "hash": head.hash.hex(),
        }

    async def retention_apply(self) -> Json:
        """Destroy now what is over. Raises: ArchiveError, LockedError, ControlError."""
        gateway = self._gateway()
        if not self._node.clock.may_destroy(self._node.runtime.now_ms()):
            raise ArchiveError(
                "the clock of this device jumped: nothing is destroyed until a signed time agrees"
            )
        purged = await gateway.purge()
        return {
            "keys": len(purged.days),
            "rows": purged.rows,
            "days": [
                {
                    "class": str(each.data_class),
                    "day_ms": each.day * DAY_MS,
                    "bundles": each.bundles,
                    "contents": each.contents,
                }
                for each in purged.days
            ],
            "last": purged.head.number,
            "hash": purged.head.hash.hex(),
        }

    # --- inside -----------------------------------------------------------------------------

    def _gateway(self) -> Gateway:
        found = None if self._guard is None else self._guard.gateway
        if found is None:
            raise ControlError(
                "no_archive",
                "this device keeps no archive: its badge is neither a gateway's nor an operator's",
            )
        return found

    def _archived_by(self, words: str) -> NodeId:
        directory = self._node.membership.directory
        try:
            scope = directory.find(words, self._node.identity.zone)
        except UnknownNameError:
            # What a device wrote stays after it left the rosters, and is asked for by its id.
            with suppress(MalformedError):
                return parse_node_id_untrusted(words)
            raise
        if len(scope.target) != 16:
            raise ArchiveError("an author is a device: write its name or its id")
        return NodeId(scope.target)

    def _archived_for(self, words: str) -> bytes:
        scope: Scope = self._node.membership.directory.find(words, self._node.identity.zone)
        return scope.encode()


def _told(part: str, reason: str, words: str) -> Json:
    """Return how one part of the work that does not get done is told."""
    return {"part": str(part), "reason": str(reason), "words": words}


def _classes(words: Sequence[str]) -> tuple[DataClass, ...]:
    try:
        return tuple(DataClass(each) for each in words)
    except ValueError as error:
        raise ArchiveError(f"a data class is one of {', '.join(DataClass)}") from error
