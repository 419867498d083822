"""When a desk opens and shuts: by secret, by idleness, by the lease; each under a virtual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from meshnode.config import RetentionSettings
from meshnode.errors import LeaseEndedError, LockedError, StoreError, WrongSecretError
from meshnode.gateway.gateway import Gateway, GatewayPlan
from meshnode.home import Home
from meshnode.lease import KEPT_EACH_MS, BoundFile, LeaseState
from meshnode.locking import Guard, GuardParts, LockReason
from meshnode.node import Node, open_node
from protocol.guards import BEACON_AMBER_MS, LEASE_BOX_MS, LEASE_MS
from protocol.identity import DeviceClass
from sims.runtime import START_MS
from tests.meshnode.agent_secrets import SECRET, OpenKeys, SealedKeys
from tests.meshnode.rig import Member, Rig
from tests.meshnode.test_lease import Documents

AUTO_LOCK_S = 900
HOUR_S = 3_600
DAY_S = 24 * HOUR_S
LEASE_S = LEASE_MS / 1000


@dataclass(slots=True)
class Guarded:
    """One device behind a guard."""

    member: Member
    """Whose node it was at first."""
    node: Node
    """Locked at first."""
    guard: Guard
    """Decides."""
    keys: SealedKeys
    """Its agent's."""
    documents: Documents
    """What the authority said."""

    def is_open(self) -> bool:
        """Tell whether anything can be read and written."""
        return self.node.desk is not None

    def beacon(self) -> None:
        """A beacon of now comes, as documents of a peer do."""
        self.documents.beacon_ms = self.documents.floor_ms = self.member.machine.now_ms()
        for tell in self.node.membership.on_change:
            tell([], None)


@asynccontextmanager
async def guarded(
    member: Member,
    keys: SealedKeys | None = None,
    *,
    documents: Documents | None = None,
    device_class: DeviceClass = DeviceClass.PHONE,
    auto_lock_s: int = AUTO_LOCK_S,
    path: Path | None = None,
    is_alone: bool = False,
) -> AsyncIterator[Guarded]:
    """Open the node of a member anew, locked, with a guard that runs.

    One that is alone wakes by itself or for a beacon: the rooms of the node, which would look after
    its store every five minutes and wake it each time, stand still for the weeks of a lease.
    """
    assert member.parts.desk is not None
    sealer = member.parts.desk.sealer
    keys = SealedKeys(member.device.keys.badge) if keys is None else keys
    documents = Documents(has_beacons=False) if documents is None else documents
    async with open_node(replace(member.parts, desk=None)) as node:
        guard = Guard(
            GuardParts(
                node=node,
                sealer=sealer,
                keys=keys,
                view=documents.view,
                device_class=device_class,
                enrolled_ms=START_MS,
                auto_lock_s=auto_lock_s,
                bound_file=None if path is None else BoundFile(path),
            )
        )
        async with trio.open_nursery() if is_alone else node.working() as nursery:
            nursery.start_soon(guard.run)
            await trio.sleep(0.01)
            yield Guarded(member, node, guard, keys, documents)
            nursery.cancel_scope.cancel()


# --- the secret ----------------------------------------------------------------------------------


async def test_the_secret_opens_and_nothing_else_does(autojump_clock: MockClock, rig: Rig) -> None:
    async with guarded(rig["anna"]) as anna:
        assert not anna.is_open()
        for wrong in ("", "wrong", SECRET + " "):
            with pytest.raises(WrongSecretError):
                await anna.guard.unlock(wrong)
        assert not anna.is_open()
        assert anna.node.metrics.value("unlocks_refused") == 3
        assert await anna.guard.unlock(SECRET) is True
        assert anna.is_open()
        assert await anna.guard.unlock(SECRET) is False
        assert anna.keys.tries == 4, "what is open is not opened again"
        traced = [x for x in rig.tracer.lines if x.event == "unlock_refused"]
        assert len(traced) == 3
        assert SECRET not in repr(rig.tracer.lines)
        assert SECRET not in repr(anna.guard._parts)


