"""Archives on both databases, for every test that asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.postgres import Cluster, binaries


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running PostgreSQL of this session's own."""
    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL server here: install the package postgresql")
    found = Cluster(programs)
    try:
        found.start()
        yield found
    finally:
        found.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """URL and path of an archive that nobody has opened yet, in each database."""
    if request.param == "sqlite":
        return "", tmp_path / "archive.sqlite"
    make: Callable[[], str] = request.getfixturevalue("cluster").database
    return make(), tmp_path / "unused"
