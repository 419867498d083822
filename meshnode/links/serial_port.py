"""Opens a serial port for a link: as a stream, for this process alone."""

from __future__ import annotations

import errno
import fcntl
import os
import termios

import trio

from meshnode.errors import LinkError
from meshnode.serial_line import open_line

__all__ = ["open_port"]


def open_port(path: str, rate_bps: int) -> trio.abc.Stream:
    """Return an open port. Raises: LinkError with what to do."""
    try:
        descriptor = open_line(path, rate_bps, is_written=True)
    except OSError as error:
        if error.errno == errno.ENOTTY:
            raise LinkError(f"{path} is no serial port: name another in meshnode.toml") from error
        raise LinkError(f"the serial port {path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.ioctl(descriptor, termios.TIOCEXCL)
    except OSError as error:
        os.close(descriptor)
        raise LinkError(f"{path} is no serial port: name another in meshnode.toml") from error
    return trio.lowlevel.FdStream(descriptor)
