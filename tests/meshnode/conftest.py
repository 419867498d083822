"""A rig of the usual four nodes for the tests of a node's rooms."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from trio.testing import MockClock

from tests.meshnode.rig import Rig, open_rig


@pytest.fixture
async def rig(autojump_clock: MockClock) -> AsyncIterator[Rig]:
    """Give anna, bruno, the box and the gateway, who know nobody's prekey yet."""
    async with open_rig() as opened:
        yield opened


@pytest.fixture
async def met(rig: Rig) -> Rig:
    """Give the same four after all have met once and hold each other's prekeys."""
    await rig.mix("anna", "bruno", "box", "gateway")
    return rig
