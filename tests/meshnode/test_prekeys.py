"""A fresh prekey a day, the newest alone on the air, and old ones that still open for a while."""

from __future__ import annotations

from trio.testing import MockClock

from meshnode.store import keyring
from protocol.bundle import Bundle
from protocol.envelope import decode_prekey_untrusted
from protocol.limits import PREKEY_RENEW_MS, Kind
from tests.meshnode.rig import ZONE_SCOPE, Member, Rig, bundle_of


async def own(member: Member) -> Bundle:
    """Return the one prekey of a device that travels."""
    (found,) = [x for x in await member.held(Kind.PREKEY) if x.header.author == member.id]
    return found


async def test_a_prekey_is_renewed_after_a_day_and_not_before(
    autojump_clock: MockClock, rig: Rig
) -> None:
    anna = rig["anna"]
    first = await own(anna)
    anna.machine.clock_ahead_ms += PREKEY_RENEW_MS - 1
    await anna.node.require_desk().look()
    assert (await own(anna)).digest == first.digest
    anna.machine.clock_ahead_ms += 1
    await anna.node.require_desk().look()
    second = await own(anna)
    assert second.digest != first.digest
    assert second.header.scope == ZONE_SCOPE
    record = decode_prekey_untrusted(second.body)
    assert record.issued_ms == anna.machine.now_ms()


async def test_others_seal_to_the_newest_and_the_old_one_still_opens(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    early = await bruno.send(anna.scope, "under the old key")
    early_bundle = bundle_of(await bruno.held(), early.id)
    for member in met.members.values():
        member.machine.clock_ahead_ms += PREKEY_RENEW_MS
    await anna.node.require_desk().look()
    await met.carry("anna", "bruno", Kind.PREKEY)
    late = await bruno.send(anna.scope, "under the new key")
    late_bundle = bundle_of(await bruno.held(), late.id)
    newest = decode_prekey_untrusted((await own(anna)).body).prekey_id
    assert late_bundle.header.keyref == newest != early_bundle.header.keyref
    await anna.take([late_bundle, early_bundle])
    assert sorted(await anna.texts()) == ["under the new key", "under the old key"]


async def test_a_clock_that_was_set_back_makes_one_new_prekey_and_not_more(
    autojump_clock: MockClock, rig: Rig
) -> None:
    anna = rig["anna"]
    first = await own(anna)
    anna.machine.clock_ahead_ms -= 3_600_000
    await anna.node.require_desk().look()
    second = await own(anna)
    assert second.digest != first.digest, "the newest that travels was made last"
    for _ in range(5):
        anna.machine.clock_ahead_ms += 300_000
        await anna.node.require_desk().look()
        assert (await own(anna)).digest == second.digest
    secret = decode_prekey_untrusted(first.body).prekey_id
    assert await anna.store.read(lambda conn: keyring.own_prekey(conn, secret)) is not None
