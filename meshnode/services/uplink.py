"""The way to the gateway: one device of the squad has it for all, and an SOS asks nobody.

The claims of mates are bundles in clear, read from the store, so that a locked device follows too;
only an unlocked one can claim. Whom a session reaches, and for how long it has been silent, tells
who is in reach. What is decided is the business of `protocol.uplinks`. Source: wire-format 4.20,
decision 36.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import trio

from meshnode import shifts
from meshnode.author import Author, Draft
from meshnode.budgets import Budgets
from meshnode.errors import LockedError, StoreError
from meshnode.events import BundlesStored, DocumentsChanged, LockChanged, PeerDown, PeerUp
from meshnode.links.level import Level
from meshnode.links.manager import LinkManager
from meshnode.membership import Membership
from meshnode.reception import Checked
from meshnode.relay import Relay
from meshnode.runtime import Runtime
from meshnode.sensors.hub import SensorHub
from meshnode.sensors.readings import CoverageBearer, SensorKind
from meshnode.store import bundles as rows
from meshnode.store.engine import Connection, Store, Transaction
from protocol import bundle as bundles
from protocol.bundle import Bundle, Header, Scope, Suite
from protocol.errors import CloseCode, RemoteProtocolError
from protocol.identity import Role
from protocol.ids import NodeId, ShortId
from protocol.limits import Kind, TrafficClass
from protocol.uplinks import (
    CLAIM_LIFETIME_S,
    CLAIM_RENEW_MS,
    MARGIN,
    Choice,
    Claim,
    Cost,
    Fitness,
    choose,
    decode_claim_untrusted,
    encode_claim,
    score,
)

__all__ = ["Uplink", "UplinkParts"]

SILENT_S: Final = 23.0
"""A session that heard nothing for so long has missed the answer to a ping; see SESSION_PING_MS."""
FAILED_S: Final = 30.0
"""Whoever holds the office and reaches no gateway for so long lets others try."""
PARDON_S: Final = 120.0
"""After this it may hold the office again."""
_SETTLE_S: Final = 0.25
"""What happens in a row is looked at together."""
_CLAIM_S: Final = 2.0
"""Claims of one device are so far apart, at least."""
_CLOSE_S: Final = 10.0
"""A session with a gateway that a mate has for us ends when it is quiet, or after this."""
_GENERATIONS: Final = {
    CoverageBearer.NONE: 0,
    CoverageBearer.TWO_G: 2,
    CoverageBearer.THREE_G: 3,
    CoverageBearer.FOUR_G: 4,
    CoverageBearer.FIVE_G: 5,
    CoverageBearer.LAN: 6,
}
_CREW: Final = (Role.AGENT, Role.LEADER)
_IN_SQUAD: Final = (*_CREW, Role.RELAY)


@dataclass(frozen=True, slots=True)
class UplinkParts:
    """What the room works on."""

    node: NodeId
    """Ourselves."""
    store: Store
    """Where claims and alarms are carried."""
    runtime: Runtime
    """The seams."""
    membership: Membership
    """Who is of which squad, and who is a gateway."""
    relay: Relay
    """Has the live sessions, and carries our claims."""
    sensors: SensorHub
    """Battery and coverage."""
    budgets: Callable[[], Budgets]
    """Told whether an SOS waits for a gateway."""
    manager: Callable[[], LinkManager]
    """Dials."""
    author: Callable[[], Author | None]
    """Signs claims; None while the device is locked."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one look at the store found."""

    scope: Scope | None
    claims: Mapping[NodeId, Claim]
    seqs: Mapping[NodeId, int]
    own: tuple[Claim, int] | None
    alarms: frozenset[ShortId] = field(default=frozenset())


