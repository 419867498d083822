"""Real daemons that sensors talk to: gpsd fed by UDP, and mocked services on a private D-Bus.

Each ends with its block. A test skips with the reason where a program is missing; in CI it fails.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.wrappers import DBusErrorResponse, unwrap_msg

from tests.patience import HANGS_S

__all__ = ["Mock", "free_port", "gpsd", "mocked", "private_bus", "require"]

_START_S_MAX = 60.0
_PORTS = (20_000, 32_768)
_PYTHON = "/usr/bin/python3"
"""Debian's own, which has python3-dbusmock."""
MOCK = "org.freedesktop.DBus.Mock"


def require(*programs: str, module: str = "") -> None:
    """Skip the test where a program, or a module of Debian's Python, is missing; in CI fail it."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [each for each in programs if shutil.which(each, path=path) is None]
    if module:
        argv = [_PYTHON, "-c", f"import {module}"]
        found = Path(_PYTHON).exists() and not subprocess.run(argv, capture_output=True).returncode
        missing += [] if found else [f"Debian's python3-{module}"]
    reason = f"this needs {', '.join(missing)}" if missing else ""
    if reason and (os.environ.get("CI") or os.environ.get("MESHNODE_CI")):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port of the loopback that nobody has at this moment.

    Below those that the kernel gives to whoever asks for any: it stays free until it is bound.
    """
    while True:
        port = random.SystemRandom().randrange(*_PORTS)
        with socket.socket(socket.AF_INET, kind) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def _running(argv: Sequence[str], **changes: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        list(argv),
        env={**os.environ, **changes},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _until(is_there: Callable[[], bool], what: str, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + _START_S_MAX
    while not is_there():
        assert process.poll() is None, f"{what} ended with {process.returncode}"
        assert time.monotonic() < deadline_s, f"{what} did not start"
        time.sleep(0.05)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@contextmanager
def gpsd() -> Iterator[tuple[int, int, subprocess.Popen[bytes]]]:
    """Give the TCP port of a gpsd, the UDP port that feeds it, and the daemon."""
    require("gpsd")
    port, feed = free_port(), free_port(socket.SOCK_DGRAM)
    program = shutil.which("gpsd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert program is not None
    argv = [program, "-N", "-n", "-S", str(port), f"udp://127.0.0.1:{feed}"]
    with _running(argv) as process:
        _until(lambda: _accepts(port), "gpsd", process)
        yield port, feed, process


@contextmanager
def private_bus(folder: Path) -> Iterator[str]:
    """Give the address of a message bus of this test alone."""
    require("dbus-daemon", module="dbusmock")
    path = folder / "bus"
    address = f"unix:path={path}"
    argv = ["dbus-daemon", "--session", f"--address={address}", "--nofork", "--nopidfile"]
    with _running(argv) as process:
        _until(lambda: _listens(path), "dbus-daemon", process)
        yield address


class Mock:
    """A service that dbusmock plays, and what the test makes of it."""

    def __init__(
        self, connection: DBusConnection, service: str, process: subprocess.Popen[bytes]
    ) -> None:
        self._connection = connection
        self._service = service
        self.process = process

    def call(
        self, path: str, method: str, signature: str = "", *body: Any, interface: str = MOCK
    ) -> Any:
        """Call a method of an object; mostly of dbusmock's own interface."""
        address = DBusAddress(path, bus_name=self._service, interface=interface)
        message = new_method_call(address, method, signature or None, body)
        return unwrap_msg(self._connection.send_and_get_reply(message, timeout=HANGS_S))

    def update(self, path: str, interface: str, **values: tuple[str, Any]) -> None:
        """Change properties of an object, and tell everybody as the real service does."""
        self.call(path, "UpdateProperties", "sa{sv}", interface, values)


@contextmanager
def mocked(address: str, service: str, path: str, *options: str) -> Iterator[Mock]:
    """Give a service on a bus, played by dbusmock with these options."""
    argv = [_PYTHON, "-m", "dbusmock", "--system", *options]
    # Its own environment: this one's Python path is of another Python.
    with (
        _running(argv, DBUS_SYSTEM_BUS_ADDRESS=address, PYTHONPATH="") as process,
        open_dbus_connection(address) as connection,
    ):
        mock = Mock(connection, service, process)

        def is_there() -> bool:
            try:
                mock.call(path, "Ping", interface="org.freedesktop.DBus.Peer")
            except DBusErrorResponse:
                return False
            return True

        _until(is_there, service, process)
        yield mock
