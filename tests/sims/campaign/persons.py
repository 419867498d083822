"""What a person does to a campaign in a terminal: start, watch, interrupt, kill a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.sims.campaign import parts

ROOT = Path(__file__).parents[3]
WAIT_S_MAX = 240.0


@dataclass(frozen=True, slots=True)
class Terminal:
    """A process in a session of its own, and what it wrote."""

    process: subprocess.Popen[str]
    """The first process of the session."""
    output: Path
    """What it wrote to its first channel."""
    errors: Path
    """And to its second."""

    def end(self) -> int:
        """Wait for the end; return the exit code."""
        return self.process.wait(WAIT_S_MAX)

    def wait_until(self, *words: str) -> None:
        """Wait until it has written one of `words`."""
        deadline_s = time.monotonic() + WAIT_S_MAX
        while not any(each in self.said() for each in words):
            assert time.monotonic() < deadline_s, f"never wrote {words!r}: {self.said()}"
            assert self.process.poll() is None, f"ended before {words!r}: {self.said()}"
            time.sleep(0.02)

    def wait_for_rows(self, count: int) -> None:
        """Wait until it has told that so many jobs are done; batches may pass the number."""
        self.wait_until(*(f"done {number}\n" for number in range(count, count + 10)))

    def said(self) -> str:
        """Return all that it wrote."""
        return self.output.read_text() + self.errors.read_text()

    def members(self) -> list[int]:
        """Return the processes of the session that live."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, *numbers = path.read_text().rpartition(") ")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(numbers[2]) == self.process.pid and state != "Z":
                found.append(int(path.parent.name))
        return found

    def kill(self) -> None:
        """Kill whatever of the session lives; one that ends meanwhile needs no killing."""
        for pid in self.members():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def is_empty(self) -> bool:
        """Return whether all of the session end, soon after its first process did."""
        deadline_s = time.monotonic() + WAIT_S_MAX
        while self.members() and time.monotonic() < deadline_s:
            time.sleep(0.02)
        return not self.members()

    def workers(self) -> list[int]:
        """Return the processes of the session that are workers of a cluster of its own."""
        found = []
        for pid in self.members():
            # Any of them may have ended meanwhile.
            with suppress(FileNotFoundError, ProcessLookupError):
                if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return found


@contextmanager
def terminal(folder: Path, name: str, *command: str) -> Iterator[Terminal]:
    """Start a command; whatever is left of its session is killed at the end."""
    output, errors = folder / f"{name}.out", folder / f"{name}.err"
    with output.open("w") as first, errors.open("w") as second:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=first, stderr=second, text=True, start_new_session=True
        )
    one = Terminal(process, output, errors)
    try:
        yield one
    finally:
        one.kill()
        process.wait(WAIT_S_MAX)


def start(folder: Path, name: str, stand_in: str, where: str) -> tuple[str, ...]:
    """Return the command of a campaign whose results go to the folder `name`."""
    module = "tests.sims.campaign.driving"
    return (sys.executable, "-m", module, str(folder), str(folder / name), stand_in, where)


def digest_by(folder: Path, name: str, stand_in: str, where: str) -> str:
    """Run a campaign to its end; return its digest. Nothing of it is left."""
    with terminal(folder, name, *start(folder, name, stand_in, where)) as one:
        assert one.end() == 0, one.said()
        assert one.is_empty()
        return one.output.read_text().strip()


def write_campaign(folder: Path, text: str = parts.CAMPAIGN) -> None:
    """Write the trace and the campaign file."""
    parts.write_trace(folder)
    (folder / "campaign.toml").write_text(text)
