"""Opens serial lines: raw bytes at one rate. Used by sensors that read and links that write too."""

from __future__ import annotations

import errno
import os
import stat
import termios
import tty
from typing import Final

__all__ = ["RATES_BPS", "open_line"]

RATES_BPS: Final = {
    rate: getattr(termios, f"B{rate}")
    for rate in (1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200)
}
"""Rates that every port has, bits per second, and what the system calls them."""
_CONTROL, _IN_SPEED, _OUT_SPEED = 2, 4, 5
"""Places in what `tcgetattr` returns."""


def open_line(path: str, rate_bps: int, *, is_written: bool) -> int:
    """Return a descriptor of a line set to raw bytes; the caller closes it.

    `rate_bps` is one of RATES_BPS. Raises: OSError, with ENOTTY for what is no serial line.
    """
    way = os.O_RDWR if is_written else os.O_RDONLY
    # Neither a modem line that is down nor a named pipe makes this wait.
    descriptor = os.open(path, way | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISCHR(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
        tty.setraw(descriptor, termios.TCSANOW)
        modes = termios.tcgetattr(descriptor)
        modes[_IN_SPEED] = modes[_OUT_SPEED] = RATES_BPS[rate_bps]
        modes[_CONTROL] |= termios.CLOCAL | termios.CREAD
        termios.tcsetattr(descriptor, termios.TCSANOW, modes)
    except termios.error as error:
        os.close(descriptor)
        raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY)) from error
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
