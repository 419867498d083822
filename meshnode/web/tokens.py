"""Named tokens of programs: a hash, a role and an end each, in one private file of the home.

A token is shown once, when it is made. Source: decision 52.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from meshnode.errors import WebError
from meshnode.files import write_private
from meshnode.web.limits import TOKEN_DAYS_MAX, TOKENS_MAX
from meshnode.web.roles import WebRole
from meshnode.web.sessions import hash_of, make_secret

__all__ = ["TOKEN_FILE", "Token", "Tokens", "is_same_person"]

TOKEN_FILE: Final = "web-tokens.json"  # noqa: S105 - the name of a file
"""Below the home; mode 0600."""
_VERSION: Final = 1
_BYTES_MAX: Final = 65_536
_DAY_MS: Final = 86_400_000
_NAME: Final = re.compile(r"[\w.-]{1,40}")


@dataclass(frozen=True, slots=True)
class Token:
    """One token, without the secret that it is."""

    name: str
    """What its owner calls it; 1 to 40 letters, digits, `_`, `.` and `-`."""
    role: str
    """`reader`, `agent` or `operator`."""
    made_ms: int
    """When it was made, Unix milliseconds."""
    ends_ms: int
    """When it ends, Unix milliseconds."""
    hash: str = field(repr=False)
    """SHA-256 of it in hexadecimal."""


class Tokens:
    """The tokens of a home. Raises: WebError where the file is damaged or cannot be written."""

    def __init__(
        self, home: Path, now_ms: Callable[[], int], entropy: Callable[[int], bytes]
    ) -> None:
        self._path = home / TOKEN_FILE
        self._now_ms = now_ms
        self._entropy = entropy
        self._tokens = {each.name: each for each in _read(self._path)}

    def add(self, name: str, role: WebRole, days: int, now_ms: int) -> tuple[Token, str]:
        """Make a token and return it with its secret, which is kept nowhere; writes a file."""
        if not _NAME.fullmatch(name):
            raise WebError("a token's name has 1 to 40 letters, digits, dots, dashes: radio-room")
        like = next((each for each in self._tokens if is_same_person(each, name)), None)
        if like is not None:
            raise WebError(f"there is a token '{like}': revoke it first, or take another name")
        if len(self._tokens) >= TOKENS_MAX:
            raise WebError(f"there are {TOKENS_MAX} tokens: revoke one that nobody needs")
        if not 1 <= days <= TOKEN_DAYS_MAX:
            raise WebError(f"a token lives 1 to {TOKEN_DAYS_MAX} days")
        secret = make_secret(self._entropy)
        ends_ms = now_ms + days * _DAY_MS
        token = Token(name, role.word, now_ms, ends_ms, hash_of(secret).hex())
        self._keep({**self._tokens, name: token})
        return token, secret

    def revoke(self, name: str) -> bool:
        """Forget a token; False if there is none of that name. Writes a file."""
        if name not in self._tokens:
            return False
        self._keep({key: each for key, each in self._tokens.items() if key != name})
        return True

    def all(self) -> list[Token]:
        """Return the tokens by name, those that have ended as well."""
        return [self._tokens[name] for name in sorted(self._tokens)]

    def find(self, secret: str) -> Token | None:
        """Return the token that a program shows, None if it holds no longer."""
        wanted, now_ms = hash_of(secret).hex(), self._now_ms()
        found = (each for each in self._tokens.values() if each.hash == wanted)
        return next((each for each in found if now_ms < each.ends_ms), None)

    def _keep(self, tokens: dict[str, Token]) -> None:
        found = {"version": _VERSION, "tokens": [asdict(each) for each in tokens.values()]}
        try:
            write_private(self._path, json.dumps(found, indent=1).encode())
        except OSError as error:
            raise WebError(f"{self._path} cannot be written: {error.strerror}") from error
        self._tokens = tokens


def is_same_person(one: str, other: str) -> bool:
    """True for names that people take for one: `Anne` and `anne` are nobody's two colleagues."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _read(path: Path) -> list[Token]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise WebError(f"{path} cannot be read: {error.strerror}") from error
    try:
        found: dict[str, Any] = json.loads(raw[: _BYTES_MAX + 1])
        if found["version"] != _VERSION:
            raise WebError(f"{path} was written by another version of this program")
        tokens = [Token(**each) for each in found["tokens"]]
        for token in tokens:
            WebRole[token.role.upper()]
            bytes.fromhex(token.hash)
            _ = token.made_ms < token.ends_ms
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WebError(f"{path} is damaged: delete it and make the tokens anew") from error
    return tokens
