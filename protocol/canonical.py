"""One encoding per value: canonical msgpack of arrays, non-negative integers and byte strings.

Every signed or sent record of meshnode is made of these three types and nothing else; text is
UTF-8 in a byte string. A byte string that is not exactly what `encode` would have produced is
refused, so two different encodings can never carry one signature or one identity.
This is the only file that imports msgpack. Source: wire-format 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgpack

from protocol.errors import LimitExceededError, MalformedError
from protocol.limits import CANONICAL_DEPTH_MAX, CANONICAL_ITEMS_MAX

__all__ = [
    "Value",
    "as_array",
    "as_bytes",
    "as_text",
    "as_uint",
    "check_der_signature",
    "decode_untrusted",
    "encode",
]

Value: TypeAlias = "int | bytes | Sequence[Value]"
"""What can be encoded; arrays come back as tuples."""

_UINT_MAX = 2**64 - 1


def encode(value: Value) -> bytes:
    """Return the canonical bytes of `value`. Cost: about 1 µs for a ten-field record.

    Raises: TypeError or ValueError for any other type, a negative or a too large integer.
    """
    _check(value, CANONICAL_DEPTH_MAX, TypeError)
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def decode_untrusted(data: bytes, *, max_bytes: int) -> Value:
    """Return the value that `data` is the canonical encoding of.

    Raises: LimitExceededError if `data` is longer than `max_bytes`; MalformedError for anything
    that is not canonical: long forms, trailing bytes, maps, floats, text, booleans, deep nesting.
    Cost: bounded by `max_bytes` and `CANONICAL_ITEMS_MAX` before anything is allocated.
    """
    if len(data) > max_bytes:
        raise LimitExceededError("encoded record bytes", max_bytes, len(data))
    try:
        # A first pass that builds nothing: an array is allocated at the size it announces, so
        # nested announcements of items that never come would cost 80 MB for 3 kB of input.
        walker = msgpack.Unpacker(None, max_buffer_size=len(data) or 1)
        walker.feed(data)
        walker.skip()
        value: Any = msgpack.unpackb(
            data,
            use_list=False,
            raw=True,
            max_array_len=CANONICAL_ITEMS_MAX,
            max_bin_len=max_bytes,
            max_str_len=0,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, TypeError, RecursionError, msgpack.OutOfData) as error:
        raise MalformedError("bytes are not a canonical record") from error
    _check(value, CANONICAL_DEPTH_MAX, MalformedError)
    if msgpack.packb(value, use_bin_type=True) != data:
        raise MalformedError("bytes are not in the one canonical form")
    return value  # type: ignore[no-any-return]


def _check(value: Any, depth: int, error: type[Exception]) -> None:
    """Allow only the three types; `type() is` because True is an int to isinstance."""
    kind = type(value)
    if kind is tuple or kind is list:
        if depth == 0:
            raise error("arrays are nested too deep")
        if len(value) > CANONICAL_ITEMS_MAX:
            raise error("an array has too many items")
        for item in value:
            # Most items are plain: a call for each would double the cost of a header.
            if type(item) is not bytes and not (type(item) is int and 0 <= item <= _UINT_MAX):
                _check(item, depth - 1, error)
        return
    if kind is bytes:
        return
    if kind is not int:
        raise error(f"type {kind.__name__} has no canonical form")
    if not 0 <= value <= _UINT_MAX:
        raise error("an integer is outside 0 … 2**64-1")


def as_uint(value: Value, name: str, maximum: int = _UINT_MAX, minimum: int = 0) -> int:
    """Return `value` as an integer within bounds. Raises: MalformedError, LimitExceededError."""
    if type(value) is not int:
        raise MalformedError(f"{name} is not an integer")
    if value > maximum:
        raise LimitExceededError(name, maximum, value)
    if value < minimum:
        raise MalformedError(f"{name} is below {minimum}")
    return value


def as_bytes(value: Value, name: str, maximum: int, minimum: int | None = None) -> bytes:
    """Return `value` as bytes of `minimum` to `maximum` length (exactly, if no minimum is given).

    Raises: MalformedError, LimitExceededError.
    """
    if type(value) is not bytes:
        raise MalformedError(f"{name} is not a byte string")
    if len(value) > maximum:
        raise LimitExceededError(f"{name} bytes", maximum, len(value))
    if len(value) < (maximum if minimum is None else minimum):
        raise MalformedError(f"{name} is too short")
    return value


def as_text(value: Value, name: str, max_bytes: int) -> str:
    """Return `value` as text. Raises: MalformedError if it is not UTF-8, LimitExceededError."""
    raw = as_bytes(value, name, max_bytes, 0)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError(f"{name} is not UTF-8") from error


def as_array(
    value: Value, name: str, maximum: int, minimum: int | None = None
) -> tuple[Value, ...]:
    """Return `value` as an array of `minimum` to `maximum` items (exactly, if no minimum given).

    Raises: MalformedError, LimitExceededError.
    """
    if type(value) is not tuple:
        raise MalformedError(f"{name} is not an array")
    if len(value) > maximum:
        raise LimitExceededError(f"{name} items", maximum, len(value))
    if len(value) < (maximum if minimum is None else minimum):
        raise MalformedError(f"{name} has too few items")
    return value


def check_der_signature(der: bytes, signature: bytes) -> None:
    """Check that a certificate or request (DER) ends with its signature of up to 126 bytes.

    Its reader overlooks the count of unused bits, which gave one signature several forms.
    Raises: MalformedError; ValueError for a longer signature. Source: wire-format 10.1.
    """
    if not der.endswith(bytes((0x03, len(signature) + 1, 0)) + signature):
        raise MalformedError("a certificate or request has a signature in an odd form")
