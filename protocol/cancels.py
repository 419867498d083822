"""What an author takes back: the numbers of its own texts, in clear, so that carriers obey.

Cumulative and superseding like a receipt. Nobody can cancel for another: the bundle's own author
and incarnation say whose numbers these are. Source: wire-format 4.30, decision 27.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from protocol import canonical
from protocol.classes import Kind
from protocol.errors import MalformedError
from protocol.pages import Runs, as_runs, runs_of, seqs_of

__all__ = [
    "CANCELLED_KINDS",
    "Cancel",
    "cancelled_seqs",
    "decode_cancel_untrusted",
    "encode_cancel",
    "make_cancel",
]

CANCELLED_KINDS: Final = frozenset({Kind.TEXT, Kind.NOTE})
"""What can be taken back; an alarm is closed, not cancelled, and keys are for all messages."""
_VERSION = 1
_BYTES_MAX = 6_000


@dataclass(frozen=True, slots=True)
class Cancel:
    """Which texts of one page their author takes back."""

    page: int
    """Covers seqs 1024 × page to 1024 × page + 1023 of the bundle's author and incarnation."""
    runs: Runs
    """1-512 runs: what is taken back."""


def make_cancel(page: int, seqs: Iterable[int]) -> Cancel:
    """Return what takes back `seqs`. Raises: ValueError if there is none, or one is beyond."""
    runs = runs_of(page, seqs)
    if not runs:
        raise ValueError("a cancellation names at least one text")
    return Cancel(page, runs)


def cancelled_seqs(cancel: Cancel) -> Iterator[int]:
    """Yield the numbers that are taken back, ascending; at most 1,024."""
    return seqs_of(cancel.page, cancel.runs)


def encode_cancel(cancel: Cancel) -> bytes:
    """Return the body of a cancellation."""
    return canonical.encode((_VERSION, cancel.page, cancel.runs))


def decode_cancel_untrusted(raw: bytes) -> Cancel:
    """Read the body of a cancellation. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(raw, max_bytes=_BYTES_MAX)
    version, page, runs = canonical.as_array(value, "cancellation", 3)
    if version != _VERSION:
        raise MalformedError("the cancellation has an unknown version")
    return Cancel(canonical.as_uint(page, "page", 2**54 - 1), as_runs(runs))
