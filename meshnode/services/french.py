"""Words of a text as a search compares them: without case and accents, cut to their stems.

The stems are those of J. Savoy's minimal stemmer for French ("A stemming procedure and stopword
list for general French corpora", 1999), with accents left out first, so that *procedure* finds
*procédures*. Over-long words and those that say nothing are left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

__all__ = ["fold", "stem", "terms", "words"]

_WORD: Final = re.compile(r"[0-9a-z]+")
_WORD_MAX: Final = 40
_LIGATURES: Final = str.maketrans({"œ": "oe", "æ": "ae", "ß": "ss"})
_SILENT: Final = frozenset(
    """
    a au aux ce ces cet cette c d dans de des du elle en est et il ils j je l la le les leur leurs
    lui m ma mais me mes mon n ne nos notre nous on ou par pas pour qu que qui s sa se ses si son
    sont sur t ta te tes toi ton tu un une vos votre vous y
    """.split()  # noqa: SIM905 - a list of words reads like a list of words
)
"""Words that stand in every sheet."""


def fold(text: str) -> str:
    """Return text without case, accents and ligatures."""
    flat = unicodedata.normalize("NFKD", text.lower().translate(_LIGATURES))
    return flat if flat.isascii() else "".join(c for c in flat if not unicodedata.combining(c))


def words(text: str) -> Iterator[str]:
    """Give the folded words of a text, in order, as far as a search knows them."""
    for found in _WORD.finditer(fold(text)):
        word = found[0]
        if len(word) <= _WORD_MAX and word not in _SILENT:
            yield word


def stem(word: str) -> str:
    """Return the stem of a folded word."""
    if len(word) < 4 or word.isdecimal():
        return word
    if word.endswith("aux") and not word.endswith("eaux"):
        return word[:-2] + "l"
    if word[-1] in "sx" and word[-2] != "s":
        word = word[:-1]
    if len(word) < 5:
        return word
    for ending in ("r", "e", "e"):
        word = word.removesuffix(ending)
    return word[:-1] if word[-1] == word[-2] else word


def terms(text: str) -> Iterator[str]:
    """Give the stems of a text, in order."""
    return (stem(word) for word in words(text))
