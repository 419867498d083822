"""One entry of the table of parsers, and what every entry needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from protocol.canonical import Value, decode_untrusted
from protocol.errors import LimitExceededError, MalformedError
from protocol.limits import FRAME_BYTES_MAX

__all__ = ["Parser", "array_of", "value_of"]


@dataclass(frozen=True, slots=True)
class Parser:
    """A function that reads bytes of a peer."""

    name: str
    """Module and qualified name, without the package."""
    read: Callable[[bytes], object]
    """Calls it on bytes."""
    seeds: tuple[bytes, ...]
    """Inputs to start from; the first is accepted."""
    errors: tuple[type[Exception], ...] = (MalformedError, LimitExceededError)
    """What its docstring allows it to raise."""


def value_of(data: bytes) -> Value:
    """Return the value of canonical bytes. Raises: MalformedError, LimitExceededError."""
    return decode_untrusted(data, max_bytes=FRAME_BYTES_MAX)


def array_of(value: Value) -> tuple[Value, ...]:
    """Return the items of a value; one that is no array is the only item."""
    return value if isinstance(value, tuple) else (value,)
