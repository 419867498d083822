"""An SOS by the secret on a device whose lease has ended: it leaves, and nothing else opens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import pytest
import trio
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.desk import Desk
from meshnode.directory import UnknownNameError
from meshnode.errors import LockedError, QuotaError, WrongSecretError
from meshnode.events import BundlesStored, Event, MessageChanged
from meshnode.lease import LeaseState
from meshnode.locking import FORGET_S, Lent
from meshnode.outbox import Writing
from meshnode.sensors.base import Sensor, SensorSink
from meshnode.sensors.readings import PositionReading, SensorKind
from meshnode.store import messages
from meshnode.store.engine import Connection
from meshnode.store.records import IncomingReason, MessageRecord, MessageState
from meshnode.vault.vault import Vault
from protocol.alarms import aired_text
from protocol.guards import LEASE_MS, NETWORK_EPOCH_MS, QUOTA_HOUR_SOS, SOS_OLD_EPOCHS_MAX
from protocol.identity import Role
from protocol.limits import Kind
from protocol.reports import Reception
from sims.fleet import DevicePlan
from sims.runtime import START_MS
from tests.meshnode.agent_secrets import SECRET, OpenKeys, SealedKeys
from tests.meshnode.documents import revocations
from tests.meshnode.rig import USUAL, Rig, open_rig, squad_scope
from tests.meshnode.test_lease import Documents
from tests.meshnode.test_locking import Guarded, guarded

LEASE_S = LEASE_MS / 1000
AT = "44.89,6.64,50"
PLANS = (*USUAL[:3], DevicePlan("codt", Role.OPERATOR))


class VaultKeys(SealedKeys):
    """Keys that a secret opens together with the agent's tier of a vault."""

    def __init__(self, sealed: bytes, vault: Vault, master: bytes) -> None:
        super().__init__(sealed)
        self.vault = vault
        self._master = master
        self.lent: list[Vault] = []

    def unlock(self, secret: str) -> Callable[[bytes], bytes]:
        sign = super().unlock(secret)
        self.vault.unlock(self._master)
        return sign

    def lend(self, secret: str) -> Lent:
        sign = super().unlock(secret)
        self.lent.append(self.vault.opened(self._master))
        return Lent(sign, self.lent[-1])

    def lock(self) -> None:
        super().lock()
        self.vault.lock()


class Receiver(Sensor):
    """A receiver whose readings the test hands on."""

    name = "gps"
    kinds = frozenset({SensorKind.POSITION})
    fresh_s = 60.0

    async def run(self, sink: SensorSink) -> None:
        await trio.sleep_forever()


@dataclass(slots=True)
class Shut:
    """Anna, whose lease has ended."""

    rig: Rig
    """She, Bruno, the box and the gateway."""
    anna: Guarded
    """Her node, shut."""
    keys: VaultKeys
    """What her secret opens."""
    api: Api
    """Its calls."""

    async def brought(self) -> None:
        """Give Bruno what is carried here, as links would."""
        bruno = self.rig["bruno"]
        await bruno.take(await self.rig["anna"].held(Kind.SOS), self.anna.member.id)

    async def heard(self) -> list[str]:
        """Bring all to Bruno, and return the alarms that his screen shows."""
        await self.brought()
        return [x["text"] for x in await Api(self.rig["bruno"].node).alarms()]


