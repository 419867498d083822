"""Chains: each key once, in any order, nothing before the reader's first index."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.canonical import Value, decode_untrusted, encode
from protocol.chains import (
    AlreadyUsedError,
    ReceivingChain,
    SendingChain,
    chain_id_of,
    decode_receiving,
    decode_sending,
    encode_receiving,
    encode_sending,
    key_for,
    new_chain,
    next_key,
    receiving_chain,
    seed_at,
)
from protocol.errors import (
    EnvelopeError,
    LimitExceededError,
    LocalProtocolError,
    MalformedError,
    NoKeyError,
)
from protocol.limits import CHAIN_MESSAGES_MAX
from tests.reference import derivations
from tests.strategies import SEEDS

SEED = bytes(range(32))
CHAIN_ID = derivations.chain_id(SEED)
KEYS = derivations.chain_keys(SEED, CHAIN_MESSAGES_MAX)
LAST = CHAIN_MESSAGES_MAX - 1


def reader(index: int = 0) -> ReceivingChain:
    return receiving_chain(CHAIN_ID, index, seed_at(new_chain(SEED), index))


# --- sending -----------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 20))
def test_keys_are_those_of_the_wire_format(seed: bytes, count: int) -> None:
    chain, keys = new_chain(seed), []
    for expected_index in range(count):
        chain, index, key = next_key(chain)
        assert index == expected_index
        keys.append(key)
    assert keys == derivations.chain_keys(seed, count)
    assert chain.chain_id == chain_id_of(seed) == derivations.chain_id(seed)
    assert len(set(keys)) == count


def test_a_chain_ends_after_its_last_message() -> None:
    chain = replace(new_chain(SEED), index=LAST, seed=seed_at(new_chain(SEED), LAST))
    after, index, key = next_key(chain)
    assert (index, key, after.index) == (LAST, KEYS[LAST], CHAIN_MESSAGES_MAX)
    with pytest.raises(LocalProtocolError):
        next_key(after)
    assert decode_sending(encode_sending(after)) == after


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_seed_has_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="32"):
        new_chain(bytes(length))
    with pytest.raises(NoKeyError):
        receiving_chain(CHAIN_ID, 1, bytes(length))


def test_a_later_seed_opens_from_there() -> None:
    chain = new_chain(SEED)
    for index in (0, 1, 7, LAST):
        joined = receiving_chain(CHAIN_ID, index, seed_at(chain, index))
        assert key_for(joined, index)[1] == KEYS[index]
    advanced, _, _ = next_key(chain)
    for start, wanted in ((chain, CHAIN_MESSAGES_MAX), (chain, -1), (advanced, 0)):
        with pytest.raises(ValueError, match="no seed"):
            seed_at(start, wanted)


# --- receiving ---------------------------------------------------------------------------------


def test_a_first_seed_must_be_the_one_that_the_name_commits_to() -> None:
    with pytest.raises(NoKeyError):
        receiving_chain(CHAIN_ID, 0, bytes(32))
    with pytest.raises(NoKeyError):
        receiving_chain(bytes(8), 0, SEED)
    for index in (-1, CHAIN_MESSAGES_MAX, 2**32):
        with pytest.raises(NoKeyError):
            receiving_chain(CHAIN_ID, index, SEED)


@pytest.mark.parametrize("order", ["forward", "backward", "random"])
@pytest.mark.slow
def test_every_message_opens_once_in_any_order(order: str) -> None:
    indices = list(range(CHAIN_MESSAGES_MAX))
    if order == "backward":
        indices.reverse()
    elif order == "random":
        random.Random(5).shuffle(indices)
    chain = reader()
    for index in indices:
        chain, key = key_for(chain, index)
        assert key == KEYS[index]
    assert chain.skipped == ()
    for index in indices[::50]:
        with pytest.raises(AlreadyUsedError):
            key_for(chain, index)


@given(st.integers(0, 30), st.lists(st.integers(0, 60), max_size=40))
def test_a_reader_gives_each_key_once_and_none_before_it_joined(
    first: int, indices: list[int]
) -> None:
    chain, used = reader(first), set[int]()
    for index in indices:
        before = chain
        try:
            chain, key = key_for(chain, index)
        except NoKeyError:
            assert index < first
        except AlreadyUsedError:
            assert index in used
        else:
            assert index >= first
            assert index not in used
            assert key == KEYS[index]
            used.add(index)
            assert key not in dict(chain.skipped).values()
            # The old state still opens: it is the caller who decides when it is given up.
            assert key_for(before, index)[1] == key
        assert [number for number, _ in chain.skipped] == sorted(
            set(range(first, chain.index)) - used
        )
        assert decode_receiving(encode_receiving(chain)) == chain


def test_keys_that_were_stepped_over_are_bounded() -> None:
    chain, _ = key_for(reader(), LAST)
    assert len(chain.skipped) == LAST
    raw = encode_receiving(chain)
    assert len(raw) <= 80 + 38 * LAST
    assert decode_receiving(raw) == chain


def test_an_index_above_the_limit_costs_no_key_work() -> None:
    # A seed that no derivation can take: whoever touches it fails in another way.
    chain = replace(reader(), first_index=4, index=4, seed=None)  # type: ignore[arg-type]
    for index in (CHAIN_MESSAGES_MAX, CHAIN_MESSAGES_MAX + 1, 2**32 - 1, 2**64):
        with pytest.raises(LimitExceededError):
            key_for(chain, index)
    with pytest.raises(NoKeyError):
        key_for(chain, 3)
    with pytest.raises(TypeError):
        key_for(chain, LAST)


def test_errors_tell_a_copy_from_a_missing_key() -> None:
    assert issubclass(AlreadyUsedError, EnvelopeError)
    assert not issubclass(AlreadyUsedError, NoKeyError)


# --- stored form -------------------------------------------------------------------------------


@pytest.mark.parametrize("place", range(4))
def test_odd_stored_sending_chains_are_refused(place: int) -> None:
    fields = list[Value]((1, CHAIN_ID, 3, SEED))
    odd: list[Value] = [2, b"short", CHAIN_MESSAGES_MAX + 1, SEED[1:]]
    fields[place] = odd[place]
    for raw in (encode(fields), encode(fields[:place]), encode([*fields, 0]), b""):
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_sending(raw)


@pytest.mark.parametrize("place", range(6))
def test_odd_stored_receiving_chains_are_refused(place: int) -> None:
    fields = list[Value]((1, CHAIN_ID, 0, 3, SEED, [[1, SEED]]))
    above = CHAIN_MESSAGES_MAX + 1
    odd: list[Value] = [2, b"short", above, above, SEED[1:], [[CHAIN_MESSAGES_MAX, SEED]]]
    fields[place] = odd[place]
    for raw in (encode(fields), encode(fields[:place]), encode([*fields, 0]), b""):
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_receiving(raw)
    skips: list[Value] = [[[1]], [[1, SEED[1:]]], [1], 1, [[0, SEED]] * above]
    for skipped in skips:
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_receiving(encode([*fields[:5], skipped]))


def test_version_0_of_a_stored_chain_is_unknown() -> None:
    for raw, decode in (
        (encode_sending(new_chain(SEED)), decode_sending),
        (encode_receiving(reader()), decode_receiving),
    ):
        fields = decode_untrusted(raw, max_bytes=256)
        assert isinstance(fields, tuple)
        assert fields[0] == 1
        with pytest.raises(MalformedError):
            decode(encode([0, *fields[1:]]))


def test_nothing_secret_is_printed() -> None:
    chain, _ = key_for(reader(), 3)
    states: list[SendingChain | ReceivingChain] = [new_chain(SEED), reader(), chain]
    secrets = [SEED, chain.seed, *KEYS[:4]]
    for state in states:
        for secret in secrets:
            assert secret.hex() not in repr(state)
            assert repr(secret)[2:-1] not in repr(state)