async def test_locking_forgets_the_keys(autojump_clock: MockClock, rig: Rig) -> None:
    told: list[bool] = []
    async with guarded(rig["anna"]) as anna:
        anna.guard.on_lock.append(told.append)
        await anna.guard.unlock(SECRET)
        opened = [anna.keys.is_open]
        assert await anna.guard.lock() is True
        opened.append(anna.keys.is_open)
        assert opened == [True, False]
        assert not anna.is_open()
        assert await anna.guard.lock() is False
        assert told == [True]
        assert anna.node.metrics.value("locks") == 1


@pytest.mark.parametrize(
    ("kind", "secret", "is_held", "opens"),
    [
        (SealedKeys, None, False, False),
        (SealedKeys, SECRET, False, True),
        (SealedKeys, SECRET, True, False),
        (OpenKeys, None, False, True),
        (OpenKeys, None, True, False),
    ],
)
async def test_what_opens_at_the_start(
    autojump_clock: MockClock,
    rig: Rig,
    kind: type[SealedKeys],
    secret: str | None,
    is_held: bool,
    opens: bool,
) -> None:
    member = rig["anna"]
    async with open_node(replace(member.parts, desk=None)) as node:
        assert member.parts.desk is not None
        documents = Documents(has_beacons=False)
        parts = GuardParts(
            node,
            member.parts.desk.sealer,
            kind(member.device.keys.badge),
            documents.view,
            DeviceClass.PHONE,
            START_MS,
            AUTO_LOCK_S,
        )
        guard = Guard(parts)
        await guard.start(secret, is_held=is_held)
        assert (node.desk is not None) is opens
        async with node.working() as nursery:
            nursery.start_soon(guard.run)
            await trio.sleep(HOUR_S / 6)
            assert (node.desk is not None) is opens


async def test_a_wrong_secret_at_the_start_is_said(autojump_clock: MockClock, rig: Rig) -> None:
    async with guarded(rig["anna"]) as anna:
        with pytest.raises(WrongSecretError):
            await anna.guard.start("wrong")
        assert not anna.is_open()


# --- idleness ------------------------------------------------------------------------------------


async def test_it_locks_after_some_minutes_without_a_command(
    autojump_clock: MockClock, rig: Rig
) -> None:
    async with guarded(rig["anna"]) as anna:
        await anna.guard.unlock(SECRET)
        await trio.sleep(AUTO_LOCK_S - 1)
        assert anna.is_open()
        anna.guard.touch()
        await trio.sleep(AUTO_LOCK_S - 1)
        assert anna.is_open()
        await trio.sleep(2)
        assert not anna.is_open()
        assert anna.node.metrics.value("locks") == 1
        with pytest.raises(LockedError):
            anna.node.require_desk()
        await trio.sleep(HOUR_S)
        assert not anna.is_open()


@pytest.mark.parametrize(("kind", "auto_lock_s"), [(SealedKeys, 0), (OpenKeys, AUTO_LOCK_S)])
async def test_it_does_not_where_that_is_off_or_nobody_is_there(
    autojump_clock: MockClock, rig: Rig, kind: type[SealedKeys], auto_lock_s: int
) -> None:
    keys = kind(rig["anna"].device.keys.badge)
    async with guarded(rig["anna"], keys, auto_lock_s=auto_lock_s) as anna:
        await anna.guard.unlock(SECRET)
        await trio.sleep(3 * AUTO_LOCK_S)
        assert anna.is_open()


@pytest.mark.parametrize(
    ("has_key", "archive_lock_s", "locks_s"),
    [(True, 0, None), (True, 2 * AUTO_LOCK_S, 2 * AUTO_LOCK_S), (False, 0, AUTO_LOCK_S)],
)
async def test_one_that_keeps_an_archive_locks_by_a_setting_of_its_own(
    autojump_clock: MockClock,
    rig: Rig,
    tmp_path: Path,
    has_key: bool,
    archive_lock_s: int,
    locks_s: int | None,
) -> None:
    async with guarded(rig["anna"]) as anna:
        plan = GatewayPlan("", 1_000_000, RetentionSettings().terms, archive_lock_s)
        anna.guard.gateway = Gateway(anna.node, tmp_path, plan)
        await anna.guard.unlock(SECRET)
        await trio.sleep(AUTO_LOCK_S / 2)
        if has_key:
            # A device becomes the keeper of an archive while it runs.
            Home(tmp_path).archive_key.write_bytes(b"sealed")
        await trio.sleep((locks_s or 10 * AUTO_LOCK_S) - AUTO_LOCK_S / 2 - 1)
        assert anna.is_open()
        await trio.sleep(2)
        assert anna.is_open() is (locks_s is None)
        found = anna.guard.describe()["auto_lock_s"]
        assert found == (archive_lock_s if has_key else AUTO_LOCK_S)


