"""`meshnode demo` as people start it: real processes, real networks, real kills."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from meshnode.demo.port import catch_notes
from meshnode.demo.story import BACKLOG
from tests.patience import tried

pytestmark = [pytest.mark.slow, pytest.mark.real]

PATIENCE_S = 240.0
"""Far above the minute that it takes alone: two other lanes keep the cores busy."""
COMMAND = (sys.executable, "-c", "from meshnode.cli.main import main; main()", "demo")
NODES_RUN = "All nodes run"


@contextmanager
def demo(
    folder: Path, *options: str, before: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Start the demonstration, with its homes below `folder`."""
    process = subprocess.Popen(
        [*before, *COMMAND, *options],
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE_S)


def leftovers(pid: int, folder: Path) -> list[str]:
    """Return what a demonstration left behind: folders, processes, namespaces."""
    found = [str(path) for path in folder.iterdir()]
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    if shutil.which("ip"):
        names = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=False).stdout
        found += [name for name in names.split() if name.startswith(f"meshdemo{pid}-")]
    return found


def until(stream: Any, words: str) -> str:
    """Read the story until it says `words`; return what it said before."""
    told: list[str] = []
    for line in stream:
        if words in line:
            return "".join(told)
        told.append(line)
    raise AssertionError(f"the story ended without '{words}'")


def check(told: dict[str, Any], story: str) -> None:
    """Check the object that the demonstration ends with."""
    keys = ("schema", "sent", "delivered", "lost", "duplicates", "unreadable_at_relays", "seconds")
    assert list(told) == [*keys, "day", "port", "ledger"]
    assert told["schema"] == 1
    assert told["sent"] == told["delivered"] == len(told["ledger"]) > BACKLOG
    assert (told["lost"], told["duplicates"], told["unreadable_at_relays"]) == (0, 0, True)
    assert 0 < told["seconds"] < PATIENCE_S
    print(f"the demonstration took {told['seconds']:.0f} s")
    assert {each["state"] for each in told["ledger"]} == {"delivered"}
    assert {each["from"] for each in told["ledger"]} == {
        "alice",
        "bruno",
        "chloe",
        "centre",
        "yann",
    }
    assert all(each["arrived"] for each in told["ledger"])
    assert not any(each["missing"] for each in told["ledger"])
    day = told["day"]
    assert (day["alarms"], day["alarms_closed_everywhere"]) == (2, 2)
    assert (day["files"], day["files_intact"], day["positions_after_the_shift"]) == (2, 2, 0)
    assert told["port"]["notes"] == len(catch_notes())
    # The van has coverage too: it takes a copy, and may bring some of the chunks ashore itself.
    assert told["port"]["bytes"] > 2_000_000, "the box brought most of its file ashore"
    assert re.search(r"\[#+\] 100 % +\d+ +0 +0\.00 MB", story), "the bar of the boat was full"
    assert "the contact breaks at" in story
    assert "alice     knows «Besoin d'un interprète" in story
    # The centre has it before Alice knows: what a device says is what it knows at that moment.
    learnt = story.index("alice     knows «Besoin d'un interprète arabe au col ava…»: delivered")
    assert story.index("centre    shows «Besoin") < learnt


def played(folder: Path) -> None:
    """Play the whole story and check it, again from new homes where an act was late."""

    def play() -> str:
        with demo(folder, "--json") as process:
            out, story = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, story
        assert out.count("\n") == 1
        check(json.loads(out), story)
        assert leftovers(process.pid, folder) == []
        return story

    story = tried(play, lambda story: "not within" not in story)
    assert "not within" not in story


def test_everything_arrives_once_and_nobody_on_the_way_can_read_it(tmp_path: Path) -> None:
    played(tmp_path)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing_behind(tmp_path: Path, how: signal.Signals) -> None:
    with demo(tmp_path) as process:
        until(process.stdout, NODES_RUN)
        assert len(leftovers(process.pid, tmp_path)) > 7
        process.send_signal(how)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert leftovers(process.pid, tmp_path) == []


def test_a_node_that_dies_ends_it_with_its_name_and_its_last_words(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        until(process.stdout, "yann      meets vedette")
        (lock,) = tmp_path.glob("meshnode-demo-*/yann/lock")
        os.kill(int(lock.read_text()), signal.SIGKILL)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "meshnode: the node of yann ended by itself" in errors
    assert "'yann' is running" in errors
    assert "Traceback" not in errors
    assert leftovers(process.pid, tmp_path) == []


def kept(folder: Path) -> str:
    """Play on the loopback, ask a node that was kept, end it; return the story until then."""
    # Without root, who may make namespaces, the first test plays on the loopback already.
    before = ["setpriv", "--bounding-set", "-sys_admin"] if os.geteuid() == 0 else []
    with demo(folder, "--keep", before=before) as process:
        story = until(process.stdout, "Look around from another terminal")
        (home,) = folder.glob("meshnode-demo-*/alice")
        asked = [*COMMAND[:-1], "--home", str(home), "status", "--json"]
        status = subprocess.run(asked, capture_output=True, text=True, check=True)
        assert json.loads(status.stdout)["name"] == "alice"
        until(process.stdout, "Ctrl-C stops")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert leftovers(process.pid, folder) == []
    return story


def test_on_the_loopback_it_plays_as_well_and_kept_nodes_answer_until_told_to_stop(
    tmp_path: Path,
) -> None:
    story = tried(lambda: kept(tmp_path), lambda story: "not within" not in story)
    assert "on the loopback" in story
    told = re.search(r"(\d+) messages written, (\d+) delivered, 0 lost, 0 shown twice", story)
    assert told is not None, story
    assert int(told[1]) == int(told[2]) > BACKLOG
    assert "relays could read nothing" in story
    assert "2 of 2 files have the bytes that were sent" in story