class Uplink:
    """Decides whether this device speaks to gateways now."""

    def __init__(self, parts: UplinkParts) -> None:
        self._parts = parts
        self.choice = Choice()
        """Through whom this device sends."""
        self.points = 0
        """How fit it is itself."""
        self.fitness = Fitness(None, False, None, Cost.FREE, False, False)
        """What that is made of."""
        self.claims: Mapping[NodeId, Claim] = {}
        """What mates told that is not void."""
        self.is_sos_pressing = False
        """True while an SOS is held here that no gateway has got from us yet."""
        self.wake = Level()
        self._handed: frozenset[ShortId] = frozenset()
        self._alarms: frozenset[ShortId] = frozenset()
        self._cost = Cost.FREE
        self._unreached_s: float | None = None
        self._pardon_s = 0.0
        self._told: tuple[Claim, float] | None = None
        self._leave_s: float | None = None
        self._is_resumed = False
        self._has_mates = False
        self._outdated: dict[NodeId, int] = {}

    # --- what others ask ------------------------------------------------------------------------

    def holds_back(self, node: NodeId) -> bool:
        """Tell whether this peer is a gateway that a mate speaks to for us."""
        is_free = self.is_sos_pressing or self.choice.is_alone
        if is_free or self.choice.uplink == self._parts.node:
            return False
        return self._is_gateway(node)

    def has_reached(self) -> bool | None:
        """Tell whether data flows to a gateway: False after tries in vain, None untried."""
        if self.fitness.is_connected:
            return True
        return False if self.fitness.has_failed else None

    def _is_gateway(self, node: NodeId) -> bool:
        entry = self._parts.membership.directory.trusted(node)
        return entry is not None and entry.role is Role.GATEWAY

    def near(self) -> dict[NodeId, float]:
        """Return with whom a session lives, and until when that holds unheard, trio seconds."""
        now_s = trio.current_time()
        return {
            peer: now_s + SILENT_S - handle.silent_s
            for peer, handle in self._parts.relay.sessions.items()
            if not handle.is_over and handle.silent_s < SILENT_S
        }

    # --- life -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Decide anew whenever something changes, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_events)
            nursery.start_soon(self._watch_coverage)
            while True:
                try:
                    at_s = await self.look()
                except StoreError as error:
                    self._parts.runtime.trace("uplink_unknown", reason=type(error).__name__)
                    at_s = trio.current_time() + FAILED_S
                with trio.move_on_at(at_s):
                    await self.wake.wait()
                await trio.sleep(_SETTLE_S)

    async def _watch_events(self) -> None:
        changes = (BundlesStored, PeerUp, PeerDown, LockChanged, DocumentsChanged)
        with self._parts.membership.events.subscribe() as events:
            while True:
                if isinstance(await events.next(), changes):
                    self.wake.set()

    async def _watch_coverage(self) -> None:
        """Coverage that comes back is worth a try at once, whatever the back-off says."""
        seen, before = 0, 0
        while True:
            seen = await self._parts.sensors.wait(SensorKind.COVERAGE, seen)
            now = self._generation() or 0
            if now and now != before:
                self._parts.manager().look_again()
            before = now
            self.wake.set()

    async def look(self) -> float:
        """Decide now; return when to look again at the latest, trio seconds. Raises: StoreError."""
        parts, now_ms, now_s = self._parts, self._parts.runtime.now_ms(), trio.current_time()
        seen = await parts.store.read(lambda conn: self._seen(conn, now_ms))
        near = self.near()
        gateways = [peer for peer in near if self._is_gateway(peer)]
        self._press(seen.alarms, gateways)
        self._judge(is_connected=bool(gateways), now_s=now_s)
        before = self.choice
        if not self._is_resumed and seen.own is not None and seen.own[0].uplink == parts.node:
            # After a restart the office is ours as long as we said so.
            before = Choice(parts.node, 0, seen.own[0].since_ms, is_alone=False)
        self._is_resumed = True
        is_holder = seen.own is not None and seen.own[0].uplink == parts.node
        may_hold = parts.author() is not None or is_holder
        self.points = score(self.fitness) if may_hold and seen.scope is not None else 0
        self.claims = self._without_outdated(seen, near, before)
        if seen.scope is None:
            self.choice, look_ms, self._has_mates = Choice(), 0, False
        else:
            mates = near.keys() & self._mates(seen.scope)
            self._has_mates = bool(mates)
            self.choice, look_ms = choose(
                parts.node, self.points, self.claims, mates, before, now_ms
            )
            if mates:
                await self._tell(seen, now_s)
        self._follow(before)
        return self._next_s(near, look_ms - now_ms if look_ms else None)

    def _seen(self, conn: Connection, now_ms: int) -> _Seen:
        scope = self._scope(conn, now_ms)
        alarms = frozenset(
            short
            for interest, sketch in self._parts.store.sketches.items()
            if interest.traffic_class is TrafficClass.SOS and sketch.n
            for short in rows.ids(conn, interest)
        )
        claims: dict[NodeId, Claim] = {}
        seqs: dict[NodeId, int] = {}
        own = None
        for raw in rows.raws_of_kind(conn, Kind.UPLINK) if scope is not None else ():
            bundle = bundles.decode_untrusted(raw)
            header = bundle.header
            is_void = header.expires_ms <= now_ms or header.lifetime_s > CLAIM_LIFETIME_S
            if is_void or header.scope != scope:
                continue
            claim = _claim(bundle)
            if claim is None:
                continue
            if header.author == self._parts.node:
                own = claim, header.expires_ms
            elif self._counts(header):
                claims[header.author], seqs[header.author] = claim, header.seq
        return _Seen(scope, claims, seqs, own, alarms)

    def _without_outdated(
        self, seen: _Seen, near: Mapping[NodeId, float], before: Choice
    ) -> Mapping[NodeId, Claim]:
        """Return the claims, but none that an uplink is there which we have just lost.

        Its other mates have lost it as well and not told yet: without this they would show it to
        one another for some rounds.
        """
        if before.hops == 1 and before.uplink not in near:
            lost = before.uplink
            for node, claim in seen.claims.items():
                if claim.uplink == lost != node:
                    self._outdated[node] = seen.seqs[node]
        self._outdated = {
            node: seq for node, seq in self._outdated.items() if seen.seqs.get(node) == seq
        }
        return {
            node: Claim(b"", 0, 0, claim.score) if node in self._outdated else claim
            for node, claim in seen.claims.items()
        }

    def _counts(self, header: Header) -> bool:
        directory = self._parts.membership.directory
        is_astray = directory.is_astray(header.author, header.incarnation, header.seq)
        return not is_astray and header.author in self._mates(header.scope)

    def _scope(self, conn: Connection, now_ms: int) -> Scope | None:
        """Return the squad that we are on duty with; off duty a device tells nothing."""
        own = self._parts.membership.directory.trusted(self._parts.node)
        if own is None or own.role not in _IN_SQUAD:
            return None
        for squad in own.squads:
            scope = Scope.for_squad(own.zone, squad)
            if own.role is Role.RELAY:
                return scope
            shift = shifts.known_shift(conn, own.node, scope)
            if shift is not None and shift.is_open(now_ms):
                return scope
        return None

    def _mates(self, scope: Scope) -> set[NodeId]:
        directory = self._parts.membership.directory
        return {
            entry.node
            for entry in directory.members()
            if entry.role in _IN_SQUAD
            and entry.node != self._parts.node
            and entry.node not in directory.revoked
            and scope in (Scope.for_squad(entry.zone, squad) for squad in entry.squads)
        }

    # --- what we are worth ----------------------------------------------------------------------

    def _press(self, alarms: frozenset[ShortId], gateways: list[NodeId]) -> None:
        """Note which alarms a gateway has by now: all, once a session with it has nothing left."""
        for peer in gateways:
            handle = self._parts.relay.sessions.get(peer)
            if handle is not None and handle.stats.rounds and handle.is_quiet:
                # What came since the last look may not have been offered yet.
                self._handed |= self._alarms
        self._alarms = alarms
        self._handed &= alarms
        was_pressing, self.is_sos_pressing = self.is_sos_pressing, bool(alarms - self._handed)
        if self.is_sos_pressing and not was_pressing:
            # Also where a gateway did not answer a while ago: the next try is now.
            self._parts.manager().look_again()
        self._parts.budgets().press(is_pressing=self.is_sos_pressing)

    def _generation(self) -> int | None:
        sensors = self._parts.sensors
        reading = sensors.coverage
        if reading is None or not sensors.is_fresh(SensorKind.COVERAGE):
            return None
        return _GENERATIONS[reading.bearer] if reading.is_registered else 0

    def _judge(self, *, is_connected: bool, now_s: float) -> None:
        for peer, handle in self._parts.relay.sessions.items():
            if self._is_gateway(peer):
                self._cost = Cost(int(handle.link.cost))
        holds = self.choice.uplink == self._parts.node and not self.choice.is_alone
        if is_connected:
            self._unreached_s, self._pardon_s = None, 0.0
        elif not holds:
            self._unreached_s = None
        elif self._unreached_s is None:
            self._unreached_s = now_s
        elif now_s - self._unreached_s >= FAILED_S:
            self._unreached_s, self._pardon_s = None, now_s + PARDON_S
        battery = self._parts.sensors.battery
        self.fitness = Fitness(
            charge_pct=None if battery is None else battery.level_pct,
            is_charging=battery is not None and battery.is_charging,
            generation=self._generation(),
            cost=self._cost,
            is_connected=is_connected,
            has_failed=now_s < self._pardon_s,
        )

    # --- what we tell ---------------------------------------------------------------------------

    async def _tell(self, seen: _Seen, now_s: float) -> None:
        """Tell the squad what we chose, where that is news or our claim grows old."""
        author = self._parts.author()
        uplink = self.choice.uplink
        claim = Claim(uplink, self.choice.hops, self.choice.since_ms if uplink else 0, self.points)
        if author is None or seen.scope is None or not self._is_due(claim, seen, now_s):
            return
        scope = seen.scope

        def write(tx: Transaction) -> Checked:
            draft = Draft(Kind.UPLINK, Suite.CLEAR, scope, lifetime_s=CLAIM_LIFETIME_S)
            return author.make(tx, draft, lambda _header: encode_claim(claim))

        try:
            made = await self._parts.store.write(write)
        except (StoreError, LockedError) as error:
            self._parts.runtime.trace("uplink_untold", reason=type(error).__name__)
            return
        self._told = claim, now_s
        self._parts.membership.metrics.count("uplink_claims_made")
        await self._parts.relay.announce([made], None)

    def _is_due(self, claim: Claim, seen: _Seen, now_s: float) -> bool:
        if self._told is not None and now_s - self._told[1] < _CLAIM_S:
            return False
        if seen.own is None:
            return True
        told, expires_ms = seen.own
        age_ms = self._parts.runtime.now_ms() - (expires_ms - CLAIM_LIFETIME_S * 1000)
        is_other = (claim.uplink, claim.hops, claim.since_ms) != (
            told.uplink,
            told.hops,
            told.since_ms,
        )
        is_rated_anew = abs(claim.score - told.score) >= MARGIN // 2
        is_able_anew = bool(claim.score) is not bool(told.score)
        return is_other or is_rated_anew or is_able_anew or age_ms >= CLAIM_RENEW_MS

    # --- what follows from it -------------------------------------------------------------------

    def _follow(self, before: Choice) -> None:
        """Dial, or part with gateways that a mate speaks to for us."""
        manager, now_s = self._parts.manager(), trio.current_time()
        if self.choice != before:
            self._parts.runtime.trace(
                "uplink",
                node=self.choice.uplink.hex(),
                hops=self.choice.hops,
                is_alone=self.choice.is_alone,
            )
        held = [each for each in manager.sessions if self.holds_back(each.peer)]
        if not held:
            self._leave_s = None
            manager.look_again_where_held()
            return
        if self._leave_s is None:
            self._leave_s = now_s + _CLOSE_S
        for handle in held:
            if handle.is_quiet or now_s >= self._leave_s:
                handle.close(CloseCode.NORMAL)

    def _next_s(self, near: Mapping[NodeId, float], look_ms: int | None) -> float:
        now_s = trio.current_time()
        # Without a mate in reach nobody waits for our claim, and what changes that is an event.
        times = [now_s + CLAIM_RENEW_MS / 1000] if self._has_mates else []
        if self._told is not None and self._told[1] + _CLAIM_S > now_s:
            times.append(self._told[1] + _CLAIM_S)
        if look_ms is not None:
            times.append(now_s + max(0, look_ms) / 1000)
        if self._leave_s is not None:
            times.append(now_s + 1)
        if self._unreached_s is not None:
            times.append(self._unreached_s + FAILED_S)
        if self._pardon_s > now_s:
            times.append(self._pardon_s)
        if self.is_sos_pressing:
            times.append(now_s + 1 if any(map(self._is_gateway, near)) else now_s + FAILED_S)
        uplink = self.choice.uplink
        if uplink in near:
            times.append(near[uplink])
        elif self.choice.hops > 1:
            vouching = [node for node, claim in self.claims.items() if claim.uplink == uplink]
            times += [near[node] for node in vouching if node in near]
        return max(now_s + 0.1, min(times, default=float("inf")))


def _claim(bundle: Bundle) -> Claim | None:
    """Return what a claim says, None where it is malformed or not its author's to say."""
    try:
        claim = decode_claim_untrusted(bundle.body)
    except RemoteProtocolError:
        return None
    return claim if claim.is_of(bundle.header.author) else None