async def test_setting_the_clock_does_not_keep_it_open(autojump_clock: MockClock, rig: Rig) -> None:
    async with guarded(rig["anna"]) as anna:
        await anna.guard.unlock(SECRET)
        await trio.sleep(AUTO_LOCK_S / 2)
        anna.member.machine.clock_ahead_ms -= 10**9
        await trio.sleep(AUTO_LOCK_S / 2 + 1)
        assert not anna.is_open()


# --- the lease -----------------------------------------------------------------------------------


def counted() -> Documents:
    """Return documents of a network with beacons, one of which has just come."""
    return Documents(START_MS, START_MS)


async def test_it_locks_at_the_end_of_the_lease_to_the_second(
    autojump_clock: MockClock, rig: Rig
) -> None:
    async with guarded(rig["anna"], documents=counted(), auto_lock_s=0, is_alone=True) as anna:
        await anna.guard.unlock(SECRET)
        await trio.sleep(BEACON_AMBER_MS / 1000 + 60)
        assert anna.guard.lease().state is LeaseState.AMBER
        await trio.sleep(LEASE_S - BEACON_AMBER_MS / 1000 - 120)
        assert anna.is_open()
        await trio.sleep(61)
        assert not anna.is_open()
        assert anna.node.metrics.value("leases_ended") == 1
        with pytest.raises(LeaseEndedError, match="no beacon of the centre came in time"):
            await anna.guard.unlock(SECRET)
        assert anna.keys.tries == 1, "no secret is tried"
        assert anna.node.metrics.value("unlocks_refused") == 1
        with pytest.raises(LockedError, match="its secret raises an SOS and opens nothing"):
            _ = anna.node.outbox
        anna.beacon()
        with pytest.raises(LockedError, match="run 'meshnode unlock'"):
            _ = anna.node.outbox


async def test_a_beacon_and_the_secret_open_again_and_neither_alone(
    autojump_clock: MockClock, rig: Rig
) -> None:
    async with guarded(rig["anna"], documents=counted(), auto_lock_s=0, is_alone=True) as anna:
        await anna.guard.unlock(SECRET)
        await trio.sleep(LEASE_S + HOUR_S)
        assert not anna.is_open()
        anna.beacon()
        await trio.sleep(HOUR_S)
        assert not anna.is_open(), "the beacon alone does not open a device with a secret"
        await anna.guard.unlock(SECRET)
        assert anna.is_open()
        await trio.sleep(LEASE_S - 2 * HOUR_S)
        assert anna.is_open()
        await trio.sleep(2 * HOUR_S)
        assert not anna.is_open()


async def test_for_an_unattended_device_the_beacon_suffices(
    autojump_clock: MockClock, rig: Rig
) -> None:
    keys = OpenKeys(rig["box"].device.keys.badge)
    told: list[bool] = []
    async with guarded(
        rig["box"], keys, documents=counted(), device_class=DeviceClass.BOX, is_alone=True
    ) as box:
        box.guard.on_lock.append(told.append)
        await box.guard.start(None)
        await trio.sleep(LEASE_BOX_MS / 1000 - HOUR_S)
        assert box.is_open()
        await trio.sleep(2 * HOUR_S)
        assert not box.is_open()
        box.beacon()
        await trio.sleep(1)
        assert box.is_open()
        assert told == [False]


