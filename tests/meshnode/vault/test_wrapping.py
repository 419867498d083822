"""The files of the master keys."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshnode.errors import KeystoreError, WrongSecretError
from meshnode.vault.wrapping import AGENT_COST, AgentCost, AgentFile, check_secret, unwrap, wrap
from protocol.canonical import encode
from protocol.guards import AGENT_ITERATIONS_MAX, AGENT_LANES_MAX, AGENT_MEMORY_KIB_MAX
from tests.meshnode.vault.parts import CHEAP, OTHER, SECRET

MASTER, VALUE = b"m" * 32, b"v" * 32


def agent(secret: str | None = SECRET) -> AgentFile:
    return AgentFile.make(MASTER, VALUE, secret, CHEAP, os.urandom(28))


def test_the_device_key_opens_on_its_device_alone() -> None:
    raw = wrap(MASTER, VALUE, os.urandom(12))
    assert MASTER not in raw
    assert unwrap(raw, VALUE) == MASTER
    with pytest.raises(KeystoreError, match="another device"):
        unwrap(raw, b"w" * 32)


@given(st.data())
def test_any_changed_bit_of_the_device_key_is_refused(data: st.DataObject) -> None:
    raw = bytearray(wrap(MASTER, VALUE, b"n" * 12))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(KeystoreError):
        unwrap(bytes(raw), VALUE)


def test_the_agent_key_needs_secret_and_device() -> None:
    found = AgentFile.decode(agent().encode())
    assert not found.is_unattended
    assert found.cost == CHEAP
    assert found.open(VALUE, SECRET) == MASTER
    for value, secret in ((VALUE, OTHER), (b"w" * 32, SECRET), (VALUE, None)):
        with pytest.raises(WrongSecretError):
            found.open(value, secret)


def test_an_unattended_device_needs_itself_alone() -> None:
    found = AgentFile.decode(agent(None).encode())
    assert found.is_unattended
    assert found.open(VALUE, None) == MASTER
    with pytest.raises(WrongSecretError):
        found.open(b"w" * 32, None)


@settings(max_examples=200)
@given(st.sampled_from([SECRET, None]), st.data())
def test_any_changed_bit_of_the_agent_key_is_refused(
    secret: str | None, data: st.DataObject
) -> None:
    raw = bytearray(agent(secret).encode())
    # Not the cost itself: a greater one is allowed, and would be paid for here.
    bit = data.draw(st.integers(8 * 28, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(KeystoreError):
        AgentFile.decode(bytes(raw)).open(VALUE, secret)


@pytest.mark.parametrize(
    "fields",
    [
        (2, 1, b"s" * 16, 64, 1, 1),
        (1, 0, b"s" * 16, 64, 1, 1),
        (1, 1, b"s" * 17, 64, 1, 1),
        (1, 1, b"s" * 16, AGENT_MEMORY_KIB_MAX + 1, 1, 1),
        (1, 1, b"s" * 16, 64, AGENT_ITERATIONS_MAX + 1, 1),
        (1, 1, b"s" * 16, 64, 0, 1),
        (1, 1, b"s" * 16, 1_024, 1, AGENT_LANES_MAX + 1),
        (1, 1, b"s" * 16, 7, 1, 1),
    ],
)
def test_other_versions_and_costs_beyond_the_bounds_are_refused(
    fields: tuple[int | bytes, ...],
) -> None:
    with pytest.raises(KeystoreError, match="damaged"):
        AgentFile.decode(encode([*fields, b"n" * 12, b"k" * 48]))


def test_a_cost_that_was_lowered_is_refused() -> None:
    found = AgentFile.make(MASTER, VALUE, SECRET, AgentCost(128, 2, 1), os.urandom(28))
    lowered = AgentFile(found.salt, CHEAP, found.nonce, found.sealed)
    with pytest.raises(WrongSecretError):
        lowered.open(VALUE, SECRET)


@pytest.mark.parametrize("secret", ["", "elevenchars", "x" * 1_025])
def test_a_secret_has_a_least_and_a_greatest_length(secret: str) -> None:
    with pytest.raises(KeystoreError, match="12 characters"):
        check_secret(secret)
    with pytest.raises(KeystoreError):
        agent(secret)
    check_secret("twelve chars")


def test_two_forms_of_one_letter_are_one_secret() -> None:
    composed = "été au Queyras"
    assert agent("e\u0301te\u0301 au Queyras").open(VALUE, composed) == MASTER


@pytest.mark.slow
def test_the_cost_of_the_product_is_that_of_the_design() -> None:
    assert (AGENT_COST.memory_kib, AGENT_COST.iterations, AGENT_COST.lanes) == (65_536, 3, 4)
    found = AgentFile.make(MASTER, VALUE, SECRET, AGENT_COST, os.urandom(28))
    assert AgentFile.decode(found.encode()).open(VALUE, SECRET) == MASTER
