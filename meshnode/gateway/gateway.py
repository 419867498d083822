"""A gateway beside its node: opens the archive, feeds it, keeps to the terms, answers about it.

It needs the agent's keys: while the device is locked the spool waits. A fault of the archive ends
nothing else of the node. Source: decisions 54 and 55.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

import trio

from meshnode.errors import (
    ArchiveError,
    ArchiveKeyError,
    ArchiveReason,
    ArchiveTamperedError,
    KeystoreError,
)
from meshnode.events import ArchiveGrew
from meshnode.gateway.archive.archive import Archive, Purged, open_archive
from meshnode.gateway.archive.purge_log import Action, Entry, Head, Signed, newest, verify
from meshnode.gateway.archive.purging import Scribe
from meshnode.gateway.feeder import Feeder
from meshnode.gateway.master import HeadFile, MasterFile
from meshnode.gateway.signatures import by_rosters
from meshnode.gateway.standing import Part, Standing
from meshnode.home import Home
from meshnode.links.level import Level
from meshnode.node import Node
from meshnode.retention import Terms
from meshnode.supervisor import keep_running
from meshnode.vault.kinds import day_of
from meshnode.vault.vault import Vault
from protocol.identity import Role
from protocol.ids import NodeId

__all__ = ["SHUT", "Gateway", "GatewayPlan"]

_LOOK_S: Final = 3_600.0
"""Between two looks at what is over."""
_AGAIN_S: Final = 300.0
"""After a look that failed the next one waits for so long."""
SHUT: Final = "the device is locked: nothing is archived and nothing is purged until it is unlocked"
"""Why nothing goes on while there are no keys."""
_DOUBTED: Final = "the clock of this device jumped: nothing is destroyed until a signed time agrees"


class GatewayPlan:
    """What the settings say of a gateway."""

    def __init__(self, url: str, spool_bytes_max: int, terms: Terms, auto_lock_s: int = 0) -> None:
        self._url = url
        self.spool_bytes_max = spool_bytes_max
        self.terms = terms
        self.auto_lock_s = auto_lock_s

    def __repr__(self) -> str:
        return "<GatewayPlan>"

    @property
    def url(self) -> str:
        """Where the archive lies; empty for SQLite in the home. It may hold a password."""
        return self._url


class Gateway:
    """The archive of a node, as the node's own process sees it."""

    def __init__(
        self,
        node: Node,
        home: Path,
        plan: GatewayPlan,
        tell: Callable[[str], None] = lambda _fault: None,
    ) -> None:
        self._node = node
        self.standing = Standing(tell)
        """What of the archive works, and what does not."""
        self.anew = Level()
        """Set after this gateway got the key of an archive, or of another one."""
        self._home = home
        self.plan = plan
        self._archive: Archive | None = None
        self._feeder: Feeder | None = None
        self._stack = AsyncExitStack()
        self._opening = trio.Lock()
        self.reporting = trio.Lock()
        """Held by whoever makes a report: each is a walk over the archive."""
        self._master = MasterFile(home)
        self._head = HeadFile(home)
        node.relay.on_kept.append(lambda _kept: self._wake())
        self._on_disk(node.housekeeping.disk.fault)
        node.housekeeping.disk.on_change.append(self._on_disk)

    @property
    def keeps_archive(self) -> bool:
        """True once the key of an archive is here: not every badge of the centre has one."""
        return self._master.exists()

    # --- life -------------------------------------------------------------------------------

    async def archive(self) -> Archive:
        """Return the open archive. Raises: ArchiveError, LockedError."""
        async with self._opening:
            if self._master.exists():
                # One that was opened before a lock must not answer behind it.
                self._node.require_desk()
            if self._archive is None:
                master = self._master.open(self._vault)
                opened = open_archive(
                    self.plan.url,
                    Home(self._home).archive,
                    self._node.runtime,
                    self._node.identity.node,
                    master,
                )
                self._archive = await self._stack.enter_async_context(opened)
            return self._archive

    async def feeder(self) -> Feeder:
        """Return what feeds the archive. Raises: as `archive`."""
        archive = await self.archive()
        if self._feeder is None:
            node = self._node
            self._feeder = Feeder(node.store, archive, node.runtime, node.metrics, self.standing)
        return self._feeder

    async def run(self) -> None:
        """Feed, listen and purge until cancelled; waits for a key, and while the device is locked.

        Raises: ArchiveError where the archive cannot be opened, StoreError.
        """
        while True:
            while not self._master.exists():
                await self.anew.wait()
            await self._unlocked()
            feeder = await self._opened()
            rooms = (
                ("feeder", feeder.run),
                ("listening", self._listen),
                ("terms", self._keep_terms),
            )
            runtime, metrics = self._node.runtime, self._node.metrics
            async with trio.open_nursery() as nursery:
                for name, room in rooms:
                    nursery.start_soon(keep_running, name, room, runtime, metrics)
                await self.anew.wait()
                nursery.cancel_scope.cancel()
            await self.aclose()

    async def _unlocked(self) -> None:
        with self._node.events.subscribe() as subscription:
            while self._node.desk is None:
                self.standing.fails(Part.LOCK, SHUT, ArchiveReason.LOCKED)
                await subscription.next()
        self.standing.works(Part.LOCK)

    async def _opened(self) -> Feeder:
        try:
            return await self.feeder()
        except ArchiveError as error:
            self._node.metrics.count("archive_failures")
            self.standing.fails(Part.FEED, error)
            raise

    async def aclose(self) -> None:
        """Close the archive if it is open."""
        with trio.CancelScope(shield=True):
            async with self._opening:
                await self._stack.aclose()
                self._archive = self._feeder = None

    def _wake(self) -> None:
        if self._feeder is not None:
            self._feeder.wake.set()

    # --- rooms ------------------------------------------------------------------------------

    async def _listen(self) -> None:
        archive = await self.archive()
        await archive.listen(self._heard)

    def _heard(self, gateway: NodeId, bundles: int, contents: int) -> None:
        self._node.metrics.count("archive_heard", bundles + contents)
        self._node.events.publish(ArchiveGrew(gateway, bundles, contents))

    def _on_disk(self, fault: str) -> None:
        """Note whether the disk of the node takes what is written."""
        if fault:
            words = ArchiveError(f"nothing can be taken in: {fault}", ArchiveReason.DISK)
            self.standing.fails(Part.STORE, words)
        else:
            self.standing.works(Part.STORE)

    async def _keep_terms(self) -> None:
        while True:
            is_done = await self._enforce()
            await trio.sleep(_LOOK_S if is_done else _AGAIN_S)

    async def _enforce(self) -> bool:
        """Destroy what is over; False where that must be tried again."""
        # A clock that jumped destroys nothing until a signed time or a day of uptime agrees.
        if not self._node.clock.may_destroy(self._node.runtime.now_ms()):
            self.standing.fails(Part.RETENTION, _DOUBTED, ArchiveReason.CLOCK)
            return False
        try:
            await self.purge()
        except (ArchiveError, KeystoreError) as error:
            self._node.metrics.count("archive_failures")
            self._node.runtime.trace("archive_failed", reason=type(error).__name__)
            self.standing.fails(Part.RETENTION, error)
            return False
        return True

    # --- retention --------------------------------------------------------------------------

    async def purge(self) -> Purged:
        """Destroy what is over by the terms, noting first what other terms were set.

        Raises: ArchiveError, LockedError.
        """
        archive = await self.archive()
        # Whoever came to the archive of others by mistake has no terms to keep there.
        await archive.is_used()
        # Looked at before, so that no entry of ours makes a log look whole that was not, and told;
        # but whoever changes it must not keep by that what is over.
        log = await archive.log()
        await self._look_at(archive, log)
        await self._note_terms(archive, log)
        today = day_of(self._node.clock.proven_ms(self._node.runtime.now_ms()))
        purged = await archive.purge(self.plan.terms, today, self.scribe())
        await self._remember(archive, purged.head)
        self._node.metrics.count("archive_days_destroyed", len(purged.days))
        self._node.metrics.count("archive_rows_purged", purged.rows)
        self.standing.purged_ms = self._node.runtime.now_ms()
        self.standing.works(Part.RETENTION)
        return purged

    async def _note_terms(self, archive: Archive, log: list[Signed]) -> None:
        """Write the terms into the purge log where they are others than those of the last entry."""
        details = tuple((str(name), str(days)) for name, days in self.plan.terms.items())
        before = newest(log, Action.TERMS)
        if before is None or before.details != details:
            await self._remember(archive, await archive.note(self.scribe(), Action.TERMS, details))

    async def _look_at(self, archive: Archive, log: list[Signed]) -> None:
        """Note whether the purge log is whole."""
        try:
            await self._verified(archive, log)
        except ArchiveTamperedError as error:
            if not self.standing.has(Part.LOG):
                self._node.metrics.count("purge_logs_refused")
            self.standing.fails(Part.LOG, error)

    async def note(self, action: Action, details: tuple[tuple[str, str], ...]) -> Head:
        """Write an entry into the purge log. Raises: ArchiveError, LockedError."""
        archive = await self.archive()
        await self._look_at(archive, await archive.log())
        head = await archive.note(self.scribe(), action, details)
        await self._remember(archive, head)
        return head

    async def entries(self) -> tuple[list[Entry], Head]:
        """Return the purge log once it is whole.

        Raises: ArchiveTamperedError where it was changed or cut off, ArchiveError, LockedError.
        """
        archive = await self.archive()
        return await self._verified(archive, await archive.log())

    async def _verified(self, archive: Archive, log: list[Signed]) -> tuple[list[Entry], Head]:
        known = self._head.read(self._vault)
        check, is_known = by_rosters(self._node.membership.directory), self.is_named
        verified = partial(verify, log, check, () if known is None else (known,), is_known)
        entries, head = await self._node.runtime.run_blocking(verified)
        await self._remember(archive, head)
        self.standing.works(Part.LOG)
        return entries, head

    def is_named(self, gateway: NodeId) -> bool:
        """True for a device that a roster here names."""
        return self._node.membership.directory.member(gateway) is not None

    async def _remember(self, archive: Archive, head: Head) -> None:
        """Keep a later head, unless the log lost or changed the one that is kept: that is proof."""
        known = self._head.read(self._vault)
        if known is None or await archive.has_entry(known):
            await self._node.runtime.run_blocking(self._head.write, self._vault, head)

    def scribe(self) -> Scribe:
        """Return who writes entries of the purge log here. Raises: LockedError."""
        sign = self._node.require_desk().sign
        return Scribe(self._node.identity.node, sign, self._node.runtime.now_ms)

    # --- the key ----------------------------------------------------------------------------

    def found(self) -> None:
        """Make the key of a new archive where there is none. Raises: ArchiveKeyError, LockedError.

        Only the centre keeps an archive: a gateway, or an operator's computer.
        """
        self.require_centre()
        self._node.require_desk()
        if not self._master.exists():
            self._master.create(self._vault, self._node.runtime.entropy)
        self._node.store.spool_bytes_max = self.plan.spool_bytes_max

    def require_centre(self) -> None:
        """Raises: ArchiveError unless this device is of the centre."""
        member = self._node.membership.directory.member(self._node.identity.node)
        if member is None or member.role not in (Role.GATEWAY, Role.OPERATOR):
            raise ArchiveError(
                "an archive is kept by a gateway or an operator: this device's badge says neither"
            )

    @property
    def _vault(self) -> Vault:
        vault = self._node.store.vault
        if vault is None:
            raise ArchiveKeyError("this store has no keys at rest, so it keeps no archive")
        return vault

    @property
    def master(self) -> MasterFile:
        """The file of the key."""
        return self._master

    def master_key(self) -> bytes:
        """Return the key of the archive. Raises: ArchiveKeyError, LockedError."""
        return self._master.open(self._vault)

    async def keep_master(self, master: bytes) -> None:
        """Keep the key that another gateway gave; it takes the place of one that opens nothing.

        Raises: ArchiveKeyError where something was archived under the key that is here; OSError,
        ArchiveError.
        """
        if self._master.exists():
            await self._refuse_used(master)
        keep = partial(self._master.keep, self._vault, master, is_instead=True)
        await self._node.runtime.run_blocking(keep)
        self._node.store.spool_bytes_max = self.plan.spool_bytes_max
        self.anew.set()
        await self.aclose()

    async def _refuse_used(self, master: bytes) -> None:
        """Raises: ArchiveKeyError unless the key that is here is another and opens nothing."""
        try:
            is_used = await (await self.archive()).is_used()
        except ArchiveKeyError:
            is_used = False
        if is_used or hmac.compare_digest(master, self.master_key()):
            raise ArchiveKeyError("this gateway has the key of an archive already")
