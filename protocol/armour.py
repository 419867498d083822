"""Records as text that people can paste, photograph and send: a word, letters, and a check.

Knows nothing of what the records say. Source: wire-format 8.1.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from enum import Enum

from protocol.errors import LimitExceededError, MalformedError
from protocol.limits import ANSWER_BYTES_MAX, INVITATION_BYTES_MAX, REQUEST_BYTES_MAX

__all__ = ["TextForm", "armour", "unarmour_untrusted"]

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


class TextForm(Enum):
    """What a text holds: the word it starts with, and the most bytes in it."""

    INVITATION = ("MESHI1", INVITATION_BYTES_MAX)
    REQUEST = ("MESHR1", REQUEST_BYTES_MAX)
    ANSWER = ("MESHA1", ANSWER_BYTES_MAX)
    DOCUMENTS = ("MESHD1", ANSWER_BYTES_MAX)
    UNIT_REQUEST = ("MESHU1", REQUEST_BYTES_MAX)
    UNIT_GRANT = ("MESHG1", REQUEST_BYTES_MAX)
    UNIT_REPORT = ("MESHP1", ANSWER_BYTES_MAX)
    ZONE_REQUEST = ("MESHZ1", REQUEST_BYTES_MAX)
    ZONE_ANSWER = ("MESHN1", ANSWER_BYTES_MAX)

    @property
    def word(self) -> str:
        """The text starts with this and a colon."""
        return self.value[0]

    @property
    def bytes_max(self) -> int:
        """Bound of the record in it, bytes."""
        return self.value[1]


def armour(form: TextForm, record: bytes) -> str:
    """Return the text that carries `record`. Source: wire-format 8.1."""
    letters = base64.urlsafe_b64encode(record).decode().rstrip("=")
    return f"{form.word}:{letters}~{_check_letters(record)}"


def unarmour_untrusted(form: TextForm, text: str) -> bytes:
    """Return the record in `text`; line breaks and spaces from pasting do not matter.

    Raises: MalformedError that says what is wrong with the text, LimitExceededError.
    """
    characters_max = form.bytes_max * 4 // 3 + 64
    if len(text) > 2 * characters_max:
        raise LimitExceededError("characters", 2 * characters_max, len(text))
    word, colon, rest = "".join(text.split()).partition(":")
    if not colon or word != form.word:
        raise MalformedError(f"this text does not start with {form.word}:")
    letters, tilde, check = rest.partition("~")
    if not tilde or len(check) != 6:
        raise MalformedError("the end of this text is missing: it ends with ~ and six letters")
    if len(letters) > characters_max:
        raise LimitExceededError("characters", characters_max, len(letters))
    try:
        record = base64.b64decode(letters + "=" * (-len(letters) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError("this text has characters that do not belong to it") from error
    if armour(form, record) != f"{word}:{letters}~{check.lower()}":
        raise MalformedError("a part of this text is missing or mistyped")
    return record


def _check_letters(record: bytes) -> str:
    number = int.from_bytes(hashlib.sha256(record).digest()[:4], "big") >> 2
    return "".join(_BASE32[number >> shift & 31] for shift in range(25, -1, -5))
