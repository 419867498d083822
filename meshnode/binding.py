"""The signature by which a badge vouches for this device's link certificate, kept in the home.

It is made once, while the badge's key is open, and shown in every HELLO; so a locked device proves
who it is without that key. It is no secret. Source: security 2.1, wire-format 6.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from meshnode.files import write_private
from protocol.canonical import as_array, as_bytes, as_uint, decode_untrusted, encode
from protocol.errors import RemoteProtocolError
from protocol.identity import binding_message

__all__ = ["bind", "load_binding"]

_FILE = "binding"
_VERSION = 1
_SIGNATURE_BYTES = 64
_BYTES_MAX = 4_096


def bind(home: Path, link_certificate: bytes, sign: Callable[[bytes], bytes]) -> None:
    """Sign the link certificate (DER) and keep that in the home. Raises: OSError."""
    signature = sign(binding_message(link_certificate))
    record = encode([_VERSION, link_certificate, signature])
    write_private(home / "identity" / _FILE, record)


def load_binding(home: Path, link_certificate: bytes) -> Mapping[bytes, bytes]:
    """Return {link certificate: signature}; empty if this certificate was not bound yet.

    A file that is damaged, or is about an older certificate, counts as none: it is made again.
    """
    try:
        raw = (home / "identity" / _FILE).read_bytes()
    except OSError:
        return {}
    try:
        record = as_array(decode_untrusted(raw, max_bytes=_BYTES_MAX), "binding", 3)
        as_uint(record[0], "version of the binding", _VERSION, _VERSION)
        certificate = as_bytes(record[1], "link certificate", _BYTES_MAX, 1)
        signature = as_bytes(record[2], "signature", _SIGNATURE_BYTES)
    except RemoteProtocolError:
        return {}
    return {certificate: signature} if certificate == link_certificate else {}
