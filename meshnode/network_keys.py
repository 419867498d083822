"""The weekly keys of the network: operators' nodes make them, everybody takes them from there.

An operator that finds no key of a week when its turn comes makes one and sends it to every squad
and to the centre in their own channels, and to devices that read no channel one by one. Removed
and revoked devices get nothing. A key remembers who gave it: what a revoked operator gave for a
week to come is made once more by another, and used by nobody who has both.
Source: security 2.1 and 2.6, wire-format 8.9.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, NoReturn

from meshnode.author import Author, Draft
from meshnode.chain_keeper import ChainKeeper
from meshnode.directory import DirectoryEntry
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.opening import Opened
from meshnode.reception import Checked
from meshnode.runtime import Runtime
from meshnode.store import bundles as rows
from meshnode.store import keyring, network_keys
from meshnode.store.engine import Connection, Store, Transaction
from protocol import payloads
from protocol.authority import Unit
from protocol.bundle import Bundle, Header, Scope, ScopeKind, Suite
from protocol.envelope import PrekeyRecord, Sealer, pad, seal_info, seal_message
from protocol.errors import RightsError
from protocol.guards import NETWORK_EPOCH_MS, NETWORK_KEYS_LEAD_MS, NETWORK_KEYS_RANK_MS
from protocol.identity import Role
from protocol.ids import NodeId
from protocol.limits import KINDS, PREKEY_LEFT_MS_MIN, Kind
from protocol.network_keys import KEY_BYTES, OLD_EPOCHS_MAX, KeyPurpose, WeeklyKey, epoch_at
from protocol.payloads import NetworkKeys

__all__ = ["KeyRenewal"]

_ALL: Final = tuple(OLD_EPOCHS_MAX)
_NATIONAL: Final = (KeyPurpose.KNOCK,)


class KeyRenewal:
    """Makes, sends and takes the weekly keys."""

    def __init__(
        self,
        author: Author,
        store: Store,
        runtime: Runtime,
        membership: Membership,
        keeper: ChainKeeper,
        sealer: Sealer,
        metrics: Metrics,
    ) -> None:
        self._author = author
        self._store = store
        self._runtime = runtime
        self._membership = membership
        self._keeper = keeper
        self._sealer = sealer
        self._metrics = metrics

    @property
    def _own(self) -> DirectoryEntry | None:
        return self._membership.directory.trusted(self._author.node)

    # --- making -------------------------------------------------------------------------------

    async def renew(self) -> list[Checked]:
        """Make the keys that are due, if this is an operator's node; the caller announces them.

        Raises: StoreFullError, StoreError.
        """
        own = self._own
        if own is None or own.role is not Role.OPERATOR:
            return []
        rank = self._rank(own)
        if not await self._store.read(lambda conn: self._due(conn, rank)):
            return []
        return await self._store.write(lambda tx: self._make(tx, own, rank))

    def _rank(self, own: DirectoryEntry) -> int:
        """Return our place among the operators of our zone: the first mostly makes the keys."""
        return sum(
            each.zone == own.zone and each.role is Role.OPERATOR and each.node < own.node
            for each in self._membership.directory.members()
        )

    def _due(self, conn: Connection, rank: int) -> list[int]:
        """Return the weeks for which it is our turn and no operator of our zone made keys.

        The key of a zone's SOS comes from that zone alone: where there is one, there was a maker.
        """
        now_ms = self._runtime.now_ms()
        now = epoch_at(now_ms)
        made = {each.epoch for each in self._counted(conn, KeyPurpose.ZONE_SOS)}
        lead_ms = NETWORK_KEYS_LEAD_MS - rank * NETWORK_KEYS_RANK_MS
        return [
            epoch
            for epoch in (now, now + 1)
            if epoch not in made and now_ms >= epoch * NETWORK_EPOCH_MS - lead_ms
        ]

    def _counted(self, conn: Connection, purpose: KeyPurpose) -> list[WeeklyKey]:
        """Return the keys of this week, and of later ones those that no revoked operator gave.

        The key of the running week stays, whoever gave it: an SOS that mates cannot open is worse
        than one that a thief can. There is time to replace those of the weeks to come.
        """
        now = epoch_at(self._runtime.now_ms())
        running = [each for each in network_keys.held(conn, purpose, now) if each.epoch == now]
        return [*running, *network_keys.held(conn, purpose, now + 1, self._revoked)]

    @property
    def _revoked(self) -> Collection[bytes]:
        return self._membership.directory.revoked.keys()

    def _make(self, tx: Transaction, own: DirectoryEntry, rank: int) -> list[Checked]:
        now_ms = self._runtime.now_ms()
        for epoch in self._due(tx.connection, rank):
            for purpose in _ALL:
                if any(each.epoch == epoch for each in self._counted(tx.connection, purpose)):
                    continue
                fresh = WeeklyKey(purpose, epoch, self._runtime.entropy(KEY_BYTES))
                network_keys.put(tx, fresh, now_ms, own.node, self._revoked)
                self._metrics.count("network_keys_made")
        return self._send_all(tx, own, is_abroad=True)

    # --- sending ------------------------------------------------------------------------------

    def _send_all(self, tx: Transaction, own: DirectoryEntry, *, is_abroad: bool) -> list[Checked]:
        """Send what is held of this week and the next to our zone, and abroad what is national."""
        made, directory = list[Checked](), self._membership.directory
        reached = {own.node}
        for roster in directory.rosters():
            is_centre = roster.unit is Unit.CENTRE
            if roster.zone != own.zone and not (is_centre and is_abroad):
                continue
            scope = Scope.for_codt(roster.zone)
            if not is_centre:
                scope = Scope.for_squad(roster.zone, roster.unit_id)
            readers = directory.recipients(scope, own.node)
            reached |= readers
            if readers:
                made += self._send(tx, scope, _ALL if roster.zone == own.zone else _NATIONAL)
        lone = [
            each
            for each in directory.members()
            if each.zone == own.zone and each.node not in reached
        ]
        return made + self._send_each(tx, lone)

    def _send(
        self, tx: Transaction, scope: Scope, purposes: Collection[KeyPurpose]
    ) -> list[Checked]:
        under = self._keeper.key_for(tx, scope)
        plaintext = self._plaintext(tx.connection, scope, purposes)

        def body(header: Header) -> bytes:
            return seal_message(under.key, header.encode(), plaintext)

        draft = Draft(Kind.NETWORK_KEYS, Suite.CHAIN, scope, under.chain_id, under.index)
        return [*under.made, self._author.make(tx, draft, body)]

    def _send_each(self, tx: Transaction, lone: Collection[DirectoryEntry]) -> list[Checked]:
        """Send to devices that read no channel, as far as their prekeys are known."""
        now_ms = self._runtime.now_ms()
        nodes = [each.node for each in lone]
        prekeys = keyring.peer_prekeys(tx.connection, nodes, now_ms + PREKEY_LEFT_MS_MIN)
        return [
            self._send_to(tx, each, prekeys[each.node]) for each in lone if each.node in prekeys
        ]

    def _send_to(self, tx: Transaction, to: DirectoryEntry, prekey: PrekeyRecord) -> Checked:
        purposes = _NATIONAL if to.role is Role.RELAY else _ALL
        scope = Scope.for_device(to.zone, to.node)
        plaintext = self._plaintext(tx.connection, scope, purposes)
        left_s = (prekey.ends_ms - self._runtime.now_ms()) // 1000
        lifetime_s = min(KINDS[Kind.NETWORK_KEYS].lifetime_s, left_s)

        def body(header: Header) -> bytes:
            return self._sealer.seal_hybrid(prekey.public, seal_info(header.encode()), plaintext)

        draft = Draft(
            Kind.NETWORK_KEYS, Suite.HYBRID, scope, prekey.prekey_id, lifetime_s=lifetime_s
        )
        return self._author.make(tx, draft, body)

    def _plaintext(self, conn: Connection, scope: Scope, purposes: Collection[KeyPurpose]) -> bytes:
        keys = [each for purpose in purposes for each in self._counted(conn, purpose)]
        payload = NetworkKeys(self._author.node, scope.encode(), tuple(keys))
        return pad(payloads.encode(payload))

    def give_to(self, tx: Transaction, node: NodeId) -> list[Checked]:
        """A prekey came: send the keys that we made to a device that read no channel with them.

        That we made them shows in what we sent to our own centre, which lives as long as they do.
        """
        own, to = self._own, self._membership.directory.trusted(node)
        if own is None or to is None or own.role is not Role.OPERATOR or to.zone != own.zone:
            return []
        if to.role is not Role.RELAY or self._sent(tx.connection, Scope.for_device(to.zone, node)):
            return []
        squads = [
            Scope.for_squad(own.zone, roster.unit_id)
            for roster in self._membership.directory.rosters()
            if roster.unit is Unit.SQUAD and roster.zone == own.zone
        ]
        told = (Scope.for_codt(own.zone), *squads)
        if not any(self._sent(tx.connection, scope) for scope in told):
            return []
        return self._send_each(tx, [to])

    def _sent(self, conn: Connection, scope: Scope) -> bool:
        found = rows.by_slot(conn, Kind.NETWORK_KEYS, scope.encode(), 0)
        return any(each.author == self._author.node for each in found)

    # --- taking -------------------------------------------------------------------------------

    def take(
        self, tx: Transaction, bundle: Bundle, open_message: Callable[[], Opened]
    ) -> tuple[Opened, list[Checked]]:
        """Keep the keys in a bundle; return what was opened and what is passed on.

        Raises: RightsError where its author is no operator; what `open_message` raises.
        """
        header, directory = bundle.header, self._membership.directory
        author = directory.member(header.author)
        if author is None or author.role is not Role.OPERATOR:
            self._refuse(header)
        opened = open_message()
        payload, own = opened.payload, self._own
        if not isinstance(payload, NetworkKeys) or own is None:
            self._refuse(header)
        taken = [each for each in payload.keys if self._put(tx, each, author, own)]
        self._metrics.count("network_keys_taken", len(taken))
        is_foreign = bool(taken) and author.zone != own.zone
        if is_foreign and own.role is Role.OPERATOR and header.scope.kind is ScopeKind.CODT:
            return opened, self._send_all(tx, own, is_abroad=False)
        return opened, []

    def _put(
        self, tx: Transaction, weekly: WeeklyKey, author: DirectoryEntry, own: DirectoryEntry
    ) -> bool:
        """Keep one key, of another zone only what is national, and at a relay nothing to read."""
        if weekly.purpose not in _NATIONAL and (author.zone != own.zone or own.role is Role.RELAY):
            self._metrics.count("network_keys_refused")
            return False
        now_ms = self._runtime.now_ms()
        return network_keys.put(tx, weekly, now_ms, author.node, self._revoked)

    def _refuse(self, header: Header) -> NoReturn:
        self._metrics.count("network_keys_refused")
        self._runtime.trace("network_keys_refused", bundle=str(header.id))
        raise RightsError("only an operator may send keys of the network")
