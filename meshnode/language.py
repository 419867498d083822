"""Sentences in French and English by their English form: for screens, and for what nodes write.

A catalogue maps the English sentence, which stands in the code, to the French one; what is not in
it is given in English. Which language a screen speaks is decided in `meshnode.cli.language`; a node
is told the language of a page that is read without this program. Source: DESIGN D10.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

__all__ = ["LANGUAGES", "catalogue", "spoken", "translated"]

_FIELD: Final = re.compile(r"\{\w+\}")

LANGUAGES: Final = ("en", "fr")
"""What there is; English is the language of the code."""


@lru_cache(maxsize=len(LANGUAGES))
def catalogue(language: str) -> Mapping[str, str]:
    """Return the sentences of a language by their English form; empty for English."""
    if language == "en":
        return MappingProxyType({})
    path = files("meshnode").joinpath("locale", f"{language}.json")
    return MappingProxyType(json.loads(path.read_text(encoding="utf-8")))


def spoken(language: str, sentence: str, **fields: object) -> str:
    """Return `sentence` in one of `LANGUAGES`, with its `{fields}` filled in."""
    words = catalogue(language).get(sentence, sentence)
    return words.format(**fields) if fields else words


def translated(language: str, message: str) -> str:
    """Return the message of an error in one of `LANGUAGES`, as it came where that has none.

    A sentence of the catalogue with numbered fields stands for every message of its shape, so
    that the rooms which raise errors need know no language; of several shapes that fit, the one
    that says most itself. Cost: one pass over the catalogue.
    """
    known = catalogue(language)
    if message in known:
        return known[message]
    for sentence in _with_fields(language):
        if found := _shape(sentence).fullmatch(message):
            # What an error tells of another one is a sentence as well; a name alone is not.
            parts = (translated(language, part) if " " in part else part for part in found.groups())
            return known[sentence].format(*parts)
    return message


@lru_cache(maxsize=len(LANGUAGES))
def _with_fields(language: str) -> tuple[str, ...]:
    """Return the sentences with numbered fields, first those with the most words of their own."""
    found = [sentence for sentence in catalogue(language) if "{0}" in sentence]
    return tuple(sorted(found, key=lambda each: (-len(_FIELD.sub("", each)), each)))


@lru_cache(maxsize=1_024)
def _shape(sentence: str) -> re.Pattern[str]:
    """Return the pattern of the messages that fill the fields of `sentence`."""
    parts = [re.escape(part) for part in _FIELD.split(sentence)]
    return re.compile("(.+?)".join(parts), re.DOTALL)
