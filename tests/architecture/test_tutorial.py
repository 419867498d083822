"""The tutorial, done: every console block is typed into one shell, and what it shows must come."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.architecture import tree
from tests.real.daemons import free_port

TUTORIALS = tree.ROOT / "docs" / "tutorials"
PAGES = {
    "two-nodes.md": ("7625", "7626"),
    "a-day-in-a-white-zone.md": ("7625", "7626"),
    "a-week-at-sea.md": ("7625", "7626", "27127"),
}
"""Each with the ports that stand in it; free ones are put in their place."""
STEP_S_MAX = 60.0
MARK = "<end of step>"


@dataclass(frozen=True)
class Step:
    """One command of the page, with the lines that it shall print."""

    command: str
    shown: tuple[str, ...]


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def steps(text: str) -> list[Step]:
    """Return the commands of all console blocks in order."""
    found: list[Step] = []
    for line in "".join(blocks(text, "console")).splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:], ()))
        else:
            found[-1] = Step(found[-1].command, (*found[-1].shown, line))
    return found


def pattern(shown: tuple[str, ...]) -> re.Pattern[str]:
    """Return what matches the lines shown: an ellipsis stands for anything, even for lines."""
    lines = [r".*".join(re.escape(part) for part in line.split("…")) for line in shown]
    text = "\n".join("(?:.*\n)*?.*" if line == ".*" else line for line in lines)
    # Widths of columns follow the content, so a run of blanks is one blank.
    return re.compile(re.sub(r"(?:\\ )+", " +", text))


class Shell:
    """A shell that a person types into."""

    def __init__(self, folder: Path) -> None:
        programs = Path(sys.executable).parent
        environment = {
            "HOME": str(folder),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            # The program of this tree, wherever another one may be installed.
            "PYTHONPATH": str(tree.ROOT),
        }
        self.process = subprocess.Popen(
            ["bash", "--norc", "-m"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )

    def type(self, command: str) -> tuple[int, str]:
        """Run one command; return its exit code and what it printed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\nprintf '\\n{MARK} %d\\n' $?\n")
        self.process.stdin.flush()
        lines: list[str] = []
        for line in self.process.stdout:
            if line.startswith(MARK):
                return int(line.split()[-1]), "".join(lines).rstrip("\n")
            lines.append(line)
        raise AssertionError(f"the shell ended during {command}: {''.join(lines)}")


@contextmanager
def shell(folder: Path) -> Iterator[Shell]:
    """Give a shell; whatever it started is gone when the block is left."""
    opened = Shell(folder)
    try:
        yield opened
    finally:
        for home in folder.iterdir():
            end_node(home / "lock")
        opened.process.kill()
        opened.process.communicate()


def end_node(lock: Path) -> None:
    """End the process that holds a home, if one does: a lock file names its last holder."""
    pid = lock.read_text().strip() if lock.exists() else ""
    # The last step may have told it to end, so it may be gone at any moment.
    with suppress(FileNotFoundError, ProcessLookupError):
        if pid and b"meshnode" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(int(pid), signal.SIGKILL)


@pytest.mark.parametrize("page", PAGES)
def test_the_page_has_nothing_that_is_not_run_but_the_installation(page: str) -> None:
    text = (TUTORIALS / page).read_text(encoding="utf-8")
    installing = blocks(text, "sh")
    assert installing in ([], ["pip install .\n"])
    assert text.count("\n```") == 2 * (len(installing) + len(blocks(text, "console")))
    assert len(steps(text)) > 15


def test_a_free_port_is_not_taken_for_a_usual_one() -> None:
    ports = {"7625": "27626", "7626": "20001"}
    assert with_ports("from 127.0.0.1:7625 to 127.0.0.1:7626", ports) == (
        "from 127.0.0.1:27626 to 127.0.0.1:20001"
    )


def test_what_is_shown_is_compared() -> None:
    shown = ("a …", "…", "end  of it")
    assert pattern(shown).search("x\na 1\nb\nc\nend of it\n")
    assert pattern(shown).search("a 1\nb\nend    of it")
    assert not pattern(shown).search("a 1\nb\nend of something else")
    assert not pattern(("state    delivered",)).search("state    queued here")


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize(
    "page",
    [
        "two-nodes.md",
        "a-day-in-a-white-zone.md",
        pytest.param("a-week-at-sea.md", marks=pytest.mark.soak),
    ],
)
def test_every_step_of_the_tutorial_does_what_it_says(page: str, tmp_path: Path) -> None:
    ports = free_ports(PAGES[page])
    with shell(tmp_path) as person:
        for step in steps((TUTORIALS / page).read_text(encoding="utf-8")):
            command, shown = (
                with_ports(step.command, ports),
                with_ports("\n".join(step.shown), ports),
            )
            if command.startswith("until "):
                command = f"timeout {STEP_S_MAX:.0f} bash -c {shlex.quote(command)}"
            code, printed = person.type(command)
            assert code == 0, f"{command}\n{printed}\n{logs(tmp_path)}"
            if step.shown:
                expected = pattern(tuple(shown.splitlines()))
                assert expected.search(printed), f"{command}\nexpected:\n{shown}\ngot:\n{printed}"


def free_ports(usual: tuple[str, ...]) -> dict[str, str]:
    """Return another free port for each that stands in a page."""
    found = set[str]()
    while len(found) < len(usual):
        found.add(str(free_port()))
    return dict(zip(usual, found, strict=True))


def with_ports(text: str, ports: dict[str, str]) -> str:
    """Put free ports in the place of the usual ones, all at once: one may stand in another."""
    return re.sub("|".join(ports), lambda usual: ports[usual[0]], text)


def logs(folder: Path) -> str:
    """Return what the nodes wrote, for a failure."""
    return "\n".join(path.read_text() for path in sorted(folder.glob("*.log")))
