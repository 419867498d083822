"""Weekly keys: made by one operator, taken by everybody who may, from nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from meshnode.outbox import Priority
from meshnode.store import bundles as rows
from meshnode.store import keyring, network_keys
from meshnode.store.engine import Transaction
from protocol import bundle as bundles
from protocol import payloads
from protocol.bundle import Scope, ScopeKind, Suite
from protocol.envelope import pad, seal_info
from protocol.guards import (
    NETWORK_EPOCH_MS,
    NETWORK_KEYS_LEAD_MS,
    NETWORK_KEYS_PER_EPOCH_MAX,
    NETWORK_KEYS_RANK_MS,
    SOS_OLD_EPOCHS_MAX,
)
from protocol.identity import Role
from protocol.limits import Kind
from protocol.network_keys import KeyPurpose, WeeklyKey, epoch_at, key_id_of
from protocol.orders import Revocation
from protocol.payloads import NetworkKeys
from protocol.reports import Reception
from sims.fleet import ZONE, DevicePlan
from sims.runtime import START_MS
from tests.meshnode.documents import publish_roster, revocations, signed_list
from tests.meshnode.rig import CODT, SQUAD, ZONE_SCOPE, Member, Rig, open_rig, squad_scope

WEEK = epoch_at(START_MS)
RENEWAL_MS = (WEEK + 1) * NETWORK_EPOCH_MS - NETWORK_KEYS_LEAD_MS
"""When the keys of the next week are due."""
MINUTE_MS = 60_000
PLANS = (
    DevicePlan("anna", Role.AGENT, (SQUAD,)),
    DevicePlan("box", Role.RELAY, (SQUAD,)),
    DevicePlan("first", Role.OPERATOR),
    DevicePlan("gateway", Role.GATEWAY),
    DevicePlan("second", Role.OPERATOR),
)
NAMES = tuple(plan.name for plan in PLANS)


@pytest.fixture
async def town(autojump_clock: MockClock) -> AsyncIterator[Rig]:
    """Give an agent, a box, two operators and a gateway who have met; `first` is first in line."""
    async with open_rig(PLANS) as rig:
        ahead, behind = sorted((rig["first"], rig["second"]), key=lambda each: each.id)
        rig.members["first"], rig.members["second"] = ahead, behind
        await rig.mix(*NAMES)
        yield rig


async def held(member: Member, purpose: KeyPurpose) -> list[tuple[int, bytes]]:
    """Return (week, key) of all that a device holds of a purpose."""
    found = await member.store.read(lambda conn: network_keys.held(conn, purpose))
    return [(each.epoch, each.key) for each in found]


async def set_clocks(rig: Rig, at_ms: int) -> None:
    """Let all clocks show one time; the virtual clock may have moved while the rig was built."""
    for member in rig.members.values():
        member.machine.clock_ahead_ms += at_ms - member.machine.now_ms()


async def pass_time(rig: Rig, ms: int) -> None:
    """Let all clocks run on."""
    for member in rig.members.values():
        member.machine.clock_ahead_ms += ms


async def look(rig: Rig, *names: str) -> None:
    """Let housekeeping do what is due."""
    for name in names:
        await rig[name].node.require_desk().look()
        await rig[name].node.housekeeping.look()


async def test_one_operator_makes_the_keys_of_the_next_week_and_all_take_them(town: Rig) -> None:
    await set_clocks(town, RENEWAL_MS - MINUTE_MS)
    await look(town, *NAMES)
    assert {week for week, _key in await held(town["first"], KeyPurpose.KNOCK)} == {WEEK}
    await pass_time(town, MINUTE_MS)
    await look(town, *NAMES)
    await town.mix(*NAMES)
    knock, sos = [
        await held(town["first"], each) for each in (KeyPurpose.KNOCK, KeyPurpose.ZONE_SOS)
    ]
    assert [week for week, _key in knock] == [week for week, _key in sos] == [WEEK, WEEK + 1]
    assert len({key for _week, key in [*knock, *sos]}) == 4, "each is drawn for itself"
    for name in NAMES:
        assert await held(town[name], KeyPurpose.KNOCK) == knock, name
    for name in ("anna", "gateway", "second"):
        assert await held(town[name], KeyPurpose.ZONE_SOS) == sos, name
    assert await held(town["box"], KeyPurpose.ZONE_SOS) == [], "a relay reads nothing"
    assert town["first"].metric("network_keys_made") == 2
    assert await town["anna"].texts() == [], "people see nothing of it"
    noted = await town["anna"].store.read(lambda conn: rows.unreceived(conn, Kind.NETWORK_KEYS))
    assert noted, "and nobody receipts them"


async def test_the_next_operator_is_silent_if_the_first_was_heard(town: Rig) -> None:
    await set_clocks(town, RENEWAL_MS)
    await look(town, *NAMES)
    await town.mix(*NAMES)
    await pass_time(town, NETWORK_KEYS_RANK_MS)
    await look(town, *NAMES)
    assert town["second"].metric("network_keys_made") == 0


async def test_the_next_operator_helps_out_a_day_later(town: Rig) -> None:
    await set_clocks(town, RENEWAL_MS + NETWORK_KEYS_RANK_MS - MINUTE_MS)
    await look(town, "second")
    assert town["second"].metric("network_keys_made") == 0
    await pass_time(town, MINUTE_MS)
    await look(town, "second")
    assert town["second"].metric("network_keys_made") == 2
    await town.mix("second", "anna")
    assert len(await held(town["anna"], KeyPurpose.KNOCK)) == 2


async def test_keys_of_two_operators_are_both_kept_and_all_use_the_same(town: Rig) -> None:
    await set_clocks(town, RENEWAL_MS + NETWORK_KEYS_RANK_MS)
    await look(town, "first", "second")
    await town.mix(*NAMES)
    await pass_time(town, NETWORK_KEYS_LEAD_MS)
    chosen = set()
    for name in NAMES:
        member = town[name]
        assert len(await held(member, KeyPurpose.KNOCK)) == 3
        now_ms = member.machine.now_ms()
        found = await member.store.read(
            lambda conn, now_ms=now_ms: network_keys.chosen(conn, KeyPurpose.KNOCK, now_ms)  # type: ignore[misc]
        )
        assert found is not None
        chosen.add(found)
    assert len(chosen) == 1


async def test_an_sos_goes_under_the_key_of_the_week_and_opens_with_the_last(town: Rig) -> None:
    sos = dict(await held(town["anna"], KeyPurpose.ZONE_SOS))
    await set_clocks(town, RENEWAL_MS)
    await look(town, "first")
    await town.mix(*NAMES)
    early = await town["anna"].send(ZONE_SCOPE, "early", Priority.SOS)
    ids = {each.header.id: each.header.keyref for each in await town["anna"].held(Kind.SOS)}
    assert ids[early.id] == key_id_of(WEEK, sos[WEEK]), "the next week has not begun"
    await pass_time(town, NETWORK_KEYS_LEAD_MS)
    late = await town["anna"].send(ZONE_SCOPE, "late", Priority.SOS)
    ids = {each.header.id: each.header.keyref for each in await town["anna"].held(Kind.SOS)}
    assert ids[late.id] != ids[early.id]
    await look(town, *NAMES)
    await town.mix("anna", "gateway")
    assert sorted(await town["gateway"].texts()) == ["early", "late"]


async def test_old_keys_are_erased_when_newer_ones_are_in_use(
    autojump_clock: MockClock, town: Rig
) -> None:
    await set_clocks(town, START_MS)
    for _week in range(5):
        # The machines run on too: a clock that jumped by a week alone would destroy nothing.
        await trio.sleep(NETWORK_EPOCH_MS / 1_000)
        await look(town, *NAMES)
        await town.mix(*NAMES)
        await look(town, *NAMES)
    for purpose in (KeyPurpose.KNOCK, KeyPurpose.ZONE_SOS):
        weeks = {week for week, _key in await held(town["anna"], purpose)}
        assert weeks == {WEEK + 2, WEEK + 3, WEEK + 4, WEEK + 5}


@pytest.mark.parametrize("weeks", [2, SOS_OLD_EPOCHS_MAX, SOS_OLD_EPOCHS_MAX + 1])
async def test_an_sos_of_whoever_was_away_for_weeks_is_read_while_its_knock_is_taken(
    weeks: int, autojump_clock: MockClock, town: Rig
) -> None:
    await set_clocks(town, START_MS)
    others = [name for name in NAMES if name != "anna"]
    for _week in range(weeks):
        await trio.sleep(NETWORK_EPOCH_MS / 1_000)
        await look(town, *others)
        await town.mix(*others)
        await look(town, *others)
    await town["anna"].send(ZONE_SCOPE, "away", Priority.SOS)
    for name in ("gateway", "second"):
        await town[name].take(await town["anna"].held(Kind.SOS), town["anna"].id)
        heard = ["away"] if weeks <= SOS_OLD_EPOCHS_MAX else []
        assert await town[name].texts() == heard
        assert await town[name].held(Kind.SOS), "carried all the same"


async def test_a_device_out_of_reach_keeps_its_last_keys(town: Rig) -> None:
    await pass_time(town, 10 * NETWORK_EPOCH_MS)
    await look(town, "anna")
    assert len(await held(town["anna"], KeyPurpose.ZONE_SOS)) == 1
    assert len(await held(town["anna"], KeyPurpose.KNOCK)) == 1


async def test_a_removed_device_gets_no_new_key(town: Rig) -> None:
    for name in NAMES:
        await publish_roster(town, town[name], ["box"], version=2)
    await set_clocks(town, RENEWAL_MS)
    await look(town, "first")
    await town.mix(*NAMES)
    assert len(await held(town["gateway"], KeyPurpose.KNOCK)) == 2
    assert len(await held(town["anna"], KeyPurpose.KNOCK)) == 1


async def test_a_relay_whose_prekey_comes_late_gets_its_key_then(autojump_clock: MockClock) -> None:
    async with open_rig(PLANS[:3]) as rig:
        await rig.mix("anna", "first")
        await set_clocks(rig, RENEWAL_MS)
        await look(rig, "first", "box")
        assert [each.header.suite for each in await rig["first"].held(Kind.NETWORK_KEYS)] == [
            Suite.CHAIN
        ]
        await rig.carry("box", "first")
        await rig.carry("first", "box")
        assert len(await held(rig["box"], KeyPurpose.KNOCK)) == 2
        before = len(await rig["first"].held(Kind.NETWORK_KEYS))
        await pass_time(rig, 25 * 3_600_000)
        await look(rig, "box")
        await rig.carry("box", "first")
        assert len(await rig["first"].held(Kind.NETWORK_KEYS)) == before, "once is enough"


# --- revoked devices ---------------------------------------------------------------------------


async def revoke(rig: Rig, *names: str, at: tuple[str, ...] = NAMES) -> None:
    """Tell the nodes `at`, but for those that it names, that devices are revoked."""
    listed = revocations(rig, names, 1).raw
    for name in set(at) - set(names):
        assert await rig[name].node.membership.accept([listed]) == 1


async def told(member: Member) -> set[bytes]:
    """Return the devices that a node sealed keys to one by one."""
    found = await member.held(Kind.NETWORK_KEYS)
    scopes = [each.header.scope for each in found if each.header.author == member.id]
    return {scope.target for scope in scopes if scope.kind is ScopeKind.DEVICE}


@pytest.mark.parametrize("name", ["anna", "box", "gateway", "second"])
async def test_no_key_of_the_next_week_is_sealed_to_a_revoked_device(town: Rig, name: str) -> None:
    await revoke(town, name)
    await set_clocks(town, RENEWAL_MS)
    await look(town, "first")
    await town.mix(*NAMES)
    for other in set(NAMES) - {name}:
        assert len(await held(town[other], KeyPurpose.KNOCK)) == 2, other
    assert town[name].id not in await told(town["first"])
    for purpose in (KeyPurpose.KNOCK, KeyPurpose.ZONE_SOS):
        weeks = {week for week, _key in await held(town[name], purpose)}
        assert weeks <= {WEEK}, purpose


async def test_a_new_prekey_of_a_revoked_relay_is_answered_with_nothing(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(PLANS[:3]) as rig:
        await rig.mix("anna", "first")
        await set_clocks(rig, RENEWAL_MS)
        await look(rig, "first", "box")
        await revoke(rig, "box", at=("first",))
        await rig.carry("box", "first")
        await rig.carry("first", "box")
        assert await told(rig["first"]) == set()
        assert {week for week, _key in await held(rig["box"], KeyPurpose.KNOCK)} == {WEEK}


async def test_a_revoked_operator_makes_no_keys_and_is_waited_for_by_nobody(town: Rig) -> None:
    await revoke(town, "first", at=("second",))
    await town["first"].node.membership.accept([revocations(town, ["first"], 1).raw])
    await set_clocks(town, RENEWAL_MS)
    await look(town, "first", "second")
    assert town["first"].metric("network_keys_made") == 0
    assert town["second"].metric("network_keys_made") == 2, "it is the first one now"


# --- revoked operators -------------------------------------------------------------------------


def planted(number: int = 0, week: int = WEEK + 1) -> WeeklyKey:
    """Return a key that a thief drew until its name came before that of any other."""
    keys = (number.to_bytes(28, "big") + tries.to_bytes(4, "big") for tries in range(1 << 20))
    return next(
        WeeklyKey(KeyPurpose.ZONE_SOS, week, key) for key in keys if key_id_of(week, key)[4] == 0
    )


async def sos_keys(member: Member, week: int = WEEK + 1) -> set[bytes]:
    """Return the SOS keys of one week that a device holds."""
    return {key for each, key in await held(member, KeyPurpose.ZONE_SOS) if each == week}


async def sos_key_in_use(town: Rig, name: str) -> bytes:
    """Return the key under which a device would raise an SOS."""
    member, revoked = town[name], town[name].node.membership.directory.revoked
    now_ms = member.machine.now_ms()
    found = await member.store.read(
        lambda conn: network_keys.chosen(conn, KeyPurpose.ZONE_SOS, now_ms, revoked)
    )
    assert found is not None
    return found[1]


@pytest.mark.parametrize("name", ["anna", "first", "gateway"])
async def test_nobody_takes_a_key_of_an_operator_that_is_revoked(town: Rig, name: str) -> None:
    await set_clocks(town, START_MS)
    await revoke(town, "second")
    raw = await forged(town["second"], town[name], 1, planted())
    await town[name].take([raw])
    assert await sos_keys(town[name]) == set()


async def test_a_key_that_came_before_the_news_and_is_opened_after_it_is_refused(town: Rig) -> None:
    await set_clocks(town, START_MS)
    first = town["first"]
    desk = first.parts.desk
    await first.node.lock()
    raw = await forged(town["second"], first, 1, planted())
    assert await first.take([raw]) == [Reception.STORED]
    await revoke(town, "second")
    assert desk is not None
    first.node.open_desk(desk)
    await first.node.settle()
    assert await sos_keys(first) == set()
    assert first.metric("messages_revoked") == 1


async def test_a_key_of_a_good_bundle_is_taken_after_the_news(town: Rig) -> None:
    await set_clocks(town, START_MS)
    anna, second = town["anna"], town["second"]
    raw = await forged(second, anna, 1, planted())
    last = bundles.decode_untrusted(raw).header
    entry = Revocation(second.id, START_MS, last.incarnation, last.seq)
    await anna.node.membership.accept([signed_list(town, [entry], 1).raw])
    assert await anna.take([raw]) == [Reception.STORED]
    assert await sos_keys(anna) == {planted().key}


async def test_another_key_is_made_for_one_of_a_revoked_operator(town: Rig) -> None:
    """The thief gave keys as long as it was believed, and drew them so that all would use them."""
    await set_clocks(town, RENEWAL_MS - MINUTE_MS)
    everybody = tuple(each for each in NAMES if each != "second")
    keys = [planted(number) for number in range(NETWORK_KEYS_PER_EPOCH_MAX)]
    for number, name in enumerate(("anna", "first", "gateway")):
        await town[name].take([await forged(town["second"], town[name], number, *keys)])
        assert len(await sos_keys(town[name])) == NETWORK_KEYS_PER_EPOCH_MAX
    await set_clocks(town, RENEWAL_MS)
    await look(town, "first")
    assert town["first"].metric("network_keys_made") == 0, "the thief was believed"
    before = await sos_keys(town["anna"])
    await revoke(town, "second")
    await look(town, *everybody)
    assert town["first"].metric("network_keys_made") == 2
    await town.mix(*everybody)
    (fresh,) = await sos_keys(town["first"]) - before
    await set_clocks(town, RENEWAL_MS + NETWORK_KEYS_LEAD_MS)
    for name in ("anna", "first", "gateway"):
        assert await sos_key_in_use(town, name) == fresh, name
        assert len(await sos_keys(town[name])) == NETWORK_KEYS_PER_EPOCH_MAX


async def test_an_operator_passes_on_no_key_of_a_revoked_one(town: Rig) -> None:
    await set_clocks(town, RENEWAL_MS - MINUTE_MS)
    await town["first"].take([await forged(town["second"], town["first"], 1, planted())])
    assert await sos_keys(town["first"]) == {planted().key}
    await revoke(town, "second")
    await set_clocks(town, RENEWAL_MS)
    await look(town, "first")
    await town.mix("first", "anna")
    assert planted().key not in await sos_keys(town["anna"])
    assert len(await sos_keys(town["anna"])) == 1


async def test_the_key_of_the_running_week_stays_whoever_gave_it(town: Rig) -> None:
    """An SOS that mates cannot open is worse than one that a thief can."""
    await set_clocks(town, RENEWAL_MS + NETWORK_KEYS_RANK_MS)
    await look(town, "second")
    await town.mix(*NAMES)
    await set_clocks(town, (WEEK + 1) * NETWORK_EPOCH_MS)
    await revoke(town, "second")
    before = await sos_keys(town["anna"])
    await look(town, "first")
    await town.mix("anna", "first")
    assert town["first"].metric("network_keys_made") == 0
    assert await sos_keys(town["anna"]) == before == {await sos_key_in_use(town, "anna")}


# --- lies --------------------------------------------------------------------------------------


async def forged(member: Member, to: Member, seq: int, *weekly: WeeklyKey) -> bytes:
    """Return keys that a device seals to another, as an operator would."""
    scope = Scope.for_device(ZONE, to.id)
    payload = NetworkKeys(member.id, scope.encode(), weekly)
    record = await to.store.read(keyring.newest_own_prekey)
    assert record is not None
    more = {"suite": Suite.HYBRID, "keyref": record.prekey_id, "lifetime_s": 3_600}
    header = member.header(Kind.NETWORK_KEYS, scope, seq, **more)
    plaintext = pad(payloads.encode(payload))
    sealed = member.node.sealer.seal_hybrid(record.public, seal_info(header.encode()), plaintext)
    return member.forge(header, sealed).raw


async def test_keys_of_anybody_but_an_operator_are_refused(town: Rig) -> None:
    await set_clocks(town, START_MS)
    anna = town["anna"]
    for place, name in enumerate(("gateway", "box", "second")):
        weekly = WeeklyKey(KeyPurpose.KNOCK, WEEK + 1, bytes([place]) * 32)
        raw = await forged(town[name], anna, 1, weekly)
        assert await anna.take([raw]) == [Reception.STORED]
        is_operator = name == "second"
        keys = [key for _week, key in await held(anna, KeyPurpose.KNOCK)]
        assert (weekly.key in keys) is is_operator
    assert anna.metric("network_keys_refused") == 2


async def test_a_relay_takes_no_sos_key(town: Rig) -> None:
    weekly = WeeklyKey(KeyPurpose.ZONE_SOS, WEEK + 1, bytes(32))
    await town["box"].take([await forged(town["first"], town["box"], 1, weekly)])
    assert await held(town["box"], KeyPurpose.ZONE_SOS) == []
    assert town["box"].metric("network_keys_refused") == 1


async def test_keys_in_clear_are_malformed(town: Rig) -> None:
    header = town["first"].header(Kind.NETWORK_KEYS, CODT, 1)
    assert await town["anna"].take([town["first"].forge(header, b"")]) == [Reception.MALFORMED]


async def test_a_text_that_holds_keys_is_no_message(town: Rig) -> None:
    """A payload of another type under the kind of a text shows nothing to anybody."""
    first, anna = town["first"], town["anna"]
    scope = Scope.for_device(ZONE, anna.id)
    record = await anna.store.read(keyring.newest_own_prekey)
    assert record is not None
    more = {"suite": Suite.HYBRID, "keyref": record.prekey_id}
    header = first.header(Kind.TEXT, scope, 1, **more)
    weekly = (WeeklyKey(KeyPurpose.KNOCK, WEEK + 1, bytes(32)),)
    plaintext = pad(payloads.encode(NetworkKeys(first.id, scope.encode(), weekly)))
    sealed = first.node.sealer.seal_hybrid(record.public, seal_info(header.encode()), plaintext)
    await anna.take([first.forge(header, sealed)])
    assert await anna.texts() == []
    assert len(await held(anna, KeyPurpose.KNOCK)) == 1
    assert anna.metric("messages_unopenable") == 1


async def test_the_newest_keys_for_a_squad_replace_the_older_on_their_way(town: Rig) -> None:
    for _week in range(3):
        await pass_time(town, NETWORK_EPOCH_MS)
        await look(town, "first")
    found = await town["first"].held(Kind.NETWORK_KEYS)
    slots = [each.header.scope for each in found]
    assert len(slots) == len(set(slots))
    assert squad_scope() in slots


async def test_weeks_far_ahead_are_not_kept(town: Rig) -> None:
    anna, now_ms = town["anna"], START_MS

    def put(tx: Transaction, epoch: int) -> bool:
        return network_keys.put(tx, WeeklyKey(KeyPurpose.KNOCK, epoch, bytes(32)), now_ms)

    assert await anna.store.write(lambda tx: put(tx, WEEK + 2)) is True
    assert await anna.store.write(lambda tx: put(tx, WEEK + 3)) is False
    assert await anna.store.write(lambda tx: put(tx, WEEK - 4)) is False
