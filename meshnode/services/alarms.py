"""Alarms: raises them, keeps their steps, says what they come to, and repeats what nobody takes.

Every step is a bundle of the class of SOS, sealed under the zone's weekly key, so that it leaves
before all else and whoever is nearest can read it. What steps come to is the business of
`protocol.alarms`. Source: wire-format 4.19, decision 26.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import trio

from meshnode import shifts
from meshnode.author import Author, Draft
from meshnode.errors import QuotaError, SendError
from meshnode.events import AlarmChanged
from meshnode.links.level import Level
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.reception import Checked
from meshnode.relay import Relay
from meshnode.runtime import Runtime
from meshnode.services.nearness import Near, distance_m, nearest
from meshnode.services.standing import no_right, standing_of
from meshnode.store import alarms as kept
from meshnode.store import messages, network_keys, positions
from meshnode.store.alarms import AlarmName, StepRecord
from meshnode.store.engine import Connection, Store, Transaction
from meshnode.store.keyring import KeyPurpose
from meshnode.store.positions import PositionRecord
from meshnode.store.quotas import tally_of
from meshnode.store.records import MessageState
from protocol import hlc, payloads
from protocol.alarms import (
    BASES,
    STEPS,
    Alarm,
    Outcome,
    Standing,
    Step,
    Told,
    aired_text,
    is_to_be_cut,
    repeat_due_ms,
    summed,
)
from protocol.brief import seal_sos
from protocol.bundle import Header, Scope, Suite
from protocol.envelope import seal_message, sos_message_key
from protocol.guards import (
    ALARM_LIST_MAX,
    ALARM_MOVED_M,
    ALARM_SEEN_MAX,
    ALARM_SPARE,
    QUOTA_HOUR_SOS,
)
from protocol.ids import BundleId
from protocol.limits import KINDS, TEXT_BYTES_MAX, Kind
from protocol.payloads import (
    SOS_NUMBER_MAX,
    SOS_ROUND_MAX,
    Position,
    Sos,
    SosPlace,
)
from protocol.quota import Group, hour_of

__all__ = ["AlarmView", "Alarms"]

_POSITIONS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class AlarmView:
    """What is known here of one alarm."""

    name: AlarmName
    """Whose alarm, and its 8 bytes."""
    alarm: Alarm
    """What its steps come to."""
    steps: tuple[Told, ...]
    """All that came, those that count for nothing as well, by time."""
    standing: Standing
    """What this device's agent is to it."""
    nearest: tuple[Near, ...] = field(repr=False)
    """Colleagues whose position is known here, the nearest first; empty without a place."""


