"""Counters of one node: how often what happened since it started.

Names are declared here with their meaning, so that the reference page can be checked against
them; counting an undeclared name is a defect of ours.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from protocol.reports import Reception

__all__ = ["METRICS", "Metrics"]

METRICS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{
            f"bundles_{reception.name.lower()}": f"bundles received whose fate was {reception.name}"
            for reception in Reception
        },
        "bundles_dropped_delivered": "bundles dropped because a receipt covers them",
        "bundles_dropped_expired": "bundles dropped because their lifetime ended",
        "documents_refused": "authority documents refused",
        "documents_equivocal": "documents of one version that say different things: an alarm",
        "documents_accepted": "authority documents that came into force",
        "links_refused": "links dialled to us and closed unheard: no certificate, or too many",
        "knocks_refused": "connections closed unanswered: no knock, or a wrong, old or used one",
        "sessions_broken": "sessions ended because the peer broke a rule or fell silent",
        "peers_refused": "links whose badge was refused",
        "peers_restricted": "links whose peer got authority documents only: revoked, or expired",
        "messages_sent": "messages taken from this device's people",
        "messages_opened": "messages opened for this device's people",
        "messages_unopenable": "bundles for this device that nothing will ever open",
        "messages_expired": "own messages whose lifetime ended before every receipt",
        "receipts_made": "receipts written",
        "receipts_refused": "receipts about own bundles that do not fit what was written",
        "keys_given": "chain keys handed to readers",
        "keys_requested": "requests for missing chain keys written",
        "key_requests_refused": "chains asked for by devices that may not read them",
        "chain_keys_reused": "messages under the used key of a chain, which are not opened again",
        "files_refused": "sealed files that were damaged or for others, of which nothing was taken",
        "prekeys_refused": "prekeys of others that cannot be sealed to",
        "unlocks_refused": "tries to unlock that were refused: a wrong secret, or no lease",
        "locks": "times that a person, or idleness, locked the agent's keys",
        "leases_ended": "times that the agent's keys locked because no beacon came in time",
        "seals_broken": "sealed rows that were damaged, moved, or without their key",
        "hints": "sightings of possible peers",
        "hints_dropped": "sightings beyond what the node follows up",
        "mdns_failures": "times that multicast discovery broke and was started again",
        "mdns_ignored": "multicast announcements that name no place to dial",
        "mdns_untagged": "multicast announcements that no member made: wrong tag, or none",
        "session_defects": "sessions that a defect of this program ended; please report it",
        "rooms_restarted": "parts of the node that failed and were started again",
    }
)
"""Every counter and what it counts."""


class Metrics:
    """The counters of one node."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        # Worker threads count too, and adding is a read and a write.
        self._lock = threading.Lock()

    def count(self, name: str, by: int = 1) -> None:
        """Add `by` to a declared counter."""
        assert name in METRICS, f"metric {name} is not declared"
        with self._lock:
            self._counts[name] += by

    def value(self, name: str) -> int:
        """Return one counter."""
        assert name in METRICS, f"metric {name} is not declared"
        return self._counts[name]

    def snapshot(self) -> dict[str, int]:
        """Return every declared counter, zeros included, by name."""
        return {name: self._counts[name] for name in sorted(METRICS)}
