"""People who type commands: the whole program, each device and the authority with its own home."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from meshnode.cli.main import execute

SETTINGS = """
[links]
listen = ["127.0.0.1:0"]
[discovery]
mdns = false
probe = false
[web]
listen = ""
"""
"""A node that nobody else on this machine finds, and that has no screens."""


@dataclass(frozen=True, slots=True)
class Screen:
    """What one command left."""

    code: int
    """Exit code."""
    out: str
    """On stdout."""
    err: str
    """On stderr."""


class People:
    """Types commands into the real program."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def home(self, name: str) -> Path:
        return self.folder / name

    def types(self, home: str, *words: str, keyboard: str = "") -> Screen:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", io.StringIO(keyboard))
            with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
                code = execute(["--home", str(self.home(home)), *words])
        return Screen(code, out.getvalue(), err.getvalue())

    def reads(self, home: str, *words: str, keyboard: str = "") -> str:
        screen = self.types(home, *words, keyboard=keyboard)
        assert screen.code == 0, screen
        return screen.out

    def json(self, home: str, *words: str) -> Any:
        found = json.loads(self.reads(home, *words, "--json"))
        assert found.pop("schema") == 1
        return found

    def fails(self, code: int, home: str, *words: str) -> str:
        screen = self.types(home, *words)
        assert screen.code == code, screen
        assert screen.err.startswith("meshnode: "), screen
        assert screen.err.count("\n") == 1, screen
        return screen.err

    def enrol(self, name: str, role: str, *squads: str, issuer: str = "hq") -> None:
        """Make a device and its identity, with settings that keep it from the network."""
        asked = ["--name", name, "--role", role, "--device", "phone"]
        for squad in squads:
            asked += ["--squad", squad]
        invitation = self.json(issuer, "authority", "invite", *asked)["invitation"]
        self.reads(name, "init")
        (self.home(name) / "meshnode.toml").write_text(SETTINGS)
        request = self.json(name, "enrol", invitation)["request"]
        answer = self.json(issuer, "authority", "issue", request, "--yes")["answer"]
        self.reads(name, "enrol", "--answer", answer)
