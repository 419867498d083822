"""A node that is ordered to wipe itself proves first, then destroys, locked or not, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.enrol import LinkSecret
from meshnode.erasing import HomeState, finish, state_of
from meshnode.errors import StoreFullError, WipedError
from meshnode.files import write_private
from meshnode.order_log import order_log
from meshnode.remnant import RemnantFiles
from meshnode.supervisor import keep_running
from meshnode.vault.keystore import KeyStore
from meshnode.vault.kinds import Tier
from meshnode.wiping import Ways, WipeParts, Wiping
from protocol import authority
from protocol.guards import WIPE_CARRY_MS
from protocol.ids import print_node_id
from protocol.orders import WipeLevel
from sims.runtime import START_MS, Tracer
from tests.meshnode import documents
from tests.meshnode.rig import Member, Rig
from tests.meshnode.vault.parts import SECRET, make

pytestmark = pytest.mark.slow

LEVELS = list(WipeLevel)
KEYS_GONE_S_MAX = 5.0
"""Virtual seconds from the contact that brings the order."""


@dataclass(slots=True)
class Phone:
    """A node of the rig with a home of its own."""

    member: Member
    """The node."""
    home: Path
    """Holds its keys."""
    tracer: Tracer
    """What all nodes traced."""
    wiping: Wiping
    """What obeys."""
    locked: list[str] = field(default_factory=list)
    """Words of the keys of its agent, as they were dropped."""

    case = None
    """No screen asks."""

    def unlock(self, _secret: str) -> Callable[[bytes], bytes]:
        """Nobody unlocks it here."""
        raise AssertionError

    def lock(self) -> None:
        """Note that the keys were dropped."""
        self.locked.append("dropped")

    @property
    def state(self) -> HomeState:
        """How its home stands."""
        return state_of(self.home, self.member.machine.runtime)

    @property
    def steps(self) -> list[str]:
        """What it traced of its wipe, in order."""
        return [
            str(dict(line.fields).get("step", line.event))
            for line in self.tracer.lines
            if line.node == self.member.device.plan.name and line.event.startswith("wipe")
        ]


def phone_of(rig: Rig, name: str, folder: Path, ways: Ways | None = None) -> Phone:
    """Give a node of the rig a home with keys, and let it watch for orders."""
    member, home = rig[name], folder / name
    make(home)
    encryption = BestAvailableEncryption(b"password")
    key = member.device.keys.link.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    write_private(home / "keys" / "link.pem", key)
    phone = Phone(member, home, rig.tracer, wiping=None)  # type: ignore[arg-type]
    phone.wiping = Wiping(
        WipeParts(
            home,
            member.node,
            member.device.link_chain,
            LinkSecret(home / "keys" / "link.pem", b"password"),
            ways or Ways(),
            phone,  # type: ignore[arg-type]
        )
    )
    return phone


async def ordered(rig: Rig, name: str, **more: object) -> authority.SignedDocument:
    """Bring an order about a device into force at itself."""
    order = documents.wipe_order(rig, [name], **more)  # type: ignore[arg-type]
    assert await rig[name].node.membership.accept([order.raw]) == 1
    return order


def holds_proof(member: Member, order: authority.SignedDocument, node: bytes) -> bool:
    """True if a node holds the proof of a device for an order."""
    return (order.scope, node) in member.node.membership.trust.erasures()


# --- level AGENT ---------------------------------------------------------------------------------


async def test_the_agents_keys_go_and_the_device_stays(
    met: Rig, tmp_path: Path, autojump_clock: MockClock
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    await bruno.send(anna.scope, "to be forgotten")
    await met.mix("anna", "bruno")
    assert await anna.texts() == ["to be forgotten"]
    phone = phone_of(met, "anna", tmp_path)
    order = await ordered(met, "anna", level=WipeLevel.AGENT)
    await phone.wiping.obey()
    assert phone.steps == ["wipe_ordered", "proof", "agent", "rows"]
    assert phone.locked == ["dropped"]
    assert holds_proof(anna, order, anna.id)
    assert (phone.state, phone.wiping.is_gone) == (HomeState.UNTOUCHED, False)
    assert await anna.incoming() == []
    with pytest.raises(WipedError):
        KeyStore.open(phone.home).agent_master(SECRET)
    assert KeyStore.open(phone.home).open_vault().is_locked
    for call in (anna.node.require_desk, lambda: anna.node.open_desk(anna.device.desk(None))):  # type: ignore[arg-type]
        with pytest.raises(WipedError, match="keys of this device were destroyed:"):
            call()
    # It still carries: what bruno writes to the gateway goes through it.
    sent = await bruno.send(met["gateway"].scope, "carried by a wiped device")
    await met.carry("bruno", "anna")
    await met.carry("anna", "gateway")
    assert "carried by a wiped device" in await met["gateway"].texts()
    assert sent.recipients == 1


async def test_an_order_has_one_effect(met: Rig, tmp_path: Path, autojump_clock: MockClock) -> None:
    phone, membership = phone_of(met, "anna", tmp_path), met["anna"].node.membership
    order = await ordered(met, "anna", level=WipeLevel.AGENT)
    await phone.wiping.look()
    proofs = membership.trust.held
    assert await membership.accept([order.raw]) == 0
    assert not phone.wiping.is_due
    await phone.wiping.look()
    assert membership.trust.held == proofs
    assert met["anna"].metric("wipes_executed") == 1


async def test_what_is_destroyed_already_does_not_count_again(
    met: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone, anna = phone_of(met, "anna", tmp_path), met["anna"]
    with monkeypatch.context() as patch:
        patch.setattr("meshnode.wiping.erase_agent_rows", _fails)
        with pytest.raises(OSError, match="no such luck"):
            await phone.wiping.wipe(WipeLevel.AGENT)
    assert anna.metric("wipes_executed") == 0
    for _ in range(3):
        await phone.wiping.wipe(WipeLevel.AGENT)
        assert anna.metric("wipes_executed") == 1, "the keys went once"
    await phone.wiping.wipe(WipeLevel.ALL)
    assert anna.metric("wipes_executed") == 2, "the device's keys are others"
    assert phone.wiping.is_gone


@pytest.mark.parametrize("broken", ["cards", "doubled", "other"])
async def test_what_is_no_order_about_this_device_does_nothing(
    rig: Rig, tmp_path: Path, broken: str
) -> None:
    phone, membership = phone_of(rig, "anna", tmp_path), rig["anna"].node.membership
    order = {
        "cards": documents.wipe_order(rig, ["anna"], cards=[0]),
        "doubled": documents.wipe_order(rig, ["anna"], cards=[1, 1]),
        "other": documents.wipe_order(rig, ["bruno", "box"]),
    }[broken]
    assert await membership.accept([order.raw]) == (1 if broken == "other" else 0)
    await phone.wiping.look()
    assert not phone.wiping.is_due
    assert phone.steps == []
    assert rig["anna"].node.desk is not None


async def test_an_order_that_finds_no_room_in_the_store_is_obeyed(
    met: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    phone, membership = phone_of(met, "anna", tmp_path), met["anna"].node.membership
    good = documents.wipe_order(met, ["anna"])
    bad = documents.wipe_order(met, ["anna"], b"order-02", cards=[0])

    async def full(_work: object) -> None:
        raise StoreFullError("the disk is full")

    monkeypatch.setattr(met["anna"].store, "write", full)
    assert await membership.accept([bad.raw]) == 0
    assert not phone.wiping.is_due
    other = documents.revocations(met, ["bruno"], 1)
    with pytest.raises(StoreFullError):
        await membership.accept([bad.raw, other.raw, good.raw])
    assert met["bruno"].id not in membership.trust.revoked, "only what cannot wait takes effect"
    await phone.wiping.obey()
    assert phone.wiping.is_gone
    assert phone.state is HomeState.REMNANT
    assert phone.steps[0] == "wipe_ordered"
    remnant = RemnantFiles(phone.home).read()
    assert remnant is not None
    assert good.raw in remnant.documents


# --- level ALL -----------------------------------------------------------------------------------


async def test_nothing_is_destroyed_before_the_proof_is_durable(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = phone_of(rig, "anna", tmp_path)
    await ordered(rig, "anna")
    seen: list[tuple[HomeState, bool]] = []

    def look(home: Path, _runtime: object) -> None:
        seen.append((phone.state, KeyStore.open(home).is_wiped))
        raise OSError

    for name in ("destroy_agent", "destroy_device"):
        monkeypatch.setattr(f"meshnode.wiping.{name}", look)
    with pytest.raises(OSError):
        await phone.wiping.obey()
    assert seen == [(HomeState.BEGUN, False)] * 2, "one that fails does not stop the other"
    assert phone.wiping.is_due, "it goes on where it was"
    monkeypatch.undo()
    await phone.wiping.obey()
    assert phone.wiping.is_gone


async def test_everything_goes_but_the_remnant(rig: Rig, tmp_path: Path) -> None:
    ways = Ways(("127.0.0.1:7625",), ("10.0.0.9:7625",), has_multicast=True)
    phone = phone_of(rig, "anna", tmp_path, ways)
    order = await ordered(rig, "anna")
    await phone.wiping.obey()
    assert phone.steps == ["wipe_ordered", "proof", "agent", "device"]
    assert phone.state is HomeState.REMNANT
    assert finish(phone.home, rig["anna"].machine.runtime) is HomeState.REMNANT
    remnant = RemnantFiles(phone.home).read()
    assert remnant is not None
    assert (remnant.listen, remnant.places) == (ways.listen, ways.places)
    assert (remnant.has_multicast, remnant.has_probe) == (True, False)
    # Whoever knows nothing of the order takes all of it from the remnant.
    bruno = rig["bruno"]
    assert await bruno.node.membership.accept(remnant.documents) == 2
    assert holds_proof(bruno, order, rig["anna"].id)
    assert bruno.metric("wipes_proven") == 1
    assert rig["anna"].metric("wipes_proven") == 0


@pytest.mark.parametrize("level", LEVELS)
async def test_a_proof_that_cannot_be_made_stops_nothing(
    rig: Rig, tmp_path: Path, level: WipeLevel
) -> None:
    phone = phone_of(rig, "anna", tmp_path)
    (phone.home / "keys" / "link.pem").write_text("no key")
    await ordered(rig, "anna", level=level)
    await phone.wiping.obey()
    assert phone.steps[:2] == ["wipe_ordered", "wipe_unproven"]
    assert rig["anna"].metric("wipes_unproven") == 1
    assert KeyStore(phone.home).is_destroyed(Tier.AGENT)
    assert phone.state is (HomeState.OVER if level is WipeLevel.ALL else HomeState.UNTOUCHED)
    assert not phone.wiping.is_due, "not again and again"


async def test_a_proof_states_a_time_at_which_its_certificates_held(
    rig: Rig, tmp_path: Path
) -> None:
    anna = rig["anna"]
    phone = phone_of(rig, "anna", tmp_path)
    end_ms = anna.device.badge.not_after_ms
    order = await ordered(rig, "anna", level=WipeLevel.AGENT, issued_ms=end_ms - 1_000)
    anna.machine.clock_ahead_ms = end_ms - START_MS + 86_400_000
    await phone.wiping.obey()
    assert holds_proof(anna, order, anna.id)
    (proven_ms,) = anna.node.membership.trust.erasure_times().values()
    assert proven_ms <= end_ms


# --- a running node ------------------------------------------------------------------------------


async def test_an_order_is_obeyed_when_it_comes(
    rig: Rig, tmp_path: Path, autojump_clock: MockClock
) -> None:
    phone, anna = phone_of(rig, "anna", tmp_path), rig["anna"]
    await anna.node.lock()
    started_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            keep_running, "wiping", phone.wiping.run, anna.machine.runtime, anna.node.metrics
        )
        await trio.sleep(60)
        contact_s = trio.current_time()
        await ordered(rig, "anna")
    assert phone.wiping.is_gone
    assert trio.current_time() - contact_s < KEYS_GONE_S_MAX
    assert contact_s - started_s >= 60


async def test_a_disk_that_fails_is_tried_again(
    rig: Rig, tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone, anna = phone_of(rig, "anna", tmp_path), rig["anna"]
    with monkeypatch.context() as patch:
        patch.setattr("meshnode.wiping.destroy_device", _fails)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                keep_running, "wiping", phone.wiping.run, anna.machine.runtime, anna.node.metrics
            )
            await ordered(rig, "anna")
            await trio.sleep(2)
            before = phone.state
            assert anna.metric("rooms_restarted") > 0
            patch.undo()
    assert phone.wiping.is_gone
    assert (before, phone.state) == (HomeState.BEGUN, HomeState.REMNANT)


def _fails(*_arguments: object) -> None:
    raise OSError("no such luck")


async def test_several_orders_are_obeyed_at_once_at_the_higher_level(
    rig: Rig, tmp_path: Path
) -> None:
    phone = phone_of(rig, "anna", tmp_path)
    await ordered(rig, "anna", level=WipeLevel.AGENT)
    await ordered(rig, "anna", order_id=b"order-02", level=WipeLevel.ALL)
    await phone.wiping.obey()
    remnant = RemnantFiles(phone.home).read()
    assert remnant is not None
    assert await rig["bruno"].node.membership.accept(remnant.documents) == 4
    assert len(rig["bruno"].node.membership.trust.erasures()) == 2


# --- what others see -----------------------------------------------------------------------------


async def test_others_see_who_was_ordered_and_who_has_proven(rig: Rig) -> None:
    gateway = rig["gateway"].node
    at_ms = START_MS + 1_000
    order = documents.wipe_order(rig, ["anna", "bruno"], level=WipeLevel.ALL)
    proof = documents.erasure(rig, "bruno", issued_ms=at_ms)
    assert await gateway.membership.accept([order.raw, proof.raw]) == 2
    (shown,) = order_log(gateway.membership.trust)
    assert await Api(gateway).orders() == [shown]
    assert (shown["order"], shown["level"]) == (b"order-01".hex(), "all")
    assert shown["issued_ms"] == START_MS
    states = {each["name"]: (each["state"], each["proven_ms"]) for each in shown["devices"]}
    assert states == {"anna": ("ordered", None), "bruno": ("proven", at_ms)}
    named = {each["node"] for each in shown["devices"]}
    assert named == {print_node_id(rig[name].id) for name in ("anna", "bruno")}


async def test_orders_are_shown_for_as_long_as_they_are_carried(rig: Rig) -> None:
    gateway = rig["gateway"]
    await gateway.node.membership.accept([documents.wipe_order(rig, ["anna"]).raw])
    gateway.machine.clock_ahead_ms = WIPE_CARRY_MS
    await gateway.node.housekeeping.look()
    assert await Api(gateway.node).orders() == []
