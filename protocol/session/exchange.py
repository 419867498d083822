"""Authority documents of one session: who gives which, and when both are through.

Knows versions, never content. Source: wire-format 6.4, 6.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from protocol.errors import LimitExceededError, RemoteProtocolError
from protocol.limits import SESSION_DOCUMENTS_MAX
from protocol.session.events import DocumentKey
from protocol.session.messages import (
    DOCUMENT_BUCKETS,
    bucket_of,
    decode_digests_untrusted,
    documents_digest,
    encode_digests,
)

__all__ = ["Exchange"]


class Exchange:
    """Both directions of the documents of one session."""

    def __init__(self, ours: Mapping[DocumentKey, tuple[int, int]]) -> None:
        self._ours = ours
        self._differing: frozenset[int] | None = None
        self._are_versions_here = False
        self._received = 0
        self.are_equal = False
        self.is_ours_given = False
        self.is_ours_asked = False
        self.is_theirs_here = False

    @property
    def is_done(self) -> bool:
        """True if both sides said that they gave everything."""
        return self.is_ours_given and self.is_theirs_here

    def compare(self, digest: bytes) -> None:
        """Take the digest of the peer's HELLO."""
        self.are_equal = digest == documents_digest(self._ours)

    def digests(self) -> bytes:
        """Return what DOCUMENT_DIGESTS says of our documents."""
        return encode_digests(self._ours)

    def differing_untrusted(self, theirs: Sequence[bytes]) -> dict[DocumentKey, tuple[int, int]]:
        """Return the versions of ours where the peer's digests differ.

        Raises: RemoteProtocolError if the digests were not due.
        """
        if self.are_equal or self._differing is not None:
            raise RemoteProtocolError("digests of documents were not due")
        ours = decode_digests_untrusted(self.digests())
        self._differing = frozenset(
            number for number in range(DOCUMENT_BUCKETS) if ours[number] != theirs[number]
        )
        return self._in_question

    @property
    def _in_question(self) -> dict[DocumentKey, tuple[int, int]]:
        differing = self._differing or frozenset()
        return {key: at for key, at in self._ours.items() if bucket_of(key) in differing}

    def newer_untrusted(
        self, theirs: Mapping[DocumentKey, tuple[int, int]]
    ) -> tuple[DocumentKey, ...]:
        """Return the documents of which ours is newer, or which the peer lacks.

        Raises: RemoteProtocolError if the versions were not due.
        """
        if self._differing is None or self._are_versions_here or self.is_theirs_here:
            raise RemoteProtocolError("versions of documents were not due")
        self._are_versions_here = True
        nothing = (-1, -1)
        newer = tuple(
            key
            for key, version in sorted(self._in_question.items())
            if version > theirs.get(key, nothing)
        )
        self.is_ours_asked = bool(newer)
        return newer

    def on_document_untrusted(self) -> None:
        """Count a document. Raises: RemoteProtocolError, LimitExceededError."""
        if not self._are_versions_here or self.is_theirs_here:
            raise RemoteProtocolError("a document was not due")
        self.on_news_untrusted()

    def on_news_untrusted(self) -> None:
        """Count a document of a live session. Raises: LimitExceededError."""
        self._received += 1
        if self._received > SESSION_DOCUMENTS_MAX:
            raise LimitExceededError("documents", SESSION_DOCUMENTS_MAX, self._received)

    def on_end_untrusted(self) -> None:
        """The peer gave everything. Raises: RemoteProtocolError if that was not due."""
        if self.is_theirs_here or self.are_equal is self._are_versions_here:
            raise RemoteProtocolError("the end of documents was not due")
        self.is_theirs_here = True
