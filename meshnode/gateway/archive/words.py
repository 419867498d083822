"""Words of a text as they are looked for: without case, accents and ligatures; pure.

What is kept of them is a keyed hash for each day, so that whoever has the database and not the key
sees neither words nor which days share one. Source: decision 54.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

__all__ = ["WORDS_MAX", "WORD_KEY_BYTES", "asked_in", "token", "words_of"]

WORD_KEY_BYTES: Final = 32
WORDS_MAX: Final = 400
"""Different words of one text that can be looked for; a text of 16 kB has some 2,500 in all."""
_CHARACTERS_MAX: Final = 40
"""A longer word is found by its beginning."""
_WORD: Final = re.compile(r"[^\W_]+")
_BEGINNING_MIN: Final = 3
"""Fewer letters stand for themselves: half of all words begin with some two of them."""
_QUOTED: Final = re.compile('"([^"]*)"|«([^»]*)»|“([^”]*)”')
_LIGATURES: Final = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ı": "i"})


def words_of(text: str) -> list[str]:
    """Return the different words of `text` in their order, folded; single letters are left out.

    Folding twice changes nothing, and case, accents and order of composition make no difference.
    """
    found = (word[:_CHARACTERS_MAX] for word in _WORD.findall(_folded(text)))
    kept = dict.fromkeys(word for word in found if len(word) > 1 or word.isdecimal())
    return list(kept)[:WORDS_MAX]


def _folded(text: str) -> str:
    # Twice, because folding the case of some letters brings marks of their own.
    for _ in range(2):
        apart = unicodedata.normalize("NFKD", text.casefold())
        text = "".join(each for each in apart if not unicodedata.combining(each))
        text = text.translate(_LIGATURES)
    return text


def asked_in(question: str) -> tuple[list[str], list[str]]:
    """Return the whole words that somebody looks for, and the beginnings of words.

    What stands in quotation marks is whole, and so is a word of one letter or two.
    """
    marked = _QUOTED.findall(question)
    whole = words_of(" ".join(part for parts in marked for part in parts))
    rest = words_of(_QUOTED.sub(" ", question))
    short = [each for each in rest if len(each) < _BEGINNING_MIN]
    beginnings = [each for each in rest if len(each) >= _BEGINNING_MIN and each not in whole]
    return list(dict.fromkeys(whole + short)), beginnings


def token(word: str, key: bytes) -> int:
    """Return the signed 64-bit number that stands for a folded word under the key of a day."""
    digest = hashlib.blake2b(
        word.encode(), digest_size=8, key=key, person=b"meshnode word 1"
    ).digest()
    return int.from_bytes(digest, "big", signed=True)
