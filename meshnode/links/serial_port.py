"""Opens a serial port: raw bytes at one rate, for this process alone."""

from __future__ import annotations

import fcntl
import os
import termios
import tty
from typing import Final

import trio

from meshnode.errors import LinkError

__all__ = ["RATES_BPS", "open_port"]

RATES_BPS: Final = {
    rate: getattr(termios, f"B{rate}")
    for rate in (1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200)
}
"""Rates that every port has, and what the system calls them."""
_IN_SPEED, _OUT_SPEED, _CONTROL = 4, 5, 2
"""Places in what `tcgetattr` returns."""


def open_port(path: str, rate_bps: int) -> trio.abc.Stream:
    """Return an open port. Raises: LinkError with what to do."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        raise LinkError(f"the serial port {path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.ioctl(descriptor, termios.TIOCEXCL)
        tty.setraw(descriptor)
        modes = termios.tcgetattr(descriptor)
        modes[_CONTROL] |= termios.CLOCAL | termios.CREAD
        modes[_IN_SPEED] = modes[_OUT_SPEED] = RATES_BPS[rate_bps]
        termios.tcsetattr(descriptor, termios.TCSANOW, modes)
    except (OSError, termios.error) as error:
        os.close(descriptor)
        raise LinkError(f"{path} is no serial port: name another in meshnode.toml") from error
    return trio.lowlevel.FdStream(descriptor)
