"""Each check of the doctor finds the fault that is put into a real home, and names the cure."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import trio

from meshnode.doctor.examining import CHECKS, examine, gather
from meshnode.doctor.findings import Facts, Finding, Level
from meshnode.doctor.identity import check_clock
from meshnode.doctor.network import check_plotter
from meshnode.doctor.node import check_lease, check_lock
from meshnode.doctor.program import check_disk
from meshnode.enrolled import complete, request_for
from meshnode.links.base import Address
from meshnode.machine import Machine
from meshnode.running import run_home
from meshnode.runtime import Runtime, system_runtime
from protocol.armour import TextForm, armour
from protocol.identity import DeviceClass
from tests.meshnode.enrolling import NOW_MS, invite, make_authority, opened

DAY_MS = 86_400_000
SETTINGS = """
[links]
listen = ["127.0.0.1:0"]
[discovery]
mdns = false
probe = false
"""

pytestmark = pytest.mark.slow


def at(now_ms: int) -> Runtime:
    """The real machine at another time."""
    return replace(system_runtime(), now_ms=lambda: now_ms)


@pytest.fixture(scope="session")
def enrolled_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an enrolled device; to be copied."""
    folder = tmp_path_factory.mktemp("doctor")
    make_authority(folder / "hq")
    with opened(folder / "hq") as authority:
        pending = trio.run(
            request_for,
            folder / "home",
            invite(authority, "bob", kind=DeviceClass.PC),
            at(NOW_MS),
        )
        answer = authority.issue(pending.text, NOW_MS)
    trio.run(complete, folder / "home", armour(TextForm.ANSWER, answer.encode()), at(NOW_MS))
    (folder / "home" / "meshnode.toml").write_text(SETTINGS)
    return folder / "home"


@pytest.fixture
def home(tmp_path: Path, enrolled_home: Path) -> Path:
    """A healthy home."""
    return shutil.copytree(enrolled_home, tmp_path / "home")


def machine(**changes: Any) -> Machine:
    """A machine on which all is well, but for `changes`."""
    well: dict[str, Any] = {
        "free_bytes": lambda _path: 10**10,
        "hosts": lambda: ("192.0.2.7",),
        "listen": lambda _address: None,
        "join_multicast": lambda: None,
    }
    return Machine(**{**well, **changes})


def findings(home: Path, now_ms: int = NOW_MS, **changes: Any) -> dict[str, Finding]:
    found = trio.run(examine, home, at(now_ms), machine(**changes)).findings
    return {each.name: each for each in found}


def levels(home: Path, now_ms: int = NOW_MS, **changes: Any) -> dict[str, str]:
    """Return the checks that are not content."""
    found = findings(home, now_ms, **changes)
    return {name: each.level.value for name, each in found.items() if each.fix}


NOT_RUNNING = {"node": "warn", "neighbours": "warn"}
"""What is found in a healthy home whose node does not run and never met anybody."""


