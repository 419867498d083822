"""Coverage comes back: the kernel says so, and the gateway is reached within seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.meshnode.cli.people import People
from tests.patience import tried
from tests.real.netns import Bridge, Host, require_namespaces
from tests.real.test_two_nodes import Pair, _speak

pytestmark = [pytest.mark.real, pytest.mark.slow]

RETURNS_S_MAX = 5.0
"""From the address to the session with the gateway."""
AWAY_S = 20.0
"""By then tries are 16 s apart."""


def test_the_gateway_is_reached_within_5_s_after_coverage_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    require_namespaces()
    _speak(monkeypatch)
    people = People(tmp_path)
    people.reads("hq", "authority", "init", "--network", "Alpes", "--zone", "7")
    for name, role in (("alice", "agent"), ("bob", "gateway")):
        people.enrol(name, role, "Queyras")
        (people.home(name) / "meshnode.toml").write_text(
            '[links]\nlisten = ["0.0.0.0:7625"]\nstatic = ["10.99.0.2"]\n'
            "[discovery]\nmdns = false\nprobe = false\n[web]\nlisten = ''\n"
        )
    with Bridge("back", 2) as net:
        for host in net.hosts:
            host.without_ipv6()
        pair, alice = Pair(people, net), net.hosts[0]
        pair.start("bob")
        pair.start("alice")

        def has_gateway() -> bool:
            return bool(people.json("alice", "uplink")["has_gateway"])

        pair.until(has_gateway, 60)
        took_s = tried(
            lambda: away_and_back(alice, pair, has_gateway), lambda took_s: took_s < RETURNS_S_MAX
        )
        with capsys.disabled():
            print(f"\ngateway reached {took_s:.1f} s after coverage returned")
        assert took_s < RETURNS_S_MAX


def away_and_back(alice: Host, pair: Pair, has_gateway: Callable[[], bool]) -> float:
    """Take coverage away and give it back; return after how many seconds the gateway is there."""
    alice.del_address(alice.address)
    alice.set_up(is_up=False)
    pair.until(lambda: not has_gateway(), 60)
    time.sleep(AWAY_S)
    alice.set_up(is_up=True)
    alice.add_address(alice.address)
    began_s = time.monotonic()
    pair.until(has_gateway, 60)
    return time.monotonic() - began_s
