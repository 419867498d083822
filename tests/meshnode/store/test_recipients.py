"""What is known of a recipient only rises, whatever order words come in; the judge is a fold."""

from __future__ import annotations

from functools import reduce
from itertools import permutations, product

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from meshnode.store import messages, recipients
from meshnode.store.engine import open_store
from meshnode.store.recipients import RANKS, joined
from meshnode.store.records import NewMessage, RecipientState
from protocol.ids import BundleId
from protocol.limits import Kind
from tests.meshnode.store.parts import NOW_MS, node, runtime

TOLD = st.sampled_from(
    [
        RecipientState.AT_GATEWAY,
        RecipientState.ON_DEVICE,
        RecipientState.WITHDRAWN,
        RecipientState.READ,
    ]
)
"""What receipts say."""


def test_joining_does_not_depend_on_order() -> None:
    for chosen in product(RecipientState, repeat=3):
        ends = {RANKS[reduce(joined, order)] for order in permutations(chosen)}
        assert ends == {max(RANKS[each] for each in chosen)}


@settings(max_examples=60, deadline=None)
@given(st.lists(TOLD, max_size=8), st.integers(0, 8))
def test_a_state_never_goes_back(words: list[RecipientState], ends_after: int) -> None:
    """The message may expire between any two words."""

    async def run() -> None:
        async with open_store(None, runtime()) as store:
            name = BundleId(node(0), 7, 1)
            new = NewMessage(name, b"\x03\x00\x01", Kind.TEXT, "x", NOW_MS, NOW_MS + 1)
            who = [node(1), node(2)]
            key = await store.write(lambda tx: messages.add_outgoing(tx, new, who, NOW_MS))
            known = RecipientState.PENDING
            for place, word in enumerate(words):
                if place == ends_after:
                    await store.write(lambda tx: messages.expire_messages(tx, NOW_MS + 9, 9))
                # Of the centre one receipt concludes, so the second one need not expire.
                at_ms = NOW_MS + place
                told = await store.write(
                    lambda tx, word=word, at_ms=at_ms: messages.note_receipt(  # type: ignore[misc]
                        tx, node(1), 7, [1], word, at_ms
                    )
                )
                before, known = known, joined(known, word)
                assert told == ([key] if known is not before else [])
                found = await store.read(lambda conn: recipients.recipients(conn, key))
                (first,) = [each for each in found if each.node == node(1)]
                assert first.state is known

    trio.run(run, clock=MockClock(autojump_threshold=0))
