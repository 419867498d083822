"""One town for all attacks; each test gets a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.identity import Role
from tests.security.parts import Town, make_town


@pytest.fixture(scope="session")
def whole_town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """The box, Alice, Bob and Mallory of one squad, a relay and a gateway."""
    extra = [("mule", Role.RELAY), ("centre", Role.GATEWAY)]
    return make_town(tmp_path_factory.mktemp("town"), extra)


@pytest.fixture(scope="session")
def outsiders(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """Devices of the same names under another authority."""
    return make_town(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture
def town(whole_town: Town, tmp_path: Path) -> Town:
    """A town of one's own."""
    return whole_town.copied(tmp_path)