@asynccontextmanager
async def shut(plans: Sequence[DevicePlan] = USUAL, *, weeks: int = 0) -> AsyncIterator[Shut]:
    """Give Anna's device once its lease has ended, and some weeks later; with a text in it."""
    async with open_rig(plans, is_sealed=True) as rig:
        await rig.mix(*rig.members)
        await rig["bruno"].send(squad_scope(), "rendez-vous au col")
        await rig.mix("anna", "bruno")
        member = rig["anna"]
        member.parts = replace(member.parts, sensors=(Receiver(),))
        vault, sealed = member.store.vault, SealedKeys(member.device.keys.badge)._sealed
        assert vault is not None
        keys = VaultKeys(sealed, vault, vault._masters[1])  # type: ignore[index]
        await member.node.lock()
        vault.lock()
        documents = Documents(START_MS, START_MS)
        async with guarded(member, keys, documents=documents, auto_lock_s=0, is_alone=True) as anna:
            await anna.guard.unlock(SECRET)
            await trio.sleep(LEASE_S + weeks * NETWORK_EPOCH_MS / 1000)
            assert anna.guard.lease().state is LeaseState.ENDED
            assert not anna.is_open()
            yield Shut(rig, anna, keys, Api(anna.node, anna.guard))


async def test_it_is_raised_by_the_secret_and_shown_at_a_neighbour(
    autojump_clock: MockClock,
) -> None:
    async with shut() as found:
        raised = await found.api.sos_by_secret(SECRET, "Chute au col", at=AT)
        assert raised["is_shut"]
        assert not raised["is_key_old"]
        assert (raised["text"], raised["place"]["latitude"]) == ("Chute au col", 44.89)
        assert await found.heard() == ["Chute au col"]
        (shown,) = await Api(found.rig["bruno"].node).alarms()
        assert (shown["alarm"], shown["from"]) == (raised["alarm"], "anna")
        assert shown["place"]["longitude"] == 6.64
        # And nothing was opened by it.
        assert not found.anna.is_open()
        assert found.keys.vault.is_locked
        assert all(each.is_locked for each in found.keys.lent)
        with pytest.raises(LockedError, match="opens nothing else"):
            await found.api.alarms()
        with pytest.raises(LockedError):
            await found.anna.node.store.read(lambda conn: messages.list_inbox(conn, 0, 9))
        assert found.anna.node.metrics.value("alarms_raised_shut") == 1


async def test_a_desk_that_is_kept_signs_and_reads_no_more(autojump_clock: MockClock) -> None:
    async with shut() as found:
        kept: list[Desk] = []

        async def keep(desk: Desk) -> None:
            kept.append(desk)

        await found.anna.guard.lend(SECRET, keep)
        (desk,) = kept
        with pytest.raises(LockedError):
            desk.sign(b"anything")
        with pytest.raises(LockedError):
            await desk.alarms.list_alarms()
            await desk.outbox.send(Writing(squad_scope(), "a text"))


async def test_whoever_else_reads_meanwhile_finds_it_shut(autojump_clock: MockClock) -> None:
    """The keys are at hand while the action runs, for the action alone."""
    async with shut() as found:
        node, store = found.anna.node, found.anna.node.store
        refused: list[str] = []

        def texts(conn: Connection) -> list[MessageRecord]:
            return messages.list_inbox(conn, 0, 9)

        async def others() -> None:
            with suppress(LockedError):
                await store.read(texts)
                refused.append("not refused")
            with suppress(LockedError):
                await store.write(lambda tx: texts(tx.connection))
                refused.append("not refused")
            refused.append("refused")

        async def action(desk: Desk) -> int:
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(others)
                    nursery.start_soon(desk.store.read, texts)
            assert node.desk is None
            assert node.store.vault is not None
            assert node.store.vault.is_locked
            return len(await desk.store.read(texts))

        assert await found.anna.guard.lend(SECRET, action) == 1
        assert refused == ["refused"] * 5


async def test_a_wrong_secret_raises_nothing_and_counts(autojump_clock: MockClock) -> None:
    async with shut() as found:
        for wrong in ("", "wrong", SECRET + " "):
            with pytest.raises(WrongSecretError):
                await found.api.sos_by_secret(wrong, "Au secours")
        assert found.anna.node.metrics.value("unlocks_refused") == 3
        assert not await found.rig["anna"].held(Kind.SOS)
        await found.anna.node.audit.flush()


