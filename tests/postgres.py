"""A PostgreSQL of one's own: made, started, killed and thrown away by a test.

The server refuses to run as root, so it runs under an account that may do nothing then. It stands
on a socket in its own folder alone, and writes without waiting for the disk.
It says that commits need not wait either, as an administrator may have it: a client that depends on
them must ask for that itself.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from time import monotonic, sleep
from typing import Any

__all__ = ["Cluster", "binaries"]

_ACCOUNTS = ("postgres", "nobody")
_START_S = 60.0
_PORT = 5432
"""Names the socket; nobody listens on it."""
_SETTINGS = """
listen_addresses = ''
port = {port}
unix_socket_directories = '{folder}'
fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 60
shared_buffers = 64MB
"""


def binaries() -> Path | None:
    """Return the folder with the server's programs, the newest version first; None without any."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: _number(each.parent.name)
    )
    on_path = shutil.which("initdb")
    folders = [*reversed(versions), *([Path(on_path).resolve().parent] if on_path else [])]
    wanted = ("initdb", "postgres")
    return next((each for each in folders if all((each / name).exists() for name in wanted)), None)


def _number(name: str) -> float:
    return float(name) if name.replace(".", "", 1).isdigit() else 0.0


class Cluster:
    """One server with its databases."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # Short: the name of a socket has 107 bytes at most.
        self.folder = Path(tempfile.mkdtemp(prefix="mesh-pg-"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self._server: subprocess.Popen[bytes] | None = None
        self._made = 0
        self._account = self._give_away()
        self._run("initdb", "-D", str(self.data), "-U", "mesh", "-A", "trust", "-E", "UTF8", "-N")
        settings = self.data / "postgresql.conf"
        text = _SETTINGS.format(port=_PORT, folder=self.folder)
        settings.write_text(settings.read_text() + text)

    def _give_away(self) -> dict[str, Any]:
        """Return the account that the server runs under, given to `subprocess`."""
        if os.geteuid() != 0:
            return {}
        known = {each.pw_name: each for each in pwd.getpwall()}
        found = next(known[name] for name in _ACCOUNTS if name in known)
        os.chown(self.folder, found.pw_uid, found.pw_gid)
        return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments],
            check=True,
            capture_output=True,
            # The account may not be able to enter the folder of the test.
            cwd="/",
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            timeout=_START_S,
            **self._account,
        )

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with open(self.folder / "log", "ab") as log:
            self._server = subprocess.Popen(
                [self._programs / "postgres", "-D", str(self.data)],
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
                # Its own group, so that a kill takes the workers along.
                start_new_session=True,
                **self._account,
            )
        ends_s = monotonic() + _START_S
        while not self._answers():
            assert self._server.poll() is None, (self.folder / "log").read_text()
            assert monotonic() < ends_s, "the server does not answer"
            sleep(0.05)

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self._address("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _address(self, name: str) -> str:
        return f"host={self.folder} port={_PORT} user=mesh dbname={name}"

    def database(self) -> str:
        """Make a fresh database and return its URL."""
        import psycopg

        self._made += 1
        name = f"archive{self._made}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://mesh@/{name}?host={self.folder}&port={_PORT}"

    def kill(self) -> None:
        """End the server as a power cut does, with all its workers."""
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGKILL)
        self._server.wait(_START_S)
        self._server = None
        # The workers of a killed server end a moment later; the next start waits for their memory.
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def close(self) -> None:
        """End the server and throw everything away."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(_START_S)
        shutil.rmtree(self.folder)