async def test_a_person_who_locked_an_unattended_device_locked_it(
    autojump_clock: MockClock, rig: Rig
) -> None:
    keys = OpenKeys(rig["box"].device.keys.badge)
    async with guarded(rig["box"], keys, documents=counted()) as box:
        await box.guard.start(None)
        await box.guard.lock(LockReason.PERSON)
        box.beacon()
        await trio.sleep(HOUR_S)
        assert not box.is_open()
        await box.guard.unlock("")
        assert box.is_open()


async def test_a_secret_given_while_the_lease_is_over_opens_nothing_later(
    autojump_clock: MockClock, rig: Rig
) -> None:
    async with guarded(rig["anna"], documents=counted(), auto_lock_s=0, is_alone=True) as anna:
        await trio.sleep(LEASE_S + 1)
        await anna.guard.start(SECRET)
        anna.beacon()
        await trio.sleep(HOUR_S)
        assert not anna.is_open()
        assert anna.keys.tries == 0


@pytest.mark.slow
async def test_a_clock_set_back_gains_nothing_and_one_set_right_costs_nothing(
    autojump_clock: MockClock, rig: Rig
) -> None:
    async with guarded(rig["anna"], documents=counted(), auto_lock_s=0, is_alone=True) as anna:
        await anna.guard.unlock(SECRET)
        anna.member.machine.clock_ahead_ms = -400 * 86_400_000
        await trio.sleep(LEASE_S - HOUR_S)
        assert anna.is_open()
        await trio.sleep(2 * HOUR_S)
        assert not anna.is_open()
    async with guarded(rig["bruno"], documents=counted(), auto_lock_s=0) as bruno:
        # A clock a year ahead locks within a look of the house, and costs no more than that.
        bruno.documents.beacon_ms = bruno.documents.floor_ms = bruno.member.machine.now_ms()
        await bruno.guard.unlock(SECRET)
        bruno.member.machine.clock_ahead_ms = 365 * 86_400_000
        await trio.sleep(HOUR_S / 6)
        assert not bruno.is_open()
        bruno.member.machine.clock_ahead_ms = 0
        await bruno.guard.unlock(SECRET)
        assert bruno.is_open()


@pytest.mark.slow
async def test_restarts_with_the_clock_set_back_gain_nothing(
    autojump_clock: MockClock, rig: Rig, tmp_path: Path
) -> None:
    path, documents = tmp_path / "lease", counted()
    rig["anna"].machine.clock_ahead_ms = -400 * 86_400_000
    opened_s = 0
    for _ in range(40):
        async with guarded(
            rig["anna"], documents=documents, auto_lock_s=0, path=path, is_alone=True
        ) as anna:
            if anna.guard.lease().state is LeaseState.ENDED:
                break
            await anna.guard.unlock(SECRET)
            await trio.sleep(6 * HOUR_S)
            opened_s += 6 * HOUR_S
    assert LEASE_S - 7 * HOUR_S <= opened_s <= LEASE_S + 6 * HOUR_S
    # Killed before it could write down how far it came: what was written is ahead of that.
    kept_ms = BoundFile(path).read()
    assert kept_ms >= START_MS + LEASE_MS - KEPT_EACH_MS


async def test_a_lease_that_cannot_be_written_down_is_said(
    autojump_clock: MockClock, rig: Rig, tmp_path: Path
) -> None:
    async with open_node(replace(rig["anna"].parts, desk=None)) as node:
        desk = rig["anna"].parts.desk
        assert desk is not None
        parts = GuardParts(
            node,
            desk.sealer,
            OpenKeys(rig["anna"].device.keys.badge),
            counted().view,
            DeviceClass.PHONE,
            START_MS,
            0,
            BoundFile(tmp_path / "no folder" / "lease"),
        )
        with pytest.raises(StoreError, match="cannot be written down"):
            await Guard(parts).run()


async def test_the_state_is_told_in_plain_values(autojump_clock: MockClock, rig: Rig) -> None:
    async with guarded(rig["anna"], documents=counted(), is_alone=True) as anna:
        await trio.sleep(2 * DAY_S)
        found = anna.guard.describe()
        assert found["is_locked"] is True
        assert (found["protection"], found["lease"]) == ("words", "amber")
        assert found["beacon_age_ms"] + found["lease_left_ms"] == LEASE_MS
        assert found["auto_lock_s"] == AUTO_LOCK_S