async def test_no_event_tells_of_an_unlocking(autojump_clock: MockClock) -> None:
    async with shut() as found:
        told: list[Event] = []

        async def follow() -> None:
            with found.anna.node.events.subscribe() as subscription:
                while True:
                    told.append(await subscription.next())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            await trio.sleep(1)
            await found.api.sos_by_secret(SECRET, "Au secours")
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        assert {type(each) for each in told} == {MessageChanged, BundlesStored}


async def test_the_hours_quota_refuses_and_keeps_nothing(autojump_clock: MockClock) -> None:
    async with shut() as found:
        for number in range(QUOTA_HOUR_SOS):
            await found.api.sos_by_secret(SECRET, f"alerte {number}")
        with pytest.raises(QuotaError, match="in the next hour"):
            await found.api.sos_by_secret(SECRET, "une de trop")
        assert len(await found.rig["anna"].held(Kind.SOS)) == QUOTA_HOUR_SOS
        waiting = await found.anna.node.store.read(messages.counts)
        assert MessageState.WAITING not in waiting
        await trio.sleep(3600)
        assert await found.api.sos_by_secret(SECRET, "l'heure suivante")


async def test_a_long_text_goes_with_its_beginning_at_once(autojump_clock: MockClock) -> None:
    async with shut() as found:
        text = "la jambe est cassée, " * 30
        raised = await found.api.sos_by_secret(SECRET, text)
        assert raised["aired_text"] == aired_text(text) != text
        assert len(await found.rig["anna"].held(Kind.SOS)) == 2


@pytest.mark.parametrize("tells_place", [True, False])
async def test_the_place_of_the_sensors_goes_along_and_does_not_come_back(
    tells_place: bool, autojump_clock: MockClock
) -> None:
    async with shut() as found:
        taken_ms = found.anna.node.runtime.now_ms() - 30_000
        found.anna.node.sensors._deliver(0, PositionReading(44.9, 6.65, 12.0, taken_ms, "gps"))
        raised = await found.api.sos_by_secret(SECRET, "ici", tells_place=tells_place)
        await found.brought()
        (shown,) = await Api(found.rig["bruno"].node).alarms()
        if not tells_place:
            assert raised["place"] is None
            assert shown["place"] is None
            return
        assert shown["place"]["latitude"] == pytest.approx(44.9)
        assert shown["place"]["accuracy_m"] == 12.0
        assert raised["place"]["latitude"] is None
        assert raised["place"]["age_s"] == 30


async def test_the_place_of_a_shift_that_is_open_yet_goes_along(
    autojump_clock: MockClock,
) -> None:
    async with shut() as found:
        found.anna.beacon()
        await found.anna.guard.unlock(SECRET)
        await trio.sleep(LEASE_S - 3_600)
        await found.api.shift_open()
        await found.api.position(44.9, 6.65, accuracy_m=9)
        await trio.sleep(3_601)
        assert not found.anna.is_open()
        raised = await found.api.sos_by_secret(SECRET, "ici")
        await found.brought()
        (shown,) = await Api(found.rig["bruno"].node).alarms()
        assert shown["place"]["longitude"] == pytest.approx(6.65)
        assert shown["place"]["is_stale"]
        assert raised["place"]["longitude"] is None
        assert raised["place"]["is_stale"]


async def test_a_lease_that_runs_is_unlocked_for_it(autojump_clock: MockClock, rig: Rig) -> None:
    documents = Documents(START_MS, START_MS)
    async with guarded(rig["anna"], documents=documents) as anna:
        api = Api(anna.node, anna.guard)
        raised = await api.sos_by_secret(SECRET, "Au secours")
        assert not raised["is_shut"]
        assert anna.is_open()
        assert (await api.sos_by_secret("", "encore"))["text"] == "encore"


