"""Who may open a session, and how much of one: the badge shown in HELLO, bound to its link.

Identity comes from here alone, never from a field of a packet. A badge or link certificate that
ended lately still lets authority documents through, so that its device can learn how to come back,
or that it must erase itself. Source: security 2.3, wire-format 6.3, 6.5. Chain checks are cached
by fingerprint, because one costs more than a whole message.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence

from meshnode.links.base import Link
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from protocol import identity
from protocol.errors import AuthenticationError, IdentityError, RemoteProtocolError
from protocol.guards import CONTROL_GRACE_MS
from protocol.identity import Badge
from protocol.reports import Standing
from protocol.session import HelloReceived

__all__ = ["Admission", "StandingOf", "standing_by_dates"]

_CACHE_MAX = 4_096
"""Verified badges remembered; about 1 kB each."""

StandingOf = Callable[[Badge], Standing]
"""How the authority documents in force judge a badge."""


def standing_by_dates(not_before_ms: int, not_after_ms: int, now_ms: int) -> Standing:
    """Return what a certificate valid between two times allows now.

    Raises: ExpiredError before its time, and once even documents are no longer due to it.
    """
    identity.check_dates(not_before_ms, not_after_ms + CONTROL_GRACE_MS, now_ms)
    return Standing.FULL if now_ms <= not_after_ms else Standing.CONTROL_ONLY


class Admission:
    """Checks HELLOs and remembers the badges that passed."""

    def __init__(
        self, runtime: Runtime, metrics: Metrics, standing_of: StandingOf | None = None
    ) -> None:
        """Without `standing_of` nobody is revoked."""
        self._runtime = runtime
        self._metrics = metrics
        self._standing_of = standing_of or _nobody_is_revoked
        self._verified: OrderedDict[bytes, Badge] = OrderedDict()

    def admit(
        self, link: Link, hello: HelloReceived, anchors: Sequence[bytes]
    ) -> tuple[Badge, Standing]:
        """Return the badge of the peer at the far end of `link`, and how it stands.

        Raises: AuthenticationError where the badge, its chain or its binding to the link's
        certificate do not hold, or its dates do not allow even documents.
        Cost: about 0.15 ms for a known badge, 1 ms for a new one.
        """
        try:
            badge = self._badge(hello.badge_chain, anchors)
            standing = self._judge(link, badge)
            identity.verify_binding(
                badge.public_key, link.peer_certificate, hello.binding_signature
            )
        except (IdentityError, RemoteProtocolError) as error:
            self._metrics.count("peers_refused")
            self._runtime.trace("peer_refused", reason=type(error).__name__, remote=link.remote)
            raise AuthenticationError(str(error)) from error
        return badge, standing

    def standing(self, link: Link, badge: Badge, anchors: Sequence[bytes]) -> Standing:
        """Return how the owner of an admitted badge stands under the documents in force now.

        Cost: nothing, but 1 ms after a change of roots.
        """
        try:
            return self._judge(link, self._badge(badge.chain, anchors))
        except (IdentityError, RemoteProtocolError):
            return Standing.REFUSED

    def _judge(self, link: Link, badge: Badge) -> Standing:
        """Return the worst that dates and documents say. Raises: ExpiredError and others."""
        now_ms = self._runtime.now_ms()
        standing = max(
            standing_by_dates(badge.not_before_ms, badge.not_after_ms, now_ms),
            _standing_of_link(link, now_ms),
            self._standing_of(badge),
        )
        if standing is Standing.REFUSED:
            raise AuthenticationError("the authority's documents refuse this badge")
        return standing

    def _badge(self, chain: Sequence[bytes], anchors: Sequence[bytes]) -> Badge:
        fingerprint = hashlib.sha256(b"".join([*chain, b"\0", *anchors])).digest()
        known = self._verified.get(fingerprint)
        if known is not None:
            self._verified.move_to_end(fingerprint)
            return known
        badge = identity.read_badge_untrusted(chain, anchors)
        self._verified[fingerprint] = badge
        if len(self._verified) > _CACHE_MAX:
            self._verified.popitem(last=False)
        return badge


def _nobody_is_revoked(_badge: Badge) -> Standing:
    return Standing.FULL


def _standing_of_link(link: Link, now_ms: int) -> Standing:
    """Return what the peer's link certificate allows; the bearer saw that it has begun."""
    end_ms = link.peer_not_after_ms
    return Standing.FULL if end_ms is None else standing_by_dates(0, end_ms, now_ms)
