"""A real TAK server (taky, in an environment of its own), and a partner on it.

`make taky` installs it from a list with hashes; a test skips with that reason where it is missing,
and fails in CI.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from meshnode.tak.cot import CotEvent, EventStream, read_event_untrusted
from tests.patience import HANGS_S
from tests.real.daemons import free_port

__all__ = ["Partner", "Taky", "taky"]

ROOT = Path(__file__).resolve().parent.parent.parent
_PASSWORD = b"atakatak"
"""What taky gives every package that it makes."""
_START_S_MAX = 60.0


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{ROOT / '.venv-taky' / 'bin'}:{os.environ.get('PATH', '')}")
    if found is None:
        reason = "this needs the TAK server taky: run 'make taky'"
        if os.environ.get("CI") or os.environ.get("MESHNODE_CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Taky:
    """A server on the loopback that asks its clients for certificates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.partners: list[Partner] = []
        """Everybody who was here: whoever is still connected at the end is let go."""
        address = ("--bind-ip", "127.0.0.1", "--public-ip", "127.0.0.1", "--host", "127.0.0.1")
        self._control("setup", *address, str(folder))
        conf = folder / "taky.conf"
        conf.write_text(conf.read_text().replace("port = 8089", f"port = {self.port}"))

    def _control(self, *words: str, cwd: Path | None = None) -> None:
        argv = [_program("takyctl"), *words]
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        with (self.folder / "taky.log").open("ab") as log:
            argv = [_program("taky"), "-c", "taky.conf"]
            self.process = subprocess.Popen(argv, cwd=self.folder, stdout=log, stderr=log)
        deadline_s = time.monotonic() + _START_S_MAX
        while time.monotonic() < deadline_s:
            assert self.process.poll() is None, (self.folder / "taky.log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("taky did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def client(self, name: str, into: Path) -> None:
        """Make a client, and write its certificate, its key and the server's authority as PEM."""
        self._control("-c", "taky.conf", "build_client", name, cwd=self.folder)
        with zipfile.ZipFile(self.folder / f"{name}.zip") as package:
            own = next(
                each
                for each in package.namelist()
                if each.startswith(f"certs/{name}") and each.endswith(".p12")
            )
            key, certificate, _more = pkcs12.load_key_and_certificates(package.read(own), _PASSWORD)
        assert key is not None
        assert certificate is not None
        into.mkdir(exist_ok=True)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (into / "tak-key.pem").write_bytes(pem)
        (into / "tak.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        shutil.copy(self.folder / "ssl" / "ca.crt", into / "tak-ca.pem")


@contextmanager
def taky(folder: Path) -> Iterator[Taky]:
    """Run a server until the block is left."""
    server = Taky(folder)
    server.start()
    try:
        yield server
    finally:
        for partner in server.partners:
            partner.close()
        server.stop()


class Partner:
    """Somebody else on the server, with a certificate of their own."""

    def __init__(self, server: Taky, folder: Path) -> None:
        server.client("rescue", folder)
        context = ssl.create_default_context(cafile=str(folder / "tak-ca.pem"))
        context.load_cert_chain(folder / "tak.pem", folder / "tak-key.pem")
        plain = socket.create_connection(("127.0.0.1", server.port), HANGS_S)
        self._socket = context.wrap_socket(plain, server_hostname="127.0.0.1")
        self._socket.settimeout(0.5)
        self._stream = EventStream()
        self.heard: list[CotEvent] = []
        server.partners.append(self)

    def say(self, raw: bytes) -> None:
        self._socket.sendall(raw)

    def hears(self, is_it: Callable[[CotEvent], bool], within_s: float = 30.0) -> CotEvent:
        """Return the next event of which `is_it` is true."""
        deadline_s, seen = time.monotonic() + within_s, 0
        while True:
            for event in self.heard[seen:]:
                seen += 1
                if is_it(event):
                    del self.heard[:seen]
                    return event
            kinds = [each.type for each in self.heard]
            assert time.monotonic() < deadline_s, f"heard only {kinds}"
            try:
                data = self._socket.recv(65_536)
            except TimeoutError:
                continue
            assert data, "the server closed the connection"
            raws = self._stream.receive_untrusted(data)
            self.heard += [read_event_untrusted(raw) for raw in raws]

    def close(self) -> None:
        self._socket.close()
