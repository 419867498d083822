"""Places for unfinished handshakes: bounded in all and by network, and free for newcomers."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from meshnode.links.gate import HandshakeGate, network_of
from protocol.limits import HANDSHAKES_MAX, HANDSHAKES_PER_ADDRESS_MAX

Held = tuple[AbstractContextManager[trio.CancelScope | None], trio.CancelScope | None]
ATTACKERS = HANDSHAKES_MAX // HANDSHAKES_PER_ADDRESS_MAX


def hold(gate: HandshakeGate, host: str) -> Held:
    entering = gate.enter(host)
    return entering, entering.__enter__()


def leave(held: Held) -> None:
    held[0].__exit__(None, None, None)


async def test_places_are_counted_and_come_free() -> None:
    gate = HandshakeGate()
    with gate.enter("10.0.0.1") as first, gate.enter("10.0.0.2") as second:
        assert first
        assert second
        assert gate.unfinished == 2
    assert gate.unfinished == 0


async def test_the_fifth_of_one_address_is_refused() -> None:
    gate = HandshakeGate()
    held = [hold(gate, "10.0.0.1") for _ in range(HANDSHAKES_PER_ADDRESS_MAX)]
    assert all(scope for _, scope in held)
    with gate.enter("10.0.0.1") as fifth:
        assert fifth is None
    assert gate.refused == 1
    leave(held[0])
    with gate.enter("10.0.0.1") as again:
        assert again


async def test_eight_addresses_of_an_attacker_keep_nobody_out() -> None:
    gate = HandshakeGate()
    held = [
        hold(gate, f"10.0.0.{host}")
        for host in range(ATTACKERS)
        for _ in range(HANDSHAKES_PER_ADDRESS_MAX)
    ]
    assert gate.unfinished == HANDSHAKES_MAX
    with gate.enter("10.0.1.1") as newcomer:
        assert newcomer
        assert gate.unfinished == HANDSHAKES_MAX
        oldest = held[0][1]
        assert oldest is not None
        assert oldest.cancel_called, "the oldest of those who hold most makes room"
        assert sum(scope.cancel_called for _, scope in held if scope) == 1
    for each in held:
        leave(each)
    assert (gate.unfinished, gate.displaced, gate.refused) == (0, 1, 0)


async def test_among_equals_the_oldest_makes_room() -> None:
    gate = HandshakeGate()
    held = [hold(gate, f"10.0.0.{host}") for host in range(HANDSHAKES_MAX)]
    with gate.enter("10.0.0.5") as second_of_its_own:
        assert second_of_its_own is None
    with gate.enter("10.0.1.1") as newcomer:
        assert newcomer
    assert [scope.cancel_called for _, scope in held if scope].index(True) == 0
    for each in held:
        leave(each)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 11)), max_size=150))
def test_no_order_of_events_breaks_a_bound_or_keeps_out_the_unseen(
    steps: list[tuple[bool, int]],
) -> None:
    async def go() -> None:
        check(steps)

    trio.run(go)


def check(steps: list[tuple[bool, int]]) -> None:
    gate, held = HandshakeGate(), list[tuple[str, Held]]()
    for is_coming, number in steps:
        if is_coming or not held:
            host = f"10.0.0.{number}"
            alive = [name for name, (_, scope) in held if scope and not scope.cancel_called]
            entered = hold(gate, host)
            assert (entered[1] is not None) is (
                alive.count(host) < HANDSHAKES_PER_ADDRESS_MAX
                and (
                    len(alive) < HANDSHAKES_MAX
                    or max(alive.count(each) for each in alive) > alive.count(host)
                )
            )
            held.append((host, entered))
        else:
            leave(held.pop(number % len(held))[1])
        alive = [name for name, (_, scope) in held if scope and not scope.cancel_called]
        assert gate.unfinished == len(alive) <= HANDSHAKES_MAX
        assert all(alive.count(each) <= HANDSHAKES_PER_ADDRESS_MAX for each in alive)
    for _, each in held:
        leave(each)
    assert gate.unfinished == 0


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%wlan0", "fe80::1"),
        ("not an address", "not an address"),
    ],
)
def test_one_prefix_of_ipv6_counts_as_one_address(host: str, network: str) -> None:
    assert network_of(host) == network