class Alarms:
    """Raises alarms, answers them, and keeps what others say of them."""

    def __init__(
        self,
        author: Author,
        zone: int,
        store: Store,
        runtime: Runtime,
        membership: Membership,
        relay: Relay,
    ) -> None:
        self._author = author
        self._zone = zone
        self._store = store
        self._runtime = runtime
        self._membership = membership
        self._relay = relay
        self._metrics: Metrics = membership.metrics
        self.wake = Level()
        """Set when an alarm of this device was raised, or somebody answered one."""

    # --- raising: in the transaction of the outbox ------------------------------------------------

    def own_place(self, conn: Connection) -> SosPlace | None:
        """Return the newest position of our open shift; None where no shift is open."""
        now_ms, node = self._runtime.now_ms(), self._author.node
        for record in positions.of_author(conn, node, 1):
            shift = shifts.known_shift(conn, node, Scope.decode_untrusted(record.scope))
            if shift is not None and shift.is_open(now_ms) and shift.shift_id == record.shift_id:
                found = _position(record)
                return SosPlace(
                    found.taken_ms, found.latitude_e7, found.longitude_e7, found.accuracy_dm
                )
        return None

    def note_raised(self, tx: Transaction, name: BundleId, sos: Sos, expires_ms: int) -> None:
        """Keep an alarm of our own under the name of its message, sealed already or not."""
        now_ms = self._runtime.now_ms()
        kept.put(tx, self._record(name, sos, now_ms, expires_ms))

    def forget(self, tx: Transaction, name: BundleId) -> None:
        """An alarm was given up before it was sealed: nobody has heard of it."""
        kept.drop(tx, name)

    def seal_raised(self, tx: Transaction, draft: Draft, sos: Sos) -> Checked:
        """Make the bundle of an alarm that `note_raised` kept. Raises: SendError, QuotaError.

        Runs in the store's thread: after the commit the caller sets `wake`.
        """
        name = BundleId(self._author.node, tx.incarnation, draft.seq or 0)
        for record in kept.steps(tx.connection, sos.alarm):
            if record.name == name:
                sos = _sos(record)
        checked, record = self._make(tx, draft, sos)
        kept.restamp(tx, record)
        return checked

    def _make(self, tx: Transaction, draft: Draft, sos: Sos) -> tuple[Checked, StepRecord]:
        """Seal one step under the zone's key. Raises: SendError (`no_sos_key`), QuotaError."""
        revoked = self._membership.directory.revoked.keys()
        now_ms = self._runtime.now_ms()
        found = network_keys.chosen(tx.connection, KeyPurpose.ZONE_SOS, now_ms, revoked)
        if found is None:
            raise SendError(
                "no_sos_key",
                "this device may carry an SOS but has no key to raise it: raise it on the device"
                " of an agent",
            )
        key_id, zone_key = found

        def body(header: Header) -> bytes:
            key = sos_message_key(zone_key, header.id)
            return seal_message(key, header.encode(), seal_sos(sos, header))

        checked = self._author.make(tx, replace(draft, suite=Suite.ZONE, keyref=key_id), body)
        assert checked.bundle is not None, "it was made a line above"
        header = checked.bundle.header
        stamp_ms, expires_ms = hlc.wall_ms(header.hlc), header.expires_ms
        return checked, self._record(header.id, sos, stamp_ms, expires_ms)

    def _record(self, name: BundleId, sos: Sos, at_ms: int, expires_ms: int) -> StepRecord:
        return StepRecord(
            alarm=sos.alarm,
            name=name,
            scope=sos.scope,
            at_ms=at_ms,
            expires_ms=expires_ms,
            received_ms=self._runtime.now_ms(),
            body=payloads.encode(sos),
        )

    # --- answering --------------------------------------------------------------------------------

    async def act(
        self, name: AlarmName, step: Step, text: str = "", outcome: Outcome = Outcome.NONE
    ) -> bool:
        """Sign a step of an alarm; False if this agent took it in this round already.

        Raises: SendError (`unknown`, `closed`, `no_right`, `long`, `no_sos_key`), QuotaError,
        StoreFullError, StoreError.
        """
        _check_text(text)

        def write(tx: Transaction) -> list[Checked]:
            view = self._view(tx.connection, name)
            if view.alarm.raised is None:
                raise _unknown()
            if view.alarm.state is Step.CLOSED:
                raise SendError("closed", "this alarm is closed: only its agent can raise it anew")
            if view.standing not in STEPS[step]:
                raise no_right(step, view.standing)
            if self._has_taken(view.alarm, step):
                return []
            return [self._step(tx, view, step, text, outcome)]

        return await self._publish(name, step, await self._store.write(write))

    async def show(self, name: AlarmName) -> bool:
        """A person was shown an alarm: sign that it was seen, where that says something new.

        Mates and operators always sign; others while few have. Never at the cost of what people
        may need to say in this hour. Raises: StoreFullError, StoreError.
        """

        def write(tx: Transaction) -> list[Checked]:
            view = self._view(tx.connection, name)
            if not self._signs_seen(tx.connection, view):
                return []
            try:
                return [self._step(tx, view, Step.SEEN, "", Outcome.NONE)]
            except (SendError, QuotaError) as error:
                # What a screen does by itself must not fail for it; a person can still say so.
                self._runtime.trace("seen_not_signed", reason=type(error).__name__)
                return []

        return await self._publish(name, Step.SEEN, await self._store.write(write))

    def _signs_seen(self, conn: Connection, view: AlarmView) -> bool:
        alarm, directory = view.alarm, self._membership.directory
        if alarm.raised is None or alarm.state is Step.CLOSED:
            return False
        if view.standing not in STEPS[Step.SEEN] or self._has_taken(alarm, Step.SEEN):
            return False
        if not self._has_spare(conn):
            return False
        own, raiser = directory.member(self._author.node), directory.member(view.name[0])
        is_mate = own and raiser and not set(own.squads).isdisjoint(raiser.squads)
        is_near = bool(is_mate) or view.standing is Standing.OPERATOR
        return is_near or len(alarm.seen) < ALARM_SEEN_MAX

    def _has_spare(self, conn: Connection) -> bool:
        """True while enough of this hour's SOS is left to people."""
        hour = hour_of(hlc.pack(self._runtime.now_ms(), 0))
        made = tally_of(conn, self._author.node, hour).counts[Group.SOS]
        return made < QUOTA_HOUR_SOS - ALARM_SPARE

    def _has_taken(self, alarm: Alarm, step: Step) -> bool:
        found = {
            Step.SEEN: alarm.seen,
            Step.TAKEN: alarm.taken,
            Step.ON_SCENE: alarm.on_scene,
            Step.CLOSED: alarm.closings,
        }
        return any(each.name.author == self._author.node for each in found[step])

    def _step(
        self, tx: Transaction, view: AlarmView, step: Step, text: str, outcome: Outcome
    ) -> Checked:
        raiser, alarm_id = view.name
        is_closing = step is Step.CLOSED
        sos = Sos(
            self._author.node,
            Scope.for_zone(self._zone).encode(),
            text,
            alarm_id,
            int(step),
            raiser=raiser,
            round=view.alarm.round,
            basis=int(BASES[view.standing]) if is_closing else 0,
            outcome=int(outcome or Outcome.OVER) if is_closing else 0,
        )
        return self._put(tx, sos)

    def _put(self, tx: Transaction, sos: Sos) -> Checked:
        checked, record = self._make(tx, _draft(self._zone), sos)
        kept.put(tx, record)
        return checked

    async def raise_anew(self, name: AlarmName, text: str = "") -> bool:
        """Raise a closed alarm of our own anew; False if it is open.

        Raises: SendError (`unknown`, `no_right`, `rounds`, `long`), QuotaError, StoreError.
        """
        _check_text(text)

        def write(tx: Transaction) -> list[Checked]:
            view = self._view(tx.connection, name)
            raised = view.alarm.raised
            if raised is None:
                raise _unknown()
            if view.standing is not Standing.RAISER:
                raise SendError("no_right", "only the agent who raised an alarm raises it anew")
            if view.alarm.state is not Step.CLOSED:
                return []
            if view.alarm.round == SOS_ROUND_MAX:
                raise SendError("rounds", "this alarm was raised too often: raise a new one")
            return [self._raise_again(tx, raised.sos, text, view.alarm.round + 1, 0)]

        return await self._publish(name, Step.RAISED, await self._store.write(write))

    def _raise_again(
        self, tx: Transaction, sos: Sos, text: str, round_: int, number: int
    ) -> Checked:
        scope = Scope.for_zone(self._zone).encode()
        place = sos.place and (self.own_place(tx.connection) or sos.place)
        words = text or sos.text
        again = replace(sos, scope=scope, text=words, round=round_, number=number, place=place)
        return self._put(tx, again)

    async def _publish(self, name: AlarmName, step: Step, made: Sequence[Checked]) -> bool:
        if not made:
            return False
        self._metrics.count("alarm_steps_made")
        await self._relay.announce(made, None)
        who = self._author.node
        self._membership.events.publish(AlarmChanged(*name, int(step), who, is_new=False))
        self.wake.set()
        return True

    # --- what others say --------------------------------------------------------------------------

    def keep(self, tx: Transaction, header: Header, sos: Sos) -> AlarmChanged | None:
        """Keep a step of another device; return what to tell after the commit, None for nothing."""
        _steps, before = self._summed(tx.connection, sos.alarm)
        stamp_ms = hlc.wall_ms(header.hlc)
        if not kept.put(tx, self._record(header.id, sos, stamp_ms, header.expires_ms)):
            return None
        _steps, after = self._summed(tx.connection, sos.alarm)
        self._metrics.count("alarm_steps_kept")
        if after.ignored > before.ignored and after.round == before.round:
            self._metrics.count("alarm_steps_ignored")
        was_known = before.raised is not None and before.round == after.round
        is_new = after.raised is not None and not was_known
        if replace(after, ignored=before.ignored) == before or after.raised is None:
            return None
        return AlarmChanged(*sos.alarm, sos.step, header.author, is_new=is_new)

    # --- reading ----------------------------------------------------------------------------------

    async def list_alarms(self) -> list[AlarmView]:
        """Return the alarms whose raising is known here, the latest touched first.

        Raises: LockedError, StoreError.
        """

        def read(conn: Connection) -> list[AlarmView]:
            found = [self._view(conn, name) for name in kept.names(conn, ALARM_LIST_MAX)]
            return [each for each in found if each.alarm.raised is not None]

        return await self._store.read(read)

    async def view(self, name: AlarmName) -> AlarmView:
        """Return what is known here of one alarm. Raises: LockedError, StoreError."""
        return await self._store.read(lambda conn: self._view(conn, name))

    def _summed(self, conn: Connection, name: AlarmName) -> tuple[list[Told], Alarm]:
        directory, zone = self._membership.directory, self._zone
        told = [Told(each.name, each.at_ms, _sos(each)) for each in kept.steps(conn, name)]

        def standing(each: Told) -> Standing:
            return standing_of(directory, zone, name[0], each.name)

        return told, summed(told, standing)

    def _view(self, conn: Connection, name: AlarmName) -> AlarmView:
        directory, zone = self._membership.directory, self._zone
        told, alarm = self._summed(conn, name)
        ours = BundleId(self._author.node, 0, 0)
        own = Standing.RAISER if name[0] == ours.author else Standing.NONE
        if own is Standing.NONE and self._author.node not in directory.revoked:
            own = standing_of(directory, zone, name[0], ours)
        told.sort(key=lambda each: (each.at_ms, str(each.name)))
        return AlarmView(name, alarm, tuple(told), own, self._near(conn, alarm))

    def _near(self, conn: Connection, alarm: Alarm) -> tuple[Near, ...]:
        if alarm.raised is None or alarm.raised.sos.place is None:
            return ()
        raiser, now_ms = alarm.raised.name.author, self._runtime.now_ms()
        found = [_position(each) for each in positions.positions(conn, now_ms, _POSITIONS_MAX)]
        others = [each for each in found if each.author != raiser]
        return tuple(nearest(alarm.raised.sos.place, others))

    # --- repeating --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Repeat alarms of our own that nobody takes, until cancelled. Raises: StoreError."""
        while True:
            wait_ms = await self.repeat_due()
            with trio.move_on_after(float("inf") if wait_ms is None else wait_ms / 1000):
                await self.wake.wait()

    async def repeat_due(self) -> int | None:
        """Repeat what is due; return how long until something may be, None for never.

        A bundle that one peer has taken goes on by itself: saying the same again brings nothing.
        So a repeat is made only where it says a new place, or its end is nearer than half its
        life, or where its text is too long for the air: then its beginning goes at once.
        Raises: StoreError.
        """
        if not await self._store.read(lambda conn: kept.live_of(conn, self._author.node, 0)):
            return None
        made, wait_ms = await self._store.write(self._repeat)
        if made:
            self._metrics.count("alarms_repeated", len(made))
            await self._relay.announce(made, None)
        return wait_ms

    def _repeat(self, tx: Transaction) -> tuple[list[Checked], int | None]:
        made, waits, now_ms = list[Checked](), list[int](), self._runtime.now_ms()
        for name in kept.live_of(tx.connection, self._author.node, now_ms):
            view = self._view(tx.connection, name)
            raised, first = view.alarm.raised, view.alarm.first
            if raised is None or first is None or not self._is_in_need(tx.connection, view):
                continue
            due_ms = repeat_due_ms(first.at_ms, raised.at_ms)
            is_due = now_ms >= due_ms or is_to_be_cut(raised.sos)
            if is_due and self._brings_something(tx.connection, raised, now_ms):
                made += self._repeat_one(tx, raised)
            waits.append(repeat_due_ms(first.at_ms, max(now_ms, raised.at_ms)) - now_ms)
        return made, min(waits) if waits else None

    def _is_in_need(self, conn: Connection, view: AlarmView) -> bool:
        """True for an alarm that has left and that nobody took."""
        raised = view.alarm.raised
        if view.alarm.state >= Step.TAKEN or raised is None:
            return False
        message = messages.find(conn, raised.name)
        return message is None or message.state is not MessageState.WAITING

    def _brings_something(self, conn: Connection, raised: Told, now_ms: int) -> bool:
        if raised.sos.number == SOS_NUMBER_MAX or not self._has_spare(conn):
            return False
        steps = kept.steps(conn, raised.sos.alarm)
        record = next(each for each in steps if each.name == raised.name)
        is_half_over = now_ms - record.at_ms >= (record.expires_ms - record.at_ms) // 2
        if is_half_over or is_to_be_cut(raised.sos):
            return True
        told, here = raised.sos.place, self.own_place(conn)
        return told is not None and here is not None and distance_m(told, here) >= ALARM_MOVED_M

    def _repeat_one(self, tx: Transaction, raised: Told) -> list[Checked]:
        sos = raised.sos
        try:
            words, number = aired_text(sos.text), sos.number + 1
            return [self._raise_again(tx, sos, words, sos.round, number)]
        except (SendError, QuotaError) as error:
            self._runtime.trace("alarm_not_repeated", reason=type(error).__name__)
            return []


def _draft(zone: int) -> Draft:
    return Draft(Kind.SOS, Suite.ZONE, Scope.for_zone(zone), lifetime_s=KINDS[Kind.SOS].lifetime_s)


def _sos(record: StepRecord) -> Sos:
    found = payloads.decode_untrusted(record.body, record.name.author, record.scope)
    assert isinstance(found, Sos), "nothing else is kept there"
    return found


def _position(record: PositionRecord) -> Position:
    found = payloads.decode_untrusted(record.body, record.author, record.scope)
    assert isinstance(found, Position), "nothing else is kept there"
    return found


def _check_text(text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > TEXT_BYTES_MAX or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise SendError("long", f"a message is text of at most {TEXT_BYTES_MAX} bytes")


def _unknown() -> SendError:
    return SendError("unknown", "no such alarm is known on this device: see 'meshnode alarms'")
