"""Runs a command that may hang, flood or fork, and is dead in any case when its time is over."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

import trio

from meshnode.errors import SensorError
from meshnode.sensors.bounds import TERMUX_KILL_S_MAX

__all__ = ["output_of"]

_READ_BYTES = 16_384


async def output_of(argv: Sequence[str], limit_s: float, bytes_max: int) -> bytes:
    """Return what a command prints. It and what it started are dead when this returns or raises.

    Raises: SensorError where it is missing, fails, takes longer, or prints more.
    """
    name = argv[0]
    try:
        # A session of its own, so that the helpers that a script starts die with it.
        process = await trio.lowlevel.open_process(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise SensorError("missing", f"{name} is not installed here") from error
    except OSError as error:
        raise SensorError("missing", f"{name} cannot be started: {error.strerror}") from error
    assert process.stdout is not None
    is_over = False
    try:
        with trio.move_on_after(limit_s) as clock:
            printed = await _read(process.stdout, name, bytes_max)
            code = await process.wait()
            is_over = True
    finally:
        with trio.CancelScope(shield=True):
            await process.stdout.aclose()
            if not is_over:
                await _end(process)
    if clock.cancelled_caught:
        raise SensorError("slow", f"{name} did not answer within {limit_s:g} s and was stopped")
    if code:
        raise SensorError("failed", f"{name} failed with code {code}")
    return printed


async def _read(stdout: trio.abc.ReceiveStream, name: str, bytes_max: int) -> bytes:
    printed = bytearray()
    while data := await stdout.receive_some(_READ_BYTES):
        printed += data
        if len(printed) > bytes_max:
            raise SensorError("flood", f"{name} printed more than {bytes_max} bytes")
    return bytes(printed)


async def _end(process: trio.Process) -> None:
    """Kill the whole session; it was not waited for yet, so its number is nobody else's."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with trio.move_on_after(TERMUX_KILL_S_MAX):
        await process.wait()
