"""A store of each sort for every test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshnode.store.engine import Store, open_store
from tests.meshnode.store.parts import check, runtime


@pytest.fixture(params=["memory", "file"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store, in memory and in a file; what the test leaves behind is checked."""
    path = tmp_path / "store.sqlite" if request.param == "file" else None
    async with open_store(path, runtime()) as opened:
        yield opened
        await check(opened)
