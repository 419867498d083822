"""Who may use the screens, by the commands that people type beside a running node."""

from __future__ import annotations

import signal
import subprocess
from functools import partial

import httpx
import pytest
import trio

from tests.meshnode.cli.people import People
from tests.meshnode.cli.test_cli_running import Lines, command, running, told, typed
from tests.patience import HANGS_S

pytestmark = [pytest.mark.slow, pytest.mark.real]


def with_screens(people: People, name: str) -> None:
    """Give a home screens at any free port."""
    path = people.home(name) / "meshnode.toml"
    path.write_text(path.read_text().replace('listen = ""', 'listen = "127.0.0.1:0"'))


async def opened(people: People, name: str) -> str:
    """Return the address that signs a browser in, once the screens are there."""
    with trio.fail_after(60):
        while (screen := await typed(people, name, "web", "open")).code:
            assert screen.code == 8, screen
            await trio.sleep(0.1)
    return screen.out.strip()


async def test_a_browser_and_a_program_are_let_in_and_out(squad: People) -> None:
    with_screens(squad, "alice")
    async with running(squad, "alice"):
        base, _, key = (await opened(squad, "alice")).partition("#key=")
        async with httpx.AsyncClient(base_url=base, timeout=HANGS_S) as browser:
            assert (await browser.post("/api/session", json={"key": key})).status_code == 200
            closed = await typed(squad, "alice", "web", "close")
            assert closed.out == "Browsers signed out: 1.\n"
            assert (await browser.get("/api/session")).status_code == 401
        assert (await typed(squad, "alice", "web", "token", "list")).out == "There are no tokens.\n"
        made = await typed(squad, "alice", "web", "token", "add", "wall", "--role", "agent")
        shown = {"authorization": f"Bearer {made.out.strip()}"}
        async with httpx.AsyncClient(base_url=base, timeout=HANGS_S, headers=shown) as program:
            assert (await program.get("/api/messages/inbox")).status_code == 200
            listed = await typed(squad, "alice", "web", "token", "list")
            assert listed.out.startswith("wall  agent  until ")
            assert made.out.strip() not in listed.out
            (row,) = (await told(squad, "alice", "web", "token", "list"))["tokens"]
            assert (row["name"], row["has_ended"]) == ("wall", False)
            gone = await typed(squad, "alice", "web", "token", "revoke", "wall")
            assert gone.out == "Token wall has ended.\n"
            assert (await program.get("/api/messages/inbox")).status_code == 401
        again = await typed(squad, "alice", "web", "token", "revoke", "wall")
        assert again.out == "There is no token wall.\n"
        wrong = await typed(squad, "alice", "web", "token", "add", "a b")
        assert (wrong.code, "letters, digits" in wrong.err) == (8, True)


async def test_without_screens_each_command_says_how_to_get_them(squad: People) -> None:
    async with running(squad, "alice"):
        for words in (["open"], ["close"], ["token", "list"], ["token", "add", "wall"]):
            refused = await typed(squad, "alice", "web", *words)
            assert (refused.code, refused.out) == (8, "")
            assert "meshnode run --web" in refused.err


async def test_a_log_of_run_gets_the_address_and_no_code(squad: People) -> None:
    with_screens(squad, "alice")
    start = partial(trio.run_process, stderr=subprocess.PIPE, check=False)
    async with trio.open_nursery() as nursery:
        node = await nursery.start(start, command(squad, "alice", "run"))
        lines = Lines(node.stderr)
        with trio.fail_after(60):
            line = await lines.until("screens: http://127.0.0.1:")
            assert "#key" not in line
            assert "meshnode web open" in line
        node.send_signal(signal.SIGTERM)
        assert await node.wait() == 0
        node = await nursery.start(start, command(squad, "alice", "run", "--no-web"))
        with trio.fail_after(60):
            await Lines(node.stderr).until("listening on ")
            refused = await typed(squad, "alice", "web", "open")
            assert refused.code == 8
        node.send_signal(signal.SIGTERM)
        assert await node.wait() == 0
