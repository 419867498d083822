"""A gateway beside its node: opens the archive, feeds it, keeps to the terms, answers about it.

It needs the agent's keys: while the device is locked the spool waits. A fault of the archive ends
nothing else of the node. Source: decisions 54 and 55.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

import trio

from meshnode.errors import ArchiveError, ArchiveKeyError, KeystoreError
from meshnode.events import ArchiveGrew
from meshnode.gateway.archive.archive import Archive, Purged, open_archive
from meshnode.gateway.archive.purge_log import Action, Entry, Head, verify
from meshnode.gateway.archive.purging import Scribe
from meshnode.gateway.feeder import Feeder
from meshnode.gateway.master import HeadFile, MasterFile
from meshnode.gateway.signatures import by_rosters
from meshnode.home import Home
from meshnode.node import Node
from meshnode.retention import Terms
from meshnode.supervisor import keep_running
from meshnode.vault.kinds import day_of
from meshnode.vault.vault import Vault
from protocol.identity import Role
from protocol.ids import NodeId

__all__ = ["Gateway", "GatewayPlan"]

_LOOK_S: Final = 3_600.0
"""Between two looks at what is over."""


class GatewayPlan:
    """What the settings say of a gateway."""

    def __init__(self, url: str, spool_bytes_max: int, terms: Terms) -> None:
        self._url = url
        self.spool_bytes_max = spool_bytes_max
        self.terms = terms

    def __repr__(self) -> str:
        return "<GatewayPlan>"

    @property
    def url(self) -> str:
        """Where the archive lies; empty for SQLite in the home. It may hold a password."""
        return self._url


class Gateway:
    """The archive of a node, as the node's own process sees it."""

    def __init__(self, node: Node, home: Path, plan: GatewayPlan) -> None:
        self._node = node
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

    # --- life -------------------------------------------------------------------------------

    async def archive(self) -> Archive:
        """Return the open archive. Raises: ArchiveError, LockedError."""
        async with self._opening:
            if self._archive is None:
                if self._master.exists():
                    self._node.require_desk()
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
            self._feeder = Feeder(self._node.store, archive, self._node.runtime, self._node.metrics)
        return self._feeder

    async def run(self) -> None:
        """Feed, listen and purge until cancelled; waits while the device is locked.

        Raises: ArchiveError where the archive cannot be opened, StoreError.
        """
        with self._node.events.subscribe() as subscription:
            while self._node.desk is None:
                await subscription.next()
        feeder = await self.feeder()
        rooms = (("feeder", feeder.run), ("listening", self._listen), ("terms", self._keep_terms))
        async with trio.open_nursery() as nursery:
            for name, room in rooms:
                nursery.start_soon(keep_running, name, room, self._node.runtime, self._node.metrics)

    async def aclose(self) -> None:
        """Close the archive if it is open."""
        with trio.CancelScope(shield=True):
            await self._stack.aclose()
            self._archive = self._feeder = None

    @property
    def is_down(self) -> bool:
        """True while the archive does not answer; False as long as nobody asked it."""
        return self._feeder is not None and self._feeder.is_down

    @property
    def is_open(self) -> bool:
        """True once the archive was opened in this process."""
        return self._archive is not None

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

    async def _keep_terms(self) -> None:
        while True:
            # A clock that jumped destroys nothing until a signed time or a day of uptime agrees.
            if self._node.clock.may_destroy(self._node.runtime.now_ms()):
                try:
                    await self.purge()
                except (ArchiveError, KeystoreError) as error:
                    self._node.metrics.count("archive_failures")
                    self._node.runtime.trace("archive_failed", reason=type(error).__name__)
            await trio.sleep(_LOOK_S)

    # --- retention --------------------------------------------------------------------------

    async def purge(self) -> Purged:
        """Destroy what is over by the terms, noting first what other terms were set.

        Raises: ArchiveError, LockedError.
        """
        archive = await self.archive()
        await self._note_terms(archive)
        today = day_of(self._node.runtime.now_ms())
        purged = await archive.purge(self.plan.terms, today, self.scribe())
        await self._remember(purged.head)
        self._node.metrics.count("archive_days_destroyed", len(purged.days))
        self._node.metrics.count("archive_rows_purged", purged.rows)
        return purged

    async def _note_terms(self, archive: Archive) -> None:
        """Write the terms into the purge log where they are others than those of the last entry."""
        details = tuple((str(name), str(days)) for name, days in self.plan.terms.items())
        entries = (await self.entries())[0]
        before = [each.details for each in entries if each.action is Action.TERMS]
        if not before or before[-1] != details:
            await self._remember(await archive.note(self.scribe(), Action.TERMS, details))

    async def note(self, action: Action, details: tuple[tuple[str, str], ...]) -> Head:
        """Write an entry into the purge log. Raises: ArchiveError, LockedError."""
        archive = await self.archive()
        head = await archive.note(self.scribe(), action, details)
        await self._remember(head)
        return head

    async def entries(self) -> tuple[list[Entry], Head]:
        """Return the purge log once it is whole.

        Raises: ArchiveTamperedError where it was changed or cut off, ArchiveError, LockedError.
        """
        archive = await self.archive()
        known = self._head.read(self._vault)
        check = by_rosters(self._node.membership.directory)
        log = await archive.log()
        verified = partial(verify, log, check, () if known is None else (known,))
        entries, head = await self._node.runtime.run_blocking(verified)
        return entries, head

    async def _remember(self, head: Head) -> None:
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

    def keep_master(self, master: bytes) -> None:
        """Keep the key that another gateway gave. Raises: ArchiveKeyError, OSError."""
        self._master.keep(self._vault, master)
        self._node.store.spool_bytes_max = self.plan.spool_bytes_max
