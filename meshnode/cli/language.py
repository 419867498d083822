"""French or English, chosen once for a run: which words people read.

Names of commands, options and JSON keys are the same in every language.
Source: DESIGN D10.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Final

from meshnode.language import LANGUAGES, spoken, translated

__all__ = [
    "chosen_language",
    "current_language",
    "say",
    "speak",
    "translate_error",
]

_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
"""The first of these that is set decides, as POSIX has it."""

_language: ContextVar[str] = ContextVar("language", default="en")


def chosen_language(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the language that `--lang` among the arguments, or else the locale, asks for."""
    for position, argument in enumerate(arguments):
        if argument == "--lang" and position + 1 < len(arguments):
            return _known(arguments[position + 1])
        if argument.startswith("--lang="):
            return _known(argument.removeprefix("--lang="))
    for name in _VARIABLES:
        if environment.get(name):
            return _known(environment[name])
    return "en"


def _known(locale: str) -> str:
    """Return the language of a locale name such as `fr_FR.UTF-8`."""
    language = re.split(r"[_.@-]", locale, maxsplit=1)[0].lower()
    return language if language in LANGUAGES else "en"


def speak(language: str) -> None:
    """Use this language from now on, in this context."""
    _language.set(language)


def current_language() -> str:
    """Return the language in use."""
    return _language.get()


def say(sentence: str, **fields: object) -> str:
    """Return `sentence` in the language in use, with its `{fields}` filled in."""
    return spoken(_language.get(), sentence, **fields)


def translate_error(message: str) -> str:
    """Return the message of an error in the language in use. See `translated`."""
    return translated(_language.get(), message)
