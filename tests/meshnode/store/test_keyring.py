"""Keys at rest: what is kept, what is given out, and that what ended is gone from the file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from meshnode.errors import StoreError
from meshnode.store import keyring
from meshnode.store.engine import Store, open_store
from meshnode.store.keyring import KeyPurpose
from protocol import chains
from protocol.chains import SendingChain
from protocol.envelope import PrekeyRecord, PrekeySecret
from protocol.limits import (
    CHAIN_MESSAGES_MAX,
    PREKEY_END_MS,
    PREKEY_ERASE_MS,
    SENDING_CHAIN_KEEP_MS,
)
from tests.meshnode.store.parts import HOUR_MS, NOW_MS, node, runtime

_SQUAD, _OTHER_SQUAD = b"\x02 squad 1", b"\x02 squad 2"
_ENDS_MS = NOW_MS + 12 * HOUR_MS


def _secret(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _prekey(name: str, issued_ms: int = NOW_MS) -> tuple[PrekeySecret, PrekeyRecord]:
    prekey_id = _secret(name)[:8]
    ends_ms = issued_ms + PREKEY_END_MS
    return (
        PrekeySecret(prekey_id, ends_ms, _secret("private " + name) * 3),
        PrekeyRecord(prekey_id, issued_ms, ends_ms, 3, _secret("public " + name) * 38),
    )


async def _start(
    store: Store, name: str, scope: bytes = _SQUAD, at_ms: int = NOW_MS, ends_ms: int = _ENDS_MS
) -> SendingChain:
    chain = chains.new_chain(_secret(name))
    await store.write(lambda tx: keyring.start_chain(tx, chain, scope, at_ms, ends_ms))
    return chain


async def _open(store: Store, scope: bytes = _SQUAD, at_ms: int = NOW_MS) -> bytes | None:
    found = await store.read(lambda conn: keyring.open_chain(conn, scope, at_ms))
    return None if found is None else found.chain.chain_id


def _advanced(chain: SendingChain, steps: int) -> SendingChain:
    for _step in range(steps):
        chain, _index, _key = chains.next_key(chain)
    return chain


# --- keys that many share --------------------------------------------------------------------


async def test_shared_keys_come_newest_first_and_stay_as_they_were(store: Store) -> None:
    for key_id, key, at_ms in (
        (b"a", b"key a", NOW_MS),
        (b"b", b"key b", NOW_MS + 5),
        (b"a", b"other", NOW_MS + 9),
    ):
        await store.write(
            lambda tx, i=key_id, k=key, t=at_ms: keyring.put_network_key(  # type: ignore[misc]
                tx, KeyPurpose.NETWORK, i, k, t
            )
        )
    found = await store.read(lambda conn: keyring.network_keys(conn, KeyPurpose.NETWORK))
    assert list(found.items()) == [(b"b", b"key b"), (b"a", b"key a")]
    assert await store.read(lambda conn: keyring.network_keys(conn, KeyPurpose.ZONE_SOS)) == {}


# --- prekeys ---------------------------------------------------------------------------------


async def test_own_prekeys_come_back_whole(store: Store) -> None:
    assert await store.read(keyring.newest_own_prekey) is None
    old, new = _prekey("old"), _prekey("new", NOW_MS + 5)
    for secret, made in (new, old):
        await store.write(
            lambda tx, s=secret, r=made: keyring.put_own_prekey(tx, s, r)  # type: ignore[misc]
        )
    assert await store.read(keyring.newest_own_prekey) == new[1]
    for secret, made in (old, new):
        found = await store.read(
            lambda conn, i=made.prekey_id: keyring.own_prekey(conn, i)  # type: ignore[misc]
        )
        assert found == secret
    assert await store.read(lambda conn: keyring.own_prekey(conn, b"unknown!")) is None


async def test_halves_of_two_prekeys_are_no_prekey(store: Store) -> None:
    with pytest.raises(AssertionError):
        await store.write(
            lambda tx: keyring.put_own_prekey(tx, _prekey("one")[0], _prekey("two")[1])
        )


async def test_a_peer_s_newer_prekey_replaces_the_older_one(store: Store) -> None:
    first, later, tied = (
        _prekey("first")[1],
        _prekey("later", NOW_MS + 5)[1],
        _prekey("tied", NOW_MS + 5)[1],
    )
    taken = [
        await store.write(
            lambda tx, r=made: keyring.put_peer_prekey(tx, node(1), r)  # type: ignore[misc]
        )
        for made in (first, first, later, first, tied, later)
    ]
    winner = max(later, tied, key=lambda each: each.prekey_id)
    assert taken == [True, False, True, False, winner is tied, False]
    found = await store.read(lambda conn: keyring.peer_prekeys(conn, [node(1)], NOW_MS))
    assert found == {node(1): winner}


async def test_only_prekeys_that_have_not_ended_are_used(store: Store) -> None:
    for who in (1, 2, 3):
        made = _prekey(f"of {who}", NOW_MS + who)[1]
        await store.write(
            lambda tx, w=who, r=made: keyring.put_peer_prekey(tx, node(w), r)  # type: ignore[misc]
        )
    at_ms = NOW_MS + PREKEY_END_MS + 2
    nodes = [node(who) for who in (1, 2, 3, 4)]
    found = await store.read(lambda conn: keyring.peer_prekeys(conn, nodes, at_ms))
    assert found.keys() == {node(3)}
    assert await store.read(lambda conn: keyring.peer_prekeys(conn, [], NOW_MS)) == {}


# --- chains this node sends on ---------------------------------------------------------------


async def test_the_newest_usable_chain_is_the_open_one(store: Store) -> None:
    assert await _open(store) is None
    old = await _start(store, "old")
    new = await _start(store, "new", at_ms=NOW_MS + 5)
    await _start(store, "other", _OTHER_SQUAD, NOW_MS + 9)
    assert await _open(store) == new.chain_id
    await store.write(lambda tx: keyring.close_chain(tx, new.chain_id))
    assert await _open(store) == old.chain_id
    assert await _open(store, at_ms=_ENDS_MS - 1) == old.chain_id
    assert await _open(store, at_ms=_ENDS_MS) is None


async def test_a_chain_goes_on_where_it_stopped(store: Store) -> None:
    chain = await _start(store, "chain")
    after = _advanced(chain, 3)
    await store.write(lambda tx: keyring.advance_chain(tx, after))
    found = await store.read(lambda conn: keyring.sending_chain(conn, chain.chain_id))
    assert found is not None
    assert (found.chain, found.scope, found.started_ms, found.ends_ms, found.is_closed) == (
        after,
        _SQUAD,
        NOW_MS,
        _ENDS_MS,
        False,
    )
    assert await store.read(lambda conn: keyring.sending_chain(conn, b"unknown!")) is None


async def test_a_chain_that_is_used_up_is_not_open(store: Store) -> None:
    chain = await _start(store, "chain")
    last = SendingChain(chain.chain_id, CHAIN_MESSAGES_MAX - 1, chain.seed)
    await store.write(lambda tx: keyring.advance_chain(tx, last))
    assert await _open(store) == chain.chain_id
    assert len(await store.read(lambda conn: keyring.open_chains(conn, NOW_MS))) == 1
    used_up = SendingChain(chain.chain_id, CHAIN_MESSAGES_MAX, chain.seed)
    await store.write(lambda tx: keyring.advance_chain(tx, used_up))
    assert await _open(store) is None
    assert await store.read(lambda conn: keyring.open_chains(conn, NOW_MS)) == []


async def test_open_chains_of_all_scopes(store: Store) -> None:
    one = await _start(store, "one")
    two = await _start(store, "two", _OTHER_SQUAD, NOW_MS + 5)
    closed = await _start(store, "closed")
    await store.write(lambda tx: keyring.close_chain(tx, closed.chain_id))
    found = await store.read(lambda conn: keyring.open_chains(conn, NOW_MS))
    assert [each.chain.chain_id for each in found] == [two.chain_id, one.chain_id]


async def test_a_chain_is_started_once(store: Store) -> None:
    await _start(store, "chain")
    with pytest.raises(StoreError, match="UNIQUE"):
        await _start(store, "chain")


@pytest.mark.parametrize("index", [0, 1, 7])
async def test_a_reader_given_the_chain_at_an_index_opens_what_follows(
    store: Store, index: int
) -> None:
    chain = await _start(store, "chain")
    await store.write(lambda tx: keyring.advance_chain(tx, _advanced(chain, 9)))
    seed = await store.read(lambda conn: keyring.secret_at(conn, chain.chain_id, index))
    assert seed is not None
    reader = chains.receiving_chain(chain.chain_id, index, seed)
    _after, sent_index, key = chains.next_key(_advanced(chain, index + 2))
    assert chains.key_for(reader, sent_index)[1] == key


async def test_there_is_no_secret_of_what_is_not_there(store: Store) -> None:
    chain = await _start(store, "chain")
    assert await store.read(lambda conn: keyring.secret_at(conn, b"unknown!", 0)) is None
    with pytest.raises(ValueError, match="index"):
        await store.read(lambda conn: keyring.secret_at(conn, chain.chain_id, CHAIN_MESSAGES_MAX))


# --- who reads them --------------------------------------------------------------------------


async def test_what_is_owed_until_it_is_given(store: Store) -> None:
    one = (await _start(store, "one")).chain_id
    two = (await _start(store, "two", _OTHER_SQUAD)).chain_id

    async def owe(chain_id: bytes, index: int, *who: int) -> None:
        nodes = [node(each) for each in who]
        await store.write(lambda tx: keyring.owe(tx, chain_id, nodes, index))

    await owe(one, 0, 1, 2)
    await owe(one, 5, 2, 3, 3)
    await owe(two, 9, 1)
    await owe(two, 9)
    assert await store.read(lambda conn: keyring.owed(conn, one)) == {
        node(1): 0,
        node(2): 0,
        node(3): 5,
    }
    assert await store.read(lambda conn: keyring.owed_to(conn, node(1))) == sorted(
        [(one, 0), (two, 9)]
    )
    given = [node(1), node(3)]
    await store.write(lambda tx: keyring.note_given(tx, one, given, NOW_MS))
    assert await store.read(lambda conn: keyring.owed(conn, one)) == {node(2): 0}
    assert await store.read(lambda conn: keyring.owed_to(conn, node(1))) == [(two, 9)]
    times = [
        await store.read(lambda conn, w=who: keyring.given_ms(conn, one, node(w)))  # type: ignore[misc]
        for who in (1, 2, 8)
    ]
    assert times == [NOW_MS, 0, 0]
    assert await store.read(lambda conn: keyring.readers(conn, one)) == {
        node(1): 0,
        node(2): 0,
        node(3): 5,
    }
    # Given is given: nobody owes the same chain twice.
    await owe(one, 2, 1)
    assert await store.read(lambda conn: keyring.owed(conn, one)) == {node(2): 0}


# --- chains of others ------------------------------------------------------------------------


async def test_a_chain_of_another_is_kept_with_its_skipped_keys(store: Store) -> None:
    sent = chains.new_chain(_secret("theirs"))
    reader = chains.receiving_chain(sent.chain_id, 0, sent.seed)
    after, _key = chains.key_for(reader, 4)
    for state in (reader, after):
        await store.write(
            lambda tx, one=state: keyring.put_receiving_chain(  # type: ignore[misc]
                tx, one, node(1), _SQUAD, _ENDS_MS
            )
        )
    found = await store.read(lambda conn: keyring.receiving_chain(conn, sent.chain_id, node(1)))
    assert found == (after, _SQUAD)
    assert (
        await store.read(lambda conn: keyring.receiving_chain(conn, sent.chain_id, node(2))) is None
    )


async def test_when_a_chain_of_another_ends(store: Store) -> None:
    sent = chains.new_chain(_secret("theirs"))
    reader = chains.receiving_chain(sent.chain_id, 0, sent.seed)
    await store.write(lambda tx: keyring.put_receiving_chain(tx, reader, node(1), _SQUAD, _ENDS_MS))
    ends = [
        await store.read(
            lambda conn, w=who: keyring.receiving_ends_ms(conn, sent.chain_id, node(w))  # type: ignore[misc]
        )
        for who in (1, 2)
    ]
    assert ends == [_ENDS_MS, 0]


async def test_a_chain_used_to_its_end_is_kept(store: Store) -> None:
    sent = chains.new_chain(_secret("theirs"))
    reader = chains.receiving_chain(sent.chain_id, 0, sent.seed)
    full, _key = chains.key_for(reader, CHAIN_MESSAGES_MAX - 1)
    await store.write(lambda tx: keyring.put_receiving_chain(tx, full, node(1), _SQUAD, _ENDS_MS))
    found = await store.read(lambda conn: keyring.receiving_chain(conn, sent.chain_id, node(1)))
    assert found == (full, _SQUAD)


# --- the end of keys -------------------------------------------------------------------------


async def test_each_key_goes_at_its_own_time(store: Store) -> None:
    secret, made = _prekey("own")
    sent = await _start(store, "chain")
    theirs = chains.new_chain(_secret("theirs"))
    reader = chains.receiving_chain(theirs.chain_id, 0, theirs.seed)
    await store.write(lambda tx: keyring.put_own_prekey(tx, secret, made))
    await store.write(lambda tx: keyring.put_peer_prekey(tx, node(1), _prekey("peer")[1]))
    await store.write(lambda tx: keyring.owe(tx, sent.chain_id, [node(1)], 0))
    await store.write(
        lambda tx: keyring.put_receiving_chain(tx, reader, node(1), _SQUAD, NOW_MS + 7)
    )
    for at_ms, expected in (
        (NOW_MS + 6, 0),
        (NOW_MS + 7, 1),
        (NOW_MS + PREKEY_END_MS - 1, 0),
        (NOW_MS + PREKEY_END_MS, 1),
        (_ENDS_MS + SENDING_CHAIN_KEEP_MS - 1, 0),
        (_ENDS_MS + SENDING_CHAIN_KEEP_MS, 2),
        (NOW_MS + PREKEY_ERASE_MS - 1, 0),
        (NOW_MS + PREKEY_ERASE_MS, 1),
    ):
        found = await store.write(
            lambda tx, now=at_ms: keyring.erase_ended(tx, now)  # type: ignore[misc]
        )
        assert (at_ms, found) == (at_ms, expected)
    assert await store.read(keyring.newest_own_prekey) is None
    assert await store.read(lambda conn: keyring.readers(conn, sent.chain_id)) == {}


async def test_erased_secrets_are_nowhere_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    secret, made = _prekey("own")
    chain = chains.new_chain(_secret("chain"))
    theirs = chains.new_chain(_secret("theirs"))
    secrets = [secret.private, chain.seed, theirs.seed]
    async with open_store(path, runtime()) as store:
        await store.write(lambda tx: keyring.put_own_prekey(tx, secret, made))
        await store.write(lambda tx: keyring.start_chain(tx, chain, _SQUAD, NOW_MS, _ENDS_MS))
        reader = chains.receiving_chain(theirs.chain_id, 0, theirs.seed)
        await store.write(
            lambda tx: keyring.put_receiving_chain(tx, reader, node(1), _SQUAD, _ENDS_MS)
        )
        await store.compact()
        assert all(each in path.read_bytes() for each in secrets)
        await store.write(lambda tx: keyring.erase_ended(tx, NOW_MS + PREKEY_ERASE_MS))
        await store.compact()
        wal = path.with_name("store.sqlite-wal")
        assert not any(each in path.read_bytes() + wal.read_bytes() for each in secrets)


async def test_a_used_seed_is_overwritten_when_the_chain_advances(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    chain = _advanced(chains.new_chain(_secret("chain")), 1)
    after = _advanced(chain, 1)
    async with open_store(path, runtime()) as store:
        await store.write(
            lambda tx: keyring.start_chain(
                tx, chains.new_chain(_secret("chain")), _SQUAD, NOW_MS, _ENDS_MS
            )
        )
        await store.write(lambda tx: keyring.advance_chain(tx, chain))
        await store.write(lambda tx: keyring.advance_chain(tx, after))
        await store.compact()
    assert after.seed in path.read_bytes()
    assert chain.seed not in path.read_bytes()


async def test_nothing_secret_is_printed(store: Store) -> None:
    chain = await _start(store, "chain")
    secret, made = _prekey("own")
    await store.write(lambda tx: keyring.put_own_prekey(tx, secret, made))
    record = await store.read(lambda conn: keyring.sending_chain(conn, chain.chain_id))
    key = await store.read(lambda conn: keyring.own_prekey(conn, made.prekey_id))
    printed = repr(record) + repr(key)
    assert repr(chain.seed)[2:20] not in printed
    assert repr(secret.private)[2:20] not in printed
