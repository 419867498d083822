"""What cards sign: revocations, wipe orders with their second signature, and beacons.

Every function takes the card, the documents that are known where it is used, and the time, and
returns a signed document that has passed the rules of every node, but for a wipe order that waits
for its second signature. The caller saves the card before it hands the document on: the card
remembers what it signed, so that no version says two things. Source: wire-format 7.8-7.10,
security 2.9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from meshnode.authority_cards import Card
from meshnode.authority_keys import AuthorityError
from meshnode.authority_state import revoked_in
from protocol.authority import (
    DocumentClass,
    RootBody,
    SignedDocument,
    build,
    count_signers,
    decide,
    decode_root_untrusted,
    decode_roster_untrusted,
    decode_untrusted,
    given_signature,
    signer_id,
)
from protocol.errors import EnrolmentError, LimitExceededError, ThresholdError
from protocol.guards import REVOCATIONS_MAX, WIPE_DEVICES_MAX
from protocol.ids import NodeId
from protocol.limits import SIGNERS_MAX
from protocol.orders import (
    BeaconBody,
    Revocation,
    RevocationBody,
    WipeBody,
    WipeLevel,
    beacon_scope,
    decode_revocation_untrusted,
    decode_wipe_untrusted,
    united,
)
from protocol.session.messages import documents_digest

__all__ = [
    "Known",
    "WipeDraft",
    "beacon",
    "cosigned",
    "read_wipe_untrusted",
    "revocation_list",
    "wipe_order",
]


@dataclass(frozen=True, slots=True)
class Known:
    """The documents that hold where a card is used: an authority's folder, or a node's store."""

    documents: tuple[SignedDocument, ...]
    """At least the root."""

    @classmethod
    def of(cls, raws: Sequence[bytes]) -> Known:
        """Return what these documents say. Raises: AuthorityError without a root document."""
        documents = tuple(decode_untrusted(raw) for raw in raws)
        if not any(each.cls is DocumentClass.ROOT for each in documents):
            raise AuthorityError("no root document is known here: enrol this device first")
        return cls(documents)

    @property
    def root(self) -> RootBody:
        """The root in force. Cost: some milliseconds."""
        return decode_root_untrusted(self.root_document.body)

    @property
    def root_document(self) -> SignedDocument:
        """The document of the root in force."""
        return next(each for each in self.documents if each.cls is DocumentClass.ROOT)

    def held(self, cls: DocumentClass, scope: bytes) -> SignedDocument | None:
        """Return the document of one class and scope, if there is one."""
        return next(
            (each for each in self.documents if (each.cls, each.scope) == (cls, scope)), None
        )

    @property
    def names(self) -> dict[NodeId, str]:
        """Names of the devices in all rosters, by id."""
        return {
            member.node: member.name
            for each in self.documents
            if each.cls is DocumentClass.ROSTER
            for member in decode_roster_untrusted(each.body).members
        }

    @property
    def revoked(self) -> dict[bytes, Revocation]:
        """Everything that any signer has revoked, by subject."""
        return revoked_in(self.documents)


def _newest(first: SignedDocument | None, second: SignedDocument | None) -> SignedDocument | None:
    found = [each for each in (first, second) if each is not None]
    return max(found, key=lambda each: (each.epoch, each.version), default=None)


def _check_card(card: Card, cls: DocumentClass, root: RootBody) -> bytes:
    """Return the public key of a card that the root names. Raises: AuthorityError."""
    public = card.key(cls).public[0]
    rule = root.rule(cls)
    if rule is None or public not in rule.keys:
        raise AuthorityError(f"the root does not name the card '{card.label}' any more")
    return public


# --- revocation --------------------------------------------------------------------------------


def revocation_list(
    card: Card, known: Known, entries: Sequence[Revocation], now_ms: int
) -> tuple[Card, SignedDocument]:
    """Return the card's whole list with `entries` in it, one version up; and the card after it.

    Raises: AuthorityError if the list says all that already, LimitExceededError if it is full.
    """
    root = known.root
    scope = signer_id(_check_card(card, DocumentClass.REVOCATION, root))
    remembered, held = (
        card.last(DocumentClass.REVOCATION),
        known.held(DocumentClass.REVOCATION, scope),
    )
    before = _newest(remembered, held)
    # A copy of the card may have signed where the other list was not known: both count.
    known_ones = [
        decode_revocation_untrusted(each.body)
        for each in (remembered, held)
        if each is not None and before is not None and each.epoch == before.epoch
    ]
    listed = united([*known_ones, *(RevocationBody((entry,)) for entry in entries)])
    body = RevocationBody(tuple(listed[subject] for subject in sorted(listed)))
    if len(body.entries) > REVOCATIONS_MAX:
        raise LimitExceededError("revocations of a card", REVOCATIONS_MAX, len(body.entries))
    if before is not None and body.encode() == before.body:
        if remembered is not None and remembered != held and before == remembered:
            # Signed before, and lost on the way here.
            return card, remembered
        raise AuthorityError("this card has revoked all of them already: nothing was signed")
    document = build(
        DocumentClass.REVOCATION,
        scope,
        _next_version(before, root),
        now_ms,
        body.encode(),
        card.key(DocumentClass.REVOCATION).signers,
    )
    decide(before, document, root)
    return card.remembering(document), document


def _next_version(before: SignedDocument | None, root: RootBody) -> tuple[int, int]:
    if before is None or before.epoch < root.epoch:
        return root.epoch, 1
    return before.epoch, before.version + 1


# --- wipe --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WipeDraft:
    """A wipe order, with one signature or more."""

    document: SignedDocument
    """As it is carried."""
    body: WipeBody
    """What it says."""
    signed: int
    """So many of those who may have signed it."""
    needed: int
    """So many must."""

    @property
    def is_complete(self) -> bool:
        """True if every node obeys it."""
        return self.signed >= self.needed


def wipe_order(
    card: Card,
    known: Known,
    devices: Sequence[NodeId],
    level: WipeLevel,
    now_ms: int,
    entropy: Callable[[int], bytes],
) -> WipeDraft:
    """Return a new order with the first signature; nobody obeys it before the second.

    Raises: AuthorityError, LimitExceededError for more than ten devices.
    """
    root = known.root
    _check_card(card, DocumentClass.WIPE, root)
    if not devices:
        raise AuthorityError("a wipe order names its devices: there is no way to name all")
    body = WipeBody(level, tuple(sorted(set(devices))))
    if len(body.devices) > WIPE_DEVICES_MAX:
        raise LimitExceededError("devices of a wipe order", WIPE_DEVICES_MAX, len(body.devices))
    document = build(
        DocumentClass.WIPE,
        entropy(8),
        (root.epoch, 1),
        now_ms,
        body.encode(),
        card.key(DocumentClass.WIPE).signers,
    )
    return _draft(document, root)


def read_wipe_untrusted(raw: bytes, known: Known) -> WipeDraft:
    """Return the order in `raw`, whoever signed it.

    Raises: MalformedError, LimitExceededError, AuthorityError for a document of another class.
    """
    document = decode_untrusted(raw)
    if document.cls is not DocumentClass.WIPE:
        raise AuthorityError("this document is no wipe order")
    return _draft(document, known.root)


def _draft(document: SignedDocument, root: RootBody) -> WipeDraft:
    rule = root.rule(DocumentClass.WIPE)
    if rule is None:
        raise AuthorityError("the root names nobody who may order a wipe")
    body = decode_wipe_untrusted(document.body)
    return WipeDraft(document, body, count_signers(document, root), rule.threshold)


def cosigned(card: Card, draft: WipeDraft, known: Known) -> WipeDraft:
    """Return the order with the signature of another card added.

    Raises: AuthorityError if this card signed it before, another root made it, or an earlier
    signature does not hold; what `decide` raises but for missing signatures.
    """
    root = known.root
    public = _check_card(card, DocumentClass.WIPE, root)
    document = draft.document
    if document.epoch != root.epoch:
        raise AuthorityError("this order belongs to another root: write a new one")
    if signer_id(public) in {signer for signer, _signature in document.signatures}:
        raise AuthorityError("this card signed the order already: it takes another person's")
    if draft.signed < _count_named(document, root):
        raise AuthorityError("an earlier signature under this order does not hold: write a new one")
    before = [given_signature(signer, signature) for signer, signature in document.signatures]
    signers = [*before, *card.key(DocumentClass.WIPE).signers]
    version = (document.epoch, document.version)
    after = build(
        DocumentClass.WIPE, document.scope, version, document.issued_ms, document.body, signers
    )
    assert after.digest == document.digest, "a second signature changes nothing else"
    with suppress(ThresholdError):
        # It may take more signatures still; whatever else is wrong with it is told.
        decide(None, after, root)
    return _draft(after, root)


def _count_named(document: SignedDocument, root: RootBody) -> int:
    """Return how many signers of wipe orders a document names, whether they signed it or not."""
    named = {signer for signer, _signature in document.signatures}
    rule = root.rule(document.cls)
    return 0 if rule is None else sum(signer_id(key) in named for key in rule.keys)


# --- beacon ------------------------------------------------------------------------------------

_DIGESTED = (DocumentClass.ROOT, DocumentClass.ROSTER, DocumentClass.REVOCATION)


def beacon(card: Card, known: Known, now_ms: int) -> tuple[Card, SignedDocument]:
    """Return a new beacon of the card's zone and the card after it.

    Each card has version numbers of its own (its number modulo 16): two operators who do not see
    each other never sign one version. Raises: AuthorityError, EnrolmentError (`clock`).
    """
    root = known.root
    _check_card(card, DocumentClass.BEACON, root)
    scope = beacon_scope(card.zone)
    before = _newest(card.last(DocumentClass.BEACON), known.held(DocumentClass.BEACON, scope))
    if before is not None and before.issued_ms >= now_ms:
        raise EnrolmentError("clock", "a beacon of a later time is known: check the clock")
    versions: Mapping[tuple[int, bytes], tuple[int, int]] = {
        (int(each.cls), each.scope): (each.epoch, each.version)
        for each in known.documents
        if each.cls in _DIGESTED
    }
    body = BeaconBody(card.zone, documents_digest(versions))
    document = build(
        DocumentClass.BEACON,
        scope,
        _own_version(before, root, card.number),
        now_ms,
        body.encode(),
        card.key(DocumentClass.BEACON).signers,
    )
    decide(before, document, root)
    return card.remembering(document), document


def _own_version(before: SignedDocument | None, root: RootBody, number: int) -> tuple[int, int]:
    epoch, version = _next_version(before, root)
    return epoch, version + (number - version) % SIGNERS_MAX
