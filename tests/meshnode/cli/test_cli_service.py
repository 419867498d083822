"""`meshnode run` under a service manager: datagrams, log, end; and backup by command."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.meshnode.cli.people import People

pytestmark = [pytest.mark.slow, pytest.mark.real]


def command(people: People, name: str, *words: str) -> list[str]:
    return [sys.executable, "-m", "meshnode", "--home", str(people.home(name)), *words]


async def test_run_tells_systemd_and_logs_objects(squad: People, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as raw:
        raw.bind(str(tmp_path / "notify"))
        heard = trio.socket.from_stdlib_socket(raw)
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "400000",
        }
        with trio.fail_after(120), (tmp_path / "log").open("wb") as log:
            process = await trio.lowlevel.open_process(
                command(squad, "centre", "run", "--log", "json"), stderr=log, env=environment
            )
            assert await heard.recv(100) == b"READY=1"
            assert await heard.recv(100) == b"WATCHDOG=1"
            process.send_signal(signal.SIGTERM)
            while (last := await heard.recv(100)) == b"WATCHDOG=1":
                pass
            assert last == b"STOPPING=1"
            assert await process.wait() == 0
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert {line["schema"] for line in lines} == {1}
    assert all(datetime.fromisoformat(line["time"]).tzinfo for line in lines)
    told = [line["words"] for line in lines if line["event"] == "told"]
    assert told[0] == "'centre' is running"
    assert told[1].startswith("listening on 127.0.0.1:")
    assert len({line["event"] for line in lines}) > 1


async def test_the_last_line_says_why_it_cannot_run(squad: People) -> None:
    (squad.home("bob") / "meshnode.toml").write_text("[links]\nlisten = 7\n")
    done = await trio.run_process(
        command(squad, "bob", "run", "--log", "json"), capture_stderr=True, check=False
    )
    (line,) = done.stderr.decode().splitlines()
    ended = json.loads(line)
    assert (ended["event"], ended["kind"], ended["code"]) == ("ended", "ConfigError", 3)
    assert "links.listen" in ended["words"]
    assert done.returncode == 3


def test_the_unit_names_this_home(people: People) -> None:
    home = Path("/var/lib/meshnode/home")
    people.folder = home.parent
    shown = people.reads(home.name, "service")
    assert f"ExecStart={sys.executable} -m meshnode --home {home} run --log json\n" in shown


def test_a_home_of_an_account_without_a_name_is_told(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_path: Path) -> str:
        raise KeyError("getpwuid(): uid not found: 10042")

    (people.folder / "box").mkdir()
    monkeypatch.setattr(Path, "owner", nobody)
    assert "has no name here" in people.fails(4, "box", "service")


def test_a_home_goes_into_a_file_and_comes_back(
    squad: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no passphrase" in squad.fails(2, "centre", "backup", str(tmp_path / "x.backup"))
    monkeypatch.setenv("MESHNODE_BACKUP_PASSPHRASE", "five words for a backup")
    written: Any = squad.json("centre", "backup", str(tmp_path / "c.backup"))
    assert written["bytes"] == (tmp_path / "c.backup").stat().st_size
    again: Any = squad.json("again", "restore", str(tmp_path / "c.backup"))
    assert (again["node"], again["files"], again["made_ms"]) == (
        written["node"],
        written["files"],
        written["made_ms"],
    )
    assert squad.json("again", "status")["name"] == "centre"
    assert "in use already" in squad.fails(4, "again", "restore", str(tmp_path / "c.backup"))
    shown = squad.reads("centre", "--lang", "fr", "backup", str(tmp_path / "d.backup"))
    assert "phrase secrète loin des deux" in shown
    shown = squad.reads("third", "--lang", "fr", "restore", str(tmp_path / "d.backup"))
    assert "redemandez-le" in shown
    assert "deux minutes" in squad.fails(7, "bob", "--lang", "fr", "backup", str(tmp_path / "b"))
    (tmp_path / "pass").write_text("five other words here\n")
    wrong = ("restore", str(tmp_path / "c.backup"), "--passphrase-file", str(tmp_path / "pass"))
    assert "does not open the backup" in squad.fails(7, "fourth", *wrong)
