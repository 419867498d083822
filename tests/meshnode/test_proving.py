"""What is left of a wiped device delivers its proof over links, and ends once somebody has it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from meshnode.enrol import LinkSecret, chain_pem
from meshnode.links.base import Address
from meshnode.links.contacts import Hint
from meshnode.metrics import Metrics
from meshnode.proving import Prover
from meshnode.remnant import Remnant, RemnantFiles
from protocol.errors import RemoteProtocolError
from protocol.guards import REMNANT_PLACES_MAX, WIPE_CARRY_MS
from protocol.identity import binding_message
from protocol.limits import BACKOFF_MS_MAX
from sims.fleet import memory_certificate
from tests.meshnode import documents
from tests.meshnode.rig import Rig
from tests.meshnode.test_node import running

pytestmark = pytest.mark.slow

WIPED = "anna"
HOUR_S = 3_600.0


def remnant_of(rig: Rig, name: str = WIPED) -> Remnant:
    """Return what is left of a device after an order."""
    device = rig[name].device
    raws = [
        rig.fleet.documents[0].raw,
        documents.wipe_order(rig, [name]).raw,
        documents.erasure(rig, name).raw,
    ]
    binding = device.keys.badge.sign(binding_message(device.link_chain[0]))
    return Remnant(
        node=device.node,
        documents=tuple(raws),
        badge_chain=device.badge.chain,
        link_chain=device.link_chain,
        binding=binding,
        password=b"p" * 64,
        knock_keys=((b"\0\0\0\1aaaa", b"k" * 32),),
        listen=("127.0.0.1:7625",),
        places=("10.0.0.9:7625", "[fe80::1]:7625"),
        has_multicast=True,
        has_probe=False,
    )


@dataclass(slots=True)
class Life:
    """The rest of the life of a wiped device."""

    prover: Prover
    """What runs."""
    is_delivered: bool | None = None
    """How it ended; None before."""
    ended_s: float = 0.0
    """When it ended."""

    async def run(self, *arguments: object, **more: object) -> None:
        """Run until it ends."""
        self.is_delivered = await self.prover.run(*arguments, **more)  # type: ignore[arg-type]
        self.ended_s = trio.current_time()


def life_of(rig: Rig, *, binding: bytes | None = None) -> Life:
    """Return the remnant of the device, on the bearer that was its own."""
    member = rig[WIPED]
    own = member.device.identity.binding[memory_certificate(WIPED)]
    return Life(
        Prover(
            remnant_of(rig),
            member.parts.bearer,
            member.machine.runtime,
            Metrics(),
            binding=own if binding is None else binding,
        )
    )


@asynccontextmanager
async def living(
    rig: Rig, life: Life, places: Sequence[str] = (), **more: object
) -> AsyncIterator[None]:
    """Run a remnant beside whatever the block does."""
    async with trio.open_nursery() as nursery:
        run = partial(life.run, [Address(each, 1) for each in places], **more)
        nursery.start_soon(run)
        yield
        nursery.cancel_scope.cancel()


def proven(rig: Rig, name: str) -> bool:
    """True if a node holds the proof."""
    return bool(rig[name].node.membership.trust.erasures())


async def test_it_ends_once_a_peer_shows_that_it_holds_the_proof(
    autojump_clock: MockClock, rig: Rig
) -> None:
    life = life_of(rig)
    async with running(rig, bruno=()), living(rig, life, ["bruno"]):
        await trio.sleep(10)
        assert proven(rig, "bruno")
    assert life.is_delivered is True
    assert life.prover.contacts == 2, "one that gave it, one that saw it"
    assert rig["bruno"].metric("wipes_proven") == 1


async def test_it_can_be_dialled_too(autojump_clock: MockClock, rig: Rig) -> None:
    life = life_of(rig)
    async with living(rig, life), running(rig, bruno=(WIPED,)):
        await trio.sleep(10)
        assert proven(rig, "bruno")
    assert life.is_delivered is True


async def test_a_deaf_one_is_not_dialled_and_dials_itself(
    autojump_clock: MockClock, rig: Rig
) -> None:
    life = life_of(rig)
    async with living(rig, life, ["bruno"], is_serving=False), running(rig, gateway=(WIPED,)):
        await trio.sleep(10)
        assert not proven(rig, "gateway")
        async with running(rig, bruno=()):
            await trio.sleep(BACKOFF_MS_MAX / 1000)
    assert life.is_delivered is True
    assert not proven(rig, "gateway")


async def test_a_revoked_one_delivers_its_proof_as_well(
    autojump_clock: MockClock, rig: Rig
) -> None:
    revoked = documents.revocations(rig, [WIPED], 1)
    await rig["bruno"].node.membership.accept([revoked.raw])
    life = life_of(rig)
    async with running(rig, bruno=()), living(rig, life, ["bruno"]):
        await trio.sleep(10)
    assert life.is_delivered is True
    assert rig["bruno"].metric("peers_restricted") == 2


async def test_it_takes_and_gives_nothing_but_its_documents(
    autojump_clock: MockClock, met: Rig
) -> None:
    await met["bruno"].send(met[WIPED].scope, "never to arrive")
    before = len(await met["bruno"].ids())
    life = life_of(met)
    async with running(met, bruno=()), living(met, life, ["bruno"]):
        await trio.sleep(10)
    assert life.is_delivered is True
    assert len(await met["bruno"].ids()) == before
    assert met["bruno"].metric("sessions_broken") == 0


async def test_who_is_only_sighted_is_tried_as_well(autojump_clock: MockClock, rig: Rig) -> None:
    async def find(hints: trio.MemorySendChannel[Hint]) -> None:
        await trio.sleep(60)
        for number in range(2 * REMNANT_PLACES_MAX):
            await hints.send(Hint(f"nobody {number}", (Address(f"nobody {number}", 1),)))
            await trio.sleep(60)
        await hints.send(Hint("bruno", (Address("bruno", 1),)))

    life = life_of(rig)
    async with (
        running(rig, bruno=()),
        living(rig, life, finders=lambda _listening: [find]),
    ):
        await trio.sleep(100 * HOUR_S)
    assert life.is_delivered is True, "places where nobody was met make room"


async def test_it_gives_up_when_nobody_carries_the_order_any_longer(
    autojump_clock: MockClock, rig: Rig
) -> None:
    life = life_of(rig)
    async with living(rig, life, ["nobody"]):
        await trio.sleep(WIPE_CARRY_MS / 1000 - HOUR_S)
        assert life.ended_s == 0
        await trio.sleep(2 * HOUR_S)
    assert life.is_delivered is False
    assert life.ended_s == pytest.approx(WIPE_CARRY_MS / 1000, abs=60)


async def test_whoever_is_no_member_gets_nothing(autojump_clock: MockClock, rig: Rig) -> None:
    """The gateway shows a badge that is not bound to its link."""
    gateway = rig["gateway"]
    certificate = memory_certificate("gateway")
    gateway.node.bindings = {certificate: bytes(64)}
    life = life_of(rig)
    async with living(rig, life), running(rig, gateway=(WIPED,)):
        await trio.sleep(60)
        assert life.prover.contacts == 0
    assert not proven(rig, "gateway")


async def test_its_own_address_is_no_peer(autojump_clock: MockClock, rig: Rig) -> None:
    life = life_of(rig)
    async with living(rig, life, [WIPED]):
        await trio.sleep(60)
        assert life.prover.contacts == 0
        assert life.is_delivered is None


# --- the record ----------------------------------------------------------------------------------


async def test_the_record_is_read_as_it_was_written(rig: Rig, tmp_path: Path) -> None:
    remnant = remnant_of(rig)
    assert Remnant.decode(remnant.encode()) == remnant
    assert "p" * 8 not in repr(remnant)
    assert "k" * 8 not in repr(remnant)
    assert RemnantFiles(tmp_path).read() is None


async def test_the_files_open_again(rig: Rig, tmp_path: Path) -> None:
    remnant, files = remnant_of(rig), RemnantFiles(tmp_path)
    own = rig[WIPED].device.write_link_files(tmp_path)
    key = LinkSecret(own.key, b"").rewrapped(remnant.password)
    for _ in range(2):
        files.write(remnant, key, chain_pem(remnant.link_chain))
    assert files.read() == remnant
    opened = LinkSecret(files.link_key, remnant.password).open()
    assert opened.private_bytes_raw() == rig[WIPED].device.keys.link.private_bytes_raw()
    assert {path.stat().st_mode & 0o777 for path in files.folder.iterdir()} == {0o600}
    files.record.write_bytes(files.record.read_bytes()[:-1])
    assert files.read() is None
    files.erase()
    assert list(files.folder.iterdir()) == []


@given(st.binary(max_size=2_000))
def test_any_bytes_are_a_record_or_malformed(raw: bytes) -> None:
    try:
        assert Remnant.decode(raw).encode() == raw
    except RemoteProtocolError:
        return
