"""A boat's box as its profile makes it: NMEA in, the crew served, the plotter fed."""

from __future__ import annotations

import socket
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest
import trio

from meshnode.config import read_settings
from meshnode.profiles import PROFILES
from tests.meshnode.cli.people import People
from tests.meshnode.cli.test_cli_running import running, told, typed
from tests.meshnode.sensors.nmea_text import rmc
from tests.meshnode.services.test_ais import bits_of, number, text
from tests.patience import HANGS_S
from tests.real.daemons import free_port


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_a_file_of_settings(name: str) -> None:
    found = read_settings(PROFILES[name].encode())
    assert found.plotter.send_to == (), "nothing goes out in clear before somebody says so"
    assert found.links.listen == read_settings(b"").links.listen, "the crew is served"


def test_a_profile_is_written_once(people: People) -> None:
    people.reads("box", "init", "--profile", "boat")
    settings = people.home("box") / "meshnode.toml"
    assert settings.read_text() == PROFILES["boat"]
    assert "nothing was changed" in people.reads("box", "init")
    assert settings.read_text() == PROFILES["boat"]
    assert "submarine" in people.fails(2, "other", "init", "--profile", "submarine")


@pytest.mark.slow
@pytest.mark.real
async def test_a_box_takes_nmea_serves_the_crew_and_feeds_the_plotter(squad: People) -> None:
    nmea, box = free_port(socket.SOCK_DGRAM), squad.home("bob")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plotter:
        plotter.bind(("127.0.0.1", 0))
        plotter.settimeout(HANGS_S)
        profile = tomllib.loads(PROFILES["boat"])
        assert profile["sensors"]["position"] == ["gpsd", "nmea-udp:0.0.0.0:10110"]
        (box / "meshnode.toml").write_text(
            f'[links]\nlisten = ["127.0.0.1:0"]\n[discovery]\nmdns = false\nprobe = false\n'
            f'[web]\nlisten = ""\n'
            f'[sensors]\nposition = ["nmea-udp:127.0.0.1:{nmea}"]\nbattery = []\n'
            f"[plotter]\ninterval_s = 2\n"
            f'send_to = ["127.0.0.1:{plotter.getsockname()[1]}", "127.0.0.1:{nmea}"]\n'
        )
        async with running(squad, "bob") as node:
            await _hear(nmea, partial(rmc, 43.1, 5.9))
            await typed(squad, "alice", "shift", "open")
            await typed(squad, "alice", "sync", "--once", str(node.manager.listening[0]))
            await typed(squad, "alice", "position", "--", "43.2", "-5.95")
            await typed(squad, "alice", "sync", "--once", str(node.manager.listening[0]))
            heard = [await trio.to_thread.run_sync(plotter.recv, 2_048) for _ in range(2)]
            place, name = (bits_of(each) for each in heard)
            assert number(place, 85, 27, is_signed=True) == round(43.2 * 600_000)
            assert number(place, 57, 28, is_signed=True) == round(-5.95 * 600_000)
            assert text(name[:160], 40) == "ALICE"
            # What a stranger garbles, or the box itself sends round, moves nobody.
            # On a busy machine half a minute has passed, after which a receiver counts as silent.
            await _hear(nmea, partial(rmc, 43.1, 5.9))
            wrong = rmc(10.0, 10.0, datetime.now(UTC)).replace(b"*", b"0*")
            await _send(nmea, wrong + heard[0])
            (source,) = (await told(squad, "bob", "sensors", "--show-position"))["sources"]
            assert (source["accepted"] > 0, source["trouble"]) == (True, "")
            assert source["reading"]["latitude"] == pytest.approx(43.1, abs=0.001)
            said = await typed(squad, "bob", "doctor")
            assert "Positions of mates on duty go unencrypted to 127.0.0.1" in said.out


async def _hear(port: int, sentence: Callable[[datetime], bytes]) -> None:
    """Let a receiver on board speak, a few times: the first is too new to be followed."""
    for _ in range(3):
        await _send(port, sentence(datetime.now(UTC)))
        await trio.sleep(0.3)


async def _send(port: int, data: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as multiplexer:
        multiplexer.sendto(data, ("127.0.0.1", port))