def failing(code: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_a_healthy_home_passes(home: Path) -> None:
    found = findings(home)
    assert len(found) == len(CHECKS)
    assert levels(home) == NOT_RUNNING
    for each in found.values():
        assert bool(each.fix) == (each.level in (Level.WARN, Level.FAIL)), each
        assert not each.sentence.endswith("."), each


def test_a_running_node_passes_with_its_address(home: Path) -> None:
    async def beside() -> dict[str, Finding]:
        from meshnode.config import load_settings

        async with trio.open_nursery() as nursery:
            start = partial(run_home, home, load_settings(home), at(NOW_MS))
            node = await nursery.start(start)
            examined = await examine(home, at(NOW_MS), machine(listen=failing(errno.EADDRINUSE)))
            found = examined.findings
            address = str(node.manager.listening[0])
            nursery.cancel_scope.cancel()
        return {each.name: each for each in found} | {address: found[0]}

    found = trio.run(beside)
    assert found["node"].sentence == "The node is running"
    assert found["port"].level is Level.OK
    assert found["port"].sentence.removeprefix("The node listens on ") in found


def test_an_old_interpreter_and_missing_packages(home: Path) -> None:
    def version(name: str) -> str:
        if name == "msgpack":
            raise metadata.PackageNotFoundError
        return "1"

    found = findings(home, python=(3, 10, 9), package_version=version)
    assert found["python"].level is Level.FAIL
    assert found["python"].sentence == "Python 3.10.9 is too old"
    assert found["packages"].sentence == "Not installed: msgpack"


def test_a_home_that_is_not_there(tmp_path: Path) -> None:
    found = levels(tmp_path / "none")
    assert found["home"] == "fail"
    assert found["identity"] == "fail"
    assert not (tmp_path / "none").exists()


def test_a_home_that_others_may_read(home: Path) -> None:
    (home / "keys" / "badge.sealed").chmod(0o644)
    found = findings(home)
    assert found["home"].level is Level.FAIL
    assert "badge.sealed" in found["home"].sentence
    assert "chmod" in found["home"].fix


def test_a_home_of_somebody_else(home: Path) -> None:
    found = findings(home, may_use=lambda _path: False)
    assert found["home"].level is Level.FAIL
    assert "owner" in found["home"].fix


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert findings(tmp_path / "file")["home"].sentence.endswith("is no folder")


def test_a_setting_that_is_unknown(home: Path) -> None:
    (home / "meshnode.toml").write_text("[links]\nlissten = []\n")
    found = findings(home)
    assert found["settings"].level is Level.FAIL
    assert "lissten" in found["settings"].sentence
    # One fault does not hide the others, and is not told twice.
    assert found["identity"].level is Level.OK
    assert found["node"].level is Level.WARN


def test_a_device_that_was_never_enrolled(tmp_path: Path) -> None:
    home = tmp_path / "new"
    home.mkdir(mode=0o700)
    found = levels(home)
    assert (found["identity"], found["badge"], found["store"]) == ("fail", "fail", "warn")
    assert "home" not in found


def test_keys_that_are_damaged(home: Path) -> None:
    (home / "keys" / "tier0").write_text("no key")
    found = findings(home)
    assert found["identity"].level is Level.FAIL
    assert "damaged" in found["identity"].sentence


@pytest.mark.parametrize(
    ("days", "level"), [(0, "ok"), (75, "ok"), (80, "warn"), (89, "warn"), (91, "fail")]
)
def test_a_badge_that_ends(home: Path, days: int, level: str) -> None:
    assert findings(home, NOW_MS + days * DAY_MS)["badge"].level == level


def test_a_clock_that_is_behind(home: Path) -> None:
    assert levels(home, NOW_MS - 30 * DAY_MS)["clock"] == "fail"
    later_s = NOW_MS / 1000 + 3_600
    os.utime(home / "store.sqlite", (later_s, later_s))
    assert "last use" in findings(home)["clock"].sentence
    os.utime(home / "store.sqlite", (NOW_MS / 1000 + 600, NOW_MS / 1000 + 600))
    assert findings(home)["clock"].level is Level.OK


async def test_a_clock_by_which_all_that_comes_is_of_the_future(home: Path) -> None:
    facts = await gather(home, at(NOW_MS), machine())
    assert isinstance(facts.status, dict)
    assert check_clock(facts).level is Level.OK
    found = check_clock(replace(facts, status={**facts.status, "is_clock_late": True}))
    assert (found.level, "in the future" in found.sentence) == (Level.WARN, True)
    assert "Set the clock" in found.fix


@pytest.mark.parametrize(
    ("free_bytes", "level"),
    [(200_000_000, "ok"), (199_999_999, "warn"), (20_000_000, "warn"), (19_999_999, "fail")],
)
def test_a_disk_that_is_full(home: Path, free_bytes: int, level: str) -> None:
    assert findings(home, free_bytes=lambda _path: free_bytes)["disk"].level == level


async def test_a_disk_that_has_room_and_takes_nothing(home: Path) -> None:
    facts = await gather(home, at(NOW_MS), machine())
    assert isinstance(facts.status, dict)
    status = {**facts.status, "disk_fault": "the store cannot do this: disk I/O error"}
    found = check_disk(replace(facts, status=status))
    assert (found.level, "disk I/O error" in found.sentence) == (Level.FAIL, True)


def test_a_store_that_is_no_database(home: Path) -> None:
    (home / "store.sqlite").write_bytes(b"no database" * 1_000)
    found = levels(home)
    assert (found["store"], found["node"]) == ("fail", "fail")


def test_a_store_with_a_broken_page(home: Path) -> None:
    path = home / "store.sqlite"
    raw = bytearray(path.read_bytes())
    broken = 0
    # Pages past the schema are overwritten until the check has something to say.
    for start in range(len(raw) - 4_096, 16_384, -4_096):
        raw[start : start + 64] = b"\xff" * 64
        broken += 1
    assert broken
    path.write_bytes(raw)
    found = findings(home)["store"]
    assert found.level is Level.FAIL
    assert "damaged" in found.sentence or "malformed" in found.sentence


def test_a_store_that_is_gone(home: Path) -> None:
    (home / "store.sqlite").unlink()
    assert levels(home)["node"] == "fail"


def test_a_port_that_is_taken(home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        (home / "meshnode.toml").write_text(f'[links]\nlisten = ["127.0.0.1:{port}"]\n')
        found = findings(home, listen=Machine().listen)["port"]
    assert found.level is Level.FAIL
    assert str(port) in found.sentence
    assert findings(home, listen=Machine().listen)["port"].level is Level.OK


def test_an_address_that_this_machine_cannot_have_is_no_fault(home: Path) -> None:
    (home / "meshnode.toml").write_text('[links]\nlisten = ["[::]:7625"]\n')
    assert "port" not in levels(home, listen=failing(errno.EAFNOSUPPORT))
    assert levels(home, listen=failing(errno.EACCES))["port"] == "fail"


def test_an_address_that_is_none(home: Path) -> None:
    (home / "meshnode.toml").write_text('[links]\nlisten = ["nowhere:99999"]\n')
    assert levels(home)["port"] == "fail"


def test_no_network_and_no_multicast(home: Path) -> None:
    (home / "meshnode.toml").write_text("[discovery]\nmdns = true\n")
    found = levels(home, hosts=lambda: (), join_multicast=failing(errno.ENODEV))
    assert (found["addresses"], found["multicast"]) == ("warn", "warn")
    (home / "meshnode.toml").write_text("[discovery]\nmdns = false\n")
    assert "multicast" not in levels(home, join_multicast=failing(errno.ENODEV))


@pytest.mark.parametrize(
    ("address", "level"), [("192.168.4.20", "ok"), ("192.168.4.255", "warn"), ("[ff02::1]", "warn")]
)
def test_a_plotter_that_is_fed_is_named(home: Path, address: str, level: str) -> None:
    assert findings(home)["plotter"].sentence == "No position goes to a plotter"
    (home / "meshnode.toml").write_text(f'[plotter]\nsend_to = ["{address}:2000"]\n')
    found = findings(home)["plotter"]
    assert (found.level, address in found.sentence) == (level, True)


def test_a_relay_that_feeds_a_plotter_is_told(home: Path) -> None:
    (home / "meshnode.toml").write_text('[plotter]\nsend_to = ["192.168.4.20"]\n')
    facts = trio.run(examine, home, at(NOW_MS), machine()).facts
    assert isinstance(facts.status, dict)
    facts = replace(facts, status={**facts.status, "role": "relay"})
    found = check_plotter(facts)
    assert (found.level, "relay" in found.sentence) == (Level.WARN, True)


def test_a_node_that_does_not_answer(home: Path) -> None:
    """A socket that takes commands and closes: what a node does that is going down."""

    async def beside() -> tuple[Finding, ...]:
        async def hang_up(stream: trio.SocketStream) -> None:
            await stream.receive_some()
            await stream.aclose()

        path = str(home / "control.sock")
        listening = trio.socket.socket(trio.socket.AF_UNIX)
        await listening.bind(path)
        listening.listen()
        async with trio.open_nursery() as nursery:
            listeners = [trio.SocketListener(listening)]
            await nursery.start(trio.serve_listeners, hang_up, listeners)
            found = (await examine(home, at(NOW_MS), machine())).findings
            nursery.cancel_scope.cancel()
        return found

    found = {each.name: each for each in trio.run(beside)}
    assert found["node"].level is Level.FAIL
    assert "went away" in found["node"].sentence


def test_messages_that_wait_and_neighbours_that_went(home: Path) -> None:
    async def gathered() -> Facts:
        return await gather(home, at(NOW_MS), machine())

    facts = trio.run(gathered)
    assert isinstance(facts.status, dict)
    checks = {check.__name__: check for check in CHECKS}
    waiting = replace(facts, status={**facts.status, "messages": {"waiting": 2}})
    assert checks["check_messages"](waiting).sentence.startswith("2 messages wait")
    unopened = replace(facts, status={**facts.status, "unopened": 3})
    assert checks["check_messages"](unopened).level is Level.WARN
    gone = replace(facts, peers=({"name": "bob", "is_up": False},))
    assert checks["check_neighbours"](gone).sentence == "No other device is in reach now"
    near = replace(facts, peers=({"name": "bob", "is_up": True},))
    assert checks["check_neighbours"](near).sentence == "In reach: bob"


@pytest.mark.real
@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({}, Level.OK, "open by themselves when the device starts"),
        ({"protection": "hardware"}, Level.OK, "bound to this machine"),
        ({"protection": "words"}, Level.OK, "its length is the only wall"),
        ({"protection": "words", "is_locked": True}, Level.WARN, "The device is locked. "),
    ],
)
def test_what_protects_the_agents_keys(
    home: Path, changes: dict[str, Any], level: Level, words: str
) -> None:
    facts = trio.run(gather, home, at(NOW_MS), machine())
    assert isinstance(facts.status, dict)
    status = {**facts.status, "lock": facts.status["lock"] | changes}
    found = check_lock(replace(facts, status=status, is_running=True))
    assert (found.level, words in found.sentence) == (level, True)
    assert check_lock(replace(facts, status=None)).level is Level.UNKNOWN


