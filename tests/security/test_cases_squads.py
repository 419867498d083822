"""Security cases S12, S19, S20, S21 and S22: what is sealed to a squad or to one device.

Real homes, carried by hand; the hostile device is an enrolled one whose keys a script holds. Every
case runs with and without a restart in the middle.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random

import pytest

from meshnode.authority_home import AuthorityHome
from meshnode.outbox import Priority
from meshnode.runtime import system_runtime
from meshnode.store import delivery, keyring
from protocol.bundle import Bundle, Scope, Suite
from protocol.chains import key_for, receiving_chain
from protocol.envelope import seal_classical, seal_info
from protocol.errors import LimitExceededError
from protocol.limits import (
    CHAIN_MESSAGES_MAX,
    KEY_REQUEST_DELAY_MS,
    KEY_REQUEST_REPEAT_MS,
    PREKEY_END_MS,
    PREKEY_ERASE_MS,
    Kind,
)
from protocol.receipts import KeyRequest, decode_key_request_untrusted, encode_key_request
from protocol.reports import Reception
from tests.security.mates import (
    SEALER,
    SQUAD_SCOPE,
    Mates,
    ScriptedChain,
    meet,
    sealed_text,
)
from tests.security.parts import BOX, PASSPHRASE, ZONE, Town, Writer, audited, documents_of

pytestmark = [pytest.mark.slow, pytest.mark.real]

each_way = pytest.mark.parametrize("restarted", [False, True])
SECRET_TEXT = "the lorry comes at four by the old pass"


@pytest.fixture
async def squad(town: Town) -> AsyncIterator[Mates]:
    """Alice, Bob, and the box of their squad."""
    async with meet(town, "alice", "bob", BOX) as mates:
        yield mates


# --- S12: another's words under one's own name -----------------------------------------------


def resigned(thief: Writer, stolen: Bundle, **changes: object) -> bytes:
    """Return the body of a bundle under a header of the thief's own, as like as can be."""
    head = stolen.header
    kept = {
        "suite": head.suite,
        "kind": head.kind,
        "incarnation": head.incarnation,
        "seq": head.seq,
        "hlc": head.hlc,
        "lifetime_s": head.lifetime_s,
        "scope": head.scope,
        "keyref": head.keyref,
        "index": head.index,
    }
    return thief.bundle(stolen.body, **(kept | changes))


@each_way
async def test_s12_stolen_ciphertext_under_another_name_is_never_shown(
    squad: Mates, town: Town, *, restarted: bool
) -> None:
    alice, bob, thief = squad["alice"], squad["bob"], Writer(town.identity("mallory"))
    given = await squad.open("mallory")
    await squad.mix(Kind.PREKEY)
    await bob.send(SQUAD_SCOPE, SECRET_TEXT)
    await bob.send(alice.scope, SECRET_TEXT)
    await bob.send(Scope.for_zone(ZONE), SECRET_TEXT, Priority.SOS)
    stolen = await bob.own(Kind.TEXT, Kind.SOS)
    assert {each.header.suite for each in stolen} == {Suite.CHAIN, Suite.HYBRID, Suite.ZONE}
    # Mallory is of the squad: it was given Bob's chain, and gives it away as its own.
    await squad.carry("bob", "alice", Kind.CHAIN_KEYS)
    await squad.carry("bob", "mallory", Kind.CHAIN_KEYS)
    (chained,) = (each for each in stolen if each.header.suite is Suite.CHAIN)
    held = await given.node.store.read(
        lambda conn: keyring.receiving_chain(conn, chained.header.keyref, bob.id)
    )
    assert held is not None
    copy = ScriptedChain(thief, seed=held[0].seed)
    stolen_keys = copy.keys_for({alice.id: await alice.prekey()})
    assert set(await alice.take([stolen_keys])) == {Reception.STORED}
    if restarted:
        await squad.restart("alice")
        alice = squad["alice"]
    before = alice.metric("messages_unopenable")
    copies = [resigned(thief, each) for each in stolen]
    assert await alice.take(copies) == [Reception.STORED] * 3
    assert await alice.texts() == []
    assert alice.metric("messages_unopenable") == before + 3
    # The author of what nobody could open stands in the trace: it is Mallory and not Bob.
    named = [line for line in alice.traced if line.startswith("unopenable")]
    assert all(thief.node.hex() in line and bob.id.hex() not in line for line in named)
    # What Bob wrote is still read, and as his.
    await squad.carry("bob", "alice", Kind.TEXT, Kind.SOS)
    for _look in range(1 + restarted):
        assert await alice.texts() == [SECRET_TEXT] * 3
        assert {each.id.author for each in await alice.incoming()} == {bob.id}
        await squad.restart("alice")
        alice = squad["alice"]
    assert squad.betrayed(SECRET_TEXT, copy.first.seed) == []
    await squad.serves()


