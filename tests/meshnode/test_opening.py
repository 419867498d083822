"""The room with the keys: what opens, what waits, what never will, and that it changes nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from trio.testing import MockClock

from meshnode.opening import Opener, Waits
from meshnode.outbox import Priority
from meshnode.store import keyring
from protocol.bundle import Bundle, Scope, Suite
from protocol.chains import AlreadyUsedError, chain_id_of, receiving_chain
from protocol.envelope import (
    Slot,
    SlotSecret,
    decode_prekey_untrusted,
    encode_slot_secret,
    encode_slots,
    slot_info,
)
from protocol.errors import (
    EnvelopeError,
    LimitExceededError,
    MalformedError,
    NoKeyError,
    TamperedError,
)
from protocol.limits import CHAIN_MESSAGES_MAX, PREKEY_ERASE_MS, Kind
from protocol.payloads import Sos, Text
from protocol.shifts import position_subject, track_subject
from sims.fleet import ZONE
from tests.meshnode.rig import CODT, ZONE_SCOPE, Member, Rig, bundle_of, squad_scope


def opener(member: Member, zone: int = ZONE) -> Opener:
    """Return an opener over one store."""
    sealer = member.node.sealer
    return Opener(member.id, zone, sealer, lambda: member.node.membership.directory)


async def opened(member: Member, bundle: Bundle, zone: int = ZONE) -> str:
    """Open a bundle and return its text."""
    room = opener(member, zone)
    found = await member.store.read(lambda conn: room.open_message(conn, bundle))
    assert isinstance(found.payload, Text | Sos)
    return found.payload.text


async def sent(rig: Rig, kind: str = "device") -> Bundle:
    """Let anna write to bruno; return the bundle."""
    scope = {"device": rig["bruno"].scope, "squad": squad_scope(), "sos": ZONE_SCOPE}[kind]
    priority = Priority.SOS if kind == "sos" else Priority.NORMAL
    message = await rig["anna"].send(scope, f"by {kind}", priority)
    return bundle_of(await rig["anna"].held(), message.id)


async def test_each_suite_opens_for_its_reader(autojump_clock: MockClock, met: Rig) -> None:
    bruno = met["bruno"]
    for kind in ("device", "sos"):
        assert await opened(bruno, await sent(met, kind)) == f"by {kind}"
    chained = await sent(met, "squad")
    with pytest.raises(Waits) as caught:
        await opened(bruno, chained)
    assert caught.value.keyref == chained.header.keyref
    await bruno.take(await met["anna"].held(Kind.CHAIN_KEYS))
    assert await opened(bruno, chained) == "by squad"


async def test_opening_changes_nothing_by_itself(autojump_clock: MockClock, met: Rig) -> None:
    chained = await sent(met, "squad")
    await met["bruno"].take(await met["anna"].held(Kind.CHAIN_KEYS))
    for _ in range(3):
        assert await opened(met["bruno"], chained) == "by squad"


async def test_what_was_kept_as_used_opens_no_more(autojump_clock: MockClock, met: Rig) -> None:
    """Security case S19: a second opening of any is refused."""
    chained = await sent(met, "squad")
    await met["bruno"].take(await met["anna"].held(Kind.CHAIN_KEYS))
    await met["bruno"].take([chained])
    with pytest.raises(AlreadyUsedError):
        await opened(met["bruno"], chained)


async def test_a_chain_index_out_of_bounds_costs_no_key_work(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Security case S19: index 2,048 is refused."""
    chained = await sent(met, "squad")
    await met["bruno"].take(await met["anna"].held(Kind.CHAIN_KEYS))
    far = replace(chained.header, index=CHAIN_MESSAGES_MAX, seq=99)
    with pytest.raises(LimitExceededError):
        await opened(met["bruno"], met["anna"].forge(far, chained.body))


@pytest.mark.parametrize("name", ["box", "gateway"])
@pytest.mark.parametrize("kind", ["device", "squad"])
async def test_nothing_opens_for_others(
    autojump_clock: MockClock, met: Rig, name: str, kind: str
) -> None:
    bundle = await sent(met, kind)
    await met[name].take(await met["anna"].held())
    with pytest.raises(EnvelopeError):
        await opened(met[name], bundle)


