"""At port, by the command that people type: what is left for the gateway, and for how long."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from meshnode.cli import unload as module
from tests.meshnode.cli.people import People
from tests.meshnode.cli.test_cli_running import running, told, typed
from tests.patience import HANGS_S

pytestmark = [pytest.mark.slow, pytest.mark.real]

PORT: dict[str, Any] = {
    "name": "centre",
    "is_counted": True,
    "done": 48_000,
    "left": 52_000,
    "left_bytes": 17_600_000,
    "bytes_s": 800_000.0,
    "bundles_s": 2_300.0,
    "seconds_left": 22.0,
}
HALFWAY: dict[str, Any] = {"bundles": 100_000, "bytes": 60_000_000, "gateways": [PORT]}
"""What a node says in the middle of it."""


async def test_a_box_at_port_says_when_all_is_ashore(squad: People) -> None:
    alone = await typed(squad, "alice", "unload")
    assert alone.out.startswith("No gateway is in reach. ")
    refused = await typed(squad, "alice", "unload", "--follow")
    assert refused.code > 0
    assert "start it with 'meshnode run'" in refused.err
    await typed(squad, "alice", "send", "codt", "Carried for days")
    async with running(squad, "centre") as centre:
        settings = squad.home("alice") / "meshnode.toml"
        port = centre.manager.listening[0].port
        dialled = f'[links]\nstatic = ["127.0.0.1:{port}"]\nlisten = []\n'
        settings.write_text(
            f"{dialled}[discovery]\nmdns = false\nprobe = false\n[web]\nlisten = ''\n"
        )
        async with running(squad, "alice"):
            with trio.fail_after(HANGS_S):
                shown = await typed(squad, "alice", "unload", "--follow", "--json")
            last = json.loads(shown.out.splitlines()[-1])
            (port_call,) = last["gateways"]
            assert (port_call["name"], port_call["left"]) == ("centre", 0)
            assert port_call["seconds_left"] == 0
            assert port_call["done"] > 0
            (once,) = (await told(squad, "alice", "unload"))["gateways"]
            assert once["left"] == 0
            table = (await typed(squad, "alice", "unload")).out.splitlines()
            assert table[0].split() == [
                *("gateway", "progress", "ashore", "left", "size", "rate", "takes")
            ]
            assert table[1].split()[:4] == ["centre", "█" * 20, "100", "%"]


def test_a_bar_is_as_long_as_what_is_ashore(capsys: pytest.CaptureFixture[str]) -> None:
    module.show(HALFWAY)
    row = capsys.readouterr().out.splitlines()[1]
    cells = "█" * 9 + "░" * 11
    shown = " ".join(row.split())
    assert shown == f"centre {cells} 48 % 48000 52000 17.6 MB 800.0 kB/s 22 s"


def test_what_is_not_known_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert module.words_of(PORT) == "centre: 48000 of 100000 bundles, 17.6 MB left, 22 s"
    unknown = {**PORT, "seconds_left": None, "bytes_s": None}
    assert module.words_of(unknown).endswith("17.6 MB left, nobody knows how long")
    comparing = {**unknown, "is_counted": False}
    assert module.words_of(comparing) == "centre: comparing what both hold"
    module.show({**HALFWAY, "gateways": [comparing]})
    assert "not counted yet" in capsys.readouterr().out
