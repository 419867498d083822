"""What people and programs read after a bundle was opened.

Author and scope of the header are repeated inside, so a ciphertext that was lifted under another
header never opens as the thief's. Source: wire-format 4.10.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from protocol import canonical
from protocol.errors import MalformedError, TamperedError
from protocol.ids import NodeId
from protocol.limits import TEXT_BYTES_MAX

__all__ = ["Payload", "Sos", "Text", "decode_untrusted", "encode"]

_VERSION = 1
_TEXT, _SOS = 1, 2
_STEP_MAX = 15


@dataclass(frozen=True, slots=True)
class Text:
    """A message that somebody wrote."""

    author: NodeId
    """As in the header."""
    scope: bytes
    """As in the header, encoded."""
    text: str = field(repr=False)
    """Up to 16 kB of UTF-8."""


@dataclass(frozen=True, slots=True)
class Sos:
    """One step of an alarm."""

    author: NodeId
    """As in the header."""
    scope: bytes
    """As in the header, encoded."""
    text: str = field(repr=False)
    """Up to 16 kB of UTF-8."""
    alarm_id: bytes
    """8 bytes that bind the steps of one alarm."""
    step: int
    """0 raised; later steps answer it."""


Payload: TypeAlias = Text | Sos


def encode(payload: Payload) -> bytes:
    """Return the canonical bytes. Raises: ValueError if the text is too long."""
    text = payload.text.encode("utf-8")
    if len(text) > TEXT_BYTES_MAX:
        raise ValueError(f"a text has at most {TEXT_BYTES_MAX} bytes")
    if isinstance(payload, Text):
        return canonical.encode((_VERSION, _TEXT, payload.author, payload.scope, text))
    return canonical.encode(
        (_VERSION, _SOS, payload.author, payload.scope, text, payload.alarm_id, payload.step)
    )


def decode_untrusted(raw: bytes, header_author: NodeId, header_scope: bytes) -> Payload:
    """Return the payload of an opened body.

    Raises: MalformedError, LimitExceededError; TamperedError if author or scope are not those of
    the header.
    """
    value = canonical.decode_untrusted(raw, max_bytes=TEXT_BYTES_MAX + 256)
    fields = canonical.as_array(value, "payload", 7, 5)
    if fields[0] != _VERSION:
        raise MalformedError("the payload has an unknown version")
    author = canonical.as_bytes(fields[2], "author", 16)
    scope = canonical.as_bytes(fields[3], "scope", 19, 3)
    if author != header_author or scope != header_scope:
        raise TamperedError("the content was written for another header")
    text = canonical.as_text(fields[4], "text", TEXT_BYTES_MAX)
    if fields[1] == _TEXT and len(fields) == 5:
        return Text(author, scope, text)
    if fields[1] == _SOS and len(fields) == 7:
        alarm_id = canonical.as_bytes(fields[5], "alarm id", 8)
        return Sos(author, scope, text, alarm_id, canonical.as_uint(fields[6], "step", _STEP_MAX))
    raise MalformedError("the payload has an unknown type")
