"""Bundles of unknown authors: few, kept aside, examined again when a roster comes."""

from __future__ import annotations

from trio.testing import MockClock

from meshnode.strangers import Stranger, Strangers
from protocol.guards import STRANGERS_BYTES_MAX, STRANGERS_LINKS_MAX, STRANGERS_PER_LINK_MAX
from protocol.ids import NodeId, ShortId

AUTHOR, OTHER = NodeId(b"author of sixtee"), NodeId(b"somebody else 16")


def peer(number: int) -> NodeId:
    return NodeId(number.to_bytes(16, "big"))


def test_a_link_leaves_sixty_four_and_the_first_ones_stay() -> None:
    held = Strangers()
    taken = [
        held.keep(peer(1), ShortId(number), Stranger(AUTHOR, 3, b"%d" % number))
        for number in range(STRANGERS_PER_LINK_MAX + 5)
    ]
    assert taken == [True] * STRANGERS_PER_LINK_MAX + [False] * 5
    assert not held.keep(peer(1), ShortId(0), Stranger(AUTHOR, 3, b"0")), "kept already"
    assert held.keep(peer(2), ShortId(0), Stranger(OTHER, 1, b"0")), "another link has its own"
    found = held.take_known(lambda node: node == AUTHOR)
    assert list(found) == [peer(1)]
    assert found[peer(1)][:2] == [(3, b"0"), (3, b"1")]
    assert len(held) == 1
    assert held.take_known(lambda node: node == AUTHOR) == {}


def test_bytes_and_links_are_bounded() -> None:
    held = Strangers()
    half = bytes(STRANGERS_BYTES_MAX // 2)
    assert held.keep(None, ShortId(1), Stranger(AUTHOR, 0, half))
    assert held.keep(None, ShortId(2), Stranger(AUTHOR, 0, half))
    assert not held.keep(None, ShortId(3), Stranger(AUTHOR, 0, b"x"))
    for number in range(STRANGERS_LINKS_MAX):
        assert held.keep(peer(number), ShortId(1), Stranger(AUTHOR, 0, b"x"))
    assert len(held) == STRANGERS_LINKS_MAX, "the file was heard longest ago"


def test_a_container_is_not_shown() -> None:
    assert "secret" not in repr(Stranger(AUTHOR, 0, b"secret"))


async def test_nothing_is_examined_again_while_nobody_knows_the_author(
    autojump_clock: MockClock,
) -> None:
    held = Strangers()
    held.keep(None, ShortId(1), Stranger(AUTHOR, 0, b"x"))
    assert held.take_known(lambda _node: False) == {}
    assert len(held) == 1
