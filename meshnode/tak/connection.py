"""The connection to a TAK server: TCP on the same machine, mutual TLS to any other.

`ssl` is used here for this foreign protocol alone; links between nodes have contexts of their own.
"""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Final

import trio

from meshnode.config import TakSettings
from meshnode.errors import ConfigError, LinkError

__all__ = ["CONNECT_S_MAX", "WRITE_S_MAX", "connect", "make_context"]

CONNECT_S_MAX: Final = 10.0
WRITE_S_MAX: Final = 10.0
"""A server that takes nothing for so long is given up; the connection is made anew."""
_UNSENT_MS_MAX: Final = 30_000
"""What was sent and is not confirmed by its machine for so long ends the connection."""


def make_context(settings: TakSettings, home: Path) -> ssl.SSLContext | None:
    """Return how to speak TLS to the server; None for one on the same machine.

    Raises: ConfigError if a file is missing or no certificate.
    """
    if not settings.is_tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=home / settings.authority)
    except (OSError, ValueError) as error:
        raise ConfigError(
            "tak.authority", "names no file with the server's authority, as PEM"
        ) from error
    try:
        # A password is always given: without one OpenSSL would ask on the terminal.
        context.load_cert_chain(home / settings.certificate, home / settings.key, password=b"")
    except (OSError, ValueError) as error:
        raise ConfigError(
            "tak.certificate", "and tak.key name no certificate with its key, as open PEM"
        ) from error
    return context


async def connect(settings: TakSettings, context: ssl.SSLContext | None) -> trio.abc.Stream:
    """Return an open connection, its server proven where TLS is spoken.

    Raises: LinkError, at the latest after `CONNECT_S_MAX` seconds.
    """
    place = settings.place
    try:
        with trio.fail_after(CONNECT_S_MAX):
            stream = await trio.open_tcp_stream(place.host, place.port)
            _watch(stream)
            return stream if context is None else await _secured(stream, context, settings)
    except trio.TooSlowError as error:
        raise LinkError(f"no answer within {CONNECT_S_MAX:.0f} s") from error
    except OSError as error:
        raise LinkError(error.strerror or "the server cannot be reached") from error


def _watch(stream: trio.SocketStream) -> None:
    """Let the machine notice that a server vanished without a word, where it can."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNSENT_MS_MAX)


async def _secured(
    stream: trio.SocketStream, context: ssl.SSLContext, settings: TakSettings
) -> trio.abc.Stream:
    name = settings.server_name or settings.place.host
    tls = trio.SSLStream(stream, context, server_hostname=name, https_compatible=True)
    try:
        await tls.do_handshake()
    except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.CertificateError) as error:
        await trio.aclose_forcefully(stream)
        raise LinkError(f"TLS failed: {_reason(error)}") from error
    except trio.Cancelled:
        await trio.aclose_forcefully(stream)
        raise
    return tls


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return cause.reason or "the server speaks something else"
    return "the server closed the connection"
