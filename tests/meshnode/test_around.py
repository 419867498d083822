"""What a running node is told of its surroundings."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshnode.around import surroundings_of
from meshnode.authority_home import AuthorityHome, Network
from meshnode.bench.network import enrol
from meshnode.config import Settings
from meshnode.running import open_home
from meshnode.runtime import system_runtime
from protocol.guards import SESSIONS_OF_CENTRE_MAX
from protocol.identity import Role
from protocol.limits import SESSIONS_MAX


@pytest.mark.parametrize(
    ("role", "expected"),
    [(Role.GATEWAY, SESSIONS_OF_CENTRE_MAX), (Role.AGENT, SESSIONS_MAX)],
)
async def test_a_gateway_has_room_for_a_whole_region(
    role: Role, expected: int, tmp_path: Path
) -> None:
    runtime, hq = system_runtime(), tmp_path / "hq"
    hq.mkdir()
    network = Network("Alpes", 1, "Gap")
    now_ms = runtime.now_ms()
    secret = "five quite ordinary words here"
    AuthorityHome.create(hq, secret, network, now_ms, runtime.entropy, scrypt_cost=2)
    with AuthorityHome.open(hq, secret, runtime.entropy) as authority:
        await enrol(authority, tmp_path / "home", "somebody", role, ["Queyras"], runtime)
    async with open_home(tmp_path / "home", Settings(), runtime) as node:
        assert surroundings_of(Settings(), runtime, node).sessions_max == expected
