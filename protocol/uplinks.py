"""Which device of a squad speaks to the gateway for all: claims, and the rule that all follow.

A pure rule over the claims of those in reach, the same on every device, so nobody has to be asked.
Whoever holds the office keeps it until it cannot go on, or somebody is clearly better.
Source: wire-format 4.20, decision 36.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from protocol import canonical
from protocol.errors import MalformedError
from protocol.ids import NodeId

__all__ = [
    "CLAIM_LIFETIME_S",
    "CLAIM_RENEW_MS",
    "HOPS_MAX",
    "MARGIN",
    "SCORE_MAX",
    "VACANCY_MS_MAX",
    "Choice",
    "Claim",
    "Cost",
    "Fitness",
    "choose",
    "decode_claim_untrusted",
    "encode_claim",
    "score",
]

SCORE_MAX: Final = 1_000
"""The best device there can be."""
MARGIN: Final = 150
"""A better device takes over only if it is better by this: the hysteresis."""
HOPS_MAX: Final = 3
"""Sessions between a device and its uplink; through more, each is its own."""
CLAIM_LIFETIME_S: Final = 600
"""A claim that is not renewed is void after this."""
CLAIM_RENEW_MS: Final = 240_000
"""A claim is renewed so often while mates are in reach: two renewals may be lost."""
VACANCY_MS_MAX: Final = 20_000
"""The best takes a vacant office at once, the next one 5 s later, the others after this."""
_TURN_MS: Final = 5_000
_CLAIM_BYTES_MAX: Final = 64
_MS_MAX: Final = 2**48 - 1


class Cost(IntEnum):
    """What a byte to the gateway costs."""

    FREE = 0
    METERED = 1
    COSTLY = 2


@dataclass(frozen=True, slots=True)
class Claim:
    """What one device tells its squad. Source: wire-format 4.20."""

    uplink: NodeId
    """Whom it sends through: itself where it holds the office; empty for nobody."""
    hops: int
    """Sessions between it and that device; 0 for itself and for nobody."""
    since_ms: int
    """When that device took the office, Unix milliseconds; 0 for nobody."""
    score: int
    """How fit it is itself, 0 where it reaches no gateway, up to SCORE_MAX."""

    def is_of(self, author: NodeId) -> bool:
        """True where it makes sense as a claim of `author`: only its own office is 0 hops away."""
        return (self.hops == 0) is (self.uplink in (b"", author))


@dataclass(frozen=True, slots=True)
class Fitness:
    """What a score is made of."""

    charge_pct: float | None
    """Percent; None where unknown."""
    is_charging: bool
    """True while power comes from outside."""
    generation: int | None
    """Mobile network: 0 none, 2 to 5; 6 for a LAN; None where unknown."""
    cost: Cost
    """Of its way to the gateway."""
    is_connected: bool
    """True while it has a session with a gateway."""
    has_failed: bool
    """True where it held the office lately and reached nobody."""


_OF_GENERATION: Final = {2: 50, 3: 150, 4: 250, 5: 280, 6: 300}
_OF_COST: Final = {Cost.FREE: 250, Cost.METERED: 150, Cost.COSTLY: 0}


def score(fitness: Fitness) -> int:
    """Return how fit a device is, 1 to SCORE_MAX; 0 where it reaches no gateway.

    Charge counts up to 300, coverage up to 300, cost up to 250, a session that is there 150.
    """
    if not fitness.is_connected and (fitness.has_failed or fitness.generation == 0):
        return 0
    if fitness.is_charging:
        charge = 300.0
    elif fitness.charge_pct is None:
        charge = 150.0
    elif fitness.charge_pct < 15:
        charge = 0.0
    else:
        charge = 2.5 * fitness.charge_pct
    coverage = _OF_GENERATION.get(fitness.generation or 0, 100)
    total = charge + coverage + _OF_COST[fitness.cost] + 150 * fitness.is_connected
    return max(1, min(SCORE_MAX, round(total)))


@dataclass(frozen=True, slots=True)
class Choice:
    """Through whom a device sends now."""

    uplink: NodeId = b""
    """Itself, a mate, or nobody while the office is vacant, or where nobody can hold it."""
    hops: int = 0
    """Sessions between."""
    since_ms: int = 0
    """When that device took the office, Unix milliseconds."""
    vacant_ms: int = 0
    """Since when nobody holds the office while somebody could; 0 where that is not so."""
    is_alone: bool = True
    """True where no mate who could hold it is in reach: each is its own uplink."""

    def look_ms(self, rank: int) -> int:
        """Return when a device of this rank may take a vacant office, Unix milliseconds."""
        return self.vacant_ms + min(rank * _TURN_MS, VACANCY_MS_MAX)


def choose(
    own: NodeId,
    own_score: int,
    heard: Mapping[NodeId, Claim],
    near: Set[NodeId],
    before: Choice,
    now_ms: int,
) -> tuple[Choice, int]:
    """Return through whom `own` sends now, and when to look again at the latest, Unix ms or 0.

    `heard` are the claims of mates that are not void, `near` those with whom a session lives.
    """
    claims = {node: claim for node, claim in heard.items() if node in near}
    able = {node: claim.score for node, claim in claims.items() if claim.score}
    offices = dict(_offices(own, claims, heard))
    if before.uplink == own and own_score:
        offices[own] = 0, before.since_ms, own_score
    if not (able or offices.keys() - {own}):
        # Nobody else can: keep the office, so that a mate who comes finds it held.
        if not own_score:
            return Choice(), 0
        since_ms = before.since_ms if before.uplink == own else now_ms
        return Choice(own, 0, since_ms, is_alone=not claims), 0
    rank = sum((-each, node) < (-own_score, own) for node, each in able.items())
    if not offices:
        return _vacant(own, own_score, rank, before, now_ms)
    best = min(offices, key=lambda node: (-(offices[node][2] // MARGIN), offices[node][1], node))
    hops, since_ms, best_score = offices[best]
    if best != own and own_score >= best_score + MARGIN and rank == 0:
        return Choice(own, 0, now_ms, is_alone=False), 0
    return Choice(best, hops, since_ms, is_alone=False), 0


def _vacant(
    own: NodeId, own_score: int, rank: int, before: Choice, now_ms: int
) -> tuple[Choice, int]:
    vacant = Choice(vacant_ms=before.vacant_ms or now_ms, is_alone=False)
    at_ms = vacant.look_ms(rank)
    if own_score and now_ms >= at_ms:
        return Choice(own, 0, now_ms, is_alone=False), 0
    return vacant, at_ms if own_score else 0


def _offices(
    own: NodeId, claims: Mapping[NodeId, Claim], heard: Mapping[NodeId, Claim]
) -> Iterator[tuple[NodeId, tuple[int, int, int]]]:
    """Yield who holds the office in reach: hops, since when, score; the nearest way last."""
    found: list[tuple[int, NodeId]] = []
    for node, claim in claims.items():
        holder = heard.get(claim.uplink)
        if claim.uplink == own or holder is None or claim.hops >= HOPS_MAX:
            continue
        # Only its own word makes it one, and others tell merely that they reach it.
        if holder.uplink == claim.uplink and not holder.hops and holder.score:
            found.append((claim.hops + 1, claim.uplink if claim.hops else node))
    for hops, node in sorted(found, reverse=True):
        yield node, (hops, heard[node].since_ms, heard[node].score)


def encode_claim(claim: Claim) -> bytes:
    """Return the body of a bundle of kind UPLINK."""
    return canonical.encode((1, claim.uplink, claim.hops, claim.since_ms, claim.score))


def decode_claim_untrusted(raw: bytes) -> Claim:
    """Read the body of a claim. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(raw, max_bytes=_CLAIM_BYTES_MAX)
    version, uplink, hops, since_ms, points = canonical.as_array(value, "claim", 5)
    if version != 1:
        raise MalformedError("the claim has an unknown version")
    claim = Claim(
        canonical.as_bytes(uplink, "uplink", 16, 0),
        canonical.as_uint(hops, "hops", HOPS_MAX),
        canonical.as_uint(since_ms, "since_ms", _MS_MAX),
        canonical.as_uint(points, "score", SCORE_MAX),
    )
    if len(claim.uplink) not in (0, 16):
        raise MalformedError("an uplink is named by 16 bytes, or by none")
    if claim.hops and not claim.uplink:
        raise MalformedError("nobody is no session away")
    if (claim.since_ms == 0) is not (claim.uplink == b""):
        raise MalformedError("an uplink, and nobody else, took the office at some time")
    if claim.uplink and not claim.hops and not claim.score:
        raise MalformedError("whoever holds the office reaches a gateway")
    return claim
