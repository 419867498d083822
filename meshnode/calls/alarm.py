"""The calls about alarms, in plain values; `Api` has them beside its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from meshnode.calls.base import Calls, Json
from meshnode.directory import UnknownNameError
from meshnode.errors import SendError
from meshnode.events import AlarmChanged
from meshnode.outbox import Priority, Sent, Writing
from meshnode.positions import Place, place_numbers
from meshnode.services.alarms import AlarmView
from meshnode.store import delivery, messages
from meshnode.store.alarms import AlarmName
from meshnode.store.records import MessageState
from protocol.alarms import STEPS, Outcome, Step, Told, aired_text
from protocol.bundle import Scope
from protocol.ids import NodeId, print_bundle_id
from protocol.payloads import SosPlace

__all__ = ["AlarmCalls", "way_of"]

_WAYS: Final = {
    MessageState.WAITING: "waiting",
    MessageState.QUEUED: "queued",
    MessageState.CARRIED: "left",
    MessageState.DELIVERED: "left",
}


class AlarmCalls(Calls):
    """What people may ask of alarms."""

    async def sos(self, text: str, *, to: str = "", at: str = "", tells_place: bool = True) -> Json:
        """Raise an alarm, which every screen of the zone shows.

        `to` says whose receipts its ledger waits for: empty is the centre, or the zone where
        there is none. `at` is `LATITUDE,LONGITUDE` in degrees, with `,METRES` of accuracy; empty
        takes the newest position of the open shift, unless `tells_place` is false.

        Raises: LockedError, SendError, UnknownNameError, StoreFullError, StoreError.
        """
        scope = self._alarmed(to)
        place = self._place(at) if at else None
        writing = Writing(scope, text, Priority.SOS, None, place, tells_place)
        sent = await self._node.outbox.send(writing)
        self._node.housekeeping.wake.set()
        self._node.require_desk().reporting.wake.set()
        found = await self._found(self._node.identity.node, sent.alarm_id)
        return self._told_raised(scope, sent, found)

    def _told_raised(self, scope: Scope, sent: Sent, view: AlarmView) -> Json:
        """Return what whoever raised an alarm is told of it.

        A device that knows of its own revocation counts its own steps for nothing, and the centre
        alone hears of them; whoever raised it is told of the alarm all the same.
        """
        alarm = view.alarm
        if alarm.raised is None:
            own = view.steps[-1]
            view = replace(view, alarm=replace(alarm, raised=own, first=own))
        told = self._alarm(view)
        return {
            **told,
            "message": print_bundle_id(sent.id),
            "key": sent.key,
            "to": self._describe(scope.encode()),
            "recipients": sent.recipients,
            "is_held_back": sent.is_held_back,
            "aired_text": aired_text(told["text"]),
        }

    def _alarmed(self, to: str) -> Scope:
        directory, own = self._node.membership.directory, self._node.identity
        if to:
            return directory.find(to, own.zone)
        centre = Scope.for_codt(own.zone)
        return centre if directory.recipients(centre, own.node) else Scope.for_zone(own.zone)

    def _place(self, at: str) -> SosPlace:
        parts = at.split(",")
        try:
            numbers = [float(part) for part in parts]
        except ValueError:
            numbers = []
        if len(numbers) not in (2, 3):
            raise SendError("place", "write a place as LATITUDE,LONGITUDE, such as 44.89,6.64")
        return SosPlace(self._node.runtime.now_ms(), *place_numbers(Place(*numbers)))

    async def alarms(self) -> list[Json]:
        """Return the alarms known here, the latest touched first.

        Raises: LockedError, StoreError.
        """
        return [self._alarm(each) for each in await self._node.alarms.list_alarms()]

    async def alarms_unread(self) -> int:
        """Return how many bundles about alarms came while the device was locked, and lie unread.

        Whether one is a new alarm or an answer to one shows only once it is opened.
        """
        return await self._node.store.read(delivery.alarms_unopened)

    async def alarms_pressing(self) -> int:
        """Return how many alarms of others nobody of this device has answered; unread ones count.

        Raises: StoreError.
        """
        unread = await self.alarms_unread()
        if self._node.desk is None:
            return unread
        own = self._node.identity.node
        views = await self._node.alarms.list_alarms()
        return unread + sum(_presses(each, own) for each in views)

    async def alarm(self, alarm: str) -> Json:
        """Return all that is known here of one alarm, its steps and who is nearest.

        `way` tells of one of our own how far it came: `waiting` for a key or the next hour,
        `queued` while nobody is known to have it, `left`; else it is empty.
        Raises: UnknownNameError, LockedError, StoreError.
        """
        view = await self._named(alarm)
        return {
            **self._alarm(view),
            "way": await self._way(view),
            "steps": [self._step(each) for each in view.steps],
            "nearest": [
                {
                    **self._who(near.node),
                    "distance_m": round(near.distance_m),
                    "taken_ms": near.taken_ms,
                    **self._place_age(near.taken_ms),
                }
                for near in view.nearest
            ],
        }

    async def alarm_seen(self, alarm: str, *, is_shown: bool = False) -> bool:
        """Sign that this agent saw it; False if that brings nothing.

        `is_shown` says that a screen showed it to somebody, who did not say so: then it is signed
        by mates, operators, and by others while few did. Raises: as `alarm_take`.
        """
        view = await self._named(alarm)
        if is_shown:
            return await self._node.alarms.show(view.name)
        return await self._node.alarms.act(view.name, Step.SEEN)

    async def alarm_take(self, alarm: str, text: str = "") -> bool:
        """Sign that this agent goes there; False if that was said.

        Raises: UnknownNameError, SendError, QuotaError, LockedError, StoreFullError, StoreError.
        """
        return await self._node.alarms.act((await self._named(alarm)).name, Step.TAKEN, text)

    async def alarm_on_scene(self, alarm: str, text: str = "") -> bool:
        """Sign that this agent is there; False if that was said. Raises: as `alarm_take`."""
        return await self._node.alarms.act((await self._named(alarm)).name, Step.ON_SCENE, text)

    async def alarm_close(self, alarm: str, text: str = "", *, is_false: bool = False) -> Json:
        """Close an alarm by the right that this agent has; return what it comes to.

        Raises: as `alarm_take`.
        """
        view = await self._named(alarm)
        outcome = Outcome.FALSE_ALARM if is_false else Outcome.OVER
        await self._node.alarms.act(view.name, Step.CLOSED, text, outcome)
        return self._alarm(await self._node.alarms.view(view.name))

    async def alarm_raise_anew(self, alarm: str, text: str = "") -> bool:
        """Raise a closed alarm of our own anew; False if it is open. Raises: as `alarm_take`."""
        return await self._node.alarms.raise_anew((await self._named(alarm)).name, text)

    async def _note_shown(self, author: NodeId, alarm_id: bytes) -> None:
        """A person read the text of an alarm: its screen signs that it was seen."""
        await self._node.alarms.show((author, alarm_id))

    # --- words ------------------------------------------------------------------------------

    async def _way(self, view: AlarmView) -> str:
        """Return how far our own alarm came; of a round after the first no message tells."""
        first = view.alarm.first
        if first is None or first.name.author != self._node.identity.node:
            return ""
        if view.alarm.state is not Step.RAISED:
            # Somebody answered, whatever the ledger knows.
            return "left"
        name = first.name
        record = await self._node.store.read(lambda conn: messages.find(conn, name))
        return way_of(None if record is None else record.state)

    async def _found(self, raiser: NodeId, alarm_id: bytes) -> AlarmView:
        return await self._node.alarms.view((raiser, alarm_id))

    async def _named(self, text: str) -> AlarmView:
        """Return the alarm that `text` means: its id, the start of it, or `last`.

        Raises: UnknownNameError.
        """
        wanted = text.strip().lower()
        views = await self._node.alarms.list_alarms()
        if wanted == "last" and views:
            return views[0]
        found = [each for each in views if wanted and _id(each.name).startswith(wanted)]
        if len(found) > 1:
            raise UnknownNameError(f"'{text[:80]}' fits several alarms: give more of the id")
        if not found:
            raise UnknownNameError(f"no alarm here is '{text[:80]}': see 'meshnode alarms'")
        return found[0]

    def _alarm(self, view: AlarmView) -> Json:
        alarm, directory = view.alarm, self._node.membership.directory
        raised, first = alarm.raised, alarm.first
        assert raised is not None, "only an alarm that was raised is shown"
        assert first is not None, "the first raising is there where the last one is"
        name = raised.name
        return {
            "alarm": _id(view.name),
            "from": directory.name_of(view.name[0]),
            "from_node": self._who(view.name[0])["node"],
            "text": raised.sos.text,
            "state": alarm.state.name.lower(),
            "outcome": alarm.outcome.name.lower() if alarm.outcome else "",
            "raised_ms": first.at_ms,
            "repeated_ms": raised.at_ms if raised != first else 0,
            "round": alarm.round,
            "place": self._place_words(raised.sos.place),
            "seen": [self._signed(each) for each in alarm.seen],
            "taken": [self._signed(each) for each in alarm.taken],
            "on_scene": [self._signed(each) for each in alarm.on_scene],
            "closings": [self._signed(each) for each in alarm.closings],
            "ignored": alarm.ignored,
            "is_own": view.name[0] == self._node.identity.node,
            # False on a gateway, in front of which nobody sits.
            "can_answer": view.standing in STEPS[Step.SEEN],
            # It rings until then.
            "is_pressing": _presses(view, self._node.identity.node),
            "is_author_revoked": directory.is_astray(name.author, name.incarnation, name.seq),
        }

    def _signed(self, told: Told) -> Json:
        return {**self._who(told.name.author), "at_ms": told.at_ms, "text": told.sos.text}

    def _step(self, told: Told) -> Json:
        sos = told.sos
        is_known = sos.step in {int(step) for step in Step}
        return {
            **self._signed(told),
            "step": Step(sos.step).name.lower() if is_known else str(sos.step),
            "round": sos.round,
            "number": sos.number,
            "place": self._place_words(sos.place),
        }

    def _place_words(self, place: SosPlace | None) -> Json | None:
        if place is None:
            return None
        return {
            "taken_ms": place.taken_ms,
            **self._place_age(place.taken_ms),
            "latitude": place.latitude_e7 / 10_000_000,
            "longitude": place.longitude_e7 / 10_000_000,
            "accuracy_m": place.accuracy_dm / 10,
        }

    def _told_alarm(self, event: AlarmChanged) -> Json:
        """Return an event for whoever follows; it holds no text and no place."""
        return {
            "event": "alarm_changed",
            "alarm": event.alarm_id.hex(),
            "from": self._node.membership.directory.name_of(event.raiser),
            "who": self._node.membership.directory.name_of(event.who),
            "step": Step(event.step).name.lower() if event.step <= Step.CLOSED else "",
            "is_new": event.is_new,
        }


def way_of(state: MessageState | None) -> str:
    """Return how far an alarm came by the state of its message, None where nothing is kept."""
    return "" if state is None else _WAYS.get(state, "")


def _presses(view: AlarmView, own: NodeId) -> bool:
    """True for an open alarm of another that nobody of this device answered.

    Where nobody can, on a gateway, one to which nobody goes.
    """
    alarm = view.alarm
    if alarm.state is Step.CLOSED or view.name[0] == own:
        return False
    if view.standing not in STEPS[Step.SEEN]:
        return not alarm.taken and not alarm.on_scene
    return all(each.name.author != own for each in (*alarm.seen, *alarm.taken, *alarm.on_scene))


def _id(name: AlarmName) -> str:
    return name[1].hex()