async def test_an_sos_of_another_zone_does_not_open(autojump_clock: MockClock, met: Rig) -> None:
    bundle = await sent(met, "sos")
    with pytest.raises(NoKeyError):
        await opened(met["bruno"], bundle, zone=ZONE + 1)
    with pytest.raises(NoKeyError):
        await opened(met["box"], bundle)


async def test_a_suite_that_was_never_offered_is_not_tried(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Security case S22: a classical body for a device that offers only the hybrid suite."""
    bundle = await sent(met)
    for suite in (Suite.CLASSICAL, Suite.CLEAR):
        header = replace(
            bundle.header, suite=suite, seq=77, keyref=b"" if suite is Suite.CLEAR else bytes(8)
        )
        with pytest.raises(NoKeyError):
            await opened(met["bruno"], met["anna"].forge(header, bundle.body))


async def test_what_is_sealed_to_an_erased_prekey_stays_sealed(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Security case S22: a body sealed to an expired prekey."""
    bundle, bruno = await sent(met), met["bruno"]
    assert await opened(bruno, bundle) == "by device"
    end_ms = bruno.machine.now_ms() + PREKEY_ERASE_MS + 1
    await bruno.store.write(lambda tx: keyring.erase_ended(tx, end_ms))
    with pytest.raises(NoKeyError):
        await opened(bruno, bundle)


async def test_a_changed_header_does_not_open(autojump_clock: MockClock, met: Rig) -> None:
    bundle = await sent(met)
    for header in (
        replace(bundle.header, seq=55),
        replace(bundle.header, lifetime_s=77),
        replace(bundle.header, hlc=bundle.header.hlc + 1),
        replace(bundle.header, kind=Kind.NOTE),
    ):
        with pytest.raises(TamperedError):
            await opened(met["bruno"], met["anna"].forge(header, bundle.body))


@pytest.mark.slow
async def test_every_changed_bit_of_a_body_is_noticed(autojump_clock: MockClock, met: Rig) -> None:
    bundle = await sent(met)
    for place in range(0, len(bundle.body) * 8, 97):
        body = bytearray(bundle.body)
        body[place // 8] ^= 1 << place % 8
        with pytest.raises(TamperedError):
            await opened(met["bruno"], met["anna"].forge(bundle.header, bytes(body)))


# --- chain keys --------------------------------------------------------------------------------


async def keys_of(rig: Rig) -> Bundle:
    """Return anna's bundle of chain keys for the squad."""
    await rig["anna"].send(squad_scope(), "hello")
    (bundle,) = await rig["anna"].held(Kind.CHAIN_KEYS)
    return bundle


async def test_a_slot_gives_its_reader_the_chain(autojump_clock: MockClock, met: Rig) -> None:
    bundle = await keys_of(met)
    room = opener(met["bruno"])
    found = await met["bruno"].store.read(lambda conn: room.open_slot(conn, bundle))
    assert found is not None
    assert found[1] == squad_scope().encode()
    for name in ("box", "gateway"):
        find = partial(opener(met[name]).open_slot, bundle=bundle)
        assert await met[name].store.read(find) is None


async def test_slots_of_another_author_or_group_are_refused(
    autojump_clock: MockClock, met: Rig
) -> None:
    bundle, bruno, gateway = await keys_of(met), met["bruno"], met["gateway"]
    room = opener(bruno)
    # Signed by the gateway, the slot is bound to another header and does not open.
    stolen = gateway.forge(
        gateway.header(Kind.CHAIN_KEYS, squad_scope(), 1, suite=Suite.HYBRID), bundle.body
    )
    with pytest.raises(TamperedError):
        await bruno.store.read(lambda conn: room.open_slot(conn, stolen))
    moved = met["anna"].forge(replace(bundle.header, scope=CODT, seq=88), bundle.body)
    with pytest.raises(TamperedError):
        await bruno.store.read(lambda conn: room.open_slot(conn, moved))


async def test_keys_are_for_the_group_and_the_shift_that_their_bundle_names(
    autojump_clock: MockClock, met: Rig
) -> None:
    """What relays and quotas see in the header is what the keys are for."""
    anna, bruno = met["anna"], met["bruno"]
    (prekey,) = [x for x in await bruno.held(Kind.PREKEY) if x.header.author == bruno.id]
    record = decode_prekey_untrusted(prekey.body)
    shift, room = b"shift-01", opener(bruno)

    def given(scope: Scope, subject: bytes, keyref: bytes = b"") -> Bundle:
        header = anna.header(Kind.CHAIN_KEYS, scope, 3, suite=Suite.HYBRID)
        header = replace(header, keyref=keyref)
        secret = SlotSecret(anna.id, b"chain id", 1, subject, bytes(32))
        info = slot_info(header.encode(), bruno.id)
        sealed = anna.node.sealer.seal_hybrid(record.public, info, encode_slot_secret(secret))
        return anna.forge(header, encode_slots([Slot(bruno.id, record.prekey_id, sealed)]))

    group, on_shift = squad_scope().encode(), position_subject(squad_scope(), shift)
    for bundle in (
        given(CODT, group),
        given(ZONE_SCOPE, group),
        given(squad_scope(), on_shift),
        given(squad_scope(), on_shift, b"shift-02"),
        given(squad_scope(), group, shift),
    ):
        with pytest.raises(MalformedError, match="for another"):
            await bruno.store.read(partial(room.open_slot, bundle=bundle))
    for bundle in (given(squad_scope(), group), given(squad_scope(), on_shift, shift)):
        assert await bruno.store.read(partial(room.open_slot, bundle=bundle)) is not None


async def test_a_chain_opens_in_its_own_group_alone(autojump_clock: MockClock, met: Rig) -> None:
    chained = await sent(met, "squad")
    await met["bruno"].take(await met["anna"].held(Kind.CHAIN_KEYS))
    elsewhere = met["anna"].forge(replace(chained.header, scope=CODT, seq=99), chained.body)
    with pytest.raises(TamperedError, match="another group"):
        await opened(met["bruno"], elsewhere)


async def test_a_chain_of_positions_opens_no_text(autojump_clock: MockClock, met: Rig) -> None:
    """It is erased with its shift; that of the tracks is the centre's alone."""
    chained, bruno, anna = await sent(met, "squad"), met["bruno"], met["anna"]
    for subject in (
        position_subject(squad_scope(), b"shift-01"),
        track_subject(squad_scope(), b"shift-01"),
    ):
        chain = receiving_chain(chain_id_of(bytes(32)), 0, bytes(32))
        await bruno.store.write(
            partial(
                keyring.put_receiving_chain,
                chain=chain,
                author=anna.id,
                scope=subject,
                ends_ms=chained.header.expires_ms,
            )
        )
        header = replace(chained.header, keyref=chain.chain_id, seq=99)
        with pytest.raises(TamperedError, match="another group"):
            await opened(bruno, anna.forge(header, chained.body))


async def test_a_slot_for_a_group_that_we_are_not_in_is_refused(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Whoever is no member gets no chain, even if its author wants so."""
    anna, gateway = met["anna"], met["gateway"]
    (prekey,) = [x for x in await gateway.held(Kind.PREKEY) if x.header.author == gateway.id]
    record = decode_prekey_untrusted(prekey.body)

    def forged(scope_of_chain: bytes, author: bytes) -> Bundle:
        header = anna.header(Kind.CHAIN_KEYS, gateway.scope, 3, suite=Suite.HYBRID)
        secret = SlotSecret(author, b"chain id", 1, scope_of_chain, bytes(32))
        info = slot_info(header.encode(), gateway.id)
        sealed = anna.node.sealer.seal_hybrid(record.public, info, encode_slot_secret(secret))
        return anna.forge(header, encode_slots([Slot(gateway.id, record.prekey_id, sealed)]))

    room = opener(gateway)
    for bundle in (forged(squad_scope().encode(), anna.id), forged(CODT.encode(), met["bruno"].id)):
        with pytest.raises(TamperedError):
            await gateway.store.read(partial(room.open_slot, bundle=bundle))
    good = forged(CODT.encode(), anna.id)
    assert await gateway.store.read(lambda conn: room.open_slot(conn, good)) is not None


async def test_garbage_in_slots_gives_the_named_errors(autojump_clock: MockClock, met: Rig) -> None:
    anna, room = met["anna"], opener(met["bruno"])
    for number, body in enumerate((b"", b"\x91", b"\xdd\xff\xff\xff\xff", bytes(500))):
        bundle = anna.forge(
            anna.header(Kind.CHAIN_KEYS, squad_scope(), number, suite=Suite.HYBRID), body
        )
        with pytest.raises((MalformedError, LimitExceededError)):
            await met["bruno"].store.read(partial(room.open_slot, bundle=bundle))