# --- S19: a whole chain out of order ---------------------------------------------------------


@each_way
async def test_s19_a_whole_chain_opens_once_in_any_order(
    squad: Mates, town: Town, *, restarted: bool
) -> None:
    alice, author = squad["alice"], Writer(town.identity("mallory"))
    chain = ScriptedChain(author)
    order = list(range(CHAIN_MESSAGES_MAX - 1))
    Random(19).shuffle(order)
    order.insert(0, CHAIN_MESSAGES_MAX - 1)
    sent = [chain.text(index, f"{SECRET_TEXT} {index}") for index in order]
    assert await alice.take([chain.keys_for({alice.id: await alice.prekey()})]) == [
        Reception.STORED
    ]
    for start, end in ((0, 1), (1, 1_000), (1_000, len(sent))):
        assert set(await alice.take(sent[start:end])) == {Reception.STORED}
        expected = sorted(f"{SECRET_TEXT} {index}" for index in order[:end])
        assert sorted(await alice.texts()) == expected
        if restarted:
            await squad.restart("alice")
    # The same bundles, and other bundles under keys that were used.
    assert not set(await alice.take(sent)) & {Reception.STORED}
    again = [chain.text(index, "read twice") for index in Random(1).sample(order, 40)]
    before = alice.metric("chain_keys_reused")
    assert set(await alice.take(again)) == {Reception.STORED}
    assert alice.metric("chain_keys_reused") == before + len(again)
    assert len(await alice.texts()) == CHAIN_MESSAGES_MAX
    # One index too many costs no key: it is refused as bytes, and by the chain itself.
    over = author.bundle(scope=SQUAD_SCOPE, keyref=chain.id, index=CHAIN_MESSAGES_MAX)
    assert await alice.take([over]) == [Reception.MALFORMED]
    assert alice.metric("bundles_malformed") == 1
    with pytest.raises(LimitExceededError):
        key_for(receiving_chain(chain.id, 0, chain.first.seed), CHAIN_MESSAGES_MAX)
    assert squad.betrayed(SECRET_TEXT, chain.first.seed) == []
    await squad.serves()


# --- S20: joining and leaving ----------------------------------------------------------------


@each_way
async def test_s20_a_newcomer_reads_from_its_first_message_on(
    squad: Mates, town: Town, *, restarted: bool
) -> None:
    alice, chain = squad["alice"], ScriptedChain(Writer(town.identity("mallory")))
    await alice.take([chain.keys_for({alice.id: await alice.prekey()}, index=100)])
    if restarted:
        await squad.restart("alice")
    before = [chain.text(index, f"before {index}") for index in range(100)]
    after = [chain.text(index, f"{SECRET_TEXT} {index}") for index in range(100, 140)]
    await alice.take([*after[20:], *before, *after[:20]])
    expected = {f"{SECRET_TEXT} {index}" for index in range(100, 140)}
    assert set(await alice.texts()) == expected
    assert len(await alice.texts()) == 40
    assert alice.metric("messages_unopenable") == 100
    if restarted:
        await squad.restart("alice")
        assert set(await squad["alice"].take(before)) == {Reception.DUPLICATE}
        assert set(await squad["alice"].texts()) == expected
    assert squad.betrayed(SECRET_TEXT, chain.first.seed) == []
    await squad.serves()


def removed(town: Town, name: str) -> list[bytes]:
    """Let the authority remove a device; return the documents that say so."""
    runtime = system_runtime()
    with AuthorityHome.open(town.home("hq"), PASSPHRASE, runtime.entropy) as authority:
        authority.remove(name, runtime.now_ms())
    return documents_of(town.home("hq"), runtime)


