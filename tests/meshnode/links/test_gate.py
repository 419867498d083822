"""Places for unfinished handshakes: bounded in all and by network, and free for newcomers."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from meshnode.links.gate import HandshakeGate, Place, network_of
from protocol.guards import KNOCKED_PER_ADDRESS_MAX
from protocol.limits import HANDSHAKES_MAX, HANDSHAKES_PER_ADDRESS_MAX

Held = tuple[AbstractContextManager[Place | None], Place | None]
ATTACKERS = HANDSHAKES_MAX // HANDSHAKES_PER_ADDRESS_MAX


def hold(gate: HandshakeGate, host: str) -> Held:
    entering = gate.enter(host)
    return entering, entering.__enter__()


def hold_known(gate: HandshakeGate, host: str) -> Held:
    held = hold(gate, host)
    assert held[1] is not None
    assert gate.vouch(held[1])
    return held


def lost(held: Held) -> bool:
    return held[1] is None or held[1].scope.cancel_called


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
    assert all(place for _, place in held)
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
        assert oldest.scope.cancel_called, "the oldest of those who hold most makes room"
        assert sum(lost(each) for each in held) == 1
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
    assert [lost(each) for each in held].index(True) == 0
    for each in held:
        leave(each)


async def test_a_crowd_behind_one_address_is_let_in_once_it_knocked() -> None:
    gate = HandshakeGate()
    known = [hold_known(gate, "10.0.0.1") for _ in range(KNOCKED_PER_ADDRESS_MAX)]
    strangers = [hold(gate, "10.0.0.1") for _ in range(HANDSHAKES_PER_ADDRESS_MAX)]
    assert not any(lost(each) for each in [*known, *strangers])
    assert lost(hold(gate, "10.0.0.1")), "of strangers it has as few as before"
    assert strangers[0][1] is not None
    assert not gate.vouch(strangers[0][1]), "of known ones there are enough, too"
    assert gate.refused == 2
    leave(known[0])
    assert gate.vouch(strangers[0][1])
    assert gate.vouch(strangers[0][1]), "saying it twice changes nothing"
    assert gate.unfinished == len(known) + len(strangers) - 1


async def test_strangers_take_no_place_of_one_who_knocked() -> None:
    gate = HandshakeGate()
    crowd = [hold_known(gate, "10.0.0.1") for _ in range(KNOCKED_PER_ADDRESS_MAX)]
    attackers = [
        hold(gate, f"10.0.1.{number}") for number in range(HANDSHAKES_MAX - KNOCKED_PER_ADDRESS_MAX)
    ]
    more = [hold(gate, f"10.0.2.{number}") for number in range(8)]
    assert gate.unfinished == HANDSHAKES_MAX
    assert not any(lost(each) for each in [*crowd, *more])
    assert [lost(each) for each in attackers] == [True] * 8 + [False] * (len(attackers) - 8)


async def test_where_all_are_known_the_unseen_takes_the_place_of_the_oldest() -> None:
    gate = HandshakeGate()
    crowd = [
        hold_known(gate, host)
        for host in ("10.0.0.1", "10.0.0.2")
        for _ in range(KNOCKED_PER_ADDRESS_MAX)
    ]
    assert gate.unfinished == HANDSHAKES_MAX
    assert not lost(hold(gate, "10.0.1.1"))
    assert [lost(each) for each in crowd].index(True) == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 11)), max_size=150))
def test_no_order_of_events_breaks_a_bound_or_keeps_out_the_unseen(
    steps: list[tuple[int, int]],
) -> None:
    async def go() -> None:
        check(steps)

    trio.run(go)


class Model:
    """The rules in the slowest words: lists of what is held, looked through each time."""

    def __init__(self) -> None:
        self.held = list[tuple[str, Held]]()

    def places(self, host: str, *, is_known: bool) -> int:
        """Count who is alive from one host."""
        return sum(
            name == host and place is not None and place.is_known is is_known
            for name, (_, place) in self.alive()
        )

    def alive(self) -> list[tuple[str, Held]]:
        return [each for each in self.held if not lost(each[1])]

    def has_room(self, host: str) -> bool:
        def strangers(of: str) -> int:
            return self.places(of, is_known=False)

        def both(of: str) -> int:
            return strangers(of) + self.places(of, is_known=True)

        if strangers(host) >= HANDSHAKES_PER_ADDRESS_MAX:
            return False
        names = {name for name, _ in self.alive()}
        return len(self.alive()) < HANDSHAKES_MAX or any(
            count(name) > count(host) for name in names for count in (strangers, both)
        )


def check(steps: list[tuple[int, int]]) -> None:
    gate, model = HandshakeGate(), Model()
    for step, number in steps:
        if step < 2 or not model.held:
            host = f"10.0.0.{number % 6}"
            is_expected = model.has_room(host)
            entered = hold(gate, host)
            assert (entered[1] is not None) is is_expected
            model.held.append((host, entered))
        elif step == 2 and (alive := model.alive()):
            host, (_, place) = alive[number % len(alive)]
            assert place is not None
            may = place.is_known or model.places(host, is_known=True) < KNOCKED_PER_ADDRESS_MAX
            assert gate.vouch(place) is may
        else:
            leave(model.held.pop(number % len(model.held))[1])
        assert gate.unfinished == len(model.alive()) <= HANDSHAKES_MAX
        for host in {name for name, _ in model.held}:
            assert model.places(host, is_known=False) <= HANDSHAKES_PER_ADDRESS_MAX
            assert model.places(host, is_known=True) <= KNOCKED_PER_ADDRESS_MAX
    for _, each in model.held:
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
