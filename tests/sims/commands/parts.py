"""A trace of three nodes in files, campaigns on it, and commands run as a person runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sims.cli import execute

ROOT = Path(__file__).parents[3]

CONTACTS = """t_start,t_end,a,b
0,100,0,1
50,80,0,2
200,300,1,2
"""
MESSAGES = """id,t,src,dst,size,ttl,prio
near,10,0,1,1000,1000,0
later,20,0,2,2000,1000,1
never,20,2,5,1000,100,1
"""
NODES = """id,role,group
0,gateway,
1,phone,east
2,vehicle,east
3,phone,
4,phone,
5,phone,
"""
REGION = """
about = "Six boats for a day."
duration_s = 43_200
[boats]
ports = 2
boats = 6
[workload]
normal_per_day = 3
"""
CAMPAIGN = """
about = "Two policies on a trace."
contacts = "contacts.csv"
messages = "messages.csv"
seeds = [1, 2]
[grid]
policy = ["spray", "gain"]
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    """Exit code."""
    out: str
    """On stdout."""
    err: str
    """On stderr."""

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object that it printed; its first key is the version of the schema."""
        assert self.code in {0, 1}, self.err
        found: dict[str, Any] = json.loads(self.out)
        assert next(iter(found.items())) == ("schema", 1)
        return found


class Person:
    """Somebody who gives commands in a folder of their own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def file(self, name: str, text: str) -> str:
        """Write a file into the folder; return its name."""
        (self.folder / name).write_text(text)
        return name

    def trace(self) -> list[str]:
        """Write the trace; return the options that name it."""
        contacts = self.file("contacts.csv", CONTACTS)
        return ["--contacts", contacts, "--messages", self.file("messages.csv", MESSAGES)]

    def gives(self, *words: str) -> Said:
        """Run one command."""
        self._capsys.readouterr()
        code = execute(words)
        captured = self._capsys.readouterr()
        return Said(code, captured.out, captured.err)

    def is_refused(self, *words: str) -> str:
        """Run a command that is wrong; return the one sentence that says why."""
        said = self.gives(*words)
        assert (said.code, said.out) == (2, ""), said
        assert said.err.startswith("meshnode-sim: ")
        assert said.err.count("\n") == 1
        return said.err


def run_apart(folder: Path, *words: str) -> Said:
    """Run one command in a process of its own."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from sims.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=300,
    )
    return Said(done.returncode, done.stdout, done.stderr)