@each_way
async def test_s20_who_was_removed_reads_nothing_of_who_knows(
    squad: Mates, town: Town, *, restarted: bool
) -> None:
    await squad.open("mallory")
    await squad.mix(Kind.PREKEY)
    bob, mallory = squad["bob"], squad["mallory"]
    await bob.send(SQUAD_SCOPE, "before the removal")
    await squad.carry("bob", "mallory")
    assert await mallory.texts() == ["before the removal"]
    assert await bob.node.membership.accept(removed(town, "mallory")) > 0
    if restarted:
        await squad.restart("bob", "mallory")
        bob, mallory = squad["bob"], squad["mallory"]
    for number in range(3):
        await bob.send(SQUAD_SCOPE, f"{SECRET_TEXT} {number}")
    await squad.carry("bob", "mallory")
    await squad.carry("bob", "alice")
    assert await mallory.texts() == ["before the removal"]
    assert len(await squad["alice"].texts()) == 4
    # It asks for the key that it sees named, and gets none.
    named = {each.header.keyref for each in await bob.own(Kind.TEXT)}
    request = asking(town, "mallory", bob.scope, *named)
    given = len(await bob.own(Kind.CHAIN_KEYS))
    # Without a roster that names it, it is nobody to those who know.
    assert await bob.take([request]) == [Reception.UNKNOWN_AUTHOR]
    assert bob.metric("bundles_unknown_author") == 1
    assert len(await bob.own(Kind.CHAIN_KEYS)) == given
    await squad.carry("bob", "mallory")
    assert await mallory.texts() == ["before the removal"]
    assert squad.betrayed(SECRET_TEXT) == []
    await squad.serves()


# --- S21: a key that has not come ------------------------------------------------------------


@each_way
async def test_s21_a_missing_key_comes_from_its_author_and_from_nobody_else(
    squad: Mates, town: Town, *, restarted: bool
) -> None:
    alice, bob, box = squad["alice"], squad["bob"], squad[BOX]
    await bob.send(SQUAD_SCOPE, SECRET_TEXT)
    await squad.carry("bob", BOX)
    assert await box.texts() == [SECRET_TEXT]
    await squad.carry("bob", "alice", Kind.TEXT)
    if restarted:
        await squad.restart("alice", "bob")
        alice, bob = squad["alice"], squad["bob"]
    assert await alice.texts() == []
    assert await alice.node.store.read(delivery.unopened_count) == 1
    alice.ahead_ms += KEY_REQUEST_DELAY_MS + 1_000
    (asked,) = await alice.works_until_own(Kind.KEY_REQUEST)
    chain = next(each.header.keyref for each in await bob.own(Kind.TEXT))
    assert asked.header.scope == bob.scope
    assert decode_key_request_untrusted(asked.body).chains == (chain,)
    assert alice.metric("keys_requested") == 1
    # A third party that has the key, and is asked as well, gives nothing.
    before = len(await box.own(Kind.CHAIN_KEYS))
    await box.take([asked.raw, asking(town, "alice", box.scope, chain)])
    assert len(await box.own(Kind.CHAIN_KEYS)) == before
    # Nor does the author to one that is not of the squad.
    bob.ahead_ms += KEY_REQUEST_REPEAT_MS + 60_000
    given, refused = len(await bob.own(Kind.CHAIN_KEYS)), bob.metric("key_requests_refused")
    await bob.take([asking(town, "mule", bob.scope, chain)])
    assert len(await bob.own(Kind.CHAIN_KEYS)) == given
    assert bob.metric("key_requests_refused") == refused + 1
    # The member gets it, and the message that waited opens.
    await bob.take([asked.raw])
    alice.ahead_ms = bob.ahead_ms
    (answer,) = (
        each for each in await bob.own(Kind.CHAIN_KEYS) if each.header.scope == alice.scope
    )
    await alice.take([answer.raw])
    assert await alice.texts() == [SECRET_TEXT]
    assert await alice.node.store.read(delivery.unopened_count) == 0
    assert squad.betrayed(SECRET_TEXT) == []
    await squad.serves()


