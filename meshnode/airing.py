"""Sends positions and alarms over radio without a session, and takes those of others.

What a radio within hearing needs no session for: an alarm is with everybody who listens a moment
after it was raised. What comes back is restored to the bundle that its author signed and goes the
way of every bundle, through the same checks; locked devices do this too. Source: wire-format 12.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

import trio

from meshnode.directory import Directory, DirectoryEntry
from meshnode.links.level import Level
from meshnode.membership import Membership
from meshnode.reception import Checked
from meshnode.relay import Relay
from meshnode.runtime import Runtime, steady_ms
from meshnode.store import bundles as rows
from meshnode.store.backgrounds import backgrounds
from meshnode.store.engine import Connection, Store
from meshnode.store.records import BundleSummary
from protocol import bundle as bundles
from protocol import hlc
from protocol.bundle import Bundle, Scope
from protocol.errors import AuthenticationError, RemoteProtocolError
from protocol.guards import ALARM_REPEAT_EVERY_MS
from protocol.ids import BundleId, ShortId
from protocol.limits import Kind
from protocol.narrow.bounds import AIRED_MS_MAX, BACKGROUNDS_MAX
from protocol.narrow.form import (
    AUTHOR_BYTES,
    Form,
    Short,
    Whole,
    decode_form_untrusted,
    encode_short,
    encode_whole,
    restored,
)
from protocol.narrow.plan import AirPlan, Turn
from protocol.reports import Reception

__all__ = ["Airing", "Radio"]

_CHANCE_BYTES: Final = 2


class Radio(Protocol):
    """What this room asks of the bearer over serial ports."""

    forms: trio.MemoryReceiveChannel[bytes]
    """Narrow forms that members sent."""

    @property
    def byte_ms(self) -> Mapping[str, float]:
        """Names of the ports, and how long a byte takes on each, milliseconds."""

    def air(self, port: str, form: bytes, *, is_alarm: bool) -> int:
        """Send a form; return the bytes of its frame, 0 where it was not sent."""

    async def pace_ms(self, port: str, frames: Sequence[int]) -> int:
        """Return how long positions wait after such frames, for the budget of a port."""

    def is_billed(self, port: str) -> bool:
        """Tell whether bytes on a port cost money."""


class Airing:
    """The voice and the ear of a node on the air."""

    def __init__(
        self,
        radio: Radio,
        relay: Relay,
        store: Store,
        runtime: Runtime,
        membership: Membership,
        untaken: Callable[[], Awaitable[Collection[BundleId]]],
    ) -> None:
        """`untaken` names the raisings of this device that nobody has taken, as far as is known."""
        self._radio = radio
        self._untaken = untaken
        self._relay = relay
        self._store = store
        self._runtime = runtime
        self._membership = membership
        self._metrics = membership.metrics
        self._plans = {port: AirPlan(byte_ms) for port, byte_ms in radio.byte_ms.items()}
        self._wakes = {port: Level() for port in self._plans}
        self._taking: bytes = b""
        """Digest of the bundle that was heard and is being stored."""

    async def run(self) -> None:
        """Send and listen until cancelled. Raises: StoreError."""
        self._relay.on_kept.append(self.heed)
        try:
            for short_id in await self._store.read(self._raised_lately):
                for plan in self._plans.values():
                    plan.add_alarm(short_id, steady_ms())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen)
                nursery.start_soon(self._repeat)
                for port in self._plans:
                    nursery.start_soon(self._send, port)
        finally:
            self._relay.on_kept.remove(self.heed)

    def _raised_lately(self, conn: Connection) -> list[ShortId]:
        """Return the alarms of this device that a stop, or no node at all, may have kept back."""
        since_ms = self._runtime.now_ms() - AIRED_MS_MAX
        own = self._own_alarms(conn)
        return [each.short_id for each in own if hlc.wall_ms(each.hlc) >= since_ms]

    @staticmethod
    def _own_alarms(conn: Connection) -> list[BundleSummary]:
        return [each for each in rows.by_kind(conn, Kind.SOS) if each.is_own]

    # --- sending ------------------------------------------------------------------------------

    def heed(self, kept: Sequence[Checked]) -> None:
        """Something was stored: plan to send what of it is for the air."""
        for each in kept:
            if each.bundle is None or each.short_id is None:
                continue
            is_late = hlc.wall_ms(each.bundle.header.hlc) < self._runtime.now_ms() - AIRED_MS_MAX
            if not is_late:
                self._add(each.bundle, each.short_id)
        for wake in self._wakes.values():
            wake.set()

    def _add(self, bundle: Bundle, short_id: ShortId) -> None:
        header, is_heard = bundle.header, bundle.digest == self._taking
        for plan in self._plans.values():
            if header.kind is Kind.SOS:
                chance = self._runtime.entropy(_CHANCE_BYTES) if is_heard else None
                plan.add_alarm(short_id, steady_ms(), chance)
            elif is_heard:
                continue
            elif header.kind is Kind.SHIFT:
                plan.add_shift(short_id, steady_ms())
            elif header.kind is Kind.POSITION:
                plan.add_position(short_id, header.author + header.scope.encode())

    async def _repeat(self) -> None:
        """Say again what nobody took, for whoever comes into hearing late; while it is free."""
        while True:
            await trio.sleep(ALARM_REPEAT_EVERY_MS / 1000)
            own = await self._store.read(self._own_alarms)
            names = await self._untaken() if own else ()
            for each in own:
                if BundleId(each.author, each.incarnation, each.seq) in names:
                    self._say_again(each.short_id)

    def _say_again(self, short_id: ShortId) -> None:
        for port, plan in self._plans.items():
            if not self._radio.is_billed(port):
                plan.add_again(short_id, steady_ms())
                self._wakes[port].set()

    async def _send(self, port: str) -> None:
        plan, wake = self._plans[port], self._wakes[port]
        while True:
            turn = plan.next(steady_ms())
            if turn is not None:
                await self._say(port, turn)
                continue
            due_ms = plan.next_deadline_ms()
            with trio.move_on_at(float("inf") if due_ms is None else due_ms / 1000):
                await wake.wait()

    async def _say(self, port: str, turn: Turn) -> None:
        plan, frames = self._plans[port], list[int]()
        found = await self._store.read(lambda conn: self._to_say(conn, turn))
        if not found:
            # Superseded, delivered or expired meanwhile.
            plan.drop(turn.short_id)
        for bundle in found:
            short, whole = encode_short(bundle), encode_whole(bundle)
            form = (whole or short) if turn.is_whole else (short or whole)
            if form is None:
                self._metrics.count("forms_too_long")
                continue
            frames.append(self._radio.air(port, form, is_alarm=turn.is_alarm))
        if turn.is_alarm and frames and not any(frames):
            plan.missed(turn.short_id, steady_ms())
        elif not turn.is_alarm:
            is_paced = bool(found) and found[-1].header.kind is Kind.POSITION
            pace_ms = await self._radio.pace_ms(port, frames) if is_paced else 0
            plan.sent(sum(frames), steady_ms(), pace_ms)

    def _to_say(self, conn: Connection, turn: Turn) -> list[Bundle]:
        """Return the bundle of a turn, where it goes whole after the shift that it is in."""
        held = rows.raw_many(conn, [turn.short_id])
        if not held:
            return []
        bundle = bundles.decode_untrusted(held[turn.short_id][0])
        header = bundle.header
        if header.expires_ms <= self._runtime.now_ms():
            return []
        if header.kind is not Kind.POSITION or not turn.is_whole:
            return [bundle]
        shifts = rows.by_slot(conn, Kind.SHIFT, header.scope.encode(), 0)
        raws = rows.raw_many(conn, [e.short_id for e in shifts if e.author == header.author])
        return [*(bundles.decode_untrusted(raw) for raw, _hops in raws.values()), bundle]

    # --- listening ----------------------------------------------------------------------------

    async def _listen(self) -> None:
        async for form in self._radio.forms:
            await self._take(form)

    async def _take(self, form: bytes) -> None:
        try:
            heard = decode_form_untrusted(form)
            if isinstance(heard, Whole):
                bundle: Bundle | None = bundles.decode_untrusted(heard.raw)
            else:
                bundle = await self._restored(heard)
        except RemoteProtocolError as error:
            # A member sealed it, so this is a defect or an attack from within.
            self._metrics.count("bundles_malformed")
            self._runtime.trace("form_refused", reason=type(error).__name__)
            return
        if bundle is None:
            self._metrics.count("forms_unknown")
            return
        self._metrics.count("forms_restored")
        self._taking = bundle.digest
        try:
            ((short_id, fate),) = await self._relay.receive(None, [(0, bundle.raw)])
        finally:
            self._taking = b""
        if fate is Reception.DUPLICATE and short_id is not None:
            for plan in self._plans.values():
                plan.heard(short_id)

    async def _restored(self, short: Short) -> Bundle | None:
        """Return the bundle of a short form, None where its background is not known here."""
        directory, now_ms = self._membership.directory, self._runtime.now_ms()
        return await self._store.read(lambda conn: _restored(conn, short, directory, now_ms))


def _restored(conn: Connection, short: Short, directory: Directory, now_ms: int) -> Bundle | None:
    tried = 0
    for member in directory.members():
        if not member.node.startswith(short.name[:AUTHOR_BYTES]):
            continue
        scopes = _scopes(short.form, member)
        for known in backgrounds(conn, short.form, member.node, scopes):
            if known.name(short.form) != short.name:
                continue
            bundle = bundles.decode_untrusted(restored(short, known, now_ms))
            try:
                bundles.verify(bundle, member.key)
            except AuthenticationError:
                tried += 1
                if tried == BACKGROUNDS_MAX:
                    return None
                continue
            return bundle
    return None


def _scopes(form: Form, member: DirectoryEntry) -> tuple[Scope, ...]:
    squads = tuple(Scope.for_squad(member.zone, each) for each in member.squads)
    if form is Form.POSITION:
        return squads
    return (Scope.for_zone(member.zone), Scope.for_codt(member.zone), *squads)
