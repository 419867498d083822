"""An SOS by the agent's secret, on a device that is shut; `Api` has it beside its own calls.

Where the lease has ended the secret opens nothing else: the device stays shut before, while and
after. Source: decision 66.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from meshnode.calls.alarm import AlarmCalls, way_of
from meshnode.calls.base import Json
from meshnode.calls.key import KeyCalls
from meshnode.desk import Desk
from meshnode.directory import UnknownNameError
from meshnode.errors import KeystoreError, QuotaError, StoreError
from meshnode.lease import LeaseState
from meshnode.outbox import Priority, Writing
from meshnode.positions import Place, place_numbers
from meshnode.store import alarms as kept
from meshnode.store import messages, network_keys
from meshnode.store.engine import Connection
from meshnode.store.keyring import KeyPurpose
from protocol.guards import SOS_OLD_EPOCHS_MAX
from protocol.network_keys import epoch_at, epoch_of
from protocol.payloads import SosPlace

__all__ = ["AlarmBySecretCalls"]


class AlarmBySecretCalls(AlarmCalls, KeyCalls):
    """What people may ask of alarms on a device that is shut."""

    async def sos_by_secret(
        self, secret: str, text: str, *, to: str = "", at: str = "", tells_place: bool = True
    ) -> Json:
        """Raise an alarm as `sos` does, on a device that may be locked, in one step.

        Where a lease runs the device is unlocked for it; an open one asks for no secret. Where the
        lease has ended it stays shut: `is_shut` says so, no coordinates that were not given come
        back, and `key_weeks` tells how old the key is that the alarm is under, `is_key_old` that
        colleagues may have erased it. Without `at` the place is the newer one of the open shift's
        and of the sensors'.

        Raises: WrongSecretError, WipedError, KeystoreError, QuotaError where others take no more
        of this hour, ControlError, and as `sos`; nothing is kept then.
        """
        if self.is_locked:
            has_ended = self._guarded().lease().state is LeaseState.ENDED
            # Whom somebody else was faster than has proven nothing yet.
            if has_ended or not await self.unlock(secret):
                return await self._raised_shut(secret, text, to, at, tells_place=tells_place)
        raised = await self.sos(text, to=to, at=at, tells_place=tells_place)
        return {**raised, "is_shut": False, "key_weeks": 0, "is_key_old": False}

    async def alarm_way(self, alarm: str) -> str:
        """Return how far an alarm of this device came, as `alarm` does, locked or not.

        `alarm` is its whole id. Raises: UnknownNameError, StoreError.
        """
        raiser = self._node.identity.node
        try:
            name = (raiser, bytes.fromhex(alarm.strip()))
        except ValueError:
            name = (raiser, b"")

        def read(conn: Connection) -> str | None:
            first = kept.first_of(conn, name)
            if first is None:
                return None
            if kept.is_answered(conn, name):
                return "left"
            return way_of(messages.state_of(conn, first))

        found = await self._node.store.read(read)
        if found is None:
            raise UnknownNameError(f"this device raised no alarm '{alarm[:80]}'")
        return found

    # --- while it stays shut ----------------------------------------------------------------

    async def _raised_shut(
        self, secret: str, text: str, to: str, at: str, *, tells_place: bool
    ) -> Json:
        scope, place = self._alarmed(to), self._place(at) if at else None
        writing = Writing(scope, text, Priority.SOS, None, place, tells_place)
        node = self._node
        try:
            told = await self._guarded().lend(secret, partial(self._raise_at, writing))
        except KeystoreError:
            await self._write_audit()
            raise
        node.metrics.count("alarms_raised_shut")
        node.audit.note("sos_while_shut")
        await self._write_audit()
        node.housekeeping.wake.set()
        return told

    async def _write_audit(self) -> None:
        """Write down what was tried: the process of a single command ends behind it."""
        try:
            await self._node.audit.flush()
        except StoreError as error:
            # Whoever calls for help hears of the alarm, and not of this.
            self._node.runtime.trace("audit_not_written", reason=type(error).__name__)

    async def _raise_at(self, writing: Writing, desk: Desk) -> Json:
        """Raise at a desk that is there for this alone; return what may be told of it."""
        is_given = writing.place is not None
        if not is_given and writing.tells_place:
            writing = replace(writing, place=await self._newest_place(desk))
        sent = await desk.outbox.send(writing)
        if sent.is_held_back:
            # It would leave when somebody opens the device, days after the need.
            await desk.outbox.cancel(sent.key)
            raise QuotaError(
                "others take no more alarms of this device in this hour: those raised before are"
                " on their way; raise it anew in the next hour"
            )
        await self._say_beginning(desk)
        view = await desk.alarms.view((self._node.identity.node, sent.alarm_id))
        told = self._told_raised(writing.scope, sent, view)
        if told["place"] and not is_given:
            # The secret reads nothing here, and so not where its agent was.
            told["place"] |= {"latitude": None, "longitude": None}
        weeks = await desk.store.read(self._key_weeks)
        return {
            **told,
            "is_shut": True,
            "key_weeks": weeks,
            "is_key_old": weeks > SOS_OLD_EPOCHS_MAX,
        }

    async def _say_beginning(self, desk: Desk) -> None:
        """Repeat what is due: the beginning of a long text, which alone goes by radio."""
        try:
            await desk.alarms.repeat_due()
        except StoreError as error:
            # The alarm itself is kept.
            self._node.runtime.trace("alarm_not_repeated", reason=type(error).__name__)

    async def _newest_place(self, desk: Desk) -> SosPlace | None:
        """Return where this device is: by the shift that is open yet, or by its own sensors."""
        told = await desk.store.read(desk.alarms.own_place)
        seen = self._node.sensors.position
        if seen is None or (told is not None and told.taken_ms >= seen.taken_ms):
            return told
        place = Place(seen.latitude, seen.longitude, seen.accuracy_m)
        return SosPlace(seen.taken_ms, *place_numbers(place))

    def _key_weeks(self, conn: Connection) -> int:
        """Return how many weeks ago the week of the key began that an alarm is sealed under."""
        now_ms, revoked = self._node.runtime.now_ms(), self._node.membership.directory.revoked
        found = network_keys.chosen(conn, KeyPurpose.ZONE_SOS, now_ms, revoked.keys())
        assert found is not None, "an alarm was sealed with it"
        return max(0, epoch_at(now_ms) - epoch_of(found[0]))
