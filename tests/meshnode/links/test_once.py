"""A contact on demand ends as soon as nothing moves, in whatever order its tasks run."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from meshnode.links.once import until_synced
from tests.meshnode.links.contact_parts import contact, hosts, texts

DONE_S_MAX = 5.0
"""Two rounds and two silences; half of what a bundle that does not come is waited for."""


@pytest.mark.parametrize("attempt", range(25))
@pytest.mark.parametrize(("ours", "theirs"), [(1, 0), (0, 1), (2, 2)])
async def test_the_end_of_the_last_answer_is_noticed(
    autojump_clock: MockClock, ours: int, theirs: int, attempt: int
) -> None:
    # trio shuffles its tasks: one attempt in two lets the wait begin before the answer ends.
    a, b = hosts()
    a.put(texts(ours))
    b.put(texts(theirs, 5_000))
    started_s = trio.current_time()
    async with contact(a, b) as (near, _far):
        assert await until_synced(near.runner, lambda stats: None)
    assert a.stored == b.stored
    assert trio.current_time() - started_s < DONE_S_MAX