async def test_an_unattended_device_needs_no_secret(autojump_clock: MockClock, rig: Rig) -> None:
    keys = OpenKeys(rig["anna"].device.keys.badge)
    documents = Documents(START_MS - LEASE_MS, START_MS)
    async with guarded(rig["anna"], keys, documents=documents) as anna:
        assert anna.guard.lease().state is LeaseState.ENDED
        assert (await Api(anna.node, anna.guard).sos_by_secret("", "la barque"))["is_shut"]
        assert not anna.is_open()


async def test_how_far_it_came_is_told_without_a_key(autojump_clock: MockClock) -> None:
    async with shut() as found:
        raised = await found.api.sos_by_secret(SECRET, "Au secours")
        assert await found.api.alarm_way(raised["alarm"]) == "queued"
        assert (await found.anna.node.store.read(messages.counts))[MessageState.QUEUED] == 1
        for wrong in ("", "00" * 8, "no hexadecimal"):
            with pytest.raises(UnknownNameError, match="raised no alarm"):
                await found.api.alarm_way(wrong)
        # A peer says that it has it, as it does on a link.
        ids = await found.rig["anna"].ids()
        fates = [(each, Reception.STORED) for each in ids]
        await found.anna.node.relay.handed_over(found.rig["bruno"].id, fates)
        assert await found.api.alarm_way(raised["alarm"]) == "left"
        assert not found.anna.is_open()


@pytest.mark.parametrize("weeks", range(SOS_OLD_EPOCHS_MAX + 1))
async def test_how_old_the_key_is_is_said(weeks: int, autojump_clock: MockClock) -> None:
    async with shut(weeks=weeks) as found:
        raised = await found.api.sos_by_secret(SECRET, "Au secours")
        assert raised["key_weeks"] == weeks + 1
        assert raised["is_key_old"] == (weeks + 1 > SOS_OLD_EPOCHS_MAX)


async def test_the_process_begins_anew_once_the_alarm_had_its_time(
    autojump_clock: MockClock,
) -> None:
    async with shut() as found:
        told: list[bool] = []
        found.anna.guard.on_lock.append(told.append)
        await found.api.sos_by_secret(SECRET, "Au secours")
        await trio.sleep(FORGET_S - 1)
        assert told == []
        await trio.sleep(2)
        assert told == [True]
        await trio.sleep(FORGET_S)
        assert told == [True]


async def test_a_device_that_was_opened_meanwhile_stays_open(autojump_clock: MockClock) -> None:
    async with shut() as found:
        told: list[bool] = []
        found.anna.guard.on_lock.append(told.append)
        raised = await found.api.sos_by_secret(SECRET, "Au secours")
        found.anna.beacon()
        await found.anna.guard.unlock(SECRET)
        await trio.sleep(FORGET_S + 1)
        assert told == []
        assert found.anna.is_open()
        (own,) = await found.api.alarms()
        assert (own["alarm"], own["text"], own["is_own"]) == (raised["alarm"], "Au secours", True)


async def test_of_a_revoked_device_the_centre_alone_hears(autojump_clock: MockClock) -> None:
    async with shut(PLANS) as found:
        rig, anna = found.rig, found.anna
        for name in ("bruno", "codt", "box"):
            document = revocations(rig, ["anna"], 1).raw
            assert await rig[name].node.membership.accept([document]) == 1
        await found.api.sos_by_secret(SECRET, "Au secours")
        assert await found.heard() == []
        codt = rig["codt"]
        await codt.take(await rig["anna"].held(Kind.SOS), anna.member.id)
        (shown,) = [x for x in await codt.incoming() if x.text == "Au secours"]
        assert shown.reason == IncomingReason.REVOKED
        # And once the device itself has heard of it.
        document = revocations(rig, ["anna"], 1).raw
        assert await anna.node.membership.accept([document]) == 1
        raised = await found.api.sos_by_secret(SECRET, "encore", at=AT)
        assert (raised["text"], raised["is_author_revoked"]) == ("encore", True)
        assert len(await rig["anna"].held(Kind.SOS)) == 2
