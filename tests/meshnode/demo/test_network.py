"""Who hears whom: places and coverage, without any network."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.config import read_settings
from meshnode.demo.cast import BOAT, CAST, CENTRE, PLACES, device
from meshnode.demo.network import Loopback, Namespaces

NAMES = [each.name for each in CAST]


async def test_who_is_at_one_place_or_covered_is_in_contact() -> None:
    network = Loopback(CAST)
    await network.go("alice", "col")
    assert network.contacts() == set()
    await network.go("bruno", "col")
    await network.go("chloe", "parking")
    assert network.contacts() == {("alice", "bruno")}
    await network.cover(CENTRE)
    await network.cover(BOAT)
    assert network.contacts() == {("alice", "bruno"), (CENTRE, BOAT)}
    await network.leave("bruno")
    await network.uncover(BOAT)
    assert network.contacts() == set()


@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.sampled_from([*PLACES, "leave", "cover", "uncover"])),
        max_size=20,
    )
)
async def test_contacts_are_what_a_plain_reading_of_the_moves_says(
    moves: list[tuple[str, str]],
) -> None:
    network = Loopback(CAST)
    places: dict[str, str] = {}
    covered: set[str] = set()
    for name, move in moves:
        if move in ("cover", "uncover"):
            await (network.cover if move == "cover" else network.uncover)(name)
            (covered.add if move == "cover" else covered.discard)(name)
        elif move == "leave":
            await network.leave(name)
            places.pop(name, None)
        else:
            await network.go(name, move)
            places[name] = move
    expected = {
        (one, other)
        for one, other in combinations(NAMES, 2)
        if (one in places and places[one] == places.get(other))
        or (one in covered and other in covered)
    }
    assert network.contacts() == expected


def test_settings_are_settings() -> None:
    for each in CAST:
        assert read_settings(Namespaces(CAST, PLACES).settings(each.name).encode()).trace.file
        settings = read_settings(Loopback(CAST).settings(each.name).encode())
        assert not settings.discovery.mdns
        assert settings.links.listen == ("127.0.0.1:0",)


def test_the_cast_can_play_its_parts() -> None:
    assert len(set(NAMES)) == len(CAST) == 7
    assert device(CENTRE).has_coverage
    phones = {each.name for each in CAST if each.squads and each.has_coverage}
    assert phones == {"alice", "chloe"}, "two, so that one speaks for the other"