def asking(town: Town, name: str, scope: Scope, *chains: bytes) -> bytes:
    """Return a request for chains by a device, signed by it and addressed to anybody."""
    body = encode_key_request(KeyRequest(tuple(sorted(chains))))
    return Writer(town.identity(name)).bundle(
        body, kind=Kind.KEY_REQUEST, suite=Suite.CLEAR, scope=scope, keyref=b"", index=0
    )


# --- S22: weaker, or too late ----------------------------------------------------------------


@each_way
async def test_s22_a_weaker_or_late_seal_is_not_shown_and_nothing_weaker_is_tried(
    squad: Mates, town: Town, *, restarted: bool
) -> None:
    alice, bob, author = squad["alice"], squad["bob"], Writer(town.identity("mallory"))
    prekey = await alice.prekey()
    header = author.header(
        suite=Suite.CLASSICAL, scope=alice.scope, keyref=prekey.prekey_id, index=0
    )
    body = seal_classical(
        prekey.public, seal_info(header.encode()), sealed_text(header, SECRET_TEXT)
    )
    before = len(await alice.held())
    assert await alice.take([author.sign(header, body)]) == [Reception.STORED]
    assert (await audited(alice.node))["messages_unopenable"] == 1
    if restarted:
        await squad.restart("alice")
        alice = squad["alice"]
        await alice.node.settle()
    else:
        assert alice.metric("messages_unopenable") == 1
    assert await alice.texts() == []
    # Nothing is said about it either: a receipt would be an invitation to go on.
    made = [each for each in await alice.held() if each.header.author == alice.id]
    assert Suite.CLASSICAL not in {each.header.suite for each in made}
    assert len(await alice.held()) == before + 1
    # Nobody else waits for that: her own mail goes out, and what is sealed as it should be comes.
    await squad.serves()
    await bob.send(alice.scope, "sealed as it should be")
    await squad.carry("bob", "alice", Kind.TEXT)
    assert await alice.texts() == ["sealed as it should be"]

    # The prekey ends; its private half is still here for a day, for what was sealed in time.
    alice.ahead_ms += PREKEY_END_MS + 3_600_000
    await squad.hear_of_the_centre()
    late = author.header(
        suite=Suite.HYBRID,
        scope=alice.scope,
        keyref=prekey.prekey_id,
        index=0,
        hlc=alice.runtime.now_ms() << 16,
    )
    sealed = SEALER.seal_hybrid(
        prekey.public, seal_info(late.encode()), sealed_text(late, SECRET_TEXT)
    )
    refused = alice.metric("messages_unopenable")
    await alice.take([author.sign(late, sealed)])
    assert await alice.texts() == ["sealed as it should be"]
    assert alice.metric("messages_unopenable") > refused
    assert any("unopenable" in line and str(late.id) in line for line in alice.traced)
    alice.ahead_ms += PREKEY_ERASE_MS - PREKEY_END_MS

    # A sender whose only prekey of her has ended waits, and seals in no other way.
    bob.ahead_ms = alice.ahead_ms
    await squad.hear_of_the_centre()
    if restarted:
        await squad.restart("bob")
        bob = squad["bob"]
    sent = len(await bob.own(Kind.TEXT))
    await bob.send(alice.scope, SECRET_TEXT)
    assert len(await bob.own(Kind.TEXT)) == sent
    states = [each.state.name for each in await bob.outgoing()]
    assert states.count("WAITING") == 1
    assert squad.betrayed(SECRET_TEXT, prekey.public[:16]) == []


@each_way
async def test_s22_the_mail_goes_on_with_a_fresh_prekey(
    squad: Mates, town: Town, *, restarted: bool
) -> None:
    alice, bob = squad["alice"], squad["bob"]
    alice.ahead_ms = bob.ahead_ms = PREKEY_ERASE_MS
    await squad.hear_of_the_centre()
    await bob.send(alice.scope, "after ten days")
    assert await bob.own(Kind.TEXT) == []
    assert alice.node.desk is not None
    await alice.node.desk.look()
    await squad.carry("alice", "bob", Kind.PREKEY)
    if restarted:
        await squad.restart("bob", "alice")
        bob, alice = squad["bob"], squad["alice"]
        await bob.node.settle()
    await squad.carry("bob", "alice", Kind.TEXT)
    assert await alice.texts() == ["after ten days"]
    (sent,) = await bob.own(Kind.TEXT)
    assert sent.header.suite is Suite.HYBRID