@pytest.mark.parametrize(
    ("standing", "level", "words"),
    [
        ("none", Level.OK, "No lease"),
        ("valid", Level.OK, "30 hours old; the agent's keys lock in 138 hours"),
        ("amber", Level.WARN, "30 hours old; the agent's keys lock in 138 hours"),
        ("ended", Level.FAIL, "the agent's keys stay locked"),
    ],
)
def test_how_long_ago_the_centre_was_heard_of(
    home: Path, standing: str, level: Level, words: str
) -> None:
    facts = trio.run(gather, home, at(NOW_MS), machine())
    assert isinstance(facts.status, dict)
    lock = {"lease": standing, "beacon_age_ms": 30 * 3_600_000, "lease_left_ms": 138 * 3_600_000}
    found = check_lease(replace(facts, status={**facts.status, "lock": lock}))
    assert (found.level, words in found.sentence) == (level, True)
    assert check_lease(replace(facts, status=None)).level is Level.OK


def test_what_is_asked_of_the_real_machine() -> None:
    real = Machine()
    assert real.free_bytes(Path("/")) > 0
    assert all(not host.startswith("127.") for host in real.hosts())
    real.listen(Address("127.0.0.1", 0))
    with pytest.raises(OSError):
        real.listen(Address("203.0.113.1", 7_625))
